//! What has to be done, what is being done, and what went wrong with it: the work queue, the
//! reconciles under way and, for each edge, how the last one ended.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tracing::Instrument;

use super::apply::{Applied, Failure, Retry, apply};
use crate::docker::Docker;
use crate::metrics::{Metrics, Reconciled};
use crate::model::assess::Trouble;
use crate::model::condition::Reason;
use crate::model::labels::short_name;
use crate::model::link::EdgeKey;
use crate::model::plan::{self, Plan};
use crate::model::workload::Workload;
use crate::model::world::{Observation, Stamp, World};
use crate::queue::Queue;

/// Reconciles under way at once. The engine makes networks one after the other anyway; connects to
/// different containers it makes in parallel.
const AT_ONCE: usize = 8;
/// Delay before something is tried again that the engine understood and refused, or that has no
/// subnet.
const SLOW_RETRY: Duration = Duration::from_secs(5);
/// How many subnets that the engine would not give may be followed by the next one at once. Something
/// that we do not see may lie across the whole pool.
const REFUSALS_AT_ONCE: usize = 64;
/// How long reconciles under way may go on after a shutdown was asked for.
const FAREWELL: Duration = Duration::from_secs(10);

/// The work on all edges.
pub(super) struct Reconciles {
    docker: Docker,
    metrics: Arc<Metrics>,
    gc_grace: Duration,
    queue: Queue<EdgeKey>,
    turns: Turns,
    tasks: JoinSet<Reconcile>,
    under_way: HashMap<Id, EdgeKey>,
    /// Since when edges have had networks that nothing needs.
    garbage_since: HashMap<EdgeKey, Instant>,
    troubles: HashMap<EdgeKey, Trouble>,
    /// Until when edges are left alone.
    resting: HashMap<EdgeKey, Instant>,
}

/// When each workload's edges last had a turn. The engine makes one network after the other, so that the edges of
/// one workload with very many would delay those of all others.
#[derive(Default)]
struct Turns {
    taken: u64,
    last: HashMap<Workload, u64>,
}

impl Turns {
    /// The number of the last turn of the edge's workload, 0 if it had none.
    fn last(&self, edge: &EdgeKey) -> u64 {
        self.last.get(edge.declared_by()).copied().unwrap_or_default()
    }

    fn take(&mut self, edge: &EdgeKey, queue: &Queue<EdgeKey>) {
        self.taken += 1;
        self.last.insert(edge.declared_by().clone(), self.taken);
        // Workloads without a waiting edge need no turn.
        if self.last.len() > 2 * queue.keys().len() + 2 * AT_ONCE {
            let waiting: HashSet<&Workload> = queue.keys().map(EdgeKey::declared_by).collect();
            self.last.retain(|workload, _| waiting.contains(workload));
        }
    }
}

/// What there is to do next.
pub(super) enum Step {
    /// This edge is to be planned for.
    Due(EdgeKey),
    /// A reconcile has ended.
    Ended(Result<(Id, Reconcile), JoinError>),
}

/// One that has ended.
pub(super) struct Reconcile {
    started: Instant,
    applied: Applied,
}

impl Reconciles {
    pub(super) fn new(docker: Docker, metrics: Arc<Metrics>, gc_grace: Duration) -> Self {
        Self {
            docker,
            metrics,
            gc_grace,
            queue: Queue::default(),
            turns: Turns::default(),
            tasks: JoinSet::new(),
            under_way: HashMap::new(),
            garbage_since: HashMap::new(),
            troubles: HashMap::new(),
            resting: HashMap::new(),
        }
    }

    /// Makes edges due now.
    pub(super) fn add(&mut self, edges: impl IntoIterator<Item = EdgeKey>) {
        for edge in edges {
            self.metrics.workqueue_adds_total.inc();
            self.queue.add(edge);
        }
    }

    /// Makes those edges due now that found no subnet.
    pub(super) fn add_starved(&mut self) {
        let starved = |trouble: &Trouble| trouble.reason == Reason::PoolExhausted;
        let edges: Vec<EdgeKey> =
            self.troubles.iter().filter(|(_, t)| starved(t)).map(|(edge, _)| edge.clone()).collect();
        self.add(edges);
    }

    /// Lets every grace period and every backoff begin anew, after a time in which nothing was known.
    pub(super) fn start_afresh(&mut self) {
        self.garbage_since.clear();
        self.queue.forgive();
    }

    /// Why wiring failed, by edge.
    pub(super) fn troubles(&self) -> &HashMap<EdgeKey, Trouble> {
        &self.troubles
    }

    /// What is waiting and what is running.
    pub(super) fn queue(&self) -> &Queue<EdgeKey> {
        &self.queue
    }

    /// Waits until a reconcile ends or, if any `may_start`, an edge is due. Cancel safe.
    pub(super) async fn step(&mut self, may_start: bool) -> Step {
        tokio::select! {
            Some(ended) = self.tasks.join_next_with_id() => Step::Ended(ended),
            edge = self.queue.next_by_turn(|edge| self.turns.last(edge)), if may_start && self.tasks.len() < AT_ONCE => Step::Due(edge),
            else => std::future::pending().await,
        }
    }

