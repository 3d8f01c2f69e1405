//! An engine that says no, is slow or stumbles, at each call in turn. While it lasts the condition says
//! so; afterwards the engine holds exactly what the labels declare.

use std::time::{Duration, Instant};

use super::picture::{Foreign, await_wiring};
use super::stage::Stage;
use crate::proxy::{Fate, Proxy, Request};

const OVERLAP: &str = "Pool overlaps with other one on this address space";
const FULL: &str = "no available IPv4 addresses on this network's address pools: x (1234)";

/// A refusal at one kind of call, and the reason that links give while it lasts.
#[derive(Clone, Copy)]
struct Refusal {
    /// The end of the request's path, or its method.
    path: &'static str,
    status: u16,
    text: &'static str,
    reason: &'static str,
}

impl Refusal {
    fn meets(&self, request: &Request) -> bool {
        request.method == self.path || request.path.ends_with(self.path)
    }
}

const fn refusal(path: &'static str, status: u16, text: &'static str, reason: &'static str) -> Refusal {
    Refusal { path, status, text, reason }
}

/// What keeps the network of a new link from being made.
const AT_CREATE: [Refusal; 5] = [
    refusal("/networks/create", 500, "iptables failed", "NetworkCreateFailed"),
    refusal("/networks/create", 403, OVERLAP, "PoolExhausted"),
    refusal("/networks/create", 403, "not by this proxy", "NetworkCreateFailed"),
    refusal("/networks/create", 404, "plugin \"bridge\" not found", "NetworkCreateFailed"),
    refusal("/networks/create", 409, "network with name x already exists", "NetworkCreateFailed"),
];

/// What keeps containers from joining it.
const AT_CONNECT: [Refusal; 8] = [
    refusal("/connect", 500, FULL, "ConnectFailed"),
    refusal("/connect", 500, "failed to set up the sandbox", "ConnectFailed"),
    refusal("/connect", 500, "failed to set namespace on link \"veth1\": invalid argument", "NamespaceLost"),
    refusal("/connect", 403, "not by this proxy", "ConnectFailed"),
    refusal("/connect", 404, "network x not found", "ConnectFailed"),
    refusal("/connect", 404, "No such container: x", "ConnectFailed"),
    refusal("/connect", 409, "container is marked for removal", "ConnectFailed"),
    refusal("/connect", 403, "endpoint with name x already exists in network y", "ConnectFailed"),
];

/// What keeps a network from going, once nothing declares it.
const AT_CLEANUP: [Refusal; 6] = [
    refusal("/disconnect", 500, "failed to leave the sandbox", ""),
    refusal("/disconnect", 403, "not by this proxy", ""),
    refusal("/disconnect", 404, "network x not found", ""),
    refusal("DELETE", 403, "error while removing network: network x id y has active endpoints", ""),
    refusal("DELETE", 404, "network x not found", ""),
    refusal("DELETE", 500, "something else", ""),
];

/// A controller behind a proxy, and `app1`, on which something listens.
fn stage(proxy: &Proxy, flags: &[&str]) -> Stage {
    let host = proxy.host();
    let stage = Stage::with(&[&["--host", host.as_str()], flags].concat());
    stage.eventually("the controller is ready", || stage.get("/readyz").0 == 200);
    stage.run_with("app1", &[], &[], super::stage::IMAGE, &["httpd", "-f", "-p", "80"]);
    stage
}

fn to_app1(stage: &Stage) -> String {
    format!("{}:80", stage.name("app1"))
}

fn refuse(proxy: &Proxy, refusal: &Refusal) {
    let refusal = *refusal;
    proxy.judge(move |request| match refusal.meets(request) {
        true => Fate::Answer(refusal.status, refusal.text),
        false => Fate::Pass,
    });
}

