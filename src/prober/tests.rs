//! When handshakes are made, under a clock that stands still until all tasks wait.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::metrics::LabelValues;
use crate::model::container::NetworkId;
use crate::model::handshake::FailReason;
use crate::model::link::LinkKey;
use crate::model::workload::Workload;

const INTERVAL: Duration = Duration::from_secs(60);

/// Answers as it is told to, after as long as it is told to, and notes when it was asked.
#[derive(Default)]
struct Scripted {
    verdict: Mutex<Option<Verdict>>,
    takes: Duration,
    asked: Mutex<Vec<(String, Instant)>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Prober for Scripted {
    const NAME: &'static str = "scripted";

    async fn handshake(&self, request: &Request) -> Attempt {
        self.asked.lock().unwrap().push((request.consumer.name.clone(), Instant::now()));
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(self.takes).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let verdict = self.verdict.lock().unwrap().unwrap_or(Verdict::Pass { listening: Some(true) });
        Attempt { verdict, rtt: None, message: String::new() }
    }
}

struct Stand {
    prober: Arc<Scripted>,
    jobs: watch::Sender<Arc<Jobs>>,
    finished: mpsc::Receiver<Finished>,
    start: Instant,
}

impl Stand {
    fn new(prober: Scripted, at_once: usize) -> Self {
        let prober = Arc::new(prober);
        let (jobs, job_rx) = watch::channel(Arc::default());
        let (finished_tx, finished) = mpsc::channel(100);
        let metrics = Arc::new(Metrics::new(&no_labels()).unwrap());
        let shutdown = CancellationToken::new();
        tokio::spawn(run(Arc::clone(&prober), at_once, job_rx, finished_tx, metrics, shutdown));
        Self { prober, jobs, finished, start: Instant::now() }
    }

    fn set(&self, jobs: &[(PathKey, Job)]) {
        self.jobs.send_replace(Arc::new(jobs.iter().cloned().collect()));
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
        probers: vec![],
    }
}

fn side(name: &str) -> Side {
    Side { id: ContainerId(name.to_owned()), name: name.to_owned(), image: ImageId(String::new()) }
}

fn path(consumer: &str, mode: Handshake) -> (PathKey, Job) {
    let key = PathKey {
        link: LinkKey { consumer: Workload::Container(consumer.to_owned()), name: "x".to_owned() },
        consumer: ContainerId(consumer.to_owned()),
        provider: ContainerId("db".to_owned()),
    };
    let generation = Generation {
        consumer_started: "1".to_owned(),
        provider_started: "1".to_owned(),
        network: NetworkId("n".to_owned()),
        address: None,
        port: 80,
        handshake: mode,
    };
    let request = Request {
        consumer: side(consumer),
        provider: side("db"),
        host: "db".to_owned(),
        port: 80,
        mode,
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
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] < 5.1), "{asked:?}");
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
    assert!(gaps.windows(2).all(|pair| pair[1] >= pair[0] - 0.02), "{gaps:?}");
    assert!((gaps.last().unwrap() - INTERVAL.as_secs_f64()).abs() < 0.1, "it ends at the interval: {gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn another_run_of_either_end_is_proven_at_once() {
    let mut stand = Stand::new(Scripted::default(), 4);
    let (key, mut job) = path("web", Handshake::Auto);
    stand.set(&[(key.clone(), job.clone())]);
    stand.finished.recv().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    job.generation.provider_started = "2".to_owned();
    stand.set(&[(key, job.clone())]);
    assert_eq!(stand.finished.recv().await.unwrap().generation, job.generation);
    assert!(stand.asked("web")[1] < 10.1);
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
async fn no_more_than_so_many_are_made_at_once_and_a_slow_one_delays_only_itself() {
    let slow = Scripted { takes: Duration::from_secs(5), ..Scripted::default() };
    let mut stand = Stand::new(slow, 3);
    let names: Vec<String> = (0..9).map(|n| format!("web{n}")).collect();
    stand.set(&names.iter().map(|name| path(name, Handshake::Connect)).collect::<Vec<_>>());
    for _ in 0..9 {
        stand.finished.recv().await.unwrap();
    }
    assert_eq!(stand.prober.most_at_once.load(Ordering::SeqCst), 3);
    assert!(stand.start.elapsed() < Duration::from_secs(16), "three rounds of five seconds");
}

#[tokio::test(start_paused = true)]
async fn a_knock_never_meets_the_listener_of_an_exchange() {
    for (one, other, together) in [
        (Handshake::Exchange, Handshake::Auto, 1),
        (Handshake::Connect, Handshake::Exchange, 1),
        (Handshake::Connect, Handshake::Auto, 2),
    ] {
        let slow = Scripted { takes: Duration::from_secs(1), ..Scripted::default() };
        let mut stand = Stand::new(slow, 9);
        stand.set(&[path("a", one), path("b", other)]);
        for _ in 0..2 {
            stand.finished.recv().await.unwrap();
        }
        assert_eq!(stand.prober.most_at_once.load(Ordering::SeqCst), together, "{one:?} and {other:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn exchanges_on_one_port_take_turns() {
    let slow = Scripted { takes: Duration::from_secs(1), ..Scripted::default() };
    let mut stand = Stand::new(slow, 9);
    stand.set(&[
        path("a", Handshake::Exchange),
        path("b", Handshake::Exchange),
        path("c", Handshake::Exchange),
    ]);
    for _ in 0..3 {
        stand.finished.recv().await.unwrap();
    }
    assert_eq!(stand.prober.most_at_once.load(Ordering::SeqCst), 1);
    assert!(stand.start.elapsed() < Duration::from_secs(4));
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
