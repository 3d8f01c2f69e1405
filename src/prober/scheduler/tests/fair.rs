//! How many paths share one budget, and what those that hang take of it.

use std::collections::BTreeMap;

use super::*;

/// What a handshake takes on a quiet machine.
const QUICK: Duration = Duration::from_millis(60);
const HANGING: Duration = Duration::from_secs(5);
const BUDGET: Budget = Budget { at_once: 8, a_second: 100 };
/// The longest that a path waits with nothing in its way: the interval with its jitter.
const LONGEST: f64 = 66.1;

fn quick() -> Scripted {
    Scripted { takes: QUICK, ..Scripted::default() }
}

/// So many paths, each between two containers of its own.
fn pairs(name: &str, many: usize) -> Vec<(PathKey, Job)> {
    let pair = |n| path_to(&format!("{name}{n}-db"), &format!("{name}{n}"), Handshake::Auto);
    (0..many).map(pair).collect()
}

impl Stand {
    /// When the handshakes of those began whose name begins so, seconds since the start, by name.
    fn all_asked(&self, name: &str) -> BTreeMap<String, Vec<f64>> {
        let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (asked, at) in
            self.prober.asked.lock().unwrap().iter().filter(|(asked, _)| asked.starts_with(name))
        {
            all.entry(asked.clone()).or_default().push(at.duration_since(self.start).as_secs_f64());
        }
        all
    }

    fn lateness(&self) -> f64 {
        self.metrics.handshake_lateness_seconds.seconds()
    }
}

