//! Who may have one of the slots for handshakes: what is slow or hangs has only some of them, so that it
//! delays only itself.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::super::Job;
use crate::model::link::{LinkKey, PathKey};

/// From how long on a handshake is slow. Most take a tenth of that, on a busy machine too.
const SLOW: Duration = Duration::from_secs(1);
/// How many slow handshakes of one path, or slow paths of one container, bring it under suspicion. One
/// may be chance, and may be the other end's fault.
const ENOUGH: usize = 2;
/// How long it is remembered of a path that is not there that it was slow: a container that hangs, and is started
/// again and again or made anew, is none the better for it.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// The two ends of a path by their names, which outlast the containers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    link: LinkKey,
    consumer: String,
    provider: String,
}

impl Ends {
    /// Those of a path.
    pub fn of(path: &PathKey, job: &Job) -> Self {
        let [consumer, provider] =
            [&job.request.consumer, &job.request.provider].map(|side| side.name.clone());
        Self { link: path.link.clone(), consumer, provider }
    }

    fn both(&self) -> [&String; 2] {
        [&self.consumer, &self.provider]
    }
}

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
#[derive(Debug)]
struct Past {
    good: bool,
    /// How many in a row were slow.
    slow: usize,
    /// When the last one ended.
    at: Instant,
}

/// A slot that is held.
#[derive(Debug)]
pub struct Held {
    ends: Ends,
    since: Instant,
    trust: Trust,
    /// Containers that had a quick handshake meanwhile: it is not their fault if this one is slow.
    cleared: Vec<String>,
}

/// The slots, and what is known of those who want them.
#[derive(Debug)]
pub struct Lanes {
    slots: usize,
    under_way: HashMap<PathKey, Held>,
    pasts: HashMap<Ends, Past>,
    /// Paths of a container that were slow since it last had a quick handshake.
    slow: HashMap<String, HashSet<Ends>>,
}

/// The slots that are free at one time. Until a handshake ends they only become fewer.
#[derive(Debug)]
pub struct Room<'a> {
    lanes: &'a Lanes,
    /// The least trust that gets a slot; `None` when all are taken.
    least: Option<Trust>,
    /// How many paths of a container are slow right now and were not before.
    late: HashMap<&'a str, usize>,
    /// Containers that are being tried by something that is not known to hang.
    tried: HashSet<&'a str>,
}

impl Lanes {
    /// So many slots, all free.
    pub fn new(slots: usize) -> Self {
        Self { slots, under_way: HashMap::new(), pasts: HashMap::new(), slow: HashMap::new() }
    }

    /// What is free at `now`.
    pub fn room(&self, now: Instant) -> Room<'_> {
        let mut late: HashMap<&str, usize> = HashMap::new();
        let mut tried = HashSet::new();
        for held in self.under_way.values() {
            let both = held.ends.both();
            if held.trust > Trust::Hangs {
                tried.extend(both.map(String::as_str));
            }
            let to_blame = |end: &&String| held.blames(end) && !self.was_slow(end, &held.ends);
            for end in both.into_iter().filter(|end| held.is_late(now) && to_blame(end)) {
                *late.entry(end).or_default() += 1;
            }
        }
        let has_room = |trust: &Trust| self.held(*trust, now) < self.most(*trust);
        // From the top, since who may have few slots may have none where those with more have all of theirs.
        let least = [Trust::Good, Trust::Open, Trust::Hangs].into_iter().take_while(has_room).last();
        Room { lanes: self, least, late, tried }
    }

    /// Gives a slot to `path`, which has these ends.
    pub fn enter(&mut self, path: &PathKey, ends: Ends, now: Instant) {
        let trust = self.room(now).trust(&ends);
        self.under_way.insert(path.clone(), Held { ends, since: now, trust, cleared: Vec::new() });
    }

    /// Takes the slot back.
    pub fn leave(&mut self, path: &PathKey) -> Option<Held> {
        self.under_way.remove(path)
    }

    /// Takes in how the handshake ended that held a slot until `now`.
    pub fn learn(&mut self, held: &Held, good: bool, now: Instant) {
        let slow = held.is_late(now);
        let before = self.pasts.get(&held.ends).map_or(0, |past| past.slow);
        let past = Past { good, slow: if slow { before + 1 } else { 0 }, at: now };
        self.pasts.insert(held.ends.clone(), past);
        for end in held.ends.both() {
            if !slow {
                self.clear(end);
            } else if held.blames(end) {
                self.slow.entry(end.clone()).or_default().insert(held.ends.clone());
            }
        }
    }

    /// No longer takes for good what was good before one of its ends was started anew.
    pub fn doubt(&mut self, ends: &Ends) {
        if let Some(past) = self.pasts.get_mut(ends) {
            past.good = false;
        }
    }

    /// Forgets the paths that are not among `present`, and after a while that they were slow.
    pub fn forget_but(&mut self, present: &HashSet<&Ends>, now: Instant) {
        let is_recent = |past: &Past| past.slow > 0 && now.saturating_duration_since(past.at) < REMEMBERED;
        self.pasts.retain(|ends, past| present.contains(ends) || is_recent(past));
        for slow in self.slow.values_mut() {
            slow.retain(|ends| self.pasts.contains_key(ends));
        }
        self.slow.retain(|_, slow| !slow.is_empty());
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

    fn clear(&mut self, container: &String) {
        self.slow.remove(container);
        let at_it = self.under_way.values_mut().filter(|held| held.ends.both().contains(&container));
        at_it.for_each(|held| held.cleared.push(container.clone()));
    }

    fn was_slow(&self, container: &String, ends: &Ends) -> bool {
        self.slow.get(container).is_some_and(|slow| slow.contains(ends))
    }
}

impl Held {
    fn blames(&self, end: &String) -> bool {
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

    /// Whether there is a slot for a path with these ends.
    pub fn admits(&self, ends: &Ends) -> bool {
        self.least.is_some_and(|least| self.trust(ends) >= least)
    }

    fn trust(&self, ends: &Ends) -> Trust {
        let past = self.lanes.pasts.get(ends);
        let mut suspects = ends.both().into_iter().filter(|end| self.is_suspect(end)).peekable();
        if past.is_some_and(|past| past.slow >= ENOUGH) {
            Trust::Hangs
        } else if suspects.peek().is_some() {
            // One at a time shows whether it was the other ends' fault.
            if suspects.any(|end| self.tried.contains(end.as_str())) { Trust::Hangs } else { Trust::Open }
        } else if past.is_some_and(|past| past.good && past.slow == 0) {
            Trust::Good
        } else {
            Trust::Open
        }
    }

    fn is_suspect(&self, container: &String) -> bool {
        let slow = self.lanes.slow.get(container).map_or(0, HashSet::len);
        slow + self.late.get(container.as_str()).copied().unwrap_or_default() >= ENOUGH
    }
}

#[cfg(test)]
mod tests;