    /// Plans for an edge that was due, and starts to do what is planned.
    pub(super) fn begin(&mut self, edge: EdgeKey, world: &mut World) {
        if let Some(until) = self.resting.get(&edge).copied() {
            if until > Instant::now() {
                self.queue.add_at(edge.clone(), until);
                return self.queue.done(&edge);
            }
            self.resting.remove(&edge);
        }
        self.turns.take(&edge, &self.queue);
        let plan = plan::plan(&edge, world);
        let garbage = self.is_garbage_due(&edge, &plan);
        match plan.blocked {
            Some(blocked) => {
                let trouble = Trouble::new(Reason::PoolExhausted, &blocked.to_string());
                self.troubles.insert(edge.clone(), trouble);
                self.retry_slowly(&edge);
                // Nobody tells when the engine would give one of those again.
                world.obstacles_mut().forget_refusals();
                self.metrics.workqueue_retries_total.inc();
                self.count(Reconciled::Requeue);
            }
            None if plan.actions.is_empty() && plan.garbage.is_empty() => {
                self.troubles.remove(&edge);
            }
            None => {}
        }
        let claim = plan.claim();
        let mut actions = plan.actions;
        if garbage {
            actions.extend(plan.garbage);
        }
        if actions.is_empty() {
            return self.queue.done(&edge);
        }
        world.obstacles_mut().claim(edge.clone(), claim);
        let docker = self.docker.clone();
        let span = tracing::debug_span!("reconcile", %edge);
        let started = Instant::now();
        let work = async move { Reconcile { started, applied: apply(&docker, actions).await } };
        let task = self.tasks.spawn(work.instrument(span));
        self.under_way.insert(task.id(), edge);
    }

    /// Takes in how a reconcile ended, and gives what it saw.
    pub(super) fn finish(
        &mut self,
        ended: Result<(Id, Reconcile), JoinError>,
        world: &mut World,
    ) -> Vec<(Stamp, Observation)> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(edge) = self.under_way.remove(&id) else { return Vec::new() };
        world.obstacles_mut().release(&edge);
        let Reconcile { started, applied } = match ended {
            Ok((_, reconcile)) => reconcile,
            Err(error) => {
                tracing::error!(%error, "a reconcile's task died");
                self.queue.failed(&edge);
                return Vec::new();
            }
        };
        self.metrics.reconcile_duration_seconds.observe(started.elapsed().as_secs_f64());
        for subnet in applied.refused {
            world.obstacles_mut().refuse(subnet);
        }
        for network in applied.full {
            world.obstacles_mut().fill(network);
        }
        for id in applied.connected {
            world.obstacles_mut().find_namespace(&id);
        }
        for id in applied.lost {
            // Taken before the observations, which may be of a later run than the call was.
            if let Some(container) = world.container(&id).cloned() {
                world.obstacles_mut().lose_namespace(&container);
            }
        }
        match applied.failure {
            // What was done without an error may have been without an effect. The edge is done when a
            // plan finds nothing to do.
            None => {
                self.queue.failed(&edge);
                self.count(Reconciled::Success);
            }
            Some(mut failure) => {
                if failure.retry == Retry::Now && world.obstacles().refusals() > REFUSALS_AT_ONCE {
                    failure.retry = Retry::Backoff;
                }
                self.fail(&edge, failure);
                self.count(Reconciled::Error);
            }
        }
        applied.observations
    }

    /// Lets what is under way finish what it began.
    pub(super) async fn drain(mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::warn!("reconciles were still under way; the next start carries on where they stopped");
        }
    }

    /// Whether what the plan would throw away has been out of use for long enough. If not, the edge
    /// is due again when it will be.
    fn is_garbage_due(&mut self, edge: &EdgeKey, plan: &Plan) -> bool {
        if plan.garbage.is_empty() {
            self.garbage_since.remove(edge);
            return false;
        }
        let now = Instant::now();
        let due = *self.garbage_since.entry(edge.clone()).or_insert(now) + self.gc_grace;
        if due > now {
            self.queue.add_at(edge.clone(), due);
        }
        due <= now
    }

    /// The one table of when something is tried again.
    fn fail(&mut self, edge: &EdgeKey, failure: Failure) {
        let Failure { retry, trouble } = failure;
        self.metrics.workqueue_retries_total.inc();
        match retry {
            Retry::Now => {
                self.queue.add(edge.clone());
                return self.queue.done(edge);
            }
            Retry::Backoff => {
                self.queue.failed(edge);
            }
            Retry::Slowly => {
                self.queue.done(edge);
                self.retry_slowly(edge);
            }
            Retry::Rest => {
                self.resting.insert(edge.clone(), Instant::now() + SLOW_RETRY);
                self.queue.done(edge);
                self.retry_slowly(edge);
            }
        }
        let known = self.troubles.insert(edge.clone(), trouble.clone());
        if known.as_ref() != Some(&trouble) {
            let edge = edge.to_string();
            tracing::warn!(
                edge = &*short_name(&edge),
                reason = trouble.reason.as_str(),
                "{}",
                trouble.message
            );
        }
    }

    fn retry_slowly(&mut self, edge: &EdgeKey) {
        self.queue.add_at(edge.clone(), Instant::now() + SLOW_RETRY);
    }

    fn count(&self, result: Reconciled) {
        self.metrics.reconcile_total.with_label_values(&[result.as_str()]).inc();
    }
}
