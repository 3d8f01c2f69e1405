//! Which handshake is next: that of the path which has been due for longest among those that may start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::{Attempt, Budget, Job, Jobs};
use super::delay;
use super::lanes::{Held, Lanes};
use super::turns::Turns;
use crate::model::link::PathKey;
use crate::model::proof;
use crate::queue::Queue;

/// All paths that are to be proven, and who of them may start.
pub struct Agenda {
    jobs: Arc<Jobs>,
    queue: Queue<PathKey>,
    lanes: Lanes,
    turns: Turns,
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
            queue: Queue::default(),
            lanes: Lanes::new(budget.at_once),
            turns: Turns::default(),
            spacing: Duration::from_secs(1) / u32::from(budget.a_second.max(1)),
            not_before: Instant::now(),
            bad: HashMap::new(),
        }
    }

    /// Takes in a whole picture: what is new or changed is due now.
    pub fn take(&mut self, jobs: Arc<Jobs>) {
        let before = std::mem::replace(&mut self.jobs, jobs);
        for path in before.keys().filter(|path| !self.jobs.contains_key(*path)) {
            self.queue.remove(path);
            self.bad.remove(path);
            self.lanes.forget(path);
        }
        for (path, job) in self.jobs.iter().filter(|(path, job)| before.get(*path) != Some(*job)) {
            tracing::trace!(path = %path.link, timeout = ?job.request.timeout, "to be proven");
            self.bad.remove(path);
            self.lanes.forget(path);
            self.queue.add(path.clone());
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

    /// Takes back what a handshake held.
    pub fn end(&mut self, path: &PathKey, job: &Job) -> Option<Held> {
        self.turns.leave(&job.request);
        self.queue.done(path);
        self.lanes.leave(path)
    }

    /// Takes in how the handshake for `job` ended, and makes the path due again when it is time.
    pub fn learn(&mut self, path: &PathKey, job: &Job, held: Option<Held>, attempt: Option<&Attempt>) {
        // A path that changed meanwhile is due already, and one that is gone never again.
        if !self.holds(path, job) {
            return;
        }
        let verdict = attempt.map(|attempt| attempt.verdict);
        let good = verdict.is_some_and(proof::is_good);
        if let Some(held) = held {
            self.lanes.learn(path, &held, good, Instant::now());
        }
        let delay = if good {
            self.bad.remove(path);
            delay::after_good(job.interval)
        } else {
            let bad = self.bad.entry(path.clone()).or_default();
            let delay = delay::after_bad(job.interval, *bad, verdict);
            *bad += 1;
            delay
        };
        self.queue.add_at(path.clone(), Instant::now() + delay);
    }

    /// How many paths are due and wait.
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }

    /// From when on the path is due that waits for longest, or will.
    pub fn earliest(&self) -> Option<Instant> {
        self.queue.earliest()
    }

    fn first(&self) -> Option<(Instant, PathKey)> {
        let room = self.lanes.room(Instant::now());
        if room.is_empty() {
            return None;
        }
        let mut line = self.turns.line();
        let may = |path: &PathKey| {
            self.jobs.get(path).is_some_and(|job| room.admits(path) && line.admits(&job.request))
        };
        self.queue.first(may)
    }

    fn start(&mut self, path: &PathKey, job: &Job) {
        let now = Instant::now();
        self.queue.begin(path);
        self.lanes.enter(path, now);
        self.turns.enter(&job.request);
        self.not_before = now + self.spacing;
    }
}
