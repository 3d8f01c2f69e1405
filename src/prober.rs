//! When and how many handshakes: a queue of paths with jitter, a bound on how many at once and how
//! fast, turns for exchanges on one port. How one is made is below, one file for each way.

pub mod exec;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::model::container::{ContainerId, ImageId};
use crate::model::handshake::{InconclusiveReason, Verdict};
use crate::model::link::{Generation, Handshake, PathKey};
use crate::model::proof;
use crate::queue::Queue;

/// Delay after the first handshake that was not good; it doubles up to the link's interval.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// The longest delay after a handshake that the engine was in no state to make: nobody tells when it
/// is again.
const ENGINE_RETRY: Duration = Duration::from_secs(5);
/// How far an interval varies, so that paths proven together do not stay together.
const JITTER: f64 = 0.1;
/// The least time between the starts of two handshakes.
const SPACING: Duration = Duration::from_millis(10);
/// The metric label of a handshake that found the path good and nobody listening.
pub const NO_LISTENER: &str = "NoListener";
/// How long handshakes under way may go on after a shutdown was asked for.
const FAREWELL: Duration = Duration::from_secs(5);

/// One container of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its id.
    pub id: ContainerId,
    /// Its name, for people.
    pub name: String,
    /// Its image.
    pub image: ImageId,
}

/// One handshake to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who opens the connection.
    pub consumer: Side,
    /// To whom.
    pub provider: Side,
    /// The name by which the consumer looks for the provider.
    pub host: String,
    /// The declared port.
    pub port: u16,
    /// Which handshake; never `none`.
    pub mode: Handshake,
    /// Bound on the whole handshake.
    pub timeout: Duration,
}

/// What came of one handshake.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What it told.
    pub verdict: Verdict,
    /// From the consumer's start to the proof, if it passed.
    pub rtt: Option<Duration>,
    /// One line for people.
    pub message: String,
}

/// A way to make handshakes.
pub trait Prober: Send + Sync + 'static {
    /// The metric label.
    const NAME: &'static str;

    /// Makes one handshake. Ends within the request's timeout and a margin; dropped earlier, leaves
    /// nothing behind.
    fn handshake(&self, request: &Request) -> impl Future<Output = Attempt> + Send;
}

/// A path to be proven, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What a verdict will be about.
    pub generation: Generation,
    /// What to do.
    pub request: Request,
    /// How often, while it is good.
    pub interval: Duration,
}

/// All paths that are to be proven.
pub type Jobs = BTreeMap<PathKey, Job>;

/// A finished handshake.
#[derive(Debug)]
pub struct Finished {
    /// The path.
    pub path: PathKey,
    /// What the path was when it began.
    pub generation: Generation,
    /// What came of it.
    pub attempt: Attempt,
    /// When it ended.
    pub at: SystemTime,
}

/// Proves `jobs` until `shutdown`: a new or changed one at once, then every interval. Jobs are a
/// whole picture each time, so none can be lost.
pub async fn run<P: Prober>(
    prober: Arc<P>,
    at_once: usize,
    mut jobs: watch::Receiver<Arc<Jobs>>,
    finished: mpsc::Sender<Finished>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let mut scheduler = Scheduler::new(prober, finished, metrics);
    let mut not_before = Instant::now();
    loop {
        scheduler.show();
        tokio::select! {
            () = shutdown.cancelled() => break,
            changed = jobs.changed() => match changed {
                Ok(()) => scheduler.take(Arc::clone(&jobs.borrow_and_update())),
                Err(_) => break,
            },
            Some(ended) = scheduler.running.join_next_with_id() => scheduler.finish(ended).await,
            path = next(&mut scheduler.queue, not_before), if scheduler.running.len() < at_once => {
                not_before = Instant::now() + SPACING;
                scheduler.start(path);
            }
        }
    }
    scheduler.say_farewell().await;
}

/// The next path that is due, not too soon after the last one.
async fn next(queue: &mut Queue<PathKey>, not_before: Instant) -> PathKey {
    tokio::time::sleep_until(not_before).await;
    queue.next().await
}

struct Scheduler<P> {
    prober: Arc<P>,
    finished: mpsc::Sender<Finished>,
    metrics: Arc<Metrics>,
    jobs: Arc<Jobs>,
    queue: Queue<PathKey>,
    running: JoinSet<Attempt>,
    under_way: HashMap<Id, (PathKey, Job)>,
    /// Those under way whose path was not there all the time: that it failed tells nothing.
    interrupted: HashSet<Id>,
    /// Provider ports that handshakes are using.
    turns: HashMap<Turn, InUse>,
    /// How many handshakes in a row were not good.
    bad: HashMap<PathKey, u32>,
}

impl<P: Prober> Scheduler<P> {
    fn new(prober: Arc<P>, finished: mpsc::Sender<Finished>, metrics: Arc<Metrics>) -> Self {
        Self {
            prober,
            finished,
            metrics,
            jobs: Arc::default(),
            queue: Queue::default(),
            running: JoinSet::new(),
            under_way: HashMap::new(),
            interrupted: HashSet::new(),
            turns: HashMap::new(),
            bad: HashMap::new(),
        }
    }

    fn show(&self) {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.handshakes_in_flight.set(count(self.running.len()));
        self.metrics.handshake_queue_depth.set(count(self.queue.depth()));
    }

