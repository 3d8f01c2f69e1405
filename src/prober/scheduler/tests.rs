//! When handshakes are made, under a clock that stands still until all tasks wait.

mod fair;

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::super::{PortRoute, Route, Side};
use super::*;
use crate::metrics::LabelValues;
use crate::model::container::{ContainerId, NetworkId};
use crate::model::handshake::role::Transport;
use crate::model::handshake::{FailReason, InconclusiveReason};
use crate::model::link::{Carrier, Endpoint, Generation, Handshake, LinkKey, Payload};
use crate::model::workload::Workload;

const INTERVAL: Duration = Duration::from_secs(60);

/// Answers as it is told to, after as long as it is told to, and notes when it was asked.
#[derive(Default)]
struct Scripted {
    verdict: Mutex<Option<Verdict>>,
    takes: Duration,
    /// Those whose consumer or provider has a name that begins so take so long instead, and fail.
    broken: Mutex<Vec<(&'static str, Duration)>>,
    asked: Mutex<Vec<(String, Instant)>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Prober for Scripted {
    async fn handshake(&self, request: &Request) -> Attempt {
        self.asked.lock().unwrap().push((request.consumer.name.clone(), Instant::now()));
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let broken = self.broken(request);
        tokio::time::sleep(broken.unwrap_or(self.takes)).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let good = Verdict::Pass { listening: Some(true), detour: false };
        let failed = broken.map(|_| Verdict::Fail(FailReason::Timeout));
        let verdict = failed.or(*self.verdict.lock().unwrap()).unwrap_or(good);
        Attempt { verdict, rtt: None, message: String::new(), prober: "scripted" }
    }
}

impl Scripted {
    fn broken(&self, request: &Request) -> Option<Duration> {
        let names = [&request.consumer.name, &request.provider.name];
        let broken = self.broken.lock().unwrap();
        broken.iter().find(|(name, _)| names.iter().any(|of| of.starts_with(name))).map(|(_, takes)| *takes)
    }
}

struct Stand {
    prober: Arc<Scripted>,
    jobs: watch::Sender<Arc<Jobs>>,
    finished: mpsc::Receiver<Finished>,
    metrics: Arc<Metrics>,
    start: Instant,
}

impl Stand {
    fn new(prober: Scripted, at_once: usize) -> Self {
        Self::within(prober, Budget { at_once, a_second: 100 })
    }

    fn within(prober: Scripted, budget: Budget) -> Self {
        let prober = Arc::new(prober);
        let (jobs, job_rx) = watch::channel(Arc::default());
        let (finished_tx, finished) = mpsc::channel(100);
        let metrics = Arc::new(Metrics::new(&no_labels()).unwrap());
        let shutdown = CancellationToken::new();
        tokio::spawn(run(Arc::clone(&prober), budget, job_rx, finished_tx, Arc::clone(&metrics), shutdown));
        Self { prober, jobs, finished, metrics, start: Instant::now() }
    }

    fn set(&self, jobs: &[(PathKey, Job)]) {
        self.jobs.send_replace(Arc::new(jobs.iter().cloned().collect()));
    }

    /// Lets time pass.
    async fn pass(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Ok(Some(_)) = tokio::time::timeout_at(end, self.finished.recv()).await {}
    }

    /// When the path's handshakes began, seconds since the start.
    fn asked(&self, name: &str) -> Vec<f64> {
        let asked = self.prober.asked.lock().unwrap();
        let times = asked.iter().filter(|(asked, _)| asked == name);
        times.map(|(_, at)| at.duration_since(self.start).as_secs_f64()).collect()
    }
}

fn no_labels() -> LabelValues<'static> {
    LabelValues {
        operations: vec![],
        event_types: vec![],
        event_actions: vec![],
        stream_losses: vec![],
        failures: vec![],
        inconclusive: vec![],
        protocols: vec![],
        probers: vec![],
    }
}

fn side(name: &str) -> Side {
    let id = ContainerId(name.to_owned());
    Side { id, name: name.to_owned(), address: None }
}

fn path(consumer: &str, mode: Handshake) -> (PathKey, Job) {
    path_to("db", consumer, mode)
}

fn path_to(provider: &str, consumer: &str, mode: Handshake) -> (PathKey, Job) {
    let key = PathKey {
        link: LinkKey { consumer: Workload::Container(consumer.to_owned()), name: provider.to_owned() },
        consumer: ContainerId(consumer.to_owned()),
        provider: ContainerId(provider.to_owned()),
    };
    let generation = Generation {
        consumer_started: "1".to_owned(),
        provider_started: "1".to_owned(),
        carrier: Carrier::Network(NetworkId("n".to_owned()), Ipv4Addr::LOCALHOST),
        endpoint: Endpoint::Tcp(80),
        handshake: mode,
        payload: Payload::default(),
    };
    let route = PortRoute {
        transport: Transport::Tcp,
        host: provider.to_owned(),
        address: "10.0.0.2".parse().unwrap(),
        address6: None,
        others: vec![],
        port: 80,
    };
    let request = Request {
        consumer: side(consumer),
        provider: side(provider),
        route: Route::Port(route),
        mode,
        payload: Payload::default(),
        timeout: Duration::from_secs(3),
    };
    (key, Job { generation, request, interval: INTERVAL })
}

#[tokio::test(start_paused = true)]
async fn a_new_path_is_proven_at_once_and_then_every_interval_with_jitter() {
    let mut stand = Stand::new(Scripted::default(), 4);
    stand.set(&[path("web", Handshake::Auto)]);
    for _ in 0..5 {
        stand.finished.recv().await.unwrap();
    }
    let asked = stand.asked("web");
    assert!(asked[0] < 0.1);
    let gaps: Vec<f64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (53.9..66.1).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| (gap - gaps[0]).abs() > 0.01), "no jitter: {gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_was_in_trouble_for_long_is_soon_found_well() {
    let untold = Verdict::Inconclusive(InconclusiveReason::EngineUnavailable);
    let in_trouble = Scripted { verdict: Mutex::new(Some(untold)), ..Scripted::default() };
    let mut stand = Stand::new(in_trouble, 4);
    stand.set(&[path("web", Handshake::Auto)]);
    for _ in 0..12 {
        stand.finished.recv().await.unwrap();
    }
    let asked = stand.asked("web");
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] < 5.6), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_within_a_second_and_then_less_and_less_often() {
    let failing =
        Scripted { verdict: Mutex::new(Some(Verdict::Fail(FailReason::Timeout))), ..Scripted::default() };
    let mut stand = Stand::new(failing, 4);
    stand.set(&[path("web", Handshake::Auto)]);
    for _ in 0..12 {
        stand.finished.recv().await.unwrap();
    }
    let asked = stand.asked("web");
    let gaps: Vec<f64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[0] < 1.0);
    assert!(gaps.windows(2).take(6).all(|pair| pair[1] > pair[0] * 1.5), "{gaps:?}");
    assert!(gaps[8..].iter().all(|gap| (53.9..66.1).contains(gap)), "it ends at the interval: {gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn another_run_of_either_end_and_another_network_address_or_port_are_proven_at_once() {
    let changes: [fn(&mut Generation); 5] = [
        |generation| generation.consumer_started = "2".to_owned(),
        |generation| generation.provider_started = "2".to_owned(),
        |generation| {
            generation.carrier = Carrier::Network(NetworkId("other".to_owned()), Ipv4Addr::LOCALHOST);
        },
        |generation| {
            generation.carrier = Carrier::Network(NetworkId("n".to_owned()), [10, 0, 0, 3].into());
        },
        |generation| generation.endpoint = Endpoint::Tcp(81),
    ];
    for change in changes {
        let mut stand = Stand::new(Scripted::default(), 4);
        let (key, mut job) = path("web", Handshake::Auto);
        stand.set(&[(key.clone(), job.clone())]);
        stand.finished.recv().await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        change(&mut job.generation);
        stand.set(&[(key, job.clone())]);
        assert_eq!(stand.finished.recv().await.unwrap().generation, job.generation);
        assert!(stand.asked("web")[1] < 10.1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_paused_is_proven_at_once_and_its_failures_are_forgotten() {
    let failing =
        Scripted { verdict: Mutex::new(Some(Verdict::Fail(FailReason::Timeout))), ..Scripted::default() };
    let mut stand = Stand::new(failing, 4);
    stand.set(&[path("web", Handshake::Auto)]);
    stand.pass(INTERVAL * 5).await;
    stand.set(&[]);
    stand.pass(INTERVAL * 5).await;
    let before = stand.asked("web").len();
    stand.set(&[path("web", Handshake::Auto)]);
    stand.pass(Duration::from_secs(1)).await;
    let asked = stand.asked("web").split_off(before);
    assert!(asked[0] < 600.1 && asked[1] < asked[0] + 1.0, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_path_that_is_gone_is_left_alone() {
    let mut stand = Stand::new(Scripted::default(), 4);
    stand.set(&[path("web", Handshake::Auto)]);
    stand.finished.recv().await.unwrap();
    stand.set(&[]);
    tokio::time::sleep(INTERVAL * 10).await;
    assert_eq!(stand.asked("web").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_across_a_pause_tells_nothing_and_is_tried_again_at_once() {
    let slow = Scripted { takes: Duration::from_secs(3), ..Scripted::default() };
    let mut stand = Stand::new(slow, 4);
    *stand.prober.verdict.lock().unwrap() = Some(Verdict::Fail(FailReason::Timeout));
    stand.set(&[path("web", Handshake::Connect)]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    stand.set(&[]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    stand.set(&[path("web", Handshake::Connect)]);
    stand.finished.recv().await.unwrap();
    assert!(stand.start.elapsed() >= Duration::from_secs(6), "the first one was told of");
    assert!(stand.asked("web")[1] < 3.1);
}
