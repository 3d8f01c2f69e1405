//! The task that owns the state: what was observed, what is to be done, what was proven.
//!
//! Three things come in: signals of the watch, finished reconciles, finished handshakes. Three go
//! out: actions, paths to be proven, a snapshot for everybody else. There is no lock and no state
//! outside; after a restart everything is learnt again from the engine.

mod apply;
mod paths;
mod report;
mod stopwatch;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::docker::Docker;
use crate::docker::watch::{Event, Listing, Loss, Signal};
use crate::metrics::{Metrics, Reconciled};
use crate::model::assess::Trouble;
use crate::model::condition::Reason;
use crate::model::link::EdgeKey;
use crate::model::plan::{self, Plan, Planned};
use crate::model::world::{Observation, Stamp, Touched, World};
use crate::prober::{Finished, Jobs};
use crate::queue::Queue;
use crate::snapshot::{Readiness, Snapshot};
use apply::{Applied, Failure, Retry};
use paths::Paths;
use report::{Known, Report};
use stopwatch::Stopwatch;

pub use apply::apply;
pub use paths::Defaults;

/// Reconciles under way at once. The engine makes networks one after the other anyway; connects to
/// different containers it makes in parallel.
const RECONCILES_AT_ONCE: usize = 8;
/// Delay before something is tried again that the engine understood and refused, or that has no
/// subnet.
const SLOW_RETRY: Duration = Duration::from_secs(10);
/// Signals taken in one go, before anything else gets a turn.
const BATCH: usize = 256;
/// How long reconciles under way may go on after a shutdown was asked for.
const FAREWELL: Duration = Duration::from_secs(10);

/// What the controller is given.
pub struct Options {
    /// How long a network may be out of use before it goes.
    pub gc_grace: Duration,
    /// How handshakes are made where a link does not say.
    pub defaults: Defaults,
    /// Says which routes subnets must stay clear of; asked before each plan, since a network that
    /// goes takes its route along.
    pub routes: fn() -> Vec<ipnet::Ipv4Net>,
}

/// What the controller talks to.
pub struct Channels {
    /// From the watch.
    pub signals: mpsc::Receiver<Signal>,
    /// From the prober.
    pub verdicts: mpsc::Receiver<Finished>,
    /// To the prober.
    pub jobs: watch::Sender<Arc<Jobs>>,
    /// To everybody else.
    pub snapshots: watch::Sender<Arc<Snapshot>>,
}

struct Reconcile {
    edge: EdgeKey,
    started: Instant,
    garbage: bool,
    applied: Applied,
}

/// Keeps the engine as the labels say, until `shutdown`.
pub async fn run(
    docker: Docker,
    world: World,
    options: Options,
    channels: Channels,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let Channels { mut signals, mut verdicts, jobs, snapshots } = channels;
    let mut controller = Controller::new(docker, world, options, jobs, snapshots, metrics);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let may_start = controller.live && controller.reconciles.len() < RECONCILES_AT_ONCE;
        tokio::select! {
            () = shutdown.cancelled() => break,
            count = signals.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    break;
                }
                controller.take_signals(&mut batch);
            }
            Some(finished) = verdicts.recv() => {
                controller.paths.take(&finished);
                while let Ok(finished) = verdicts.try_recv() {
                    controller.paths.take(&finished);
                }
            }
            Some(ended) = controller.reconciles.join_next_with_id() => controller.take_reconcile(ended),
            edge = controller.queue.next(), if may_start => controller.reconcile(edge),
        }
        controller.publish();
    }
    controller.say_farewell().await;
}

struct Controller {
    docker: Docker,
    world: World,
    options: Options,
    jobs: watch::Sender<Arc<Jobs>>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    queue: Queue<EdgeKey>,
    reconciles: JoinSet<Reconcile>,
    under_way: HashMap<Id, EdgeKey>,
    /// Whether the world is known: a whole list was taken in since the stream was last lost.
    live: bool,
    /// Why it is not.
    lost: Readiness,
    listed_once: bool,
    /// Since when edges have had networks that nothing needs.
    garbage_since: HashMap<EdgeKey, Instant>,
    troubles: HashMap<EdgeKey, Trouble>,
    paths: Paths,
    report: Report,
    stopwatch: Stopwatch,
}

