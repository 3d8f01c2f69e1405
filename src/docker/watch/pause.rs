//! How long to wait before the stream is made anew.
//!
//! A stream that was cut is made anew at once: most often the engine is there. What bounds a loop of
//! cuts is the cost of the list that each new stream begins with.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::Docker;

/// Between two attempts that failed before anything was listed. Each costs the engine two small
/// requests, and the one that succeeds should not be late.
const RETRY: Duration = Duration::from_millis(100);
/// First lists may take one part in so many of the time…
const SHARE: u32 = 10;
/// …but those that have been saved up for so long come at once.
const SAVINGS: Duration = Duration::from_secs(5);
/// The longest wait for the sake of [`SHARE`].
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How often an engine that is away is looked for at its socket, which costs next to nothing.
const KNOCK: Duration = Duration::from_millis(20);
/// After so long without a socket that takes connections, an attempt is made nevertheless: it says
/// what is the matter now.
const MAX_ABSENCE: Duration = Duration::from_secs(30);

/// What first lists have cost, and so when the next one may come.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// When all of it is paid for.
    paid: Option<Instant>,
}

impl Budget {
    /// How long to wait after a session that ended at `now`, whose first list took so long, if it
    /// came to one.
    pub(super) fn pause(&mut self, listed: Option<Duration>, now: Instant) -> Duration {
        let Some(took) = listed else { return RETRY.mul_f64(1.0 - 0.3 * fastrand::f64()) };
        let saved = now.checked_sub(SAVINGS).unwrap_or(now);
        let paid = self.paid.map_or(saved, |paid| paid.max(saved)) + (took * SHARE).min(MAX_PAUSE);
        self.paid = Some(paid);
        paid.saturating_duration_since(now)
    }
}

/// Waits for `pause` or, where the engine is away, until it takes connections again or cannot any more.
pub(super) async fn wait(docker: &Docker, pause: Duration) {
    if docker.is_listening().await {
        return sleep(pause).await;
    }
    let end = Instant::now() + MAX_ABSENCE;
    while Instant::now() < end && !docker.is_removed_file() && !docker.is_listening().await {
        sleep(KNOCK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_stream_that_is_cut_now_and_then_is_made_anew_at_once() {
        let mut budget = Budget::default();
        let mut now = Instant::now();
        for _ in 0..100 {
            assert_eq!(budget.pause(Some(ms(50)), now), Duration::ZERO);
            now += ms(600);
        }
    }

    #[test]
    fn a_loop_of_cuts_is_bounded_by_what_its_lists_cost() {
        let mut budget = Budget::default();
        let now = Instant::now();
        let pauses: Vec<Duration> = (0..12).map(|_| budget.pause(Some(ms(50)), now)).collect();
        assert_eq!(pauses[..10], [Duration::ZERO; 10]);
        assert_eq!(pauses[10..], [ms(500), ms(1000)]);
        let mut budget = Budget::default();
        assert_eq!(budget.pause(Some(ms(8000)), now), Duration::ZERO);
        assert_eq!(budget.pause(Some(ms(8000)), now), MAX_PAUSE);
    }

    #[test]
    fn an_attempt_that_listed_nothing_is_soon_tried_again() {
        assert!((RETRY / 2..=RETRY).contains(&Budget::default().pause(None, Instant::now())));
    }
}
