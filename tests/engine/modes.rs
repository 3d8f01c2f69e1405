//! Containers that are not like the others: without a network of their own, read-only, dying.

use std::process::Command;
use std::time::Duration;

use super::foreign::Foreign;
use super::stage::{IMAGE, Stage, ok};
use crate::proxy::Proxy;
use crate::turns;

const SLEEP: [&str; 2] = ["sleep", "100000"];

/// On either side of a link: a condition with a reason, and nothing that is tried again and again.
#[test]
fn modes_without_a_network_of_their_own_are_told_and_left_alone() {
    let proxy = Proxy::start(None);
    let mut stage = Stage::dark(&["--host", &proxy.host(), "--resync", "1s"]);
    stage.start_controller();
    stage.await_ready();
    let foreign = Foreign::new(&stage);
    stage.run("app1", &[]);
    let target = format!("{}:80", stage.name("app1"));
    let own_link = [("link.back", target.as_str()), ("link.back.handshake", "exchange")];
    let side = format!("container:{}", stage.name("app1"));
    let modes = [
        ("hosted", "host", "HostNetworkMode"),
        ("closed", "none", "NoneNetworkMode"),
        ("side", &side, "ContainerNetworkMode"),
    ];
    for (name, mode, _) in modes {
        stage.run_with(name, &own_link, &["--network", mode], IMAGE, &SLEEP);
    }
    let targets = modes.map(|(name, ..)| format!("{}:80", stage.name(name)));
    stage.run(
        "app2",
        &[
            ("link.one", &target),
            ("link.one.handshake", "exchange"),
            ("link.hosted", &targets[0]),
            ("link.closed", &targets[1]),
            ("link.side", &targets[2]),
        ],
    );
    stage.settle("all modes");
    for (name, _, reason) in modes {
        for link in [stage.link("app2", name).unwrap(), stage.link(name, "back").unwrap()] {
            assert_eq!(link["conditions"][2]["status"], "False");
            assert_eq!(link["conditions"][2]["reason"], reason);
            assert!(link["message"].as_str().unwrap().contains(&stage.name(name)));
        }
    }
    // Several resyncs on, nothing was tried.
    let changes = || proxy.requests().iter().filter(|request| request.changes()).count();
    let before = changes();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(changes(), before);
    assert_eq!(before, 3, "one network and its two members");
    assert_eq!(stage.metric("tieline_workqueue_retries_total"), Some(0.0));
    foreign.is_untouched();
}

#[test]
fn read_only_and_without_any_network_is_no_obstacle() {
    let stage = Stage::new();
    let target = format!("{}:80", stage.name("app1"));
    let labels = [("link.one", target.as_str()), ("link.one.handshake", "exchange")];
    stage.run_with("app1", &[], &["--read-only"], IMAGE, &SLEEP);
    stage.run_with("app2", &labels, &["--read-only"], IMAGE, &SLEEP);
    stage.settle("both are read-only");
    let (app1, app2) = (stage.name("app1"), stage.name("app2"));
    for name in [&app1, &app2] {
        stage.docker(&["network", "disconnect", "bridge", name]);
    }
    stage.settle("nor any other network");
    stage.docker(&["restart", "-t", "0", &app1, &app2]);
    stage.settle("restarted");
    stage.docker(&["rm", "-f", &app2]);
    stage.settle("the consumer has gone");
    assert!(stage.inspect("app1")["NetworkSettings"]["Networks"].as_object().unwrap().is_empty());
    stage.docker(&["restart", "-t", "0", &app1]);
    stage.run_with("app2", &labels, &["--read-only"], IMAGE, &SLEEP);
    stage.settle("and comes back to one without any network");
}

/// A container that the engine could not remove: a file of its own that cannot be deleted makes one.
struct Dead<'a> {
    stage: &'a Stage,
    name: String,
    file: String,
}

