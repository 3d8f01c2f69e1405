//! Every text by which an engine is known to refuse, at every place where it may: while it lasts the
//! conditions tell it, and once it is over the engine holds what the labels declare.

use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use super::engine::{Controller, FakeEngine};
use super::faults::Fault;

const LINK: (&str, &str) = ("tieline.link", "app1:80");
const FLAGS: [&str; 2] = ["--resync", "1s"];
/// Scenarios at once.
const AT_ONCE: usize = 4;

/// Operation, status, text, the reason and, where the text is told, what of it.
type Refusal = (&'static str, u16, &'static str, &'static str, &'static str);

/// What keeps a link from being wired.
const WIRING: [Refusal; 16] = [
    ("network_create", 409, "network with name x already exists", "NetworkCreateFailed", "already exists"),
    ("network_create", 500, "network name x already used", "NetworkCreateFailed", "already used"),
    ("network_create", 500, "something is wrong", "NetworkCreateFailed", "something is wrong"),
    ("network_create", 400, "bad parameter", "NetworkCreateFailed", "bad parameter"),
    ("network_create", 403, "operation is not permitted", "NetworkCreateFailed", "not permitted"),
    ("network_create", 404, "plugin \"bridge\" not found", "NetworkCreateFailed", "bridge"),
    ("network_connect", 500, "something is wrong", "ConnectFailed", "something is wrong"),
    (
        "network_connect",
        500,
        "no available IPv4 addresses on this network's address pools",
        "ConnectFailed",
        "IPv4",
    ),
    ("network_connect", 500, "\"\" is not supported: invalid network mode", "ConnectFailed", "network mode"),
    (
        "network_connect",
        400,
        "container cannot be connected to multiple networks",
        "ConnectFailed",
        "multiple",
    ),
    (
        "network_connect",
        403,
        "endpoint with name app1 already exists in network x",
        "ConnectFailed",
        "already exists",
    ),
    ("network_connect", 404, "network x not found", "ConnectFailed", "not found"),
    ("network_connect", 404, "No such container: x", "ConnectFailed", "No such container"),
    ("network_connect", 409, "container is being removed", "ConnectFailed", "being removed"),
    ("network_connect", 503, "no upstream", "EngineUnavailable", "no upstream"),
    ("network_create", 503, "no upstream", "EngineUnavailable", "no upstream"),
];

/// What keeps a path from being proven; afterwards this fake has reasons of its own to refuse.
const PROVING: [Refusal; 6] = [
    (
        "exec_create",
        409,
        "Container x is paused, unpause the container before exec",
        "ContainerPaused",
        "paused",
    ),
    ("exec_create", 409, "Container x is not running", "ContainerNotRunning", "not running"),
    ("exec_create", 404, "No such container: x", "ContainerNotRunning", "No such container"),
    ("exec_create", 403, "exec is not allowed here", "ExecFailed", "not allowed"),
    ("exec_create", 500, "something is wrong", "EngineUnavailable", "something is wrong"),
    ("exec_create", 503, "no upstream", "EngineUnavailable", "no upstream"),
];

/// What keeps what is left over from going.
const CLEANING: [(&str, u16, &str); 6] = [
    ("network_remove", 403, "error while removing network: network x id y has active endpoints"),
    ("network_remove", 500, "network x has associated containers with it"),
    ("network_remove", 500, "something is wrong"),
    ("network_remove", 400, "no"),
    ("network_disconnect", 500, "something is wrong"),
    ("network_disconnect", 403, "operation is not permitted"),
];

/// What keeps the engine from being known.
const LOOKING: [(&str, u16, &str); 7] = [
    ("events", 500, "something is wrong"),
    ("events", 403, "not allowed"),
    ("network_list", 500, "something is wrong"),
    ("network_list", 403, "not allowed"),
    ("container_list", 500, "something is wrong"),
    ("container_list", 404, "page not found"),
    ("container_list", 400, "bad parameter"),
];

