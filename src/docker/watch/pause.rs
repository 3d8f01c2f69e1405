//! How long to wait before the stream is made anew.
//!
//! A stream that was cut is made anew at once: most often the engine is there. What bounds a loop of
//! cuts is the cost of the list that each new stream begins with.

use std::time::{Duration, Instant};

use super::super::Docker;

/// Between two attempts that failed before anything was listed. Each costs the engine two small
/// requests, and the one that succeeds should not be late.
const RETRY: Duration = Duration::from_millis(200);
/// Lists may take one part in so many of the time.
const LIST_SHARE: u32 = 10;
/// The longest wait for the sake of [`LIST_SHARE`].
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How often an engine that is away is looked for at its socket, which costs next to nothing.
const KNOCK: Duration = Duration::from_millis(20);
/// After so long without a socket that takes connections, an attempt is made nevertheless: it says
/// what is the matter now.
const MAX_ABSENCE: Duration = Duration::from_secs(30);

/// The first list of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstList {
    /// How long it took.
    pub took: Duration,
    /// When it ended.
    pub at: Instant,
}

/// How long to wait after a session that ended at `now`.
pub(super) fn after(listed: Option<FirstList>, now: Instant) -> Duration {
    let Some(list) = listed else { return RETRY.mul_f64(1.0 - 0.3 * fastrand::f64()) };
    (list.took * LIST_SHARE).min(MAX_PAUSE).saturating_sub(now.saturating_duration_since(list.at))
}

/// Waits for `pause` or, where the engine is away, until it takes connections again.
pub(super) async fn wait(docker: &Docker, pause: Duration) {
    if docker.is_listening().await {
        return tokio::time::sleep(pause).await;
    }
    let end = Instant::now() + MAX_ABSENCE;
    while Instant::now() < end && !docker.is_listening().await {
        tokio::time::sleep(KNOCK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_list(took: u64, lived: u64) -> Duration {
        let at = Instant::now();
        let list = FirstList { took: Duration::from_millis(took), at };
        after(Some(list), at + Duration::from_millis(lived))
    }

    #[test]
    fn a_stream_that_had_lived_is_made_anew_at_once() {
        assert_eq!(after_list(20, 200), Duration::ZERO);
        assert_eq!(after_list(600, 60_000), Duration::ZERO);
    }

    #[test]
    fn a_loop_of_cuts_is_bounded_by_what_its_lists_cost() {
        assert_eq!(after_list(20, 0), Duration::from_millis(200));
        assert_eq!(after_list(200, 500), Duration::from_millis(1500));
        assert_eq!(after_list(8000, 0), MAX_PAUSE);
    }

    #[test]
    fn an_attempt_that_listed_nothing_is_soon_tried_again() {
        assert!((RETRY / 2..=RETRY).contains(&after(None, Instant::now())));
    }
}
