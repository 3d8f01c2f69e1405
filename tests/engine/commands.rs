//! The commands as a person types them, wrong input included.

use std::process::Output;
use std::time::{Duration, Instant};

use super::stage::{Stage, tieline};
use crate::patience::patience;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn call(args: &[&str]) -> Output {
    tieline().args(args).output().unwrap()
}

#[test]
fn status_and_describe_show_what_is_and_what_is_wrong() {
    let stage = Stage::new();
    assert_eq!(out(&stage.tieline(&["status"])), "no container declares a link\n");
    stage.run("app1", &[]);
    let target = format!("{}:80", stage.name("app1"));
    stage.run("app2", &[("link.x", &target), ("link.x.handshake", "exchange")]);
    let waited = stage.tieline(&["status", "--wait", "--timeout", "30s"]);
    assert_eq!(waited.status.code(), Some(0), "{}", err(&waited));
    let table = out(&waited);
    let header: Vec<&str> =
        table.lines().next().unwrap().split("   ").filter(|cell| !cell.is_empty()).map(str::trim).collect();
    assert_eq!(header, ["CONSUMER", "LINK", "PROVIDER", "STATE", "PATHS", "LAST PROOF", "RTT", "MESSAGE"]);
    assert!(table.contains("Ready") && table.contains("1/1") && table.contains("ago"), "{table}");
    assert!(!table.contains('\x1b'), "colours are for terminals");
    let json: serde_json::Value =
        serde_json::from_str(&out(&stage.tieline(&["status", "-o", "json"]))).unwrap();
    assert_eq!(json[0]["name"], "x");

    let link = format!("{}/x", stage.name("app2"));
    let described = stage.tieline(&["describe", &link]);
    assert_eq!(described.status.code(), Some(0));
    for word in [
        "Conditions:",
        "Reachable",
        "HandshakePassed",
        "Networks:",
        "/28",
        "Paths:",
        "History:",
        "Verifying -> Ready",
    ] {
        assert!(out(&described).contains(word), "{word} is missing in {}", out(&described));
    }
    let unknown = stage.tieline(&["describe", "nobody/nothing"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains(&link), "it says which links there are: {}", err(&unknown));

    stage.docker(&["stop", "-t", "0", &stage.name("app1")]);
    stage.await_state("app2", "x", "Pending");
    let waited = stage.tieline(&["status", "--wait", "--timeout", "1s"]);
    assert_eq!(waited.status.code(), Some(1));
    assert!(err(&waited).contains("is not running"), "{}", err(&waited));
}

#[test]
fn plan_says_what_and_why_and_changes_nothing() {
    let stage = Stage::dark(&[]);
    stage.run("app1", &[]);
    stage.run("app2", &[("link.db", &format!("{}:5432", stage.name("app1")))]);
    let plan = stage.tieline(&["plan"]);
    assert_eq!(plan.status.code(), Some(0), "{}", err(&plan));
    let lines: Vec<String> = out(&plan).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(
        lines[0].starts_with("create network ")
            && lines[0].ends_with(&format!("{} declares link db", stage.name("app2")))
    );
    assert!(stage.networks().is_empty());
    let json: serde_json::Value =
        serde_json::from_str(&out(&stage.tieline(&["plan", "-o", "json"]))).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
}

#[test]
fn wrong_flags_and_values_exit_2_and_say_what_is_right() {
    for (args, right) in [
        (vec!["frobnicate"], "Usage"),
        (vec!["run", "--subnet-pool", "10.213.0.0"], "10.213.0.0/16"),
        (vec!["run", "--subnet-pool", "10.213.0.1/16"], "10.213.0.0/16"),
        (vec!["run", "--interval", "soon"], "from 1s to 24h"),
        (vec!["run", "--timeout", "1h"], "from 100ms to 60s"),
        (vec!["run", "--listen", "9810"], "--listen"),
        (vec!["run", "--max-handshakes", "0"], "1.."),
        (vec!["run", "--max-handshake-rate", "0"], "1.."),
        (vec!["run", "--prober", "magic"], "exec"),
        (vec!["run", "--log-level", "loud=!"], "info"),
        (vec!["run", "--host", "docker.sock"], "unix://"),
        (vec!["run", "--label-prefix", "acme"], "acme."),
        (vec!["describe", "web"], "CONSUMER/LINK"),
        (vec!["status", "--server", "localhost"], "http://HOST:PORT"),
        (vec!["status", "--timeout", "3s"], "--wait"),
    ] {
        let output = call(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(err(&output).contains(right), "{args:?} does not say {right}: {}", err(&output));
    }
}

#[test]
fn what_is_not_there_exits_3_and_says_what_to_do() {
    let nobody = call(&["status", "--server", "http://127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(3));
    assert!(err(&nobody).contains("tieline run") && err(&nobody).contains("--server"), "{}", err(&nobody));
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    let host = format!("unix://{}", socket.display());
    for command in ["plan", "teardown"] {
        let missing = call(&[command, "--host", &host]);
        assert_eq!(missing.status.code(), Some(3));
        assert!(
            err(&missing).contains("there is no socket") && err(&missing).contains("--host"),
            "{}",
            err(&missing)
        );
    }
    // A socket that its daemon has left behind.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let down = call(&["plan", "--host", &host]);
    assert_eq!(down.status.code(), Some(3));
    assert!(err(&down).contains("the engine is down"), "{}", err(&down));
}

#[test]
fn a_controller_without_an_engine_waits_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let host = format!("unix://{}/docker.sock", dir.path().display());
    let mut stage = Stage::dark(&["--host", &host]);
    stage.start_controller();
    stage.eventually("it says why it is not ready", || {
        let (code, why) = stage.get("/readyz");
        code == 503 && why.contains("there is no socket")
    });
    assert_eq!(stage.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(stage.metric("tieline_engine_up"), Some(0.0));
    assert_eq!(stage.tieline(&["healthcheck"]).status.code(), Some(0));
    let waited = stage.tieline(&["status", "--wait", "--timeout", "1s"]);
    assert_eq!(waited.status.code(), Some(3));
    // The engine appears: a link to the real one's socket.
    std::os::unix::fs::symlink("/var/run/docker.sock", dir.path().join("docker.sock")).unwrap();
    let appeared = Instant::now();
    stage.eventually("it is ready", || stage.get("/readyz").0 == 200);
    assert!(appeared.elapsed() < patience(Duration::from_secs(10)));
    assert_eq!(stage.stop_controller(), Some(0));
}

#[test]
fn the_api_answers_what_is_not_there_with_404_and_changes_with_405() {
    let stage = Stage::new();
    assert_eq!(stage.get("/api/v1/links/shop%2Fweb/db").0, 404);
    assert_eq!(stage.get("/nowhere").0, 404);
    assert_eq!(stage.get("/").0, 200);
    assert_eq!(stage.get("/api/v1/events"), (200, "[]".to_owned()));
    let output = std::process::Command::new("curl")
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-X",
            "DELETE",
            &format!("{}/api/v1/links", stage.server),
        ])
        .output()
        .unwrap();
    assert_eq!(out(&output), "405");
}
