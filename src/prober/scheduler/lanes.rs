//! Who may have one of the slots for handshakes: what is slow or hangs has only some of them, so that it
//! delays only itself.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::container::ContainerId;
use crate::model::link::PathKey;

/// From how long on a handshake is slow. Most take a tenth of that, on a busy machine too.
const SLOW: Duration = Duration::from_secs(1);
/// How many slow handshakes of one path, or slow paths of one container, bring it under suspicion. One
/// may be chance, and may be the other end's fault.
const ENOUGH: usize = 2;

/// What is to be expected of a path's next handshake. Each has all the slots of those below it and some
/// more, so that none of them can keep it waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    /// That it holds a slot for long.
    Hangs,
    /// Nothing: there was none yet, or the last one was not good, or slow for once.
    Open,
    /// That it is good and quick.
    Good,
}

/// How a path's handshakes ended.
#[derive(Debug, Default)]
struct Past {
    good: bool,
    /// How many in a row were slow.
    slow: usize,
}

/// A slot that is held.
#[derive(Debug)]
pub struct Held {
    since: Instant,
    trust: Trust,
    /// Ends that had a quick handshake meanwhile: it is not their fault if this one is slow.
    cleared: Vec<ContainerId>,
}

/// The slots, and what is known of those who want them.
#[derive(Debug)]
pub struct Lanes {
    slots: usize,
    under_way: HashMap<PathKey, Held>,
    pasts: HashMap<PathKey, Past>,
    /// Paths of a container that were slow since it last had a quick handshake.
    slow: HashMap<ContainerId, HashSet<PathKey>>,
}

/// The slots that are free at one time. Until a handshake ends they only become fewer.
#[derive(Debug)]
pub struct Room<'a> {
    lanes: &'a Lanes,
    /// The least trust that gets a slot; `None` when all are taken.
    least: Option<Trust>,
    /// How many paths of a container are slow right now and were not before.
    late: HashMap<&'a ContainerId, usize>,
    /// Containers that are being tried by something that is not known to hang.
    tried: HashSet<&'a ContainerId>,
}

impl Lanes {
    /// So many slots, all free.
    pub fn new(slots: usize) -> Self {
        Self { slots, under_way: HashMap::new(), pasts: HashMap::new(), slow: HashMap::new() }
    }

    /// What is free at `now`.
    pub fn room(&self, now: Instant) -> Room<'_> {
        let mut late: HashMap<&ContainerId, usize> = HashMap::new();
        let mut tried = HashSet::new();
        for (path, held) in &self.under_way {
            if held.trust > Trust::Hangs {
                tried.extend(ends(path));
            }
            let to_blame = |end: &&ContainerId| held.blames(end) && !self.was_slow(end, path);
            for end in ends(path).into_iter().filter(|end| held.is_late(now) && to_blame(end)) {
                *late.entry(end).or_default() += 1;
            }
        }
        let has_room = |trust: &Trust| self.held(*trust, now) < self.most(*trust);
        // From the top, since who may have few slots may have none where those with more have all of theirs.
        let least = [Trust::Good, Trust::Open, Trust::Hangs].into_iter().take_while(has_room).last();
        Room { lanes: self, least, late, tried }
    }

    /// Gives a slot to `path`.
    pub fn enter(&mut self, path: &PathKey, now: Instant) {
        let trust = self.room(now).trust(path);
        self.under_way.insert(path.clone(), Held { since: now, trust, cleared: Vec::new() });
    }

    /// Takes the slot back.
    pub fn leave(&mut self, path: &PathKey) -> Option<Held> {
        self.under_way.remove(path)
    }

    /// Takes in how the handshake ended that held a slot until `now`.
    pub fn learn(&mut self, path: &PathKey, held: &Held, good: bool, now: Instant) {
        let slow = held.is_late(now);
        let past = self.pasts.entry(path.clone()).or_default();
        *past = Past { good, slow: if slow { past.slow + 1 } else { 0 } };
        for end in ends(path) {
            if !slow {
                self.clear(end);
            } else if held.blames(end) {
                self.slow.entry(end.clone()).or_default().insert(path.clone());
            }
        }
    }

    /// Forgets what was learned of a path. A slot that it holds it keeps.
    pub fn forget(&mut self, path: &PathKey) {
        self.pasts.remove(path);
        for end in ends(path) {
            let Some(slow) = self.slow.get_mut(end) else { continue };
            slow.remove(path);
            if slow.is_empty() {
                self.slow.remove(end);
            }
        }
    }

    /// How many slots those may hold together that are trusted so far and no more. With one slot there
    /// is nothing to share.
    fn most(&self, trust: Trust) -> usize {
        let reserve = match trust {
            Trust::Good => 0,
            Trust::Open => self.slots.div_ceil(4),
            Trust::Hangs => self.slots.div_ceil(2),
        };
        (self.slots - reserve).max(1)
    }

    /// How many they hold.
    fn held(&self, trust: Trust, now: Instant) -> usize {
        self.under_way.values().filter(|one| one.is_late(now) || one.trust <= trust).count()
    }

    fn clear(&mut self, container: &ContainerId) {
        self.slow.remove(container);
        let at_it = self.under_way.iter_mut().filter(|(path, _)| ends(path).contains(&container));
        at_it.for_each(|(_, held)| held.cleared.push(container.clone()));
    }

    fn was_slow(&self, container: &ContainerId, path: &PathKey) -> bool {
        self.slow.get(container).is_some_and(|slow| slow.contains(path))
    }
}

impl Held {
    fn blames(&self, end: &ContainerId) -> bool {
        !self.cleared.contains(end)
    }

    fn is_late(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= SLOW
    }
}

impl Room<'_> {
    /// Whether there is a slot for anybody.
    pub fn is_empty(&self) -> bool {
        self.least.is_none()
    }

    /// Whether there is a slot for `path`.
    pub fn admits(&self, path: &PathKey) -> bool {
        self.least.is_some_and(|least| self.trust(path) >= least)
    }

    fn trust(&self, path: &PathKey) -> Trust {
        let past = self.lanes.pasts.get(path);
        let mut suspects = ends(path).into_iter().filter(|end| self.is_suspect(end)).peekable();
        if past.is_some_and(|past| past.slow >= ENOUGH) {
            Trust::Hangs
        } else if suspects.peek().is_some() {
            // One at a time shows whether it was the other ends' fault.
            if suspects.any(|end| self.tried.contains(end)) { Trust::Hangs } else { Trust::Open }
        } else if past.is_some_and(|past| past.good && past.slow == 0) {
            Trust::Good
        } else {
            Trust::Open
        }
    }

    fn is_suspect(&self, container: &ContainerId) -> bool {
        let slow = self.lanes.slow.get(container).map_or(0, HashSet::len);
        slow + self.late.get(container).copied().unwrap_or_default() >= ENOUGH
    }
}

fn ends(path: &PathKey) -> [&ContainerId; 2] {
    [&path.consumer, &path.provider]
}

#[cfg(test)]
mod tests;
