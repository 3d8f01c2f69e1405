//! Hostile text in every label that is read.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tieline::model::labels::{MAX_ERRORS, MAX_LINKS};
use tieline::model::workload::{COMPOSE_NUMBER, COMPOSE_PROJECT, COMPOSE_SERVICE};

use super::surfaces::{assert_all_plain, assert_plain, assert_plain_json, create};
use crate::engine::stage::{Stage, tieline};

/// Labels of a stage with their whole keys.
struct Labels<'a> {
    stage: &'a Stage,
    all: BTreeMap<String, String>,
}

impl<'a> Labels<'a> {
    fn new(stage: &'a Stage) -> Self {
        Self { stage, all: BTreeMap::new() }
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.all.insert(format!("{}{key}", self.stage.prefix()), value.to_owned());
        self
    }

    fn raw(mut self, key: &str, value: &str) -> Self {
        self.all.insert(key.to_owned(), value.to_owned());
        self
    }

    fn create(self, short: &str) {
        create(self.stage, short, &self.all);
    }

    /// `value` in every label of the contract.
    fn everywhere(self, value: &str, target: &str) -> Self {
        self.with("link", value)
            .with("link.a", value)
            .with(&format!("link.{value}"), target)
            .with(&format!("link.{value}.{value}"), target)
            .with("link.b", target)
            .with("link.b.handshake", value)
            .with("link.c", target)
            .with("link.c.interval", value)
            .with("link.d", target)
            .with("link.d.timeout", value)
            .with("link.e", target)
            .with("link.e.send", value)
            .with("link.f", target)
            .with("link.f.expect", value)
            .with(&format!("link.f.{value}"), value)
            .with("accept", value)
            .with("topology", value)
            .with("ignore", value)
            .with(value, value)
            .raw(COMPOSE_PROJECT, value)
            .raw(COMPOSE_SERVICE, value)
            .raw(COMPOSE_NUMBER, "1")
    }
}

/// Texts that would run where anything ran them. Each makes the file `canary`.
fn commands(canary: &str) -> Vec<String> {
    let touch = format!("touch {canary}");
    vec![
        format!("$({touch})"),
        format!("`{touch}`"),
        format!("; {touch} #"),
        format!("'; {touch}; '"),
        format!("app1:80\n{touch}\n"),
        format!("|{}", touch.replace(' ', "${IFS}")),
    ]
}

/// Texts that mean something to a terminal, a format, a browser or a reader's eyes.
fn texts() -> Vec<String> {
    let texts = [
        "\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}",
        "\u{1b}[2J\u{1b}[H",
        "over\rwritten\u{8}\u{7f}\u{9b}31m",
        "zero\u{0}byte",
        "%s%n%x {} {0} {{.Id}}",
        "../../../etc/passwd",
        "<script>alert(1)</script>",
        "\u{430}pp1:80",
        "app1:\u{ff18}\u{ff10}",
        "app\u{200b}1:80",
        "\u{202e}08:1ppa\u{202c}",
        "e\u{301}\u{301}\u{301}:80",
        "\"quoted\\\":80",
    ];
    texts
        .into_iter()
        .map(str::to_owned)
        .chain(["a".repeat(64 * 1024), "\u{1f980}".repeat(64 * 1024)])
        .collect()
}

#[test]
fn what_is_written_in_a_label_never_runs_and_reaches_no_terminal() {
    let mut stage = Stage::new();
    let canary = format!("/tmp/{}-canary", stage.id);
    let target = format!("{}:80", stage.name("app1"));
    let commands = commands(&canary);
    // The provider is called by a command too, and one of its labels that links select by is one.
    Labels::new(&stage)
        .with("topology", "shared")
        .raw("role", &commands[0])
        .raw(COMPOSE_PROJECT, "shop")
        .raw(COMPOSE_SERVICE, &commands[1])
        .raw(COMPOSE_NUMBER, "1")
        .create("app1");
    stage.docker(&["start", &stage.name("app1")]);
    let mut running = vec!["app1".to_owned()];
    for (n, text) in commands.iter().enumerate() {
        let short = format!("cmd{n}");
        Labels::new(&stage)
            .everywhere(text, &target)
            .with("link.good", &format!("[role={}]:80", commands[0]))
            .with("link.good.handshake", "exchange")
            .create(&short);
        // A few that run are enough; the others are read all the same.
        if n < 4 {
            running.push(short);
        }
    }
    for (n, text) in texts().iter().enumerate() {
        Labels::new(&stage).everywhere(text, &target).create(&format!("text{n}"));
    }
    let started: Vec<String> = running.iter().map(|short| stage.name(short)).collect();
    let started: Vec<&str> = ["start"].into_iter().chain(started.iter().map(String::as_str)).collect();
    stage.docker(&started);
    for short in &running[1..] {
        let link = stage.await_state(short, "good", "Ready");
        assert_eq!(link["paths"][0]["provider_container"], stage.name("app1").as_str());
    }
    stage.eventually("every text is read, and found wrong", || {
        let links = stage.links();
        let invalid = |consumer: &str, name: &str| {
            let is = |l: &&Value| l["consumer"] == consumer && l["name"] == name && l["state"] == "Invalid";
            links.iter().any(|link| is(&link))
        };
        (0..texts().len())
            .all(|n| ["a", "b", "c", "d"].iter().all(|name| invalid(&stage.name(&format!("text{n}")), name)))
    });
    assert!(!Path::new(&canary).exists(), "a label ran in the controller");
    for short in &running {
        stage.shell(short, &format!("test ! -e {canary}"));
    }
    assert_all_plain(&stage);
    assert_json_log(&mut stage);
}

