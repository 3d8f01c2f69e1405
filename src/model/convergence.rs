//! Convergence as a property: whatever people, faults and controllers did, once it is quiet the engine
//! holds what the labels mean, and nothing else.

mod controller;
mod deeds;
mod engine;
mod history;
mod oracle;
mod story;

use proptest::prelude::*;

use super::container::{Attachment, Labels, NetworkMode};
use super::lab::property;
use super::link::EdgeKey;
use super::workload::Workload;
use engine::Refusal;
use history::{History, history};
use story::Story;

/// How many steps a history has at most.
const STEPS: usize = 40;
/// How often everything may have to be looked at and reconciled before nothing is left to be done.
const PASSES: usize = 6;
/// How many engine calls a step may lead to at most. It is one reconcile of every edge at most, and
/// the six containers of a history have few.
const CALLS_PER_STEP: usize = 40;

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/seeds/convergence");

/// No faults and no changes any more: every controller lists, and does what is to be done, until
/// nobody has anything to do. `None` if it goes on for ever.
fn settle(story: &mut Story) -> Option<usize> {
    for pass in 0..PASSES {
        let before = story.calls;
        for at in 0..story.controllers.len() {
            story.controllers[at].relist(&story.engine);
            story.reconcile_all(at);
        }
        if story.calls == before {
            return Some(pass);
        }
    }
    None
}

fn check(history: &History) -> Result<(), TestCaseError> {
    let mut story = Story::tell(history);
    let passes = settle(&mut story);
    let meaning = oracle::meaning(&story.engine, &story.specs);
    let faults = oracle::faults(&story.engine, &meaning);
    prop_assert!(faults.is_empty(), "{faults:#?}");
    prop_assert!(passes.is_some(), "it never ends");
    prop_assert!(story.crimes.is_empty(), "{:#?}", story.crimes);
    let bound = CALLS_PER_STEP * (history.steps.len() + PASSES);
    prop_assert!(story.calls <= bound, "{} calls, more than {bound}", story.calls);

    let fresh = story.fresh();
    prop_assert_eq!(oracle::summary(&story.engine), oracle::summary(&fresh));
    Ok(())
}

proptest! {
    #![proptest_config(property(1500, SEEDS))]

    #[test]
    fn whatever_happened_the_engine_comes_to_hold_what_the_labels_mean(history in history(STEPS)) {
        check(&history)?;
    }
}

/// They start without it, and who runs can neither be connected nor detached.
#[test]
fn who_lives_in_another_s_namespace_holds_no_network_back() {
    let mut story = Story::new(1, false);
    let workload = |name: &str| Workload::Container(name.to_owned());
    let edge = EdgeKey::Pair { consumer: workload("n1"), provider: workload("n0") };
    let (labels, subnet) = (story.policy.owner.labels(&edge), "10.213.0.16/30".parse().unwrap());
    let engine = &mut story.engine;
    let network = engine.create_network("tieline_n1_n0_10.213.0.16", subnet, labels).unwrap();
    let [created, started, refused] =
        ["n2", "n3", "n4"].map(|name| engine.create(name, Labels::new(), NetworkMode::Shared).unwrap());
    for id in [&created, &started] {
        engine.connect(&network, id, Attachment::default(), true).unwrap();
    }
    for id in [&started, &refused] {
        engine.start(id).unwrap();
    }
    assert_eq!(engine.connect(&network, &refused, Attachment::default(), true), Err(Refusal::Mode));

    assert!(settle(&mut story).is_some(), "it never ends");
    assert_eq!(oracle::faults(&story.engine, &oracle::Meaning::new()), [] as [&str; 0]);
}
