//! Standard output, which may be a pipe whose reader has gone (`tieline status | head -3`).

use std::io::{ErrorKind, Write};

use super::Error;

/// Writes `text` as it is.
///
/// # Errors
/// [`Error::Closed`] when nobody reads any more.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Error::Closed,
        _ => Error::Other(format!("cannot write: {error}")),
    })
}

/// Writes `text` and ends the line.
///
/// # Errors
/// As [`print()`].
pub fn println(text: &str) -> Result<(), Error> {
    print(&format!("{text}\n"))
}
