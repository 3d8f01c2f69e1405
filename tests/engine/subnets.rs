//! Subnets and names that somebody else has: they keep them, and links are wired beside them.

use std::process::Command;

use serde_json::Value;

use super::picture::{Foreign, await_wiring};
use super::stage::{Stage, ok};

fn link(stage: &Stage, n: usize) {
    let (provider, consumer) = (format!("provider{n}"), format!("consumer{n}"));
    stage.create(&provider, &[], &["sleep", "100000"]);
    stage.create(&consumer, &[("link.db", &format!("{}:80", stage.name(&provider)))], &["sleep", "100000"]);
}

/// The subnets of this stage's networks.
fn subnets(stage: &Stage) -> Vec<String> {
    let subnet = |network: &Value| network["IPAM"]["Config"][0]["Subnet"].as_str().unwrap().to_owned();
    let mut subnets: Vec<String> = stage.networks().iter().map(subnet).collect();
    subnets.sort();
    subnets
}

/// A network made by hand, which goes with the stage.
struct ByHand<'a>(&'a Stage, String);

impl<'a> ByHand<'a> {
    fn new(stage: &'a Stage, name: &str, subnet: &str) -> Self {
        Self(stage, stage.docker(&["network", "create", "--subnet", subnet, name]).trim().to_owned())
    }

    fn picture(&self) -> String {
        self.0.docker(&["network", "inspect", &self.1])
    }
}

impl Drop for ByHand<'_> {
    fn drop(&mut self) {
        let _ = self.0.towards_engine(Command::new("docker")).args(["network", "rm", &self.1]).output();
    }
}

/// A route of the host, which goes when the test ends.
struct Route(String);

impl Route {
    fn new(subnet: &str) -> Self {
        ok(Command::new("ip").args(["route", "add", subnet, "dev", "lo"]));
        Self(subnet.to_owned())
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["route", "del", &self.0, "dev", "lo"]).output();
    }
}

#[test]
fn subnets_that_others_have_are_theirs() {
    let mut stage = Stage::dark(&[]);
    let net = format!("10.198.{}", std::process::id() % 256);
    let at = |host: u8, length: u8| format!("{net}.{host}/{length}");
    stage.set_pool(&at(0, 24));
    stage.start_controller();
    let foreign = Foreign::new(&stage);
    let before = ByHand::new(&stage, &stage.name("before"), &at(0, 28));
    let _route = Route::new(&at(16, 28));
    link(&stage, 1);
    await_wiring(&stage, &[&["consumer1", "provider1"]]);
    assert_eq!(subnets(&stage), [at(32, 28)]);
    // Wider than what we take, and beside what we have taken.
    let after = ByHand::new(&stage, &stage.name("after"), &at(64, 26));
    let pictures = (before.picture(), after.picture());
    for n in [2, 3] {
        link(&stage, n);
    }
    let wired = [["consumer1", "provider1"], ["consumer2", "provider2"], ["consumer3", "provider3"]];
    await_wiring(&stage, &wired.each_ref().map(|pair| &pair[..]));
    let mut expected = [at(32, 28), at(48, 28), at(128, 28)];
    expected.sort();
    assert_eq!(subnets(&stage), expected);
    assert_eq!((before.picture(), after.picture()), pictures);
    foreign.assert_untouched();
}

#[test]
fn a_network_that_has_our_name_and_not_our_labels_is_not_ours() {
    let mut stage = Stage::new();
    link(&stage, 1);
    await_wiring(&stage, &[&["consumer1", "provider1"]]);
    let name = stage.networks()[0]["Name"].as_str().unwrap().to_owned();
    let subnet = subnets(&stage).remove(0);
    let _ = stage.stop_controller();
    stage.docker(&["rm", "-f", &stage.name("consumer1"), &stage.name("provider1")]);
    assert_eq!(stage.tieline(&["teardown"]).status.code(), Some(0));

    // Somebody makes one of that very name elsewhere, and another one gets the subnet.
    let namesake = stage.docker(&["network", "create", &name]).trim().to_owned();
    stage.start_controller();
    link(&stage, 1);
    await_wiring(&stage, &[&["consumer1", "provider1"]]);
    assert_ne!(subnets(&stage), [subnet], "the name belongs to somebody");
    let picture = stage.docker(&["network", "inspect", &namesake]);
    let ours = stage.networks()[0]["Name"].as_str().unwrap().to_owned();

    // And once more, with the name of ours in use: the engine takes one name twice.
    let twin =
        stage.towards_engine(Command::new("docker")).args(["network", "create", &ours]).output().unwrap();
    stage.docker(&["start", &stage.name("provider1")]);
    stage.docker(&["start", &stage.name("consumer1")]);
    stage.await_state("consumer1", "db", "NoListener");
    stage.docker(&["rm", "-f", &stage.name("consumer1"), &stage.name("provider1")]);
    await_wiring(&stage, &[]);
    assert_eq!(stage.docker(&["network", "inspect", &namesake]), picture);
    for id in [namesake.as_str(), String::from_utf8_lossy(&twin.stdout).trim()]
        .into_iter()
        .filter(|id| !id.is_empty())
    {
        stage.docker(&["network", "rm", id]);
    }
}
