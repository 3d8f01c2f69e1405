//! How often changes of one link are logged.

use std::time::{Duration, SystemTime};

/// Lines about one link that may follow each other at once: a container that restarts twice needs no more.
const AT_ONCE: u32 = 10;
/// Time after which one line more is allowed.
const SPACING: Duration = Duration::from_secs(60);

/// The budget of log lines about one link.
#[derive(Debug)]
pub struct Lines {
    left: u32,
    /// Since when `left` has been smaller than [`AT_ONCE`], moved on with each line that was added.
    since: SystemTime,
    /// Changes that were not logged since the last line.
    untold: u32,
}

impl Lines {
    /// A whole budget.
    pub fn new(now: SystemTime) -> Self {
        Self { left: AT_ONCE, since: now, untold: 0 }
    }

    /// Notes a change. `Some`: it may be logged, and so many before it were not.
    pub fn change(&mut self, now: SystemTime) -> Option<u32> {
        let line = self.take(now);
        self.untold = if line.is_some() { 0 } else { self.untold.saturating_add(1) };
        line
    }

    /// `Some` where the last changes were not logged and a line is allowed now: how many they were.
    pub fn overdue(&mut self, now: SystemTime) -> Option<u32> {
        if self.untold == 0 {
            return None;
        }
        let line = self.take(now)?;
        self.untold = 0;
        Some(line)
    }

    fn take(&mut self, now: SystemTime) -> Option<u32> {
        // A clock that was set back must not keep a link silent for as long.
        self.since = self.since.min(now);
        let elapsed = now.duration_since(self.since).unwrap_or_default();
        let added = u32::try_from(elapsed.as_secs() / SPACING.as_secs()).unwrap_or(u32::MAX);
        if added >= AT_ONCE - self.left {
            (self.left, self.since) = (AT_ONCE, now);
        } else if added > 0 {
            self.left += added;
            self.since += SPACING * added;
        }
        self.left = self.left.checked_sub(1)?;
        Some(self.untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_link_that_changes_all_the_time_has_a_line_a_minute_that_counts_the_others() {
        let mut lines = Lines::new(START);
        let told: Vec<(u64, u32)> =
            (0..600).filter_map(|second| Some((second, lines.change(at(second))?))).collect();
        assert!(told.iter().take(10).all(|(second, untold)| *second < 10 && *untold == 0));
        assert_eq!(told.len(), 19, "{told:?}");
        assert_eq!(
            told[10..].iter().map(|(second, _)| *second).collect::<Vec<_>>(),
            [60, 120, 180, 240, 300, 360, 420, 480, 540]
        );
        assert!(told[11..].iter().all(|(_, untold)| *untold == 59), "{told:?}");
    }

    #[test]
    fn the_last_change_is_told_later_where_it_could_not_be_at_once() {
        let mut lines = Lines::new(START);
        assert_eq!((0..13).filter_map(|_| lines.change(START)).count(), 10);
        assert_eq!(lines.overdue(at(59)), None);
        assert_eq!(lines.overdue(at(60)), Some(3));
        assert_eq!(lines.overdue(at(1000)), None, "everything is told");
    }

    #[test]
    fn a_calm_link_has_its_whole_budget_again() {
        let mut lines = Lines::new(START);
        let told = |lines: &mut Lines, now| (0..20).filter_map(|_| lines.change(now)).count();
        assert_eq!(told(&mut lines, at(3600)), 10);
        assert_eq!(told(&mut lines, at(3600 + 600)), 10);
        // The clock was set back.
        assert_eq!(told(&mut lines, at(1)), 0);
        assert_eq!(told(&mut lines, at(61)), 1);
    }
}
