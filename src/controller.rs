//! The task that owns the state: what was observed, what is to be done, what was proven.
//!
//! Three things come in: signals of the watch, finished reconciles, finished handshakes. Three go
//! out: actions, paths to be proven, a snapshot for everybody else. There is no lock and no state
//! outside; after a restart everything is learnt again from the engine.

mod apply;
mod lines;
mod paths;
mod pretenders;
mod reconciles;
mod report;
mod ring;
mod stopwatch;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::docker::Docker;
use crate::docker::watch::{Event, Listing, Loss, Signal};
use crate::metrics::Metrics;
use crate::model::labels;
use crate::model::world::{Observation, Stamp, Touched, World};
use crate::prober::{Finished, Jobs};
use crate::snapshot::{Readiness, Snapshot};
use paths::Paths;
use pretenders::Pretenders;
use reconciles::{Reconciles, Step};
use report::{Known, Report};
use stopwatch::Stopwatch;

pub use apply::apply;
pub use paths::Defaults;

/// Signals taken in one go, before anything else gets a turn.
const BATCH: usize = 256;
/// How many times as long as it took to publish the state nothing is published again, so that with
/// many links most of the time is left for their changes.
const PUBLISHING_RESTS: u32 = 4;
/// How often the loop takes a turn where nothing happens.
const TICK: Duration = Duration::from_secs(5);
/// While the engine is away, how far apart lines are that tell of new ways in which it fails.
const LOSS_SPACING: Duration = Duration::from_secs(10);

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
    let reconciles = Reconciles::new(docker.clone(), Arc::clone(&metrics), options.gc_grace);
    let mut controller = Controller {
        docker,
        world,
        options,
        jobs,
        snapshots,
        metrics,
        reconciles,
        live: false,
        lost: Readiness::default(),
        loss_told: None,
        listed_once: false,
        paths: Paths::default(),
        report: Report::default(),
        stopwatch: Stopwatch::default(),
        pretenders: Pretenders::default(),
    };
    let mut batch = Vec::with_capacity(BATCH);
    let mut changed = false;
    let mut not_before = Instant::now();
    let mut tick = interval(TICK);
    loop {
        // /healthz and a metric tell by this whether the controller works.
        controller.metrics.controller_turn_age_seconds.set(Some(Instant::now()));
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
            step = controller.reconciles.step(controller.live) => controller.take_step(step),
            _ = tick.tick() => continue,
            () = sleep_until(not_before), if changed => {
                let start = Instant::now();
                controller.publish();
                not_before = Instant::now() + start.elapsed() * PUBLISHING_RESTS;
                changed = false;
                continue;
            }
        }
        changed = true;
    }
    controller.reconciles.drain().await;
}

struct Controller {
    docker: Docker,
    world: World,
    options: Options,
    jobs: watch::Sender<Arc<Jobs>>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    reconciles: Reconciles,
    /// Whether the world is known: a whole list was taken in since the stream was last lost.
    live: bool,
    /// Why it is not.
    lost: Readiness,
    /// When that was last told.
    loss_told: Option<Instant>,
    listed_once: bool,
    paths: Paths,
    report: Report,
    stopwatch: Stopwatch,
    pretenders: Pretenders,
}

impl Controller {
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
            // How long something has been out of use says nothing across a gap, nor does how often an
            // engine failed that was in trouble.
            self.reconciles.start_afresh();
        }
        // Whatever was done without an error and without an effect is tried again.
        self.reconcile_everything();
        self.live = true;
        self.lost = Readiness::default();
        self.listed_once = true;
        self.metrics.engine_up.set(1);
        self.metrics.resync_last_success_timestamp_seconds.set(unix_now());
    }

    fn lose(&mut self, reason: Loss, error: String) {
        self.metrics.event_stream_restarts_total.with_label_values(&[reason.as_str()]).inc();
        if reason.is_harmless() {
            return;
        }
        let was_live = std::mem::replace(&mut self.live, false);
        let error = labels::message(&error);
        let lost = Readiness::NotReady(format!("the engine at {} is lost: {error}", self.docker.host()));
        // Every attempt fails, and one line tells that; another one only where it fails in a new way.
        let told_lately = self.loss_told.is_some_and(|at| at.elapsed() < LOSS_SPACING);
        if was_live || (self.lost != lost && !told_lately) {
            self.loss_told = Some(Instant::now());
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

    fn take_step(&mut self, step: Step) {
        match step {
            Step::Due(edge) => {
                self.world.obstacles_mut().set_routes((self.options.routes)());
                self.reconciles.begin(edge, &mut self.world);
            }
            Step::Ended(ended) => {
                let seen = self.reconciles.finish(ended, &mut self.world);
                self.observe(seen);
            }
        }
    }

    fn follow_up(&mut self, touched: Touched) {
        self.reconciles.add(touched.edges);
        if touched.freed {
            self.reconciles.add_starved();
        }
    }

    fn reconcile_everything(&mut self) {
        self.reconciles.add(self.world.edges());
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
        self.pretenders.warn(&self.world);
        let jobs = self.paths.refresh(&self.world, self.options.defaults);
        self.jobs.send_if_modified(|old| {
            let differs = **old != jobs;
            if differs {
                *old = Arc::new(jobs);
            }
            differs
        });
        let known = Known { paths: &self.paths, troubles: self.reconciles.troubles() };
        let links = self.report.update(&self.world, &known, SystemTime::now());
        let ready = if self.live { Readiness::Ready } else { self.lost.clone() };
        let totals = report::totals(&self.world, self.reconciles.queue());
        let events = self.report.events();
        self.snapshots.send_replace(Arc::new(Snapshot { ready, links, events, totals }));
    }
}

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::LabelValues;
    use crate::model::owner::Owner;
    use crate::model::world::Policy;

    #[tokio::test(start_paused = true)]
    async fn a_controller_that_has_nothing_to_do_is_seen_to_work() {
        let docker = Docker::new("unix:///nowhere/docker.sock", Arc::new(|_| ()));
        let metrics = Arc::new(Metrics::new(&LabelValues::default()).unwrap());
        let (_signals, signals) = mpsc::channel(1);
        let (_verdicts, verdicts) = mpsc::channel(1);
        let (jobs, _jobs) = watch::channel(Arc::default());
        let (snapshots, _snapshots) = watch::channel(Arc::new(Snapshot::default()));
        let defaults = Defaults { interval: TICK, timeout: TICK };
        let options = Options { gc_grace: TICK, defaults, routes: Vec::new };
        let channels = Channels { signals, verdicts, jobs, snapshots };
        let policy = Policy {
            owner: Owner::new("tieline"),
            label_prefix: "tieline.".to_owned(),
            default_deny: false,
            pool: "10.0.0.0/16".parse().unwrap(),
        };
        let (world, shutdown) = (World::new(policy), CancellationToken::new());
        tokio::spawn(run(docker, world, options, channels, Arc::clone(&metrics), shutdown));
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(7)).await;
            let age = metrics.controller_turn_age_seconds.seconds();
            assert!(age <= TICK.as_secs_f64(), "{age}");
        }
    }
}
