//! How the engine makes networks, and which ones are ours.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::engine::{Controller, FakeEngine};
use super::faults::{Fault, What};
use super::state::{Attachment, Network};

const LINK: (&str, &str) = ("tieline.link", "app1:80");
const ICC: &str = "com.docker.network.bridge.enable_icc";
const IPV6: &str = "com.docker.network.enable_ipv6";

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// A network with the labels of the link from `app2` to `app1`, made by somebody else.
fn labelled(name: &str, subnet: &str) -> Network {
    let labels = texts([
        ("tieline.managed-by", "tieline"),
        ("tieline.consumer", "app2"),
        ("tieline.provider", "app1"),
    ]);
    Network { name: name.to_owned(), labels, subnet: subnet.to_owned(), internal: true, ..Network::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_of_the_daemon_do_not_reach_link_networks() {
    let engine = FakeEngine::start();
    engine.state().network_defaults = texts([(ICC, "false"), (IPV6, "true")]);
    let controller = Controller::start(&engine, &[]);
    controller.ready().await;
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    let state = engine.state();
    let network = state.networks.values().next().unwrap();
    assert_eq!((network.options[ICC].as_str(), network.ipv6), ("true", false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_the_engine_makes_otherwise_is_removed_and_told() {
    let engine = FakeEngine::start();
    engine.state().network_overrides = texts([(ICC, "false")]);
    let controller = Controller::start(&engine, &[]);
    controller.ready().await;
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    let reason = || controller.link("app1-80")["conditions"][2]["reason"] == "NetworkCreateFailed";
    controller.eventually("it is told", reason).await;
    let link = controller.link("app1-80");
    assert!(link.to_string().contains("enable_icc"), "{link}");
    controller.eventually("nothing is left", || engine.wiring().is_empty()).await;
    // It is tried again seldom, although each try makes events, and is well once the engine does as it is asked.
    let (before, since) = (engine.calls_of("network_create"), Instant::now());
    tokio::time::sleep(Duration::from_secs(6)).await;
    let tries = engine.calls_of("network_create") - before;
    assert!(tries as u64 <= since.elapsed().as_secs() / 5 + 1, "{tries} in {:?}", since.elapsed());
    engine.state().network_overrides.clear();
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_only_its_labels_call_ours_is_neither_joined_nor_removed() {
    let engine = FakeEngine::start();
    let ours = "zzzz_tieline_app2_app1_192.168.9.0";
    let pretenders = [
        labelled("aaa-mine", "192.168.7.0/24"),
        Network { internal: false, ..labelled(ours, "192.168.9.0/24") },
    ];
    let pretenders = pretenders.map(|network| engine.state().create_network(network).unwrap());
    let spy = engine.run("spy", &[]);
    for id in &pretenders {
        engine.state().connect(id, &spy, Attachment::default()).unwrap();
    }
    let controller = Controller::start(&engine, &[]);
    controller.ready().await;
    let app1 = engine.run("app1", &[]);
    let app2 = engine.run("app2", &[LINK]);
    let links_of = |id: &str| engine.state().containers[id].attachments.len();
    controller.eventually("they are linked", || links_of(&app1) == 1 && links_of(&app2) == 1).await;
    engine.state().remove_container(&app2);
    controller.eventually("the link's own network is gone", || engine.state().networks.len() == 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(links_of(&spy), 2, "whoever is there stays there");
    let log = controller.log();
    for (name, why) in [("aaa-mine", "its name is not made from"), (ours, "it is not internal")] {
        let told = log.lines().filter(|line| line.contains("WARN") && line.contains(name)).count();
        assert_eq!(told, 1, "{name}: {log}");
        assert!(log.lines().any(|line| line.contains(name) && line.contains(why)), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_has_the_label_of_a_helper_and_a_network_is_a_stranger_like_others() {
    let engine = FakeEngine::start();
    let controller = Controller::start(&engine, &["--resync", "1s"]);
    controller.ready().await;
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    let network = engine.state().networks.keys().next().unwrap().clone();
    // One has the label alone; the other the name as well.
    for name in ["spy", "x_helper_0123456789ab_01234567"] {
        let spy = engine.run(name, &[("tieline.helper", "x")]);
        engine.state().connect(&network, &spy, Attachment::default()).unwrap();
    }
    controller.eventually("both are out", || engine.has_only("app1", "app2")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_without_communication_that_was_there_is_replaced() {
    let engine = FakeEngine::start();
    let old = Network {
        options: texts([(ICC, "false")]),
        ..labelled("tieline_app2_app1_10.213.0.0", "10.213.0.0/28")
    };
    let old = engine.state().create_network(old).unwrap();
    for (name, labels) in [("app1", &[][..]), ("app2", &[LINK][..])] {
        let id = engine.run(name, labels);
        let wish = Attachment { aliases: vec![name.to_owned()], ..Attachment::default() };
        engine.state().connect(&old, &id, wish).unwrap();
    }
    let controller = Controller::start(&engine, &[]);
    let replaced = || !engine.state().networks.contains_key(&old) && engine.has_only("app1", "app2");
    controller.eventually("another network carries the link", replaced).await;
}

/// The engine tells of no connect of a container that does not run.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_attached_between_the_list_and_the_removal_is_freed_at_once() {
    let engine = FakeEngine::start();
    let controller = Controller::start(&engine, &["--resync", "1h"]);
    controller.ready().await;
    engine.run("app1", &[]);
    let app2 = engine.run("app2", &[LINK]);
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    let late = engine.state().create_container("late", &[]);
    let network = engine.state().networks.keys().next().unwrap().clone();
    engine.fault(Fault::at("network_remove", What::Delay(Duration::from_secs(1))));
    engine.state().remove_container(&app2);
    controller.eventually("the removal is under way", || engine.calls_of("network_remove") > 0).await;
    engine.state().connect(&network, &late, Attachment::default()).unwrap();
    controller.eventually("the network is gone", || engine.state().networks.is_empty()).await;
    controller.eventually("the container can start", || engine.state().try_start(&late).is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_cannot_be_inspected_holds_back_its_own_links_alone() {
    let engine = FakeEngine::start();
    let (first, second) = {
        let controller = Controller::start(&engine, &[]);
        controller.ready().await;
        engine.run("app1", &[]);
        let first = engine.run("app2", &[LINK]);
        let second = engine.run("app3", &[LINK]);
        controller.eventually("both are linked", || engine.wiring().len() == 2).await;
        controller.eventually("all are on", || engine.wiring().iter().all(|(_, on)| on.len() == 2)).await;
        (first, second)
    };
    engine.fault(Fault::at("container_inspect", What::Hang).about(&first));
    let controller = Controller::start(&engine, &[]);
    engine.state().remove_container(&second);
    controller.eventually("the other link's network is gone", || engine.has_only("app1", "app2")).await;
    engine.no_faults();
    controller.eventually("it is seen again", || controller.link("app1-80")["consumer"] == "app2").await;
    assert!(engine.has_only("app1", "app2"));
}
