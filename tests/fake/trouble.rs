//! What the controller does when the engine does not play along. Each ends with the engine holding
//! exactly what the labels declare.

use std::time::{Duration, Instant};

use super::engine::{Controller, FakeEngine};
use super::state::Network;

const LINK: (&str, &str) = ("tieline.link", "app1:80");

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_engine_and_the_controller_understand_each_other() {
    let engine = FakeEngine::start();
    let controller = Controller::start(&engine, &[]);
    controller.ready().await;
    engine.run("app1", &[]);
    let app2 = engine.run("app2", &[LINK]);
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    assert!(engine.state().networks.values().all(|network| network.internal));
    engine.state().remove_container(&app2);
    controller.eventually("the network is gone", || engine.wiring().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_finds_what_events_did_not_tell() {
    let engine = FakeEngine::start();
    let controller = Controller::start(&engine, &["--resync", "1s"]);
    controller.ready().await;
    engine.state().mute = true;
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    assert!(controller.metric("tieline_resync_repairs_total") >= 2.0);
    assert_eq!(controller.metric("tieline_events_total{action=\"create\",type=\"container\"}"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_stream_is_made_anew_at_once_and_followed_by_a_list() {
    let engine = FakeEngine::start();
    let controller = Controller::start(&engine, &[]);
    controller.ready().await;
    {
        let mut state = engine.state();
        state.mute = true;
        for (name, labels) in [("app1", &[][..]), ("app2", &[LINK][..])] {
            let id = state.create_container(name, labels);
            state.start_container(&id);
        }
        state.mute = false;
    }
    let cut = Instant::now();
    engine.cut_events();
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    assert!(cut.elapsed() < Duration::from_secs(5), "it waited for its resync");
    assert_eq!(controller.metric("tieline_event_stream_restarts_total{reason=\"ended\"}"), 1.0);
    controller.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_went_away_is_found_again() {
    let mut engine = FakeEngine::start();
    let controller = Controller::start(&engine, &[]);
    controller.ready().await;
    engine.go_away();
    controller.eventually("it knows", || controller.get("/readyz").contains("is lost")).await;
    assert_eq!(controller.metric("tieline_engine_up"), 0.0);
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    engine.listen();
    let back = Instant::now();
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    assert!(back.elapsed() < Duration::from_secs(5), "it did not notice that the engine is back");
    assert_eq!(controller.metric("tieline_engine_up"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_at_every_third_call_delay_but_do_not_lose() {
    let engine = FakeEngine::start();
    for operation in
        ["container_inspect", "network_create", "network_connect", "network_disconnect", "network_remove"]
    {
        engine.fault(operation, 500, "something is wrong", 3);
    }
    let controller = Controller::start(&engine, &[]);
    engine.run("app1", &[]);
    let consumers: Vec<String> = ["a", "b", "c", "d"].iter().map(|name| engine.run(name, &[LINK])).collect();
    controller
        .eventually("all four are linked", || {
            let wiring = engine.wiring();
            wiring.len() == 4 && wiring.iter().all(|(_, on)| on.len() == 2 && on.contains(&"app1".to_owned()))
        })
        .await;
    for id in &consumers[1..] {
        engine.state().remove_container(id);
    }
    controller.eventually("one is left", || engine.has_only("a", "app1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_that_the_engine_refuses_is_not_tried_again() {
    let engine = FakeEngine::start();
    engine.fault("network_create", 403, "Pool overlaps with other one on this address space", 1);
    let controller = Controller::start(&engine, &[]);
    controller.ready().await;
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    controller.eventually("three subnets were tried", || engine.calls_of("network_create") >= 3).await;
    engine.state().faults.clear();
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    let state = engine.state();
    assert_ne!(state.networks.values().next().unwrap().subnet, "10.213.0.0/28");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_reason_and_tried_again() {
    let engine = FakeEngine::start();
    engine.fault("network_connect", 400, "no, because of the moon", 1);
    let controller = Controller::start(&engine, &[]);
    controller.ready().await;
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    controller
        .eventually("it says why", || controller.link("app1-80")["message"].to_string().contains("the moon"))
        .await;
    let link = controller.link("app1-80");
    assert_eq!(link["state"], "Wiring");
    assert_eq!(link["conditions"][2]["reason"], "ConnectFailed");
    engine.state().faults.clear();
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    controller
        .eventually("the reason is gone", || controller.link("app1-80")["conditions"][2]["status"] == "True")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_networks_of_one_edge_the_one_in_use_stays() {
    let engine = FakeEngine::start();
    let labels =
        [("tieline.managed-by", "tieline"), ("tieline.consumer", "app2"), ("tieline.provider", "app1")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let network = |name: &str, subnet: &str| Network {
        name: name.to_owned(),
        labels: std::collections::BTreeMap::clone(&labels),
        subnet: subnet.to_owned(),
        internal: true,
        created: 0,
    };
    {
        let mut state = engine.state();
        state.create_network(network("unused", "10.213.0.0/28")).unwrap();
        let used = state.create_network(network("used", "10.213.0.16/28")).unwrap();
        for (name, labels) in [("app1", &[][..]), ("app2", &[LINK][..])] {
            let id = state.create_container(name, labels);
            state.start_container(&id);
            state.connect(&used, &id, vec![name.to_owned()], "").unwrap();
        }
    }
    let controller = Controller::start(&engine, &[]);
    controller.eventually("one is left", || engine.has_only("app1", "app2")).await;
    assert_eq!(engine.wiring()[0].0, "used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_at_rest_calls_nobody() {
    let engine = FakeEngine::start();
    let controller = Controller::start(&engine, &["--interval", "1h"]);
    controller.ready().await;
    engine.run("app1", &[]);
    engine.run("app2", &[LINK, ("tieline.link.app1-80.handshake", "none")]);
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = engine.state().calls.len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(engine.state().calls[before..], [] as [String; 0]);
}