impl Controller {
    fn new(
        docker: Docker,
        world: World,
        options: Options,
        jobs: watch::Sender<Arc<Jobs>>,
        snapshots: watch::Sender<Arc<Snapshot>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            docker,
            world,
            options,
            jobs,
            snapshots,
            metrics,
            queue: Queue::default(),
            reconciles: JoinSet::new(),
            under_way: HashMap::new(),
            live: false,
            lost: Readiness::default(),
            listed_once: false,
            garbage_since: HashMap::new(),
            troubles: HashMap::new(),
            paths: Paths::default(),
            report: Report::default(),
            stopwatch: Stopwatch::default(),
        }
    }

    fn take_signals(&mut self, batch: &mut Vec<Signal>) {
        let mut news = Vec::new();
        for signal in batch.drain(..) {
            match signal {
                Signal::Observed(stamp, observation) => news.push((stamp, observation)),
                Signal::Event(event) => self.take_event(&event),
                Signal::Listed(listing) => {
                    self.observe(std::mem::take(&mut news));
                    self.take_list(listing);
                }
                Signal::Lost { reason, error } => self.lose(reason, error),
            }
        }
        self.observe(news);
    }

    fn take_event(&mut self, event: &Event) {
        self.metrics.events_total.with_label_values(&[event.kind, event.action]).inc();
        self.metrics.event_stream_last_event_timestamp_seconds.set(unix_now());
        self.stopwatch.take(event);
    }

    fn take_list(&mut self, listing: Listing) {
        let changes = self.observe(listing.observations);
        let vanished = self.world.finish_list(listing.at, &listing.containers, &listing.networks);
        let repairs = changes + vanished.changes;
        self.follow_up(vanished);
        self.world.set_unseen(listing.unseen);
        self.stopwatch.forget_unknown(&self.world);
        if self.listed_once {
            self.metrics.resync_repairs_total.inc_by(repairs as u64);
            if repairs > 0 {
                tracing::debug!(repairs, "the list told what events had not");
            }
        }
        if !self.live {
            tracing::info!(
                engine = self.docker.host(),
                containers = listing.containers.len(),
                networks = listing.networks.len(),
                "watching the engine"
            );
            // How long something has been out of use says nothing across a gap.
            self.garbage_since.clear();
        }
        // Whatever was done without an error and without an effect is tried again.
        self.enqueue_everything();
        self.live = true;
        self.lost = Readiness::default();
        self.listed_once = true;
        self.metrics.engine_up.set(1);
        self.metrics.resync_last_success_timestamp_seconds.set(unix_now());
    }

    fn lose(&mut self, reason: Loss, error: String) {
        self.metrics.event_stream_restarts_total.with_label_values(&[reason.as_str()]).inc();
        if reason == Loss::Quiet {
            return;
        }
        self.live = false;
        let lost = Readiness::NotReady(format!("the engine at {} is lost: {error}", self.docker.host()));
        // Every attempt fails, and one line tells that.
        if self.lost != lost {
            tracing::warn!(engine = self.docker.host(), reason = reason.as_str(), %error, "lost the engine, trying again");
        }
        self.lost = lost;
        self.metrics.engine_up.set(0);
    }

    /// Takes in what was learnt, and says how much of it was new.
    fn observe(&mut self, news: impl IntoIterator<Item = (Stamp, Observation)>) -> usize {
        let touched = self.world.apply(news);
        let changes = touched.changes;
        self.follow_up(touched);
        changes
    }

    fn follow_up(&mut self, touched: Touched) {
        self.enqueue(touched.edges);
        if touched.freed {
            let starved = |trouble: &Trouble| trouble.reason == Reason::PoolExhausted;
            let edges = self.troubles.iter().filter(|(_, trouble)| starved(trouble));
            self.enqueue(edges.map(|(edge, _)| edge.clone()).collect());
        }
    }

    fn enqueue(&mut self, edges: BTreeSet<EdgeKey>) {
        for edge in edges {
            self.metrics.workqueue_adds_total.inc();
            self.queue.add(edge);
        }
    }

    fn enqueue_everything(&mut self) {
        let declared = self.world.declaration().edges.keys().cloned();
        let edges = declared.chain(self.world.owned().map(|(_, edge)| edge.clone())).collect();
        self.enqueue(edges);
    }

    fn reconcile(&mut self, edge: EdgeKey) {
        self.world.set_routes((self.options.routes)());
        let plan = plan::plan(&edge, &self.world);
        let garbage = self.is_garbage_due(&edge, &plan);
        match plan.blocked {
            Some(blocked) => {
                let trouble = Trouble { reason: Reason::PoolExhausted, message: blocked.to_string() };
                self.troubles.insert(edge.clone(), trouble);
                self.queue.add_at(edge.clone(), Instant::now() + SLOW_RETRY);
                self.metrics.workqueue_retries_total.inc();
                self.metrics.reconcile_total.with_label_values(&[Reconciled::Requeue.as_str()]).inc();
            }
            None if plan.actions.is_empty() && plan.garbage.is_empty() => {
                self.troubles.remove(&edge);
            }
            None => {}
        }
        let claim = plan.claim();
        let mut actions: Vec<Planned> = plan.actions;
        if garbage {
            actions.extend(plan.garbage);
        }
        if actions.is_empty() {
            return self.queue.done(&edge);
        }
        self.world.claim(edge.clone(), claim);
        let docker = self.docker.clone();
        let span = tracing::debug_span!("reconcile", %edge);
        let started = Instant::now();
        let key = edge.clone();
        let work = async move {
            let applied = apply(&docker, actions).await;
            Reconcile { edge, started, garbage, applied }
        };
        let task = self.reconciles.spawn(work.instrument(span));
        self.under_way.insert(task.id(), key);
    }

    fn take_reconcile(&mut self, ended: Result<(Id, Reconcile), JoinError>) {
        match ended {
            Ok((id, reconcile)) => {
                self.under_way.remove(&id);
                self.finish(reconcile);
            }
            Err(error) => {
                tracing::error!(%error, "a reconcile's task died");
                if let Some(edge) = self.under_way.remove(&error.id()) {
                    self.world.release(&edge);
                    self.queue.failed(&edge);
                }
            }
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
        if !self.world.is_complete() {
            self.queue.add_at(edge.clone(), now + SLOW_RETRY);
            return false;
        }
        let due = *self.garbage_since.entry(edge.clone()).or_insert(now) + self.options.gc_grace;
        if due > now {
            self.queue.add_at(edge.clone(), due);
        }
        due <= now
    }

    fn finish(&mut self, reconcile: Reconcile) {
        let Reconcile { edge, started, garbage, applied } = reconcile;
        self.metrics.reconcile_duration_seconds.observe(started.elapsed().as_secs_f64());
        self.world.release(&edge);
        for subnet in applied.refused {
            self.world.refuse(subnet);
        }
        if garbage && applied.failure.is_none() {
            self.garbage_since.remove(&edge);
        }
        self.observe(applied.observations);
        let result = match applied.failure {
            None => {
                self.queue.done(&edge);
                Reconciled::Success
            }
            Some(failure) => {
                self.fail(&edge, failure);
                Reconciled::Error
            }
        };
        self.metrics.reconcile_total.with_label_values(&[result.as_str()]).inc();
    }

    /// The one table of when something is tried again.
    fn fail(&mut self, edge: &EdgeKey, failure: Failure) {
        self.metrics.workqueue_retries_total.inc();
        match failure.retry {
            Retry::Now => {
                self.queue.add(edge.clone());
                self.queue.done(edge);
            }
            Retry::Backoff => {
                self.queue.failed(edge);
            }
            Retry::Slowly => {
                self.queue.done(edge);
                self.queue.add_at(edge.clone(), Instant::now() + SLOW_RETRY);
            }
        }
        if failure.retry != Retry::Now {
            let known = self.troubles.insert(edge.clone(), failure.trouble.clone());
            if known.as_ref() != Some(&failure.trouble) {
                tracing::warn!(%edge, reason = failure.trouble.reason.as_str(), "{}", failure.trouble.message);
            }
        }
    }

    /// Works out what follows from the present state for everybody else.
    fn publish(&mut self) {
        if !self.listed_once {
            let readiness = self.lost.clone();
            self.snapshots.send_if_modified(|old| {
                let differs = old.ready != readiness;
                if differs {
                    *old = Arc::new(Snapshot { ready: readiness, ..Snapshot::default() });
                }
                differs
            });
            return;
        }
        self.stopwatch.check(&self.world, &self.metrics);
        let jobs = self.paths.refresh(&self.world, self.options.defaults);
        self.jobs.send_if_modified(|old| {
            let differs = **old != jobs;
            if differs {
                *old = Arc::new(jobs);
            }
            differs
        });
        let known = Known { paths: &self.paths, troubles: &self.troubles };
        let links = self.report.update(&self.world, &known, SystemTime::now());
        let ready = if self.live { Readiness::Ready } else { self.lost.clone() };
        let totals = report::totals(&self.world, &self.queue);
        let events: Arc<VecDeque<_>> = self.report.events();
        self.snapshots.send_replace(Arc::new(Snapshot { ready, links, events, totals }));
    }

    /// Lets reconciles under way finish what they began; links stay up.
    async fn say_farewell(mut self) {
        let all = async { while self.reconciles.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::warn!("reconciles were still under way; the next start carries on where they stopped");
        }
    }
}

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