fn longest_gap(times: &[f64], since: f64) -> f64 {
    times.windows(2).filter(|pair| pair[0] >= since).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_are_made_at_once_and_begun_in_a_second() {
    let mut stand = Stand::within(
        Scripted { takes: Duration::from_millis(900), ..Scripted::default() },
        Budget { at_once: 30, a_second: 20 },
    );
    let mut jobs = pairs("web", 100);
    jobs.iter_mut().for_each(|(_, job)| job.interval = Duration::from_secs(1));
    stand.set(&jobs);
    stand.pass(Duration::from_secs(30)).await;
    let times: Vec<f64> = stand.all_asked("web").into_values().flatten().collect();
    let most = (0..30).map(|second| times.iter().filter(|at| **at as usize == second).count()).max();
    assert_eq!(most, Some(20));

    let mut stand = Stand::within(
        Scripted { takes: Duration::from_millis(900), ..Scripted::default() },
        Budget { at_once: 3, a_second: 100 },
    );
    stand.set(&jobs);
    stand.pass(Duration::from_secs(60)).await;
    assert_eq!(stand.prober.most_at_once.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn five_hundred_paths_are_proven_in_seconds_and_equally_often() {
    let mut stand = Stand::within(quick(), BUDGET);
    stand.set(&pairs("web", 500));
    stand.pass(Duration::from_secs(7)).await;
    assert_eq!(stand.all_asked("web").len(), 500);
    stand.pass(Duration::from_secs(593)).await;
    let asked = stand.all_asked("web");
    let counts: Vec<usize> = asked.values().map(Vec::len).collect();
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 2 && *least >= 9, "{least} to {most}");
    assert!(asked.values().all(|times| longest_gap(times, 0.0) < LONGEST + 1.0));
}

#[tokio::test(start_paused = true)]
async fn those_that_hang_delay_only_themselves() {
    let mut stand = Stand::within(quick(), BUDGET);
    *stand.prober.broken.lock().unwrap() = vec![("hanging", HANGING)];
    stand.set(&[pairs("hanging", 50), pairs("web", 450)].concat());
    stand.pass(Duration::from_secs(600)).await;
    let (good, hanging) = (stand.all_asked("web"), stand.all_asked("hanging"));
    assert_eq!((good.len(), hanging.len()), (450, 50));
    let first = good.values().map(|times| times[0]).fold(0.0, f64::max);
    assert!(first < 50.0, "those that hang came first, five seconds each in six slots: {first}");
    let gap = good.values().map(|times| longest_gap(times, 0.0)).fold(0.0, f64::max);
    assert!(gap < LONGEST + 1.0, "{gap}");
    for times in hanging.values() {
        assert!(times.len() >= 6 && longest_gap(times, 0.0) < 90.0, "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn newcomers_do_not_wait_for_those_that_hang() {
    let mut stand = Stand::within(quick(), BUDGET);
    *stand.prober.broken.lock().unwrap() = vec![("hanging", HANGING)];
    let before = [pairs("hanging", 200), pairs("web", 100)].concat();
    stand.set(&before);
    stand.pass(Duration::from_secs(600)).await;
    stand.set(&[before, pairs("new", 20)].concat());
    stand.pass(Duration::from_secs(3)).await;
    assert_eq!(stand.all_asked("new").len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_begins_to_hang_delays_no_other_link_of_its_consumers() {
    let mut stand = Stand::within(quick(), BUDGET);
    // Names are those of consumers, so that each link has its own.
    let consumers = |name: &'static str, provider: &'static str| {
        (0..100).map(move |n| path_to(provider, &format!("{name}{n}"), Handshake::Auto))
    };
    let shared: Vec<(PathKey, Job)> = consumers("web", "db")
        .chain(consumers("cached", "cache").enumerate().map(|(n, (mut key, job))| {
            key.consumer = ContainerId(format!("web{n}"));
            (key, job)
        }))
        .collect();
    stand.set(&shared);
    stand.pass(Duration::from_secs(200)).await;
    *stand.prober.broken.lock().unwrap() = vec![("db", HANGING)];
    stand.pass(Duration::from_secs(400)).await;
    let others = stand.all_asked("cached");
    assert_eq!(others.len(), 100);
    let gap = |since| others.values().map(|times| longest_gap(times, since)).fold(0.0, f64::max);
    assert!(gap(0.0) < LONGEST + 6.0, "all slots may be held once, until it is known: {}", gap(0.0));
    assert!(gap(210.0) < LONGEST + 1.0, "{}", gap(210.0));
}

#[tokio::test(start_paused = true)]
async fn consumers_that_hang_delay_no_other_consumer_of_their_provider() {
    let mut stand = Stand::within(quick(), BUDGET);
    *stand.prober.broken.lock().unwrap() = vec![("hanging", HANGING)];
    let names = (0..100).map(|n| format!("hanging{n}")).chain((0..20).map(|n| format!("web{n}")));
    stand.set(&names.map(|name| path(&name, Handshake::Auto)).collect::<Vec<_>>());
    stand.pass(Duration::from_secs(900)).await;
    let asked = stand.all_asked("web");
    assert_eq!(asked.len(), 20);
    let gap = asked.values().map(|times| longest_gap(times, 300.0)).fold(0.0, f64::max);
    assert!(gap < LONGEST + 1.0, "{gap}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_confirmed_in_time_while_others_hang() {
    for takes in [QUICK, Duration::from_secs(3)] {
        let mut stand = Stand::within(quick(), BUDGET);
        *stand.prober.broken.lock().unwrap() = vec![("hanging", HANGING)];
        stand.set(&[pairs("hanging", 200), pairs("web", 1)].concat());
        stand.pass(Duration::from_secs(600)).await;
        stand.prober.broken.lock().unwrap().push(("web", takes));
        stand.pass(Duration::from_secs(80)).await;
        let asked = stand.asked("web0");
        let first = asked.iter().position(|at| *at >= 600.0).unwrap();
        let pause = asked[first + 1] - asked[first] - takes.as_secs_f64();
        assert!(pause < 1.0, "tried again {pause} s after it had failed");
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_into_a_storm_comes_after_it_and_not_later() {
    let mut stand = Stand::within(quick(), BUDGET);
    let storm = pairs("web", 500);
    stand.set(&storm);
    stand.pass(Duration::from_secs(1)).await;
    stand.set(&[storm, pairs("a-late-one", 1)].concat());
    stand.pass(Duration::from_secs(7)).await;
    let last = stand.all_asked("web").values().map(|times| times[0]).fold(0.0, f64::max);
    let late = stand.asked("a-late-one0")[0];
    assert!(late > last && late < last + 0.1, "{late} after {last}");
}

#[tokio::test(start_paused = true)]
async fn what_was_proven_together_does_not_stay_together() {
    for verdict in [None, Some(Verdict::Fail(FailReason::Refused))] {
        let mut stand = Stand::within(Scripted { verdict: Mutex::new(verdict), ..quick() }, BUDGET);
        stand.set(&pairs("web", 500));
        stand.pass(INTERVAL * 20).await;
        let spread = |nth: usize| {
            let mut times: Vec<f64> = stand.all_asked("web").values().map(|times| times[nth]).collect();
            times.sort_by(f64::total_cmp);
            times[450] - times[50]
        };
        let (first, last) = (spread(0), spread(16));
        assert!(first < 6.0 && last > 20.0, "{first} s, then {last} s");
    }
}

#[tokio::test(start_paused = true)]
async fn how_late_proofs_are_is_told_while_nothing_moves() {
    let mut stand = Stand::new(quick(), 1);
    assert_eq!(stand.lateness(), 0.0);
    *stand.prober.broken.lock().unwrap() = vec![("a-hanging", HANGING)];
    stand.set(&[pairs("a-hanging", 1), pairs("web", 1)].concat());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!((stand.lateness() - 4.0).abs() < 0.1, "{}", stand.lateness());
    stand.pass(Duration::from_millis(1200)).await;
    assert_eq!(stand.lateness(), 0.0, "nobody waits");
}

/// So many paths of one consumer, each to a provider of its own.
fn crowd(consumer: &str, many: usize, interval: Duration) -> Vec<(PathKey, Job)> {
    let path = |n| {
        let (key, job) = path_to(&format!("{consumer}-db{n}"), consumer, Handshake::Auto);
        (key, Job { interval, ..job })
    };
    (0..many).map(path).collect()
}

/// Slower than most, and not slow: eight slots make twenty of them in a second.
const LAZY: Duration = Duration::from_millis(400);

#[tokio::test(start_paused = true)]
async fn a_consumer_with_hundreds_of_paths_delays_no_other() {
    let mut stand = Stand::within(Scripted { takes: LAZY, ..Scripted::default() }, BUDGET);
    let mut jobs = pairs("web", 10);
    jobs.iter_mut().for_each(|(_, job)| job.interval = Duration::from_secs(5));
    stand.set(&[crowd("evil", 640, Duration::from_secs(1)), jobs].concat());
    stand.pass(Duration::from_secs(120)).await;
    let asked = stand.all_asked("web");
    assert_eq!(asked.len(), 10);
    for (name, times) in asked {
        assert!(times[0] < 2.0, "{name} had to wait for {} s", times[0]);
        let gap = longest_gap(&times, 0.0);
        assert!(gap < 5.5 + 2.0, "{name}: {gap}");
    }
    let evil = stand.asked("evil").iter().filter(|at| **at > 60.0).count();
    assert!((480..=660).contains(&evil), "{evil} in the second minute: ten in a second");
}

#[tokio::test(start_paused = true)]
async fn a_container_delays_no_other_one_of_its_workload() {
    let mut stand = Stand::within(Scripted { takes: LAZY, ..Scripted::default() }, BUDGET);
    let mut genuine = path_to("db", "genuine", Handshake::Auto);
    genuine.0.link.consumer = Workload::Container("evil".to_owned());
    stand.set(&[crowd("evil", 640, Duration::from_secs(1)), vec![genuine]].concat());
    stand.pass(Duration::from_secs(5)).await;
    assert!(stand.asked("genuine")[0] < 2.0, "{:?}", stand.asked("genuine"));
}

#[tokio::test(start_paused = true)]
async fn those_that_hang_do_so_after_a_restart_and_made_anew() {
    let mut stand = Stand::within(quick(), BUDGET);
    *stand.prober.broken.lock().unwrap() = vec![("hanging", HANGING)];
    let mut jobs = pairs("hanging", 50);
    for round in 0..60 {
        for (key, job) in &mut jobs {
            job.generation.consumer_started = round.to_string();
            if round % 2 == 0 {
                key.consumer = ContainerId(format!("{round}{}", job.request.consumer.name));
            }
        }
        // Every second time they are gone for a moment.
        if round % 2 == 0 {
            stand.set(&[]);
            stand.pass(Duration::from_millis(100)).await;
        }
        stand.set(&jobs);
        stand.pass(Duration::from_secs(3)).await;
    }
    stand.prober.most_at_once.store(0, Ordering::SeqCst);
    stand.set(&[]);
    stand.pass(HANGING * 2).await;
    stand.set(&jobs);
    stand.pass(HANGING * 2).await;
    assert_eq!(stand.prober.most_at_once.load(Ordering::SeqCst), 4, "half of the slots");
}