impl<'a> Dead<'a> {
    fn make(stage: &'a Stage, short: &str) -> Self {
        let root = stage.docker(&["info", "-f", "{{.DockerRootDir}}"]);
        let id = stage.inspect(short)["Id"].as_str().unwrap().to_owned();
        let file = format!("{}/containers/{id}/hostconfig.json", root.trim());
        // Needs to be root, on a file system that knows the flag.
        ok(Command::new("chattr").args(["+i", &file]));
        let dead = Self { stage, name: stage.name(short), file };
        let _ = turns::output(Command::new("docker").args(["rm", "-f", &dead.name]));
        assert_eq!(stage.inspect(short)["State"]["Status"], "dead");
        dead
    }
}

impl Drop for Dead<'_> {
    fn drop(&mut self) {
        let _ = Command::new("chattr").args(["-i", &self.file]).output();
        self.stage.docker(&["rm", "-f", &self.name]);
    }
}

#[test]
fn the_dead_declare_nothing_and_hold_nothing_up() {
    let stage = Stage::new();
    let target = |name: &str| format!("{}:80", stage.name(name));
    stage.run("p1", &[]);
    stage.run("p2", &[]);
    let link = |name: &str, to: &str| {
        stage.run(name, &[("link.it", &target(to)), ("link.it.handshake", "exchange")]);
    };
    link("c1", "p1");
    link("c2", "p2");
    link("other", "p2");
    stage.settle("all live");
    let provider = Dead::make(&stage, "p1");
    let consumer = Dead::make(&stage, "c2");
    stage.eventually("only the living are linked", || stage.networks().len() == 1);
    stage.await_state("other", "it", "Ready");
    let link = stage.await_state("c1", "it", "Pending");
    assert_eq!(link["conditions"][1]["reason"], "ProviderNotFound");
    let link = stage.await_state("c2", "it", "Pending");
    assert_eq!(link["conditions"][1]["reason"], "ConsumerNotRunning");
    stage.docker(&["restart", "-t", "0", &stage.name("c1"), &stage.name("p2")]);
    stage.await_state("other", "it", "Ready");
    drop((provider, consumer));
    stage.run("p1", &[]);
    stage.settle("the dead are buried");
}

/// Programs that die at once and are started again and again, as consumer and as provider.
#[test]
fn a_crash_loop_is_wired_and_goes_on_and_stops_nobody() {
    let stage = Stage::new();
    let target = |name: &str| format!("{}:80", stage.name(name));
    let (sane, sick) = (target("sane"), target("sick"));
    stage.run("sane", &[]);
    let crash = ["sh", "-c", "sleep 0.1; exit 3"];
    stage.run_with(
        "sick",
        &[("link.it", &sane), ("link.it.handshake", "exchange")],
        &["--restart", "always"],
        IMAGE,
        &crash,
    );
    stage.run(
        "other",
        &[
            ("link.sick", &sick),
            ("link.sick.handshake", "exchange"),
            ("link.sane", &sane),
            ("link.sane.handshake", "exchange"),
        ],
    );
    stage.await_state("other", "sane", "Ready");
    stage.eventually("all are wired", || stage.problems().is_empty());
    let restarts = || stage.inspect("sick")["RestartCount"].as_u64().unwrap();
    let before = restarts();
    // The engine waits twice as long before each restart, so one is all that can be waited for.
    stage.eventually("it goes on", || restarts() > before);
    let sick = stage.inspect("sick");
    let between = sick["State"]["Status"] == "restarting";
    assert!(!between || sick["State"]["ExitCode"] == 3, "{}", sick["State"]);
    assert_eq!(sick["State"]["Error"], "", "a start failed");
    assert_eq!(stage.problems(), Vec::<String>::new());
    // Its links come and go while it loops, at whatever moment of its life.
    for round in 0..4 {
        let name = format!("guest{round}");
        stage.run(&name, &[("link.sick", &target("sick")), ("link.sick.handshake", "none")]);
        stage.eventually("a guest is wired", || stage.problems().is_empty());
        stage.docker(&["rm", "-f", &stage.name(&name)]);
        stage.eventually("a guest has gone", || stage.problems().is_empty());
    }
    let status = stage.inspect("sick")["State"]["Status"].as_str().unwrap().to_owned();
    assert!(["running", "restarting"].contains(&status.as_str()), "it does not go on: {status}");
    assert_eq!(stage.inspect("sick")["State"]["Error"], "", "a start failed");
}
