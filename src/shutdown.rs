//! The end: asked for once, everything finishes what it does; asked for twice, it ends at once.
//!
//! Signals are taken on a thread of their own, so that the second request ends the process whatever its other
//! threads do. They may be stuck in the log too, which somebody reads by a pipe: nothing waits for a log line.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code after a second request to end.
const ABORTED: i32 = 130;
/// How long the process lasts for a last log line.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A token that is cancelled by the first SIGTERM or SIGINT. The second one ends the process.
///
/// # Errors
/// If the signals cannot be caught.
pub fn on_signals() -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let [mut term, mut int] = {
        let _entered = runtime.enter();
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]
    };
    let cancelled = token.clone();
    let wait = move || {
        let name = runtime.block_on(next(&mut term, &mut int));
        cancelled.cancel();
        log(move || tracing::info!(signal = name, "shutting down; links stay up"));
        runtime.block_on(next(&mut term, &mut int));
        log(|| tracing::warn!("asked again to end: ending at once"));
        std::process::exit(ABORTED);
    };
    thread::Builder::new().name("tieline-signals".to_owned()).spawn(wait)?;
    Ok(token)
}

/// Waits for one of the two, and says which one came.
async fn next(term: &mut Signal, int: &mut Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}

/// Writes a log line; goes on without it where that takes too long.
fn log(line: impl FnOnce() + Send + 'static) {
    let (written, is_written) = mpsc::channel::<()>();
    let write = move || {
        line();
        drop(written);
    };
    if thread::Builder::new().name("tieline-log".to_owned()).spawn(write).is_ok() {
        // The other end goes when the line is written.
        let _ = is_written.recv_timeout(LAST_WORDS);
    }
}