fn condition(link: &Value, kind: &str) -> Value {
    let conditions = link["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default()
}

async fn is_told_and_gets_over_it(refusal: Refusal, kind: &'static str) {
    let (operation, status, text, reason, words) = refusal;
    let engine = FakeEngine::start();
    let controller = Controller::start(&engine, &FLAGS);
    controller.ready().await;
    engine.fault(Fault::answer(operation, status, text));
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    let told = || {
        let condition = condition(&controller.link("app1-80"), kind);
        condition["reason"] == reason
            && condition["status"] != "True"
            && condition["message"].as_str().is_some_and(|message| message.contains(words))
    };
    controller.eventually(&format!("{operation} {status} \"{text}\" is told as {reason}"), told).await;
    engine.no_faults();
    let what = format!("{operation} {status} \"{text}\" is got over");
    controller.eventually(&what, || engine.has_only("app1", "app2")).await;
    controller
        .eventually(&what, || condition(&controller.link("app1-80"), "Wired")["status"] == "True")
        .await;
}

async fn gets_rid_of_it(operation: &'static str, status: u16, text: &'static str) {
    let engine = FakeEngine::start();
    let controller = Controller::start(&engine, &FLAGS);
    let provider = engine.run("app1", &[]);
    let consumer = engine.run("app2", &[LINK]);
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    engine.fault(Fault::answer(operation, status, text));
    engine.state().stop_container(&provider);
    engine.state().remove_container(&consumer);
    controller.eventually(&format!("{operation} is tried twice"), || engine.calls_of(operation) >= 2).await;
    assert_eq!(engine.wiring().len(), 1, "{operation} {status}: the network is still there");
    assert!(
        engine.state().try_start(&provider).is_ok(),
        "{operation} {status}: app1 can start all the while"
    );
    engine.no_faults();
    let what = format!("{operation} {status} \"{text}\" is got over");
    controller.eventually(&what, || engine.wiring().is_empty()).await;
    assert!(engine.state().try_start(&provider).is_ok(), "{what}: app1 can start");
}

async fn is_not_ready_meanwhile(operation: &'static str, status: u16, text: &'static str) {
    let engine = FakeEngine::start();
    engine.fault(Fault::answer(operation, status, text));
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    let controller = Controller::start(&engine, &FLAGS);
    let what = format!("{operation} {status} \"{text}\" is told");
    controller.eventually(&what, || controller.get("/readyz").contains(text)).await;
    assert_eq!(engine.calls_of("network_create"), 0, "{what}: nothing is done in the dark");
    engine.no_faults();
    let what = format!("{operation} {status} \"{text}\" is got over");
    controller.eventually(&what, || engine.has_only("app1", "app2")).await;
    controller.ready().await;
}

/// Runs all of them, some at a time.
async fn all<F: Future<Output = ()> + Send + 'static>(scenarios: impl IntoIterator<Item = F>) {
    let mut running = JoinSet::new();
    for scenario in scenarios {
        if running.len() == AT_ONCE {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(scenario);
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_keeps_a_link_from_being_wired_is_told_and_got_over() {
    all(WIRING.map(|refusal| is_told_and_gets_over_it(refusal, "Wired"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_keeps_a_path_from_being_proven_is_told_and_is_no_failure() {
    all(PROVING.map(|refusal| is_told_and_gets_over_it(refusal, "Reachable"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_keeps_a_network_from_going_keeps_no_container_from_starting() {
    all(CLEANING.map(|(operation, status, text)| gets_rid_of_it(operation, status, text))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_keeps_the_engine_from_being_known_is_told_and_got_over() {
    all(LOOKING.map(|(operation, status, text)| is_not_ready_meanwhile(operation, status, text))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_nothing_can_be_done_with_stops_no_other() {
    for operation in ["container_inspect", "network_connect"] {
        let engine = FakeEngine::start();
        let (bad, _) = (engine.run("bad", &[LINK]), engine.run("app1", &[]));
        engine.fault(Fault::answer(operation, 500, "something is wrong").about(&bad));
        let controller = Controller::start(&engine, &FLAGS);
        // A replica of the same workload, so that both are of one edge.
        engine.run("good", &[LINK]);
        let linked = |name: &str| {
            let wiring = engine.wiring();
            wiring
                .iter()
                .any(|(_, on)| [name, "app1"].iter().all(|member| on.contains(&(*member).to_owned())))
        };
        controller.eventually("the good one is linked", || linked("good")).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!linked("bad"));
        engine.no_faults();
        controller.eventually("the bad one is linked", || linked("bad")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn overlaps_that_nobody_sees_end_in_an_exhausted_pool_and_not_in_a_storm() {
    let engine = FakeEngine::start();
    let text = "subnet 10.213.0.0/28 is already used on the host or by another config";
    engine.fault(Fault::answer("network_create", 500, text));
    let controller = Controller::start(&engine, &["--subnet-pool", "10.213.0.0/26"]);
    controller.ready().await;
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    let reason = || condition(&controller.link("app1-80"), "Wired")["reason"].clone();
    controller.eventually("the pool is told to be exhausted", || reason() == "PoolExhausted").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(engine.calls_of("network_create"), 4, "one try for each subnet of the pool");
}
