//! What people do to containers and networks by hand and by compose.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::compose::Compose;
use super::foreign::{Foreign, converse, goes_on};
use super::stage::{IMAGE, Stage, is_link_network};
use crate::facts::{self, Fact};

/// `app2` links to `app1`, and both are on a network of their own too, where they talk.
fn linked(stage: &Stage) -> String {
    let own = format!("own-{}", stage.id);
    stage.docker(&["network", "create", "--label", &stage.owner_label(), &own]);
    let sleep = ["sleep", "100000"];
    stage.run_with("app1", &[], &["--network", &own], IMAGE, &sleep);
    let target = format!("{}:80", stage.name("app1"));
    let labels = [("link.one", target.as_str()), ("link.one.handshake", "exchange")];
    stage.run_with("app2", &labels, &["--network", &own], IMAGE, &sleep);
    converse(stage, "app2", "app1");
    stage.settle("linked");
    own
}

fn ids(stage: &Stage) -> Vec<Value> {
    stage.networks().iter().map(|network| network["Id"].clone()).collect()
}

/// What a container has besides our networks.
fn others(stage: &Stage, short: &str) -> (Value, String) {
    let mut networks = stage.inspect(short)["NetworkSettings"]["Networks"].clone();
    networks.as_object_mut().unwrap().retain(|name, _| !is_link_network(&stage.instance, name));
    (networks, stage.shell(short, "ip route | grep -v '^10\\.2[23]'"))
}

#[test]
fn what_is_attached_and_detached_by_hand() {
    let stage = Stage::new();
    let foreign = Foreign::new(&stage);
    let own = linked(&stage);
    let before = ["app1", "app2"].map(|name| others(&stage, name));
    let (app1, app2) = (stage.name("app1"), stage.name("app2"));
    let [network] = &stage.attachments("app1")[..] else { panic!("app1 is on one link network") };

    for name in [&app1, &app2] {
        stage.docker(&["network", "disconnect", network, name]);
        stage.settle("a member is back");
    }
    stage.docker(&["network", "disconnect", network, &app1]);
    stage.docker(&["network", "disconnect", network, &app2]);
    stage.settle("both members are back");

    // Somebody else on our network is thrown out; where a member is besides, is nobody's business.
    stage.run("stranger", &[]);
    stage.docker(&["network", "connect", network, &stage.name("stranger")]);
    stage.settle("the stranger is out");
    assert_eq!(others(&stage, "stranger").0.as_object().unwrap().len(), 1, "its own network is left");
    stage.docker(&["network", "connect", &format!("zzz-{}", stage.id), &stage.name("stranger")]);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(others(&stage, "stranger").0.as_object().unwrap().len(), 2, "it joined a foreign network");
    stage.docker(&["rm", "-f", &stage.name("stranger")]);

    // Back again under other names: the link's name has to work, and nothing may be cut for it.
    stage.hold_controller();
    stage.docker(&["network", "disconnect", network, &app1]);
    stage.docker(&["network", "connect", "--alias", "nobody", network, &app1]);
    stage.let_go_of_controller();
    stage.settle("reconnected with another alias");
    assert!(stage.shell("app2", "nslookup one 2>&1 || true").contains("Address"), "the link's name resolves");

    assert_eq!(["app1", "app2"].map(|name| others(&stage, name)), before);
    goes_on(&app1);
    foreign.is_untouched();
    stage.docker(&["rm", "-f", &app1, &app2]);
    stage.docker(&["network", "rm", &own]);
    drop(foreign);
}

#[test]
fn networks_removed_by_hand_keep_nobody_from_starting() {
    let mut stage = Stage::dark(&["--resync", "2s"]);
    stage.start_controller();
    let own = linked(&stage);
    let (app1, app2) = (stage.name("app1"), stage.name("app2"));
    let remove = || {
        let id = ids(&stage)[0].as_str().unwrap().to_owned();
        Command::new("docker").args(["network", "rm", &id]).output().unwrap().status.success()
    };
    assert!(!remove(), "the engine removes no network with running members");
    stage.settle("nothing has happened");
    stage.pause("app2");
    assert!(!remove(), "nor one with a paused one");
    stage.docker(&["unpause", &app2]);
    stage.docker(&["stop", "-t", "0", &app1, &app2]);
    assert!(remove());
    stage.settle("a network of stopped members is made anew");
    stage.docker(&["start", &app1, &app2]);
    stage.settle("both run again");

    // One is stopped, the other one is cut off by hand: the network can be removed as well.
    stage.docker(&["stop", "-t", "0", &app1]);
    let network = stage.attachments("app2").remove(0);
    let line = format!("docker network disconnect {network} {app2}; docker network rm {network}");
    let _ = Command::new("sh").args(["-c", &line]).output();
    stage.settle("one runs, the other does not");
    stage.docker(&["start", &app1]);
    stage.settle("it starts");
    stage.docker(&["rm", "-f", &app1, &app2]);
    stage.docker(&["network", "rm", &own]);
}

