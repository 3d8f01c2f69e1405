//! What a handshake tells, when it is made, and that it leaves nothing behind.

use std::time::{Duration, Instant};

use super::stage::{IMAGE, Stage};
use crate::patience::patience;

#[test]
fn a_real_listener_is_told_from_none() {
    let stage = Stage::new();
    stage.run("app1", &[]);
    stage.run("app2", &[("link.web", &format!("{}:8080", stage.name("app1")))]);
    let link = stage.await_state("app2", "web", "NoListener");
    assert_eq!(link["conditions"][3]["status"], "True", "the path works");
    assert_eq!(link["conditions"][4]["reason"], "NoListener");
    stage.docker(&["exec", "-d", &stage.name("app1"), "httpd", "-f", "-p", "8080"]);
    stage.await_state("app2", "web", "Ready");
}

#[test]
fn a_persons_one_shot_listener_is_not_eaten_by_an_exchange() {
    let stage = Stage::with(&["--interval", "1s"]);
    stage.run("app1", &[]);
    let target = format!("{}:12345", stage.name("app1"));
    stage.run("app2", &[("link.x", &target), ("link.x.handshake", "exchange")]);
    stage.await_state("app2", "x", "Ready");
    // An nc without an input hangs up as soon as somebody is there.
    let listener = "mkfifo /in; exec 3<>/in; exec nc -l -p 12345 <&3 >/got";
    stage.docker(&["exec", "-d", &stage.name("app1"), "sh", "-c", listener]);
    stage.eventually("the person listens", || {
        stage.shell("app1", "cat /proc/net/tcp /proc/net/tcp6").contains(":3039 00")
    });
    let count = || stage.link("app2", "x").unwrap()["handshakes"].as_u64().unwrap();
    let before = count();
    stage.eventually("three more handshakes were made", || count() >= before + 3);
    assert_eq!(stage.shell("app1", "cat /got"), "", "somebody talked to the person's listener");
    stage.shell("app2", &format!("echo hello | nc {} 12345", stage.name("app1")));
    stage.eventually("the person's message arrived", || stage.shell("app1", "cat /got") == "hello\n");
}

#[test]
fn a_path_is_proven_again_after_a_restart_of_either_end() {
    let stage = Stage::with(&["--interval", "1h"]);
    stage.run("app1", &[]);
    let target = format!("{}:80", stage.name("app1"));
    stage.run("app2", &[("link.x", &target), ("link.x.handshake", "exchange")]);
    let last = |link: &serde_json::Value| link["paths"][0]["last_success"].as_str().unwrap().to_owned();
    let mut before = last(&stage.await_state("app2", "x", "Ready"));
    for end in ["app1", "app2"] {
        stage.docker(&["restart", "-t", "0", &stage.name(end)]);
        stage.eventually("it was proven again", || {
            stage.link("app2", "x").is_some_and(|link| link["state"] == "Ready" && last(&link) > before)
        });
        before = last(&stage.link("app2", "x").unwrap());
    }
}

#[test]
fn a_container_that_cannot_be_probed_is_unknown() {
    let stage = Stage::new();
    stage.run("app1", &[]);
    let target = format!("{}:80", stage.name("app1"));
    stage.run("app2", &[("link.x", &target), ("link.x.handshake", "exchange")]);
    stage.await_state("app2", "x", "Ready");
    stage.pause("app1");
    let link = stage.await_state("app2", "x", "Unknown");
    assert!(link["message"].as_str().unwrap().contains(&stage.name("app1")));
    stage.docker(&["unpause", &stage.name("app1")]);
    stage.await_state("app2", "x", "Ready");
}

#[test]
fn images_with_nothing_in_them_are_proven_from_inside() {
    let stage = Stage::with(&["--prober", "auto", "--interval", "1s"]);
    let image = "tieline-lab/bare";
    stage.run_with("app1", &[], &[], image, &["sleep", "100000"]);
    let target = format!("{}:80", stage.name("app1"));
    let labels = [("link.x", target.as_str()), ("link.x.handshake", "exchange")];
    stage.run_with("app2", &labels, &[], image, &["sleep", "100000"]);
    stage.await_state("app2", "x", "Ready");
    let counted = "tieline_handshake_duration_seconds_count{prober=\"namespace\",protocol=\"tcp\"}";
    stage.eventually("handshakes from inside", || stage.metric(counted) >= Some(2.0));
}

#[test]
fn handshakes_leave_no_process_behind() {
    let stage = Stage::with(&["--interval", "1s"]);
    stage.run("app1", &[]);
    stage.run_with("web", &[], &[], IMAGE, &["httpd", "-f", "-p", "80"]);
    let target = |name: &str| format!("{}:80", stage.name(name));
    stage.run(
        "app2",
        &[
            ("link.x", &target("app1")),
            ("link.x.handshake", "exchange"),
            ("link.none", &target("app1")),
            ("link.web", &target("web")),
        ],
    );
    stage.await_state("app2", "x", "Ready");
    stage.await_state("app2", "web", "Ready");
    stage.await_state("app2", "none", "NoListener");
    let count = || stage.link("app2", "x").unwrap()["handshakes"].as_u64().unwrap();
    let before = count();
    stage.eventually("there were some handshakes more", || count() >= before + 4);
    // Between two handshakes there is a moment without any; zombies would stay.
    for (name, program) in [("app1", "sleep"), ("app2", "sleep"), ("web", "httpd")] {
        stage.eventually("only the program itself is left", || {
            let top = stage.docker(&["top", &stage.name(name), "-eo", "pid,comm"]);
            let commands: Vec<&str> =
                top.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
            commands == [program]
        });
    }
}

#[test]
fn containers_that_hang_delay_no_other_link_of_their_provider() {
    let stage = Stage::with(&["--interval", "2s", "--max-handshakes", "4"]);
    stage.run("db", &[]);
    let target = format!("{}:80", stage.name("db"));
    let labels = [("link.x", target.as_str()), ("link.x.handshake", "connect")];
    stage.docker(&["exec", "-d", &stage.name("db"), "httpd", "-f", "-p", "80"]);
    stage.run("web", &labels);
    stage.await_state("web", "x", "Ready");
    for n in 0..4 {
        stage.run_with(&format!("slow{n}"), &labels, &["--cpus", "0.01"], IMAGE, &["sleep", "100000"]);
    }
    let count = || stage.link("web", "x").unwrap()["handshakes"].as_u64().unwrap();
    let before = count();
    let start = Instant::now();
    // Without a slot of its own it would have none: each of the slow ones holds one for as long as it may.
    stage.eventually("it is proven three times more", || count() >= before + 3);
    assert!(start.elapsed() < patience(Duration::from_secs(30)), "it took {:?}", start.elapsed());
    assert!(stage.metric("tieline_handshake_lateness_seconds").is_some());
}
