//! The order of paths: consumer workloads take turns, and so do the containers of one. The paths of one container
//! are ordered by the time since they are due, the longest first.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use crate::model::container::ContainerId;
use crate::model::link::PathKey;
use crate::model::workload::Workload;
use crate::queue::Queue;

/// Workloads whose last turns are remembered. A container that is started again and again would otherwise come
/// first each time.
const MAX_TURNS: usize = 4096;

/// Paths with the time from which each is due, and who had the last turns.
#[derive(Debug, Default)]
pub struct Rota {
    lines: HashMap<ContainerId, Line>,
    /// The lines by the time from which the first path of each is due.
    heads: BTreeSet<(Instant, ContainerId)>,
    /// The number of each workload's last turn. One that had none comes first.
    turns: HashMap<Workload, u64>,
    turn: u64,
}

/// The paths of one consumer container.
#[derive(Debug)]
struct Line {
    workload: Workload,
    /// The number of its last turn.
    turn: u64,
    queue: Queue<PathKey>,
}

impl Rota {
    /// Makes a path due at `at`, or at the earlier time that it is due at already.
    pub fn add_at(&mut self, path: PathKey, at: Instant) {
        self.change(&path.clone(), |queue| queue.add_at(path, at));
    }

    /// Forgets that a path is due. A handshake under way is not ended.
    pub fn remove(&mut self, path: &PathKey) {
        self.change(path, |queue| queue.remove(path));
    }

    /// Begins a path's handshake, which is its consumer's turn.
    pub fn begin(&mut self, path: &PathKey) {
        self.change(path, |queue| queue.begin(path));
        self.turn += 1;
        if let Some(line) = self.lines.get_mut(&path.consumer) {
            line.turn = self.turn;
        }
        if self.turns.len() >= MAX_TURNS {
            let mut turns: Vec<u64> = self.turns.values().copied().collect();
            let (_, middle, _) = turns.select_nth_unstable(MAX_TURNS / 2);
            self.turns.retain(|_, turn| *turn > *middle);
        }
        self.turns.insert(path.link.consumer.clone(), self.turn);
    }

    /// Ends a path's handshake.
    pub fn done(&mut self, path: &PathKey) {
        self.change(path, |queue| queue.done(path));
    }

    /// The path whose turn it is among those that `may` have one, and since when it is due; where none is due, the
    /// one that will be first.
    pub fn first(&self, now: Instant, mut may: impl FnMut(&PathKey) -> bool) -> Option<(Instant, PathKey)> {
        let due = self.heads.iter().take_while(|(at, _)| *at <= now);
        let mut due: Vec<_> = due.filter_map(|(at, id)| Some((*at, self.lines.get(id)?))).collect();
        due.sort_by_key(|(at, line)| {
            (self.turns.get(&line.workload).copied().unwrap_or_default(), line.turn, *at)
        });
        let mut later: Option<(Instant, PathKey)> = None;
        let others =
            self.heads.iter().skip(due.len()).filter_map(|(at, id)| Some((*at, self.lines.get(id)?)));
        for (earliest, line) in due.iter().copied().chain(others) {
            if later.as_ref().is_some_and(|(at, _)| *at <= earliest) {
                break;
            }
            match line.queue.first(&mut may) {
                Some(first) if first.0 <= now => return Some(first),
                Some(first) if later.as_ref().is_none_or(|(at, _)| first.0 < *at) => later = Some(first),
                _ => {}
            }
        }
        later
    }

    /// How many paths are due and wait.
    pub fn depth(&self) -> usize {
        let now = Instant::now();
        let due = self.heads.iter().take_while(|(at, _)| *at <= now);
        due.filter_map(|(_, id)| self.lines.get(id)).map(|line| line.queue.depth()).sum()
    }

    /// The earliest time from which a path is due, be it past or to come.
    pub fn earliest(&self) -> Option<Instant> {
        self.heads.first().map(|(at, _)| *at)
    }

    /// Forgets containers that have no more paths.
    pub fn tidy(&mut self) {
        self.lines.retain(|_, line| !line.queue.is_empty());
    }

    /// Changes the queue of a path's consumer.
    fn change(&mut self, path: &PathKey, change: impl FnOnce(&mut Queue<PathKey>)) {
        let id = &path.consumer;
        let new = || Line { workload: path.link.consumer.clone(), turn: 0, queue: Queue::default() };
        let line = self.lines.entry(id.clone()).or_insert_with(new);
        let before = line.queue.earliest();
        change(&mut line.queue);
        let after = line.queue.earliest();
        if before != after {
            self.heads.extend(after.map(|at| (at, id.clone())));
            if let Some(at) = before {
                self.heads.remove(&(at, id.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::link::LinkKey;

    fn path(workload: &str, container: &str, provider: usize) -> PathKey {
        PathKey {
            link: LinkKey { consumer: Workload::Container(workload.to_owned()), name: "x".to_owned() },
            consumer: ContainerId(container.to_owned()),
            provider: ContainerId(provider.to_string()),
        }
    }

    /// The next turns, while paths are due again at once.
    fn turns(rota: &mut Rota, many: usize) -> Vec<String> {
        let now = Instant::now();
        let turn = |_| {
            let (_, path) = rota.first(now, |_| true).unwrap();
            rota.begin(&path);
            rota.done(&path);
            rota.add_at(path.clone(), now);
            path.consumer.as_str().to_owned()
        };
        (0..many).map(turn).collect()
    }

    #[test]
    fn workloads_take_turns_and_the_containers_of_one_share_theirs() {
        let (mut rota, start) = (Rota::default(), Instant::now());
        for n in 0..100 {
            rota.add_at(path("evil", "evil", n), start);
        }
        rota.add_at(path("evil", "replica", 0), start);
        rota.add_at(path("web", "web", 0), start);
        let turns = turns(&mut rota, 100);
        for (name, many) in [("web", 50), ("evil", 25), ("replica", 25)] {
            assert_eq!(turns.iter().filter(|turn| *turn == name).count(), many, "{name}: {turns:?}");
        }
    }

    #[test]
    fn who_comes_back_has_had_its_turn() {
        let (mut rota, start) = (Rota::default(), Instant::now());
        for name in ["again", "web"] {
            rota.add_at(path(name, name, 0), start);
        }
        assert_eq!(turns(&mut rota, 1), ["again"]);
        rota.remove(&path("again", "again", 0));
        rota.tidy();
        rota.add_at(path("again", "anew", 0), start);
        assert_eq!(turns(&mut rota, 1), ["web"]);
        for n in 0..3 * MAX_TURNS {
            let path = path(&n.to_string(), "one", 0);
            rota.begin(&path);
            rota.done(&path);
        }
        rota.tidy();
        assert!(rota.turns.len() <= MAX_TURNS && rota.lines.len() == 2);
    }

    #[test]
    fn where_none_may_that_is_due_the_next_one_is_told() {
        let (mut rota, now) = (Rota::default(), Instant::now());
        let [soon, later] = [1, 2].map(|seconds| now + Duration::from_secs(seconds));
        rota.add_at(path("a", "a", 0), now);
        rota.add_at(path("a", "a", 1), later);
        rota.add_at(path("b", "b", 0), soon);
        assert_eq!(rota.earliest(), Some(now));
        let first = |not: &'static str| rota.first(now, |path| path.provider.as_str() != not);
        assert_eq!(first(""), Some((now, path("a", "a", 0))));
        assert_eq!(first("0"), Some((later, path("a", "a", 1))));
        assert_eq!(rota.first(now, |path| path.consumer.as_str() == "b"), Some((soon, path("b", "b", 0))));
    }
}