/// The engine tells of nothing when a container is attached that does not run, and removes a network
/// under it without a word.
#[test]
fn who_was_attached_while_it_did_not_run_starts_when_the_network_has_gone() {
    let stage = Stage::new();
    let target = format!("{}:80", stage.name("app1"));
    stage.run("app1", &[]);
    stage.run("app2", &[("link.one", &target), ("link.one.handshake", "exchange")]);
    stage.run("stopped", &[]);
    stage.docker(&["stop", "-t", "0", &stage.name("stopped")]);
    stage.create("unborn", &[], &["sleep", "100000"]);
    stage.await_state("app2", "one", "Ready");
    let network = stage.attachments("app2").remove(0);
    let guests = [stage.name("stopped"), stage.name("unborn")];
    for name in &guests {
        stage.docker(&["network", "connect", &network, name]);
    }
    stage.docker(&["rm", "-f", &stage.name("app2")]);
    stage.settle("the network has gone");
    assert!(stage.networks().is_empty());
    stage.docker(&["start", &guests[0], &guests[1]]);
}

/// The network is removed, the link is dropped or the provider goes while no controller runs: the next
/// one heals what is stranded before anybody starts it, member or not.
#[test]
fn what_was_stranded_while_nobody_watched_is_healed() {
    let mut stage = Stage::dark(&[]);
    let target = |name: &str| format!("{}:80", stage.name(name));
    let (a, b) = (target("a"), target("b"));
    stage.run("a", &[]);
    stage.run("b", &[]);
    stage.run("to-a", &[("link.it", &a), ("link.it.handshake", "none")]);
    stage.run("to-b", &[("link.it", &b), ("link.it.handshake", "none")]);
    stage.start_controller();
    stage.settle("wired");
    stage.kill_controller();
    let all = ["a", "b", "to-a", "to-b"].map(|name| stage.name(name));
    for name in &all {
        stage.docker(&["stop", "-t", "0", name]);
    }
    for id in ids(&stage) {
        stage.docker(&["network", "rm", id.as_str().unwrap()]);
    }
    // No edge has `b` as a member any more, and `to-a` is left without its provider.
    stage.docker(&["rm", &all[3], &all[0]]);
    stage.start_controller();
    stage.settle("healed");
    stage.docker(&["start", &all[1], &all[2]]);
    stage.settle("both run");
    assert!(stage.networks().is_empty());
}

#[test]
fn paused_is_unknown_and_never_a_failure() {
    let stage = Stage::with(&["--interval", "1s", "--timeout", "1s"]);
    let own = linked(&stage);
    for name in ["app1", "app2"] {
        stage.pause(name);
        let link = stage.await_state("app2", "one", "Unknown");
        assert_eq!(link["conditions"][3]["reason"], "ContainerPaused");
        stage.settle("paused");
        // For longer than a handshake takes, and a network could go.
        std::thread::sleep(Duration::from_secs(3));
        stage.settle("paused for long");
        stage.docker(&["unpause", &stage.name(name)]);
        stage.settle("it goes on");
    }
    let (_, events) = stage.get("/api/v1/events");
    assert!(!events.contains("Unreachable"), "{events}");
    assert_eq!(stage.metric(&failures(&stage)), Some(0.0));
    stage.docker(&["rm", "-f", &stage.name("app1"), &stage.name("app2")]);
    stage.docker(&["network", "rm", &own]);
}

fn failures(stage: &Stage) -> String {
    let (consumer, provider) = (stage.name("app2"), stage.name("app1"));
    format!(
        "tieline_link_handshake_failures_total{{consumer=\"{consumer}\",link=\"one\",port=\"80\",protocol=\"tcp\",provider=\"{provider}\"}}"
    )
}

/// "Days" are several grace periods and resyncs here.
#[test]
fn what_was_stopped_for_days_starts_again_whatever_happened_meanwhile() {
    let stage = Stage::with(&["--gc-grace", "300ms", "--resync", "1s"]);
    let days = || std::thread::sleep(Duration::from_millis(2500));
    let target = |name: &str| format!("{}:80", stage.name(name));
    let link = |name: &str, to: &str| {
        stage.run(name, &[("link.it", &target(to)), ("link.it.handshake", "exchange")]);
    };
    let stop = |name: &str| drop(stage.docker(&["stop", "-t", "0", &stage.name(name)]));
    let start = |name: &str| drop(stage.docker(&["start", &stage.name(name)]));
    let remove = |name: &str| drop(stage.docker(&["rm", "-f", &stage.name(name)]));
    for n in 1..=4 {
        stage.run(&format!("p{n}"), &[]);
        link(&format!("c{n}"), &format!("p{n}"));
    }
    stage.settle("four links");
    // Both ends stop; the provider goes; the link is dropped by recreation; the consumer goes.
    for name in ["c1", "p1", "c2", "p3", "p4"] {
        stop(name);
    }
    days();
    stage.settle("all are as they were");
    assert_eq!(stage.networks().len(), 4, "a stopped consumer still declares");
    remove("p2");
    remove("c3");
    stage.run("c3", &[]);
    remove("c4");
    days();
    stage.settle("three links are gone");
    for name in ["c1", "p1", "c2", "p3", "p4"] {
        start(name);
    }
    stage.run("p2", &[]);
    stage.settle("all have started");
}

