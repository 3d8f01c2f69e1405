//! Speakers that do not end: a thread or a helper may wait for ever for a file, such as one on a dead network file
//! system, and cannot be killed then. Nothing more is started for that container until it has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Side;
use super::handshake::Trouble;
use crate::model::container::ContainerId;
use crate::model::handshake::InconclusiveReason;

/// All speakers of one kind (threads, or helpers), by the container for which they speak.
#[derive(Clone)]
pub struct Overdue {
    speakers: Arc<Mutex<HashMap<ContainerId, Vec<Speaker>>>>,
    grace: Duration,
}

struct Speaker {
    number: u64,
    /// When it should have ended.
    due: Instant,
}

/// Held by the speaker; dropped when the speaker has ended.
pub struct Speaking {
    all: Overdue,
    container: ContainerId,
    number: u64,
}

/// Held by the handshake; dropped when the handshake is over, and the speaker should end.
pub struct Interest {
    all: Overdue,
    container: ContainerId,
    number: u64,
}

impl Overdue {
    /// A record in which speakers may take `grace` to end.
    pub fn after(grace: Duration) -> Self {
        Self { speakers: Arc::default(), grace }
    }

    /// Registers a speaker for `side` that lasts at most `bound`.
    ///
    /// # Errors
    /// If an earlier speaker for that container is overdue.
    pub fn begin(&self, side: &Side, bound: Duration) -> Result<(Speaking, Interest), Trouble> {
        let (now, mut speakers) = (Instant::now(), self.lock());
        let of_side = speakers.entry(side.id.clone()).or_default();
        if let Some(late) = of_side.iter().map(|speaker| now.saturating_duration_since(speaker.due)).max()
            && !late.is_zero()
        {
            let message = format!(
                "{}: an earlier handshake has not ended, {late:.0?} after its time; a file system that the container uses \
                 may not answer",
                side.name
            );
            return Err(Trouble::new(InconclusiveReason::NotInTime, message));
        }
        let number = fastrand::u64(..);
        of_side.push(Speaker { number, due: now + bound + self.grace });
        let (all, container) = (self.clone(), side.id.clone());
        let interest = Interest { all: all.clone(), container: container.clone(), number };
        Ok((Speaking { all, container, number }, interest))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Vec<Speaker>>> {
        self.speakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        let mut speakers = self.all.lock();
        let Some(of_side) = speakers.get_mut(&self.container) else { return };
        of_side.retain(|speaker| speaker.number != self.number);
        if of_side.is_empty() {
            speakers.remove(&self.container);
        }
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let due = Instant::now() + self.all.grace;
        let mut speakers = self.all.lock();
        let of_side = speakers.get_mut(&self.container).into_iter().flatten();
        of_side
            .filter(|speaker| speaker.number == self.number)
            .for_each(|speaker| speaker.due = due.min(speaker.due));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(3);
    const GRACE: Duration = Duration::from_secs(1);

    fn side(name: &str) -> Side {
        let id = ContainerId(name.into());
        Side { id, name: name.into(), address: None }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_begun_for_a_container_while_something_is_overdue_there() {
        let (all, db, web) = (Overdue::after(GRACE), side("db"), side("web"));
        // Several links of one container are proven at once.
        let (stuck, interest) = all.begin(&db, BOUND).unwrap();
        let other = all.begin(&db, BOUND).unwrap();
        drop(other);
        tokio::time::advance(BOUND + GRACE / 2).await;
        drop(all.begin(&db, BOUND).unwrap());
        tokio::time::advance(GRACE).await;
        let Err(trouble) = all.begin(&db, BOUND) else { panic!("begun") };
        assert_eq!(trouble.reason, InconclusiveReason::NotInTime);
        assert!(trouble.message.starts_with("db: ") && !trouble.reason.is_of_the_way(), "{trouble:?}");
        drop(all.begin(&web, BOUND).unwrap());
        drop(interest);
        assert!(all.begin(&db, BOUND).is_err());
        drop(stuck);
        drop(all.begin(&db, BOUND).unwrap());
        assert!(all.lock().is_empty(), "what has ended is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_is_interested_in_any_more_is_due_at_once() {
        let (all, db) = (Overdue::after(GRACE), side("db"));
        let (stuck, interest) = all.begin(&db, BOUND).unwrap();
        drop(interest);
        tokio::time::advance(GRACE * 2).await;
        assert!(all.begin(&db, BOUND).is_err());
        drop(stuck);
        assert!(all.begin(&db, BOUND).is_ok());
    }
}
