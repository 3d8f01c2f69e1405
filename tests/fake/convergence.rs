//! Convergence as a property, at the wire: random histories of containers, labels and faults against
//! the built program. Then quiet, and the engine holds what a fresh start gives, and rests.
//!
//! A history that failed is told by its seed, which is kept in tests/data/seeds/wire and tried first
//! from then on.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::iter::zip;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::task::JoinSet;

use super::engine::{Controller, FakeEngine};
use super::events::Flow;
use super::state::{Container, State};
use super::story::{FLAGS, Story};

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/seeds/wire");
/// For how long new histories are begun.
const BUDGET: Duration = Duration::from_secs(30);
/// Histories at once: each waits most of the time.
const AT_ONCE: usize = 10;
/// Steps of one history.
const STEPS: usize = 30;
/// How many changes of the engine a step may lead to, on average.
const CHANGES_PER_STEP: usize = 20;
/// For how many lists the engine has to rest. The last may just have begun, and what the one before
/// it found may not be done yet.
const REST: usize = 3;
/// In how many lists it has to come to rest. A slow machine lists as slowly as it does everything else, so
/// that this tells what will never be from what is not yet; a time does not.
const LISTS: usize = 60;
/// After so long without a list there is no controller any more.
const SILENCE: Duration = Duration::from_secs(60);
const CHANGES: [&str; 4] = ["network_create", "network_connect", "network_disconnect", "network_remove"];

fn workload(container: &Container) -> String {
    let label = |key: &str| container.labels.get(&format!("com.docker.compose.{key}"));
    match (label("project"), label("service")) {
        (Some(project), Some(service)) if label("container-number").is_some() => {
            format!("{project}/{service}")
        }
        _ => container.name.clone(),
    }
}

/// Which edge has a network, who is on it, who reaches whom there, and what is foreign.
fn holds(state: &State) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    for (id, network) in &state.networks {
        let label = |key: &str| network.labels.get(&format!("tieline.{key}"));
        let (Some(consumer), Some(provider)) = (label("consumer"), label("provider")) else {
            facts.insert(format!("foreign: {network:?}"));
            continue;
        };
        facts.insert(format!("{consumer} -> {provider} has a network"));
        let on = |container: &&Container| {
            container.attachments.iter().any(|(name, attachment)| match attachment.network.as_str() {
                _ if container.running && attachment.address.is_empty() => false,
                "" => *name == network.name,
                known => known == id,
            })
        };
        let members: Vec<&Container> = state.containers.values().filter(on).collect();
        for member in &members {
            facts.insert(format!("{consumer} -> {provider}: {} is on it", member.name));
            for other in &members {
                let is_consumer = if consumer == "*" {
                    workload(member) != *provider
                } else {
                    workload(member) == *consumer
                };
                if is_consumer && workload(other) == *provider {
                    facts.insert(format!("{consumer} -> {provider}: {} reaches {}", member.name, other.name));
                }
            }
        }
    }
    facts
}

fn changes(state: &State) -> usize {
    state.calls.iter().filter(|call| CHANGES.contains(call)).count()
}

/// How often each engine was listed and changed, and what it holds.
fn look(engines: &[&FakeEngine]) -> (Vec<usize>, Vec<(usize, BTreeSet<String>)>) {
    let look = |engine: &&FakeEngine| {
        let state = engine.state();
        let lists = state.calls.iter().filter(|call| **call == "container_list").count();
        (lists, (changes(&state), holds(&state)))
    };
    engines.iter().map(look).unzip()
}

/// Waits until both engines hold the same, and did for some whole lists, with nobody changing anything.
async fn at_rest(engines: [&FakeEngine; 2]) -> Result<(), String> {
    let (first, mut before) = look(&engines);
    let (mut since, mut heard) = (first.clone(), (first.clone(), Instant::now()));
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let (lists, now) = look(&engines);
        let is_good = now[0].1 == now[1].1;
        if now != before || !is_good {
            (since, before) = (lists.clone(), now);
        }
        let passed = |since: &[usize]| zip(&lists, since).map(|(now, then)| now - then).collect::<Vec<_>>();
        if passed(&since).iter().all(|lists| *lists >= REST) {
            return Ok(());
        }
        let error = if is_good { "it never rests" } else { "it never comes to hold that" };
        if passed(&first).iter().any(|lists| *lists > LISTS) {
            return Err(error.to_owned());
        }
        if lists != heard.0 {
            heard = (lists, Instant::now());
        } else if heard.1.elapsed() > SILENCE {
            return Err(format!("{error}, and nobody lists any more"));
        }
    }
}

async fn history(seed: u64) -> Result<(), String> {
    let mut story = Story::new(seed);
    let outcome = tell(&mut story).await;
    let log = story.controller.as_ref().map(Controller::log).unwrap_or_default();
    outcome.map_err(|error| {
        let log: Vec<&str> = log.lines().rev().take(40).collect();
        let log: Vec<&str> = log.into_iter().rev().collect();
        format!("seed {seed}: {error}\n{}\n{}", story.told.join("\n"), log.join("\n"))
    })
}

async fn tell(story: &mut Story) -> Result<(), String> {
    for _ in 0..STEPS {
        story.step().await?;
    }
    story.engine.no_faults();
    let bare = {
        let mut state = story.engine.state();
        state.events.flow = Flow::Sent;
        state.events.release();
        state.bare()
    };
    let fresh = FakeEngine::holding(bare);
    let _controller = Controller::start_unasked(&fresh, &FLAGS);
    let settled = at_rest([&story.engine, &fresh]).await;
    let expected = holds(&fresh.state());
    let state = story.engine.state();
    let found = holds(&state);
    let missing: Vec<&String> = expected.difference(&found).collect();
    let left_over: Vec<&String> = found.difference(&expected).collect();
    settled.map_err(|error| format!("{error}: missing {missing:#?}, left over {left_over:#?}"))?;
    for (id, container) in state.containers.iter().filter(|(_, container)| !container.running) {
        state.try_start(id).map_err(|(_, text)| format!("{} cannot start: {text}", container.name))?;
    }
    let (made, bound) = (changes(&state), CHANGES_PER_STEP * STEPS);
    if made > bound {
        return Err(format!("{made} changes, more than {bound}"));
    }
    Ok(())
}

fn known_seeds() -> Vec<u64> {
    let text = fs::read_to_string(SEEDS).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn keep(seed: u64) {
    if !known_seeds().contains(&seed) {
        let file = fs::File::options().create(true).append(true).open(SEEDS);
        // What failed is told, even where it cannot be kept.
        let _ = file.and_then(|mut file| writeln!(file, "{seed}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happened_the_engine_comes_to_hold_what_a_fresh_start_gives() {
    let begun = Instant::now();
    let mut known = known_seeds().into_iter();
    let mut running = JoinSet::new();
    loop {
        if running.len() < AT_ONCE {
            let seed = known.next().or_else(|| (begun.elapsed() < BUDGET).then(|| fastrand::u64(..)));
            if let Some(seed) = seed {
                running.spawn(async move {
                    let told = AssertUnwindSafe(history(seed)).catch_unwind().await;
                    (seed, told.unwrap_or_else(|_| Err(format!("seed {seed}: it panicked, as told above"))))
                });
                continue;
            }
        }
        let Some(ended) = running.join_next().await else { break };
        let (seed, outcome) = ended.unwrap();
        if let Err(error) = outcome {
            keep(seed);
            // At once, past the harness, which tells nothing if somebody ends the whole run.
            let _ = writeln!(std::io::stderr(), "{error}");
            panic!("{error}");
        }
    }
}
