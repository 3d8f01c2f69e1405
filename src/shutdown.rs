//! The end: asked for once, everything finishes what it does; asked for twice, it ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code after a second request to end.
const ABORTED: i32 = 130;

/// A token that is cancelled by the first SIGTERM or SIGINT. The second one ends the process.
///
/// # Errors
/// If the signals cannot be caught.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            let name = tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = int.recv() => "SIGINT",
            };
            if first {
                tracing::info!(signal = name, "shutting down; links stay up");
                cancelled.cancel();
            }
        }
        tracing::warn!("asked again to end: ending at once");
        std::process::exit(ABORTED);
    });
    Ok(token)
}
