//! The truth bench: many handshakes between containers in situations of which the truth is known, told by every
//! prober and every flavour of `nc`. It counts what was told wrongly and what was left behind; zero is the
//! only pass.
//!
//! ```sh
//! cargo test --test truth                      # a few hundred handshakes
//! N=100000 cargo test --test truth             # a long run
//! ```
//!
//! `SEED` makes it choose the same again, `ONLY` keeps to the situations whose names contain it, and `PROBERS`
//! to some of the probers.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod facts;
#[path = "handshake/lab.rs"]
#[allow(dead_code)]
mod lab;
mod patience;
#[path = "truth/peer.rs"]
mod peer;
#[path = "truth/situations.rs"]
mod situations;
#[path = "truth/stand.rs"]
mod stand;
#[path = "truth/tally.rs"]
mod tally;
mod turns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use situations::Situation;
use stand::Stand;
use tally::Tally;

/// How many handshakes are made where `N` does not say.
const FEW: usize = 400;
/// How many are made at once: enough for them to get into each other's way.
const AT_ONCE: usize = 6;
/// How long what was left behind may take to go by itself.
const SETTLING: Duration = Duration::from_secs(5);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == peer::WORD) {
        return peer::run(arguments[1].as_ref());
    }
    // What cargo says to a test program, its filter for instance, is nothing to this one.
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect(name));
    let (n, seed) = (number("N").unwrap_or(FEW as u64), number("SEED").unwrap_or_else(|| fastrand::u64(..)));
    fastrand::seed(seed);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tally = runtime.block_on(run(usize::try_from(n).unwrap(), seed));
    if !tally.is_clean() {
        std::process::exit(1);
    }
}

async fn run(n: usize, seed: u64) -> Tally {
    let stand = Arc::new(Stand::new());
    let probers = stand.probers();
    let only = std::env::var("ONLY").unwrap_or_default();
    let situations: Vec<Situation> =
        situations::all().into_iter().filter(|situation| situation.name.contains(&only)).collect();
    assert!(!situations.is_empty(), "no situation is called {only}");
    println!("{n} handshakes, {} situations, SEED={seed}", situations.len());
    let start = Instant::now();
    // Every situation and every prober has its turn, with containers at random.
    let turns =
        (0..).map(|at| (&situations[at % situations.len()], &probers[at / situations.len() % probers.len()]));
    let plans: Vec<_> =
        turns.filter_map(|(situation, prober)| stand.plan(situation, prober.clone())).take(n).collect();
    let mut told = futures_util::stream::iter(plans)
        .map(|plan| {
            let stand = Arc::clone(&stand);
            async move { tokio::spawn(async move { plan.carry_out(&stand).await }).await.unwrap() }
        })
        .buffer_unordered(AT_ONCE);
    let mut tally = Tally::default();
    while let Some(told) = told.next().await {
        tally.count(&told);
    }
    tally.took = start.elapsed();
    tokio::time::sleep(Duration::from_millis(200)).await;
    tally.left_behind = stand.left_behind(SETTLING);
    print!("{tally}");
    tally
}
