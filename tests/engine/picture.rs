//! What an engine holds, compared with what it should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use super::stage::{IMAGE, PATIENCE, Stage};
use crate::patience::patience;

/// A foreign network and a foreign container, and how they were.
pub struct Foreign<'a> {
    stage: &'a Stage,
    before: String,
}

impl<'a> Foreign<'a> {
    pub fn new(stage: &'a Stage) -> Self {
        let network = stage.name("foreign");
        stage.docker(&["network", "create", &network]);
        stage.run_with("bystander", &[], &["--network", &network], IMAGE, &["sleep", "100000"]);
        Self { stage, before: picture(stage) }
    }

    pub fn assert_untouched(&self) {
        assert_eq!(picture(self.stage), self.before, "something foreign was touched");
    }
}

impl Drop for Foreign<'_> {
    fn drop(&mut self) {
        let remove = format!("docker rm -f {0}-bystander; docker network rm {0}-foreign", self.stage.id);
        let _ = self.stage.towards_engine(Command::new("sh")).args(["-c", &remove]).output();
    }
}

fn picture(stage: &Stage) -> String {
    let container = stage.docker(&["inspect", &stage.name("bystander")]);
    container + &stage.docker(&["network", "inspect", &stage.name("foreign")])
}

/// Which containers share which link networks: for each network the short names of its members.
pub fn wiring(stage: &Stage) -> Vec<BTreeSet<String>> {
    let mut members: BTreeMap<String, BTreeSet<String>> = stage
        .networks()
        .iter()
        .map(|network| (network["Name"].as_str().unwrap().to_owned(), BTreeSet::new()))
        .collect();
    let prefix = format!("/{}-", stage.id);
    for container in stage.containers(&stage.owner_label()) {
        let Some(short) = container["Name"].as_str().unwrap().strip_prefix(&prefix) else { continue };
        for network in stage.attachments_of(&container) {
            // One that is attached to what is gone would not start: it shows as a network of its own.
            members.entry(network).or_default().insert(short.to_owned());
        }
    }
    let mut sets: Vec<BTreeSet<String>> = members.into_values().collect();
    sets.sort();
    sets
}

/// Waits until the engine holds exactly these link networks, each with these members.
pub fn await_wiring(stage: &Stage, expected: &[&[&str]]) {
    let mut expected: Vec<BTreeSet<String>> =
        expected.iter().map(|set| set.iter().map(|name| (*name).to_owned()).collect()).collect();
    expected.sort();
    let end = Instant::now() + patience(PATIENCE);
    loop {
        let found = wiring(stage);
        if found == expected {
            return;
        }
        assert!(Instant::now() < end, "{found:?} share networks, not {expected:?}\n{}", stage.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How long it takes from now until something is so, at most [`PATIENCE`].
pub fn time_until(stage: &Stage, what: &str, fact: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !fact() {
        assert!(start.elapsed() < patience(PATIENCE), "it never came that {what}\n{}", stage.log());
        std::thread::sleep(Duration::from_millis(2));
    }
    start.elapsed()
}

/// Whether a link's condition is `True`.
pub fn is_true(stage: &Stage, consumer: &str, link: &str, kind: &str) -> bool {
    stage.link(consumer, link).is_some_and(|link| {
        let conditions = link["conditions"].as_array().unwrap();
        conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
    })
}
