//! A soak: a controller on the real engine while containers come and go at random, and what it takes of
//! the machine meanwhile. 45 s in the suite; `TIELINE_SOAK_SECONDS` asks for more, and `--nocapture`
//! shows the numbers.
//!
//! The rule. Rounds of churn alternate with rests, at which only what was there at the start is left.
//! The first third is warm-up. At every later rest there are exactly the series of the first one. Of
//! descriptors and threads the last third has at least one rest with no more than [`SPARE`] beyond the most
//! of the second: calls under way, also for what others do on the engine, come and go, but what leaks stays.
//! And the median of the resident memory in the last third, churn and rests alike, is not above that of the second by more than
//! [`GROWTH`] and [`SLACK_KB`].

mod churn;
pub mod gauge;
mod wire;

use std::time::{Duration, Instant};

use crate::engine::stage::{Stage, stdout};
use churn::Churn;
use gauge::{Gauge, Rest};

/// Descriptors and threads that come and go with calls under way.
const SPARE: usize = 4;
/// Relative growth of the resident memory from the second third to the last that is no leak.
const GROWTH: f64 = 0.10;
/// The same in kilobytes: the allocator takes memory by the megabyte.
const SLACK_KB: f64 = 3.0 * 1024.0;
/// How long containers come and go before the next rest.
const ROUND: Duration = Duration::from_secs(4);

fn duration() -> Duration {
    let asked = std::env::var("TIELINE_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(asked.unwrap_or(45))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn churn_leaves_memory_descriptors_threads_and_series_as_they_were() {
    let stage = Stage::new();
    let seed = fastrand::u64(..);
    eprintln!("soak for {:?}, seed {seed}", duration());
    let mut churn = Churn::new(&stage, seed);
    let start = Instant::now();
    let gauge = Gauge::start(&stage);
    let mut rests: Vec<Rest> = Vec::new();
    while start.elapsed() < duration() {
        churn.for_a_while(ROUND);
        churn.rest();
        let rest = gauge.rest(&stage);
        eprintln!("{:>4.0} s: {} steps, {rest}", start.elapsed().as_secs_f64(), churn.steps);
        rests.push(rest);
    }
    let samples = gauge.stop();
    let end = start.elapsed().as_secs_f64();
    let third =
        |n: u32| move |at: f64| at >= end * f64::from(n) / 3.0 && at < end * f64::from(n + 1) / 3.0 + 1e-9;
    let resident =
        |n: u32| median(samples.iter().filter(|(at, _)| third(n)(*at)).map(|(_, kb)| *kb).collect());
    let (early, late) = (resident(1), resident(2));
    eprintln!(
        "resident, medians of the thirds: {} {early} {late} kB, of {} samples",
        resident(0),
        samples.len()
    );
    assert!(late <= early * (1.0 + GROWTH) + SLACK_KB, "resident memory grows: {early} kB, then {late} kB");

    let of = |n: u32| rests.iter().filter(move |rest| third(n)(rest.at)).collect::<Vec<_>>();
    let (early, late) = (of(1), of(2));
    assert!(!early.is_empty() && !late.is_empty(), "too short to tell: {} rests", rests.len());
    for (name, what) in
        [("descriptors", (|rest| rest.descriptors) as fn(&Rest) -> usize), ("threads", |rest| rest.threads)]
    {
        let least = late.iter().map(|rest| what(rest)).min().unwrap();
        let (before, after) = (early.iter().map(|rest| what(rest)).max().unwrap(), least);
        assert!(after <= before + SPARE, "{name} grow: {before}, then {after}");
    }
    for rest in &rests[1..] {
        let more: Vec<_> = rest.series.difference(&rests[0].series).collect();
        let fewer: Vec<_> = rests[0].series.difference(&rest.series).collect();
        assert!(
            more.is_empty() && fewer.is_empty(),
            "series differ at rest: {more:?} are new, {fewer:?} missing"
        );
    }
    assert!(churn.proven > 0, "no link of the churn was ever Ready: this soak shows nothing");
    assert!(!stage.log().contains("panicked"), "{}", stage.log());
    assert_nothing_is_left(stage);
}

fn assert_nothing_is_left(stage: Stage) {
    let (label, id) = (stage.owner_label(), stage.id.clone());
    drop(stage);
    let list = |args: &[&str]| stdout(std::process::Command::new("docker").args(args));
    assert_eq!(list(&["ps", "-aq", "--filter", &format!("label={label}")]), "");
    assert_eq!(list(&["network", "ls", "-q", "--filter", &format!("label=tieline.managed-by={id}")]), "");
}
