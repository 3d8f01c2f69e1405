//! What goes, what stays, and what is never touched.

use std::time::Duration;

use super::stage::{IMAGE, Stage};

fn linked(stage: &Stage) {
    stage.run("app1", &[]);
    let target = format!("{}:80", stage.name("app1"));
    stage.run("app2", &[("link.one", &target), ("link.one.handshake", "exchange")]);
    stage.await_state("app2", "one", "Ready");
}

#[test]
fn a_network_goes_when_nobody_declares_it_any_more() {
    let stage = Stage::new();
    linked(&stage);
    stage.docker(&["rm", "-f", &stage.name("app2")]);
    stage.eventually("the network is gone", || stage.networks().is_empty());
    assert!(stage.attachments("app1").is_empty());
    assert!(stage.link("app2", "one").is_none());
}

#[test]
fn a_stopped_consumer_still_declares_and_starts_again() {
    let stage = Stage::new();
    linked(&stage);
    stage.docker(&["stop", "-t", "0", &stage.name("app2")]);
    let link = stage.await_state("app2", "one", "Pending");
    assert_eq!(link["conditions"][1]["reason"], "ConsumerNotRunning");
    // Well beyond the grace period of this stage.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(stage.networks().len(), 1);
    stage.docker(&["start", &stage.name("app2")]);
    stage.await_state("app2", "one", "Ready");
}

#[test]
fn a_stopped_provider_whose_consumer_went_starts_again() {
    let stage = Stage::new();
    linked(&stage);
    stage.docker(&["stop", "-t", "0", &stage.name("app1")]);
    stage.docker(&["rm", "-f", &stage.name("app2")]);
    stage.eventually("the network is gone", || stage.networks().is_empty());
    stage.docker(&["start", &stage.name("app1")]);
}

#[test]
fn a_controller_that_was_killed_adopts_what_is_there() {
    let mut stage = Stage::new();
    linked(&stage);
    let ids = |stage: &Stage| stage.networks().iter().map(|net| net["Id"].clone()).collect::<Vec<_>>();
    let before = ids(&stage);
    stage.kill_controller();
    stage.docker(&["restart", "-t", "0", &stage.name("app1")]);
    stage.start_controller();
    stage.await_state("app2", "one", "Ready");
    assert_eq!(ids(&stage), before);
    assert_eq!(stage.metric("tieline_engine_requests_total{operation=\"network_connect\"}"), Some(0.0));
}

#[test]
fn links_stay_up_when_the_controller_ends_and_teardown_removes_them() {
    let mut stage = Stage::new();
    linked(&stage);
    assert_eq!(stage.stop_controller(), Some(0));
    assert_eq!(stage.networks().len(), 1, "links stay up");
    let plan = stage.tieline(&["plan"]);
    assert_eq!(
        String::from_utf8_lossy(&plan.stdout),
        "nothing to do: the engine holds what the labels declare\n"
    );
    let teardown = stage.tieline(&["teardown"]);
    assert_eq!(teardown.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&teardown.stdout).starts_with("removed network "));
    assert!(stage.networks().is_empty());
    assert!(String::from_utf8_lossy(&stage.tieline(&["teardown"]).stdout).starts_with("nothing to remove"));
}

#[test]
fn stopped_containers_start_again_when_somebody_removed_their_network() {
    let stage = Stage::new();
    linked(&stage);
    let old = stage.networks()[0]["Id"].clone();
    stage.docker(&["stop", "-t", "0", &stage.name("app1"), &stage.name("app2")]);
    // What `docker network prune` does to a network of stopped containers.
    stage.docker(&["network", "rm", old.as_str().unwrap()]);
    stage.eventually("there is a new network", || stage.networks().iter().any(|net| net["Id"] != old));
    stage.eventually("nobody refers to the old one", || {
        ["app1", "app2"].iter().all(|name| {
            let networks = stage.inspect(name)["NetworkSettings"]["Networks"].clone();
            networks.as_object().unwrap().values().all(|endpoint| endpoint["NetworkID"] != old)
        })
    });
    stage.docker(&["start", &stage.name("app1"), &stage.name("app2")]);
    stage.await_state("app2", "one", "Ready");
}

#[test]
fn a_link_that_found_the_pool_full_gets_the_first_subnet_that_is_free() {
    let mut stage = Stage::dark(&[]);
    stage.shrink_pool();
    stage.start_controller();
    linked(&stage);
    let target = format!("{}:80", stage.name("app1"));
    stage.run("app3", &[("link.one", &target), ("link.one.handshake", "exchange")]);
    stage.eventually("the link finds the pool exhausted", || {
        stage.link("app3", "one").is_some_and(|link| link["conditions"][2]["reason"] == "PoolExhausted")
    });
    assert_eq!(stage.link("app3", "one").unwrap()["state"], "Wiring");
    assert_eq!(stage.link("app2", "one").unwrap()["state"], "Ready", "the others do not mind");
    assert_eq!(stage.metric("tieline_subnets_free"), Some(0.0));
    stage.docker(&["rm", "-f", &stage.name("app2")]);
    stage.await_state("app3", "one", "Ready");
}

#[test]
fn foreign_networks_and_containers_are_left_as_they_are() {
    let stage = Stage::new();
    let foreign = stage.name("foreign");
    // One label short of being ours.
    stage.docker(&[
        "network",
        "create",
        "--internal",
        "--label",
        &format!("tieline.managed-by={}", stage.id),
        &foreign,
    ]);
    stage.run_with("bystander", &[], &["--network", &foreign], IMAGE, &["sleep", "100000"]);
    let picture = || {
        let network = stage.docker(&["network", "inspect", &foreign]);
        (network, stage.inspect("bystander").to_string())
    };
    let before = picture();
    linked(&stage);
    stage.docker(&["rm", "-f", &stage.name("app2")]);
    stage.eventually("our own network is gone", || stage.networks().len() == 1);
    assert_eq!(picture(), before);
    assert_eq!(String::from_utf8_lossy(&stage.tieline(&["teardown"]).stdout).lines().count(), 1);
    assert_eq!(picture(), before);
    stage.docker(&["rm", "-f", &stage.name("bystander")]);
    stage.docker(&["network", "rm", &foreign]);
}
