//! When and how many handshakes: what is due starts, what has ended is told and due again.

mod agenda;
mod delay;
mod lanes;
mod rota;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Attempt, Budget, Finished, Job, Jobs, NO_LISTENER, Prober, Request};
use crate::metrics::Metrics;
use crate::model::handshake::Verdict;
use crate::model::link::PathKey;
use agenda::Agenda;

/// How long handshakes under way may go on after a shutdown was asked for.
const FAREWELL: Duration = Duration::from_secs(5);

/// Proves `jobs` until `shutdown`: a new or changed one at once, then every interval, all within
/// `budget`. Jobs are a whole picture each time, so none can be lost.
pub async fn run<P: Prober>(
    prober: Arc<P>,
    budget: Budget,
    mut jobs: watch::Receiver<Arc<Jobs>>,
    finished: mpsc::Sender<Finished>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let mut scheduler = Scheduler::new(prober, budget, finished, metrics);
    loop {
        scheduler.show();
        tokio::select! {
            () = shutdown.cancelled() => break,
            changed = jobs.changed() => match changed {
                Ok(()) => scheduler.take(Arc::clone(&jobs.borrow_and_update())),
                Err(_) => break,
            },
            Some(ended) = scheduler.running.join_next_with_id() => scheduler.finish(ended).await,
            (path, job) = scheduler.agenda.next() => scheduler.start(path, job),
        }
    }
    scheduler.say_farewell().await;
}

struct Scheduler<P> {
    prober: Arc<P>,
    finished: mpsc::Sender<Finished>,
    metrics: Arc<Metrics>,
    agenda: Agenda,
    running: JoinSet<Attempt>,
    under_way: HashMap<Id, (PathKey, Job)>,
    /// Those under way whose path was not there all the time: that it failed tells nothing.
    interrupted: HashSet<Id>,
}

impl<P: Prober> Scheduler<P> {
    fn new(prober: Arc<P>, budget: Budget, finished: mpsc::Sender<Finished>, metrics: Arc<Metrics>) -> Self {
        Self {
            prober,
            finished,
            metrics,
            agenda: Agenda::new(budget),
            running: JoinSet::new(),
            under_way: HashMap::new(),
            interrupted: HashSet::new(),
        }
    }

    fn show(&self) {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.handshakes_in_flight.set(count(self.running.len()));
        self.metrics.handshake_queue_depth.set(count(self.agenda.depth()));
        self.metrics.handshake_lateness_seconds.set(self.agenda.earliest());
    }

    fn take(&mut self, jobs: Arc<Jobs>) {
        self.agenda.take(jobs);
        let interrupted = self.under_way.iter().filter(|(_, (path, job))| !self.agenda.holds(path, job));
        self.interrupted.extend(interrupted.map(|(id, _)| *id));
    }

    fn start(&mut self, path: PathKey, job: Job) {
        let prober = Arc::clone(&self.prober);
        let request = job.request.clone();
        let task = self.running.spawn(async move { prober.handshake(&request).await });
        self.under_way.insert(task.id(), (path, job));
    }

    async fn finish(&mut self, ended: Result<(Id, Attempt), JoinError>) {
        let (id, attempt) = match ended {
            Ok((id, attempt)) => (id, Some(attempt)),
            Err(error) => {
                tracing::error!(%error, "a handshake's task died");
                (error.id(), None)
            }
        };
        let Some((path, job)) = self.under_way.remove(&id) else { return };
        self.agenda.end(&path, &job, attempt.as_ref());
        // An end that was paused or stopped for a moment looks like a path that is broken.
        let interrupted = self.interrupted.remove(&id);
        if interrupted && attempt.as_ref().is_some_and(|attempt| matches!(attempt.verdict, Verdict::Fail(_)))
        {
            return;
        }
        self.agenda.learn(&path, &job, attempt.as_ref());
        if let Some(attempt) = attempt {
            self.count(&job.request, &attempt);
            let finished = Finished { path, generation: job.generation, attempt, at: SystemTime::now() };
            // Nobody listens any more only while shutting down.
            let _ = self.finished.send(finished).await;
        }
    }

    fn count(&self, request: &Request, attempt: &Attempt) {
        let metrics = &self.metrics;
        match attempt.verdict {
            Verdict::Pass { listening, .. } => {
                if listening == Some(false) {
                    metrics.handshake_failures_by_reason_total.with_label_values(&[NO_LISTENER]).inc();
                }
                if let Some(rtt) = attempt.rtt {
                    let labels = [request.route.protocol(), attempt.prober];
                    let histogram = metrics.handshake_duration_seconds.with_label_values(&labels);
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

#[cfg(test)]
mod tests;