#[test]
fn a_network_that_only_looks_like_ours_is_left_alone() {
    let stage = Stage::new();
    let (app1, app2) = (stage.name("app1"), stage.name("app2"));
    let own = linked(&stage);
    let [ours] = &stage.networks()[..] else { panic!("there is one network") };
    let name = ours["Name"].as_str().unwrap().to_owned();
    stage.docker(&["rm", "-f", &app1, &app2]);
    stage.settle("over");
    // Our name without our labels; our labels, but of another instance; two of the three labels.
    let labels = |instance: &str| {
        [
            format!("tieline.managed-by={instance}"),
            format!("tieline.consumer={app2}"),
            format!("tieline.provider={app1}"),
        ]
    };
    let make = |name: &str, labels: &[String]| {
        let labels = labels.iter().flat_map(|label| ["--label", label]);
        let args: Vec<&str> = ["network", "create"].into_iter().chain(labels).chain([name]).collect();
        stage.docker(&args);
    };
    let other = format!("{}-other", stage.id);
    let foreign = [name, format!("{}-a", stage.id), format!("{}-b", stage.id)];
    make(&foreign[0], &[]);
    make(&foreign[1], &labels(&other));
    make(&foreign[2], &labels(&stage.id)[..2]);
    let sleep = ["sleep", "100000"];
    stage.run_with("app1", &[], &["--network", &foreign[0]], IMAGE, &sleep);
    stage.run_with("app3", &[], &["--network", &foreign[1]], IMAGE, &sleep);
    let picture = || {
        // A container that starts again has another address on its network.
        let all = "{{.Id}} {{.Created}} {{json .Labels}} {{json .IPAM}} {{len .Containers}}";
        let ours = stage.docker(&["network", "inspect", "-f", all, &foreign[0]]);
        (ours, stage.docker(&["network", "inspect", &foreign[1], &foreign[2]]), stage.inspect("app3"))
    };
    let before = picture();
    let target = format!("{app1}:80");
    stage.run("app2", &[("link.one", &target), ("link.one.handshake", "exchange")]);
    let attached = |stage: &Stage, short: &str| {
        stage.inspect(short)["NetworkSettings"]["Networks"].as_object().unwrap().len()
    };
    stage.await_state("app2", "one", "Ready");
    assert_eq!(attached(&stage, "app2"), 2, "the default bridge and a network of ours");
    // `app1` is a stranger on the one that has our name, and stays there.
    assert_eq!(attached(&stage, "app1"), 2);
    stage.docker(&["stop", "-t", "0", &app1]);
    stage.docker(&["rm", "-f", &app2]);
    stage.eventually("ours is gone", || {
        stage
            .docker(&["network", "ls", "-q", "--filter", &format!("label=tieline.managed-by={}", stage.id)])
            .lines()
            .count()
            == 1
    });
    stage.docker(&["start", &app1]);
    assert_eq!(picture(), before);
    stage.docker(&["rm", "-f", &app1, &stage.name("app3")]);
    stage.docker(&["network", "rm", &foreign[0], &foreign[1], &foreign[2], &own]);
}