    fn take(&mut self, jobs: Arc<Jobs>) {
        for path in self.jobs.keys().filter(|path| !jobs.contains_key(*path)) {
            self.queue.remove(path);
            self.bad.remove(path);
        }
        for (path, job) in jobs.iter().filter(|(path, job)| self.jobs.get(*path) != Some(*job)) {
            tracing::trace!(path = %path.link, timeout = ?job.request.timeout, "to be proven");
            self.bad.remove(path);
            self.queue.add(path.clone());
        }
        let interrupted = self.under_way.iter().filter(|(_, (path, job))| jobs.get(path) != Some(job));
        self.interrupted.extend(interrupted.map(|(id, _)| *id));
        self.jobs = jobs;
    }

    fn start(&mut self, path: PathKey) {
        let Some(job) = self.jobs.get(&path).cloned() else { return self.queue.done(&path) };
        if !self.take_turn(&path, &job.request) {
            return self.queue.done(&path);
        }
        let prober = Arc::clone(&self.prober);
        let request = job.request.clone();
        let task = self.running.spawn(async move { prober.handshake(&request).await });
        self.under_way.insert(task.id(), (path, job));
    }

    /// Whether the handshake may use the provider's port now. If not, its path is due again when the
    /// port is free: a knock must not meet the listener of an exchange, nor one exchange another's.
    fn take_turn(&mut self, path: &PathKey, request: &Request) -> bool {
        let alone = request.mode == Handshake::Exchange;
        match self.turns.get_mut(&turn(request)) {
            None => {
                self.turns.insert(turn(request), InUse { alone, users: 1, waiting: Vec::new() });
            }
            Some(in_use) if alone || in_use.alone => {
                in_use.waiting.push(path.clone());
                return false;
            }
            Some(in_use) => in_use.users += 1,
        }
        true
    }

    fn leave_turn(&mut self, request: &Request) {
        let Some(in_use) = self.turns.get_mut(&turn(request)) else { return };
        in_use.users -= 1;
        if in_use.users == 0 {
            let freed = self.turns.remove(&turn(request));
            // All of them: the first takes the port again, the others line up behind it.
            freed.into_iter().flat_map(|in_use| in_use.waiting).for_each(|path| self.queue.add(path));
        }
    }

    async fn finish(&mut self, ended: Result<(Id, Attempt), tokio::task::JoinError>) {
        let (id, attempt) = match ended {
            Ok((id, attempt)) => (id, Some(attempt)),
            Err(error) => {
                tracing::error!(%error, "a handshake's task died");
                (error.id(), None)
            }
        };
        let Some((path, job)) = self.under_way.remove(&id) else { return };
        self.leave_turn(&job.request);
        self.queue.done(&path);
        // An end that was paused or stopped for a moment looks like a path that is broken.
        let interrupted = self.interrupted.remove(&id);
        if interrupted && attempt.as_ref().is_some_and(|attempt| matches!(attempt.verdict, Verdict::Fail(_)))
        {
            return;
        }
        self.schedule_next(&path, &job, attempt.as_ref());
        if let Some(attempt) = attempt {
            self.count(&attempt);
            let finished = Finished { path, generation: job.generation, attempt, at: SystemTime::now() };
            // Nobody listens any more only while shutting down.
            let _ = self.finished.send(finished).await;
        }
    }

    fn schedule_next(&mut self, path: &PathKey, job: &Job, attempt: Option<&Attempt>) {
        // A path that changed meanwhile is due already, and one that is gone never again.
        if self.jobs.get(path) != Some(job) {
            return;
        }
        let delay = if attempt.is_some_and(|attempt| proof::is_good(attempt.verdict)) {
            self.bad.remove(path);
            jittered(job.interval)
        } else {
            let bad = self.bad.entry(path.clone()).or_insert(0);
            let engine = Verdict::Inconclusive(InconclusiveReason::EngineUnavailable);
            let engine = attempt.is_some_and(|attempt| attempt.verdict == engine);
            let most = if engine { ENGINE_RETRY.min(job.interval) } else { job.interval };
            let delay = FIRST_RETRY.saturating_mul(1 << (*bad).min(16)).min(most);
            *bad += 1;
            delay
        };
        self.queue.add_at(path.clone(), Instant::now() + delay);
    }

    fn count(&self, attempt: &Attempt) {
        let metrics = &self.metrics;
        match attempt.verdict {
            Verdict::Pass { listening } => {
                if listening == Some(false) {
                    metrics.handshake_failures_by_reason_total.with_label_values(&[NO_LISTENER]).inc();
                }
                if let Some(rtt) = attempt.rtt {
                    let histogram = metrics.handshake_duration_seconds.with_label_values(&["tcp", P::NAME]);
                    histogram.observe(rtt.as_secs_f64());
                }
            }
            Verdict::Fail(reason) => {
                metrics.handshake_failures_by_reason_total.with_label_values(&[reason.as_str()]).inc();
            }
            Verdict::Inconclusive(reason) => {
                metrics.handshakes_inconclusive_total.with_label_values(&[reason.as_str()]).inc();
            }
        }
    }

    /// Lets handshakes under way end by themselves.
    async fn say_farewell(mut self) {
        let all = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::debug!("handshakes are still under way; what they left in containers ends by itself");
        }
    }
}

/// A port of a provider.
type Turn = (ContainerId, u16);

/// A provider's port in use by one exchange, or by any number of knocks at its own listener.
struct InUse {
    alone: bool,
    users: usize,
    waiting: Vec<PathKey>,
}

fn turn(request: &Request) -> Turn {
    (request.provider.id.clone(), request.port)
}

fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * fastrand::f64())
}

#[cfg(test)]
mod tests;
