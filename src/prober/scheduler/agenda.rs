//! Which handshake is next, and when the one after it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::{Attempt, Budget, Job, Jobs};
use super::delay;
use super::lanes::{Ends, Lanes};
use super::rota::Rota;
use crate::model::link::PathKey;
use crate::model::proof;
use crate::model::workload::Workload;

/// Handshakes of one consumer workload in a second, on average: where it has more paths, each is proven less often
/// than it asks for.
const MAX_A_SECOND: u32 = 10;

/// All paths that are to be proven, and who of them may start.
pub struct Agenda {
    jobs: Arc<Jobs>,
    /// The ends of each path that has a job.
    ends: HashMap<PathKey, Ends>,
    /// How many paths each consumer workload has.
    crowds: HashMap<Workload, u32>,
    rota: Rota,
    lanes: Lanes,
    /// The least time between two starts.
    spacing: Duration,
    not_before: Instant,
    /// How many handshakes in a row were not good.
    bad: HashMap<PathKey, u32>,
}

impl Agenda {
    pub fn new(budget: Budget) -> Self {
        Self {
            jobs: Arc::default(),
            ends: HashMap::new(),
            crowds: HashMap::new(),
            rota: Rota::default(),
            lanes: Lanes::new(budget.at_once),
            spacing: Duration::from_secs(1) / u32::from(budget.a_second.max(1)),
            not_before: Instant::now(),
            bad: HashMap::new(),
        }
    }

    /// Takes in a whole picture: what is new or changed is due now.
    pub fn take(&mut self, jobs: Arc<Jobs>) {
        let now = Instant::now();
        let before = std::mem::replace(&mut self.jobs, jobs);
        for path in before.keys().filter(|path| !self.jobs.contains_key(*path)) {
            self.rota.remove(path);
            self.bad.remove(path);
            self.ends.remove(path);
        }
        for (path, job) in self.jobs.iter().filter(|(path, job)| before.get(*path) != Some(*job)) {
            tracing::trace!(path = %path.link, timeout = ?job.request.timeout, "to be proven");
            let ends = Ends::of(path, job);
            self.bad.remove(path);
            self.lanes.doubt(&ends);
            self.ends.insert(path.clone(), ends);
            self.rota.add_at(path.clone(), now);
        }
        self.rota.tidy();
        self.lanes.forget_but(&self.ends.values().collect(), now);
        self.crowds.clear();
        for path in self.jobs.keys() {
            *self.crowds.entry(path.link.consumer.clone()).or_default() += 1;
        }
    }

    /// Whether `job` is what is to be done for `path`.
    pub fn holds(&self, path: &PathKey, job: &Job) -> bool {
        self.jobs.get(path) == Some(job)
    }

    /// Waits for a path that is due and may start, and lets it start. Cancel safe.
    pub async fn next(&mut self) -> (PathKey, Job) {
        tokio::time::sleep_until(self.not_before).await;
        loop {
            match self.first() {
                Some((due, path)) if due <= Instant::now() => {
                    // Only what has a job may be first.
                    let job = self.jobs[&path].clone();
                    self.start(&path, &job);
                    return (path, job);
                }
                Some((due, _)) => tokio::time::sleep_until(due).await,
                // Only an end of a handshake or other jobs change that.
                None => std::future::pending().await,
            }
        }
    }

    /// Takes back what a handshake held, and takes in how it used that.
    pub fn end(&mut self, path: &PathKey, job: &Job, attempt: Option<&Attempt>) {
        self.rota.done(path);
        if let Some(held) = self.lanes.leave(path) {
            let good = attempt.is_some_and(|attempt| proof::is_good(attempt.verdict));
            self.lanes.learn(&held, good && self.holds(path, job), Instant::now());
        }
    }

    /// Takes in how the handshake for `job` ended, and makes the path due again when it is time.
    pub fn learn(&mut self, path: &PathKey, job: &Job, attempt: Option<&Attempt>) {
        // A path that changed meanwhile is due already, and one that is gone never again.
        if !self.holds(path, job) {
            return;
        }
        let interval = self.interval(path, job);
        let verdict = attempt.map(|attempt| attempt.verdict);
        let good = verdict.is_some_and(proof::is_good);
        let delay = if good {
            self.bad.remove(path);
            delay::after_good(interval)
        } else {
            let bad = self.bad.entry(path.clone()).or_default();
            let delay = delay::after_bad(interval, *bad, verdict);
            *bad += 1;
            delay
        };
        self.rota.add_at(path.clone(), Instant::now() + delay);
    }

    /// How many paths are due and wait.
    pub fn depth(&self) -> usize {
        self.rota.depth()
    }

    /// From when on the path is due that waits for longest, or will.
    pub fn earliest(&self) -> Option<Instant> {
        self.rota.earliest()
    }

    /// How often a good path is proven: as often as it asks for, if its consumer has not too many of them.
    fn interval(&self, path: &PathKey, job: &Job) -> Duration {
        let crowd = self.crowds.get(&path.link.consumer).copied().unwrap_or_default();
        job.interval.max(Duration::from_secs(1) * crowd / MAX_A_SECOND)
    }

    fn first(&self) -> Option<(Instant, PathKey)> {
        let now = Instant::now();
        let room = self.lanes.room(now);
        if room.is_empty() {
            return None;
        }
        self.rota.first(now, |path| self.ends.get(path).is_some_and(|ends| room.admits(ends)))
    }

    fn start(&mut self, path: &PathKey, job: &Job) {
        let now = Instant::now();
        self.rota.begin(path);
        self.lanes.enter(path, Ends::of(path, job), now);
        self.not_before = now + self.spacing;
    }
}