/// Engines before 25 let people make a network with the name of one of ours.
#[test]
fn a_network_made_under_the_name_of_ours_keeps_nobody_from_starting() {
    let stage = Stage::new();
    let target = format!("{}:80", stage.name("app1"));
    stage.create("app1", &[], &["sleep", "100000"]);
    stage.create("app2", &[("link.one", &target), ("link.one.handshake", "exchange")], &["sleep", "100000"]);
    stage.settle("wired");
    let name = stage.networks()[0]["Name"].as_str().unwrap().to_owned();
    let body =
        format!(r#"{{"Name":"{name}","CheckDuplicate":false,"Labels":{{"tieline-test":"{}"}}}}"#, stage.id);
    let made = stage.api("POST", "/networks/create", &body);
    assert_eq!(made["Id"].is_string(), facts::holds(Fact::NamesRepeat), "{made}");
    stage.docker(&["start", &stage.name("app1"), &stage.name("app2")]);
    stage.settle("both run");
    if let Some(id) = made["Id"].as_str() {
        stage.docker(&["network", "rm", id]);
    }
}

/// Two networks of one edge, as two controllers of an earlier version could have made them: the one in use
/// stays, and where both are, nobody who is connected is cut off before the other network carries the pair too.
#[test]
fn two_networks_of_one_edge_become_one() {
    let mut stage = Stage::dark(&[]);
    let target = format!("{}:80", stage.name("app1"));
    let pool = stage.pool_base().to_owned();
    stage.run("app1", &[]);
    stage.run("app2", &[("link.one", &target), ("link.one.handshake", "exchange")]);
    let make = |stage: &Stage, n: u8| {
        let address = format!("{pool}.{}", u32::from(n) * 16);
        let name = format!("{}_{}_{}_{address}", stage.id, stage.name("app2"), stage.name("app1"));
        let labels = [
            format!("tieline.managed-by={}", stage.id),
            format!("tieline.consumer={}", stage.name("app2")),
            format!("tieline.provider={}", stage.name("app1")),
        ];
        let labels: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
        let subnet = format!("{address}/28");
        let args =
            [&["network", "create", "--internal", "--subnet", &subnet][..], &labels, &[&name]].concat();
        stage.docker(&args).trim().to_owned()
    };
    let (older, newer) = (make(&stage, 0), make(&stage, 1));
    let join = |stage: &Stage, network: &str, short: &str, aliases: &[&str]| {
        let aliases: Vec<&str> = aliases.iter().flat_map(|alias| ["--alias", alias]).collect();
        stage.docker(&[&["network", "connect"][..], &aliases, &[network, &stage.name(short)]].concat());
    };
    // The newer one is in use.
    join(&stage, &newer, "app1", &["one", &stage.name("app1")]);
    join(&stage, &newer, "app2", &[]);
    stage.start_controller();
    stage.settle("one in use");
    assert_eq!(ids(&stage), [newer.as_str()]);
    stage.kill_controller();
    // Each has one of the two.
    let third = make(&stage, 2);
    stage.docker(&["network", "disconnect", &newer, &stage.name("app1")]);
    join(&stage, &third, "app1", &["one", &stage.name("app1")]);
    let begun = Instant::now();
    stage.start_controller();
    stage.settle("one each");
    println!("one each: {:.1?}", begun.elapsed());
    assert_eq!(ids(&stage).len(), 1);
    assert!(!ids(&stage).contains(&older.as_str().into()));
}

#[test]
fn compose_scales_recreates_and_takes_down_what_is_linked() {
    let stage = Stage::new();
    let foreign = Foreign::new(&stage);
    let file = |links: &str| {
        format!(
            "version: \"3.8\"\nservices:\n  db:\n    image: {IMAGE}\n    init: true\n    command: [\"sleep\", \"100000\"]\n  web:\n    image: {IMAGE}\n    init: true\n    command: [\"sleep\", \"100000\"]\n    labels:\n{links}"
        )
    };
    let prefix = stage.prefix();
    let link = |name: &str| {
        format!("      {prefix}link.{name}: \"db:5432\"\n      {prefix}link.{name}.handshake: \"none\"\n")
    };
    let compose = Compose::new(&stage, &file(&link("store")));
    compose.call(&["up", "-d"]);
    stage.settle("up");
    let network = format!("{}_default", stage.id);
    let before =
        stage.docker(&["network", "inspect", "-f", "{{.Id}} {{json .Labels}} {{json .IPAM}}", &network]);
    // Beyond what one network holds, and back.
    compose.call(&["up", "-d", "--scale", "db=13", "-t", "0"]);
    stage.settle("scaled up");
    assert_eq!(stage.networks().len(), 2);
    compose.call(&["up", "-d", "--scale", "db=1", "-t", "0"]);
    stage.settle("scaled down");
    assert_eq!(stage.networks().len(), 1);
    compose.call(&["up", "-d", "--force-recreate", "-t", "0"]);
    stage.settle("recreated");
    compose.rewrite(&file(&link("warehouse")));
    compose.call(&["up", "-d", "-t", "0"]);
    stage.settle("recreated with another label");
    compose.call(&["restart", "-t", "0"]);
    stage.settle("restarted");
    compose.call(&["stop", "-t", "0"]);
    stage.settle("stopped");
    compose.call(&["start"]);
    stage.settle("started");
    let now =
        stage.docker(&["network", "inspect", "-f", "{{.Id}} {{json .Labels}} {{json .IPAM}}", &network]);
    assert_eq!(now, before, "compose's own network has changed");
    compose.call(&["down", "-t", "0"]);
    let gone = Command::new("docker").args(["network", "inspect", &network]).output().unwrap();
    assert!(!gone.status.success(), "compose could not remove its own network");
    stage.settle("down");
    assert!(stage.networks().is_empty());
    foreign.is_untouched();
}
