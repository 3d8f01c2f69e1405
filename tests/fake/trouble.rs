//! What the controller does when the engine does not play along. Each ends with the engine holding
//! exactly what the labels declare.

use std::time::{Duration, Instant};

use super::engine::{Controller, FakeEngine};
use super::events::Flow;
use super::faults::{Fault, What};
use super::state::{Attachment, Network, State};

const LINK: (&str, &str) = ("tieline.link", "app1:80");

/// Whether app1 is linked to so many consumers, each by a network of their own.
fn are_linked(engine: &FakeEngine, consumers: usize) -> bool {
    let wiring = engine.wiring();
    wiring.len() == consumers && wiring.iter().all(|(_, on)| on.len() == 2 && on.contains(&"app1".to_owned()))
}

/// A controller that has linked app1 to one consumer, whose id is said.
async fn linked(engine: &FakeEngine) -> (Controller, String) {
    let controller = Controller::start(engine, &[]);
    controller.ready().await;
    engine.run("app1", &[]);
    let consumer = engine.run("app2", &[LINK]);
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    (controller, consumer)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_engine_and_the_controller_understand_each_other() {
    let engine = FakeEngine::start();
    let (controller, app2) = linked(&engine).await;
    assert!(engine.state().networks.values().all(|network| network.internal));
    engine.state().remove_container(&app2);
    controller.eventually("the network is gone", || engine.wiring().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_finds_what_events_did_not_tell() {
    let engine = FakeEngine::start();
    let controller = Controller::start(&engine, &["--resync", "1s"]);
    controller.ready().await;
    engine.state().events.flow = Flow::Lost;
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
        state.events.flow = Flow::Lost;
        for (name, labels) in [("app1", &[][..]), ("app2", &[LINK][..])] {
            let id = state.create_container(name, labels);
            state.start_container(&id).unwrap();
        }
        state.events.flow = Flow::Sent;
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
        engine.fault(Fault::answer(operation, 500, "something is wrong").every(3));
    }
    let controller = Controller::start(&engine, &[]);
    engine.run("app1", &[]);
    let consumers: Vec<String> = ["a", "b", "c", "d"].iter().map(|name| engine.run(name, &[LINK])).collect();
    controller.eventually("all four are linked", || are_linked(&engine, 4)).await;
    for id in &consumers[1..] {
        engine.state().remove_container(id);
    }
    controller.eventually("one is left", || engine.has_only("a", "app1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_that_the_engine_refuses_is_not_tried_again() {
    let engine = FakeEngine::start();
    engine.fault(Fault::answer("network_create", 403, "Pool overlaps with other one on this address space"));
    let controller = Controller::start(&engine, &[]);
    controller.ready().await;
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    controller.eventually("three subnets were tried", || engine.calls_of("network_create") >= 3).await;
    engine.no_faults();
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    let state = engine.state();
    assert_ne!(state.networks.values().next().unwrap().subnet, "10.213.0.0/28");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_reason_and_tried_again() {
    let engine = FakeEngine::start();
    engine.fault(Fault::answer("network_connect", 400, "no, because of the moon"));
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
    engine.no_faults();
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    controller
        .eventually("the reason is gone", || controller.link("app1-80")["conditions"][2]["status"] == "True")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_networks_of_one_edge_the_one_in_use_stays() {
    // As an earlier version called it.
    const USED: &str = "tieline_app2_app1_10.213.0.16";
    let engine = FakeEngine::start();
    let labels =
        [("tieline.managed-by", "tieline"), ("tieline.consumer", "app2"), ("tieline.provider", "app1")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let network = |name: &str, subnet: &str| Network {
        name: name.to_owned(),
        labels: std::collections::BTreeMap::clone(&labels),
        subnet: subnet.to_owned(),
        internal: true,
        ..Network::default()
    };
    {
        let mut state = engine.state();
        state.create_network(network("zzzz_tieline_app2_app1_10.213.0.0", "10.213.0.0/28")).unwrap();
        let used = state.create_network(network(USED, "10.213.0.16/28")).unwrap();
        for (name, labels) in [("app1", &[][..]), ("app2", &[LINK][..])] {
            let id = state.create_container(name, labels);
            state.start_container(&id).unwrap();
            let wish = Attachment { aliases: vec![name.to_owned()], ..Attachment::default() };
            state.connect(&used, &id, wish).unwrap();
        }
    }
    let controller = Controller::start(&engine, &[]);
    controller.eventually("one is left", || engine.has_only("app1", "app2")).await;
    assert_eq!(engine.wiring()[0].0, USED);
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
    assert_eq!(engine.state().calls[before..], [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_at_every_third_call_of_all_delay_but_do_not_lose() {
    let engine = FakeEngine::start();
    engine.fault(Fault::everywhere(What::Answer(500, "something is wrong".to_owned())).every(3));
    engine.run("app1", &[]);
    let consumers: Vec<String> = ["a", "b", "c"].iter().map(|name| engine.run(name, &[LINK])).collect();
    let controller = Controller::start(&engine, &[]);
    controller.eventually("all three are linked", || are_linked(&engine, 3)).await;
    for id in &consumers[1..] {
        engine.state().remove_container(id);
    }
    controller.eventually("one is left", || engine.has_only("a", "app1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_takes_two_seconds_for_each_call_is_waited_for() {
    let engine = FakeEngine::start();
    engine.fault(Fault::everywhere(What::Delay(Duration::from_secs(2))));
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    let controller = Controller::start(&engine, &[]);
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    assert_eq!(engine.calls_of("network_create"), 1, "nothing is done twice for want of patience");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_holds_up_its_own_edge_alone() {
    let engine = FakeEngine::start();
    let controller = Controller::start(&engine, &[]);
    controller.ready().await;
    engine.run("app1", &[]);
    let stuck = engine.run("stuck", &[]);
    engine.fault(Fault::at("network_connect", What::Hang).about(&stuck));
    engine.run("app3", &[("tieline.link", "stuck:80")]);
    controller.eventually("it hangs", || engine.calls_of("network_connect") > 0).await;
    engine.run("app2", &[LINK]);
    let linked = |pair: [&str; 2]| engine.wiring().iter().any(|(_, on)| pair.map(str::to_owned) == on[..]);
    controller.eventually("the others are linked", || linked(["app1", "app2"])).await;
    assert!(!linked(["stuck", "app3"]));
    engine.no_faults();
    controller.eventually("so is that one", || linked(["stuck", "app3"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_made_good_whichever_it_is() {
    for operation in ["network_create", "network_connect", "network_disconnect", "network_remove"] {
        for what in [What::DropBefore, What::DropAfter] {
            let engine = FakeEngine::start();
            let controller = Controller::start(&engine, &[]);
            controller.ready().await;
            engine.fault(Fault::at(operation, what.clone()).every(2));
            engine.run("app1", &[]);
            let consumers: Vec<String> = ["a", "b"].iter().map(|name| engine.run(name, &[LINK])).collect();
            let both = || engine.wiring().len() == 2 && engine.wiring().iter().all(|(_, on)| on.len() == 2);
            controller.eventually(&format!("{operation} {what:?}: both are linked"), both).await;
            engine.state().remove_container(&consumers[1]);
            let what = format!("{operation} {what:?}: one is left");
            controller.eventually(&what, || engine.has_only("a", "app1")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_in_an_event_or_talks_nonsense_is_made_anew() {
    let engine = FakeEngine::start();
    let controller = Controller::start(&engine, &[]);
    controller.ready().await;
    engine.state().events.flow = Flow::Lost;
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    engine.state().events.cut_in_frame();
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    engine.run("app3", &[("tieline.link", "app1:80")]);
    engine.state().events.send("{\"Type\": nonsense\n".to_owned());
    controller.eventually("app3 is linked", || engine.wiring().len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_somebody_else_takes_at_the_same_moment_is_given_up() {
    let engine = FakeEngine::start();
    engine.state().unique_names = true;
    let controller = Controller::start(&engine, &["--interval", "1h"]);
    controller.ready().await;
    // Nobody tells of it, and it takes the name alone, not the subnet.
    let foreign = Network {
        name: "zzzz_tieline_app2_app1_10.213.0.0".to_owned(),
        subnet: "192.168.7.0/24".to_owned(),
        ..Network::default()
    };
    engine.state().events.flow = Flow::Lost;
    engine.state().create_network(foreign).unwrap();
    engine.state().events.flow = Flow::Sent;
    engine.run("app1", &[]);
    engine.run("app2", &[LINK]);
    controller.eventually("they are linked", || engine.has_only("app1", "app2")).await;
    assert_eq!(engine.wiring()[0].0, "zzzz_tieline_app2_app1_10.213.0.16");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refers_to_a_network_that_went_in_the_dark_is_healed_on_no_edge_either() {
    let engine = FakeEngine::start();
    let (controller, consumer) = linked(&engine).await;
    drop(controller);
    {
        // The controller is down: the provider goes, the consumer stops, and somebody tidies up.
        let mut state = engine.state();
        let provider = state.named("app1").unwrap();
        state.stop_container(&consumer);
        state.remove_container(&provider);
        let network = state.networks.keys().next().unwrap().clone();
        state.remove_network(&network).unwrap();
        assert!(state.try_start(&consumer).is_err());
    }
    let controller = Controller::start(&engine, &[]);
    controller.eventually("app2 can start", || engine.state().try_start(&consumer).is_ok()).await;
    assert_eq!(engine.calls_of("network_disconnect"), 1);
}

/// A container in the namespace of `app1`, not started, that somebody connected to the link's network.
fn connected_guest(state: &mut State) -> String {
    let guest = state.create_container("guest", &[]);
    state.containers.get_mut(&guest).unwrap().mode = "container:app1".to_owned();
    let network = state.networks.keys().next().unwrap().clone();
    state.connect(&network, &guest, Attachment::default()).unwrap();
    guest
}

/// On Engine 28 a container in another one's namespace does not start with a network that somebody connected it to.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_in_another_s_namespace_is_detached_so_that_it_starts() {
    let engine = FakeEngine::start();
    engine.state().connected_guests_start = false;
    let (controller, _) = linked(&engine).await;
    let guest = {
        let mut state = engine.state();
        let guest = connected_guest(&mut state);
        assert!(state.try_start(&guest).is_err());
        guest
    };
    controller.eventually("it can start", || engine.state().try_start(&guest).is_ok()).await;
    assert_eq!(engine.calls_of("network_disconnect"), 1);
    assert!(engine.has_only("app1", "app2"));
}

/// Nobody can detach it while it runs, and it starts without the network.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_put_on_a_network_and_lives_in_another_s_namespace_holds_nothing_back() {
    let engine = FakeEngine::start();
    let (controller, consumer) = linked(&engine).await;
    let guest = {
        let mut state = engine.state();
        let guest = connected_guest(&mut state);
        state.start_container(&guest).unwrap();
        state.remove_container(&consumer);
        guest
    };
    controller.eventually("the network is gone", || engine.wiring().is_empty()).await;
    assert!(engine.state().try_start(&guest).is_ok());
}