/// A link's condition.
fn condition(stage: &Stage, consumer: &str, kind: &str) -> (String, String) {
    let link = stage.link(consumer, "db").unwrap_or_default();
    let conditions = link["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default();
    let word = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (word("status"), word("reason"))
}

/// A link is refused its wiring in each of these ways, and wired when that ends.
fn refuse_wiring(cases: &[Refusal]) {
    let proxy = Proxy::start(None);
    let stage = stage(&proxy, &[]);
    let foreign = Foreign::new(&stage);
    for case in cases {
        let what = format!("{} {} {}", case.path, case.status, case.text);
        let before = proxy.requests().len();
        refuse(&proxy, case);
        stage.create("app2", &[("link.db", &to_app1(&stage))], &["sleep", "100000"]);
        stage.eventually(&format!("{what} is told as {}", case.reason), || {
            condition(&stage, "app2", "Wired") == ("False".to_owned(), case.reason.to_owned())
        });
        assert_eq!(stage.get("/readyz").0, 200, "{what}");
        if case.text.contains("endpoint") {
            // An endpoint that nobody is at is in the way until it is detached.
            let detached = |request: &Request| request.path.ends_with("/disconnect");
            stage.eventually("it is detached", || proxy.requests()[before..].iter().any(detached));
        }
        proxy.be_honest();
        let end = Instant::now();
        await_wiring(&stage, &[&["app1", "app2"]]);
        stage.eventually("the condition says so", || condition(&stage, "app2", "Wired").0 == "True");
        println!("{what}: over after {:?}", end.elapsed());
        stage.docker(&["rm", "-f", &stage.name("app2")]);
        await_wiring(&stage, &[]);
    }
    foreign.assert_untouched();
}

#[test]
fn each_refusal_of_a_network_is_a_reason_and_passes() {
    refuse_wiring(&AT_CREATE);
}

#[test]
fn each_refusal_of_a_connection_is_a_reason_and_passes() {
    refuse_wiring(&AT_CONNECT);
}

#[test]
fn each_refusal_of_cleaning_up_passes() {
    let proxy = Proxy::start(None);
    let stage = stage(&proxy, &[]);
    let foreign = Foreign::new(&stage);
    for case in &AT_CLEANUP {
        let what = format!("{} {} {}", case.path, case.status, case.text);
        stage.create("app2", &[("link.db", &to_app1(&stage))], &["sleep", "100000"]);
        await_wiring(&stage, &[&["app1", "app2"]]);
        let before = proxy.requests().len();
        refuse(&proxy, case);
        stage.docker(&["rm", "-f", &stage.name("app2")]);
        stage.eventually(&format!("{what} was met"), || {
            proxy.requests()[before..].iter().filter(|request| case.meets(request)).count() >= 2
        });
        assert_eq!(stage.networks().len(), 1, "{what}");
        proxy.be_honest();
        let end = Instant::now();
        await_wiring(&stage, &[]);
        println!("{what}: over after {:?}", end.elapsed());
    }
    foreign.assert_untouched();
}

#[test]
fn what_was_done_and_not_answered_is_not_done_twice() {
    let proxy = Proxy::start(None);
    let stage = stage(&proxy, &[]);
    let foreign = Foreign::new(&stage);
    for lost in ["/networks/create", "/connect", "/disconnect", "DELETE"] {
        let lose = Refusal { path: lost, status: 0, text: "", reason: "" };
        let mut left = 2;
        proxy.judge(move |request| {
            let loses = left > 0 && lose.meets(request);
            left -= i32::from(loses);
            if loses { Fate::LoseReply } else { Fate::Pass }
        });
        stage.create("app2", &[("link.db", &to_app1(&stage))], &["sleep", "100000"]);
        await_wiring(&stage, &[&["app1", "app2"]]);
        stage.eventually("the condition says so", || condition(&stage, "app2", "Wired").0 == "True");
        stage.docker(&["rm", "-f", &stage.name("app2")]);
        await_wiring(&stage, &[]);
    }
    foreign.assert_untouched();
}

#[test]
fn an_engine_that_executes_nothing_makes_links_unknown_and_wires_on() {
    let proxy = Proxy::start(None);
    let stage = stage(&proxy, &["--interval", "1s"]);
    stage.run("app2", &[("link.db", &to_app1(&stage))]);
    stage.await_state("app2", "db", "Ready");
    let cases = [
        refusal("/exec", 403, "exec is not allowed", "ExecFailed"),
        refusal("/exec", 404, "No such container: x", "ContainerNotRunning"),
        refusal("/exec", 409, "Container x is not running", "ContainerNotRunning"),
        refusal("/exec", 500, "cannot start a process", "EngineUnavailable"),
        refusal("/start", 403, "exec is not allowed", "ExecFailed"),
        refusal("/start", 404, "No such exec instance: x", "ContainerNotRunning"),
    ];
    for case in &cases {
        let what = format!("{} {} {}", case.path, case.status, case.text);
        refuse(&proxy, case);
        stage.eventually(&format!("{what} is told as {}", case.reason), || {
            condition(&stage, "app2", "Reachable") == ("Unknown".to_owned(), case.reason.to_owned())
        });
        assert_eq!(stage.link("app2", "db").unwrap()["state"], "Unknown", "{what}");
        assert_eq!(condition(&stage, "app2", "Wired").0, "True", "{what}");
        stage.create("app3", &[("link.db", &to_app1(&stage))], &["sleep", "100000"]);
        stage.eventually("wiring goes on", || stage.attachments("app3").len() == 1);
        proxy.be_honest();
        let end = Instant::now();
        stage.await_state("app2", "db", "Ready");
        println!("{what}: over after {:?}", end.elapsed());
        stage.docker(&["rm", "-f", &stage.name("app3")]);
    }
    let (_, history) = stage.get("/api/v1/events");
    assert!(!history.contains("Unreachable"), "what could not be tried was called broken: {history}");
}

#[test]
fn containers_that_cannot_be_inspected_are_seen_when_they_can() {
    let proxy = Proxy::start(None);
    let stage = stage(&proxy, &[]);
    for status in [500, 403, 409] {
        proxy.judge(move |request| {
            match request.path.starts_with("/containers/") && request.method == "GET" {
                true if request.path != "/containers/json" => Fate::Answer(status, "look away"),
                _ => Fate::Pass,
            }
        });
        stage.run("app2", &[("link.db", &to_app1(&stage))]);
        std::thread::sleep(Duration::from_secs(1));
        assert!(stage.link("app2", "db").is_none());
        proxy.be_honest();
        let end = Instant::now();
        stage.await_state("app2", "db", "Ready");
        println!("inspect {status}: over after {:?}", end.elapsed());
        stage.docker(&["rm", "-f", &stage.name("app2")]);
        await_wiring(&stage, &[]);
    }
}