/// Another controller that logs as JSON, on what the first one has left.
fn assert_json_log(stage: &mut Stage) {
    assert_eq!(stage.stop_controller(), Some(0));
    let file = tempfile::NamedTempFile::new().unwrap();
    let listen = stage.server.trim_start_matches("http://").to_owned();
    let mut child = tieline()
        .args([
            "run",
            "--instance",
            &stage.id,
            "--listen",
            &listen,
            "--log-format",
            "json",
            "--log-level",
            "debug",
        ])
        .args(stage.policy_flags())
        .stdin(Stdio::null())
        .stderr(File::options().append(true).open(file.path()).unwrap())
        .spawn()
        .unwrap();
    let log = || std::fs::read_to_string(file.path()).unwrap();
    stage.eventually("it has logged mistakes", || log().contains("InvalidHandshake"));
    child.kill().unwrap();
    child.wait().unwrap();
    let log = log();
    let whole = &log[..log.rfind('\n').unwrap()];
    for line in whole.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_plain_json("the JSON log", &line);
    }
}

#[test]
fn labels_beyond_every_limit_cost_a_bounded_number_of_rows() {
    let stage = Stage::new();
    let name = stage.name("app1");
    stage.run("app1", &[("topology", "shared")]);
    let mut labels = Labels::new(&stage)
        .with("link.good", &format!("{name}:80"))
        .with("link.good.handshake", "exchange")
        .with("accept", &"someone ".repeat(500))
        .with("link", &"bad ".repeat(1000));
    for n in 0..2000 {
        labels = labels.with(&format!("link.n{n}"), &format!("{name}:{}", n + 1)).with(&format!("x{n}"), "");
    }
    // Nothing in it can be read, and what it says may be as long as the engine takes.
    labels = labels.with("topology", &"x".repeat(1024 * 1024));
    labels.create("app2");
    stage.docker(&["start", &stage.name("app2")]);
    let rows = || stage.links().len();
    stage.eventually("the container is read", || rows() > 0);
    assert!(rows() <= MAX_LINKS + MAX_ERRORS, "{} rows", rows());
    assert!(stage.log().len() < 4 * 1024 * 1024, "a log of {} bytes", stage.log().len());
    let last = stage.await_state("app2", "*", "Invalid");
    assert_eq!(last["conditions"][0]["reason"], "TooManyErrors");
    // Who behaves is served all the same.
    stage.run("app3", &[("link.good", &format!("{name}:80")), ("link.good.handshake", "exchange")]);
    stage.await_state("app3", "good", "Ready");
}

/// A network that has our labels under a name that we did not give is told of, and is not ours.
#[test]
fn a_network_with_our_labels_that_somebody_named_reaches_no_terminal() {
    let mut stage = Stage::dark(&[]);
    let name = format!("{}\u{1b}[32m\u{202e}net", stage.id);
    let make = |name: &str, consumer: &str| {
        let labels = [("managed-by", &*stage.id), ("consumer", consumer), ("provider", "nobody")];
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("--label=tieline.{key}={value}")).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        stage.docker(&[&["network", "create", "--internal", name], &labels[..]].concat()).trim().to_owned()
    };
    // A label that the controller cannot have written claims nothing.
    let networks = [make(&name, "somebody"), make(&format!("{}-foreign", stage.id), "\u{1b}[31msomebody")];
    for args in [vec!["doctor"], vec!["doctor", "-o", "json"]] {
        let text = String::from_utf8(stage.tieline(&args).stdout).unwrap();
        assert!(text.contains("\\u{1b}[32m") || text.contains("\\\\u{1b}[32m"), "{args:?}: {text}");
        assert!(text.contains("left alone"), "{args:?}: {text}");
        assert_plain("what is printed", &text);
    }
    stage.start_controller();
    stage.eventually("the log tells of it", || stage.log().contains("left alone"));
    assert_plain("the log", &stage.log());
    let _ = stage.stop_controller();
    assert_eq!(stage.tieline(&["teardown"]).status.code(), Some(0));
    assert_eq!(stage.networks().len(), 2, "neither is removed");
    stage.docker(&["network", "rm", &networks[0], &networks[1]]);
}
