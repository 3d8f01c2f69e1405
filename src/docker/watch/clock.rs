//! The engine's clock, as far as its events show it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far before our own time the engine's is taken to be while no event has shown it.
const DOUBT: Duration = Duration::from_secs(1);

/// What the engine's clock shows. An engine elsewhere has a clock of its own.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// How far the engine's clock is ahead of ours at least, nanoseconds.
    ahead: Option<i64>,
}

impl Clock {
    /// Takes in an event's time. No event arrives before it happened, so the one that was quickest
    /// tells best.
    pub(super) fn hear(&mut self, event: i64) {
        self.hear_at(event, unix_nanos());
    }

    /// The engine's time (Unix nanoseconds): never ahead of it, as far as is known, and late by the
    /// time that the quickest event took to arrive.
    pub(super) fn now(&self) -> i64 {
        self.at(unix_nanos())
    }

    fn hear_at(&mut self, event: i64, now: i64) {
        let ahead = event - now;
        self.ahead = Some(self.ahead.map_or(ahead, |known| known.max(ahead)));
    }

    fn at(&self, now: i64) -> i64 {
        now + self.ahead.unwrap_or(-nanos(DOUBT))
    }
}

pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn unix_nanos() -> i64 {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_event_tells_best() {
        let mut clock = Clock::default();
        assert_eq!(clock.at(5_000_000_000), 4_000_000_000);
        clock.hear_at(1_000, 1_900);
        assert_eq!(clock.at(2_000), 1_100);
        clock.hear_at(2_000, 2_100);
        assert_eq!(clock.at(3_000), 2_900);
        clock.hear_at(3_000, 3_900);
        assert_eq!(clock.at(4_000), 3_900);
    }
}
