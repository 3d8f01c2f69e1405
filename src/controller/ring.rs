//! The newest transitions of all links, of which every consumer has its share.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::snapshot::{EVENTS, Numbered, Transition};

/// Transitions by consumer. Where there is no room for one more, the oldest of the consumer with the most
/// transitions goes, so that a link that changes all the time pushes out only its own consumer's.
#[derive(Debug, Default)]
pub struct Ring {
    shares: HashMap<Arc<str>, VecDeque<Numbered>>,
    len: usize,
    next: u64,
    /// All of them in order, where none came since they were last asked for.
    merged: Option<Arc<VecDeque<Numbered>>>,
}

impl Ring {
    /// All of them, the oldest first.
    pub fn events(&mut self) -> Arc<VecDeque<Numbered>> {
        let merged = self.merged.get_or_insert_with(|| {
            let mut all: Vec<Numbered> = self.shares.values().flatten().cloned().collect();
            all.sort_unstable_by_key(|event| event.number);
            Arc::new(all.into())
        });
        Arc::clone(merged)
    }

    /// Adds the newest one.
    pub fn push(&mut self, transition: Arc<Transition>) {
        let share = self.shares.entry(Arc::clone(&transition.consumer)).or_default();
        share.push_back(Numbered { number: self.next, transition });
        self.next += 1;
        self.merged = None;
        if self.len < EVENTS {
            self.len += 1;
        } else {
            self.remove_one();
        }
    }

    /// Removes the oldest transition of the consumer with the most. Among equals the consumer with the oldest
    /// transition loses it.
    fn remove_one(&mut self) {
        let oldest = |share: &VecDeque<Numbered>| share.front().map(|event| event.number);
        let largest = self.shares.iter_mut().max_by_key(|(_, share)| (share.len(), Reverse(oldest(share))));
        let Some((consumer, share)) = largest else { return };
        share.pop_front();
        if share.is_empty() {
            let consumer = Arc::clone(consumer);
            self.shares.remove(&consumer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn push(ring: &mut Ring, consumer: &str, name: usize) {
        ring.push(Arc::new(Transition {
            time: SystemTime::UNIX_EPOCH,
            consumer: consumer.into(),
            name: name.to_string().into(),
            from: String::new(),
            to: String::new(),
            reason: String::new(),
            message: String::new(),
        }));
    }

    fn of(ring: &mut Ring, consumer: &str) -> Vec<String> {
        let events = ring.events();
        let own = events.iter().filter(|event| &*event.transition.consumer == consumer);
        own.map(|event| event.transition.name.to_string()).collect()
    }

    #[test]
    fn a_consumer_that_changes_all_the_time_pushes_out_its_own_transitions_only() {
        let mut ring = Ring::default();
        for n in 0..100 {
            push(&mut ring, "calm", n);
        }
        for n in 0..10 * EVENTS {
            push(&mut ring, "wild", n);
        }
        assert_eq!(ring.events().len(), EVENTS);
        assert_eq!(of(&mut ring, "calm").len(), 100);
        assert_eq!(of(&mut ring, "wild").last().unwrap(), &(10 * EVENTS - 1).to_string());
        for n in 0..EVENTS {
            push(&mut ring, "also-wild", n);
        }
        assert_eq!(of(&mut ring, "calm").len(), 100);
        assert_eq!((of(&mut ring, "wild").len(), of(&mut ring, "also-wild").len()), (450, 450));
    }

    #[test]
    fn of_a_single_consumer_the_oldest_go() {
        let mut ring = Ring::default();
        for n in 0..EVENTS + 5 {
            push(&mut ring, "only", n);
        }
        assert_eq!(of(&mut ring, "only").first().unwrap(), "5");
    }

    #[test]
    fn a_consumer_without_transitions_is_forgotten() {
        let mut ring = Ring::default();
        for n in 0..3 * EVENTS {
            push(&mut ring, &format!("app{n}"), n);
        }
        assert_eq!((ring.events().len(), ring.shares.len()), (EVENTS, EVENTS));
    }
}
