//! Links to unix sockets: no network, a folder that both mount, and the reason where it does not work.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::stage::Stage;

/// An image whose `nc` knows unix sockets.
const IMAGE: &str = "tieline-lab/openbsd:latest";
const SOCKET: &str = "/run/app/x.sock";

fn reasons(link: &Value) -> [&str; 3] {
    [2, 3, 4].map(|at| link["conditions"][at]["reason"].as_str().unwrap())
}

fn run(stage: &Stage, short: &str, labels: &[(&str, &str)], flags: &[&str]) {
    stage.run_with(short, labels, flags, IMAGE, &["sleep", "100000"]);
}

/// Listens on the socket in `app1`, in the place of whoever did so before.
fn listen(stage: &Stage) {
    let script = format!("echo $$ >/tmp/listener; exec nc -lkU {SOCKET}");
    stage.docker(&["exec", "-d", &stage.name("app1"), "sh", "-c", &script]);
}

#[test]
fn a_link_to_a_socket_goes_through_what_both_mount_and_needs_no_network() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let at = |destination: &str| format!("{}:{destination}", folder.path().display());
    let stage = Stage::with(&["--interval", "1s"]);
    run(&stage, "app1", &[], &["-v", &at("/run/app")]);
    listen(&stage);
    let target = format!("unix://{}{SOCKET}", stage.name("app1"));
    let link = [("link.s", target.as_str())];
    run(&stage, "app2", &link, &["-v", &at("/data:ro"), "--network", "none"]);
    run(&stage, "app3", &link, &[]);
    run(&stage, "app4", &[link[0], ("link.s.handshake", "exchange")], &["-v", &at("/data")]);
    let long = format!("/{}", "x".repeat(120));
    run(&stage, "app5", &link, &["-v", &at(&long)]);

    let ready = stage.await_state("app2", "s", "Ready");
    assert_eq!(reasons(&ready), ["NoNetworkNeeded", "HandshakePassed", "SocketOpen"]);
    let message = ready["paths"][0]["message"].as_str().unwrap();
    assert!(message.contains("/data/x.sock"), "{message}");
    assert!(ready["paths"][0]["rtt_seconds"].as_f64().is_some(), "{ready}");

    let apart = stage.await_state("app3", "s", "Unreachable");
    assert_eq!(reasons(&apart)[1], "MountMissing");
    for words in [apart["message"].as_str().unwrap(), apart["paths"][0]["message"].as_str().unwrap()] {
        let folder = folder.path().to_str().unwrap();
        for word in [&stage.name("app1"), &stage.name("app3"), folder, SOCKET] {
            assert!(words.contains(word), "{words:?} does not name {word}");
        }
    }
    assert_eq!((&apart["handshakes"], &apart["paths"][0]["verdict"]), (&0.into(), &"MountMissing".into()));
    assert_eq!(reasons(&stage.await_state("app4", "s", "Unknown"))[1], "ExchangeNotPossible");
    let too_long = stage.await_state("app5", "s", "Unreachable");
    assert_eq!(reasons(&too_long)[1], "SocketPathTooLong");
    assert!(too_long["message"].as_str().unwrap().contains("128"), "{too_long}");

    // A listener that dies leaves its file; somebody cleans up; and it comes again.
    stage.shell("app1", "kill -9 $(cat /tmp/listener)");
    let stale = stage.await_state("app2", "s", "Unreachable");
    assert_eq!(reasons(&stale), ["NoNetworkNeeded", "SocketStale", "SocketStale"]);
    assert_eq!(stale["conditions"][4]["status"], "False");
    fs::remove_file(folder.path().join("x.sock")).unwrap();
    stage.eventually("the socket is missed", || {
        stage.link("app2", "s").is_some_and(|link| reasons(&link)[1] == "SocketMissing")
    });
    listen(&stage);
    stage.await_state("app2", "s", "Ready");

    let proofs = "tieline_handshake_duration_seconds_count{prober=\"exec\",protocol=\"unix\"}";
    assert!(stage.metric(proofs).is_some_and(|count| count > 0.0));
    let stale = "tieline_handshake_failures_by_reason_total{reason=\"SocketStale\"}";
    assert!(stage.metric(stale).is_some_and(|count| count >= 2.0));
    assert!(stage.networks().is_empty(), "{:?}", stage.networks());
    let files = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 1, "there is more than the socket");
}

#[test]
fn a_link_to_a_socket_beside_one_to_a_port_has_no_network_of_its_own() {
    let stage = Stage::new();
    run(&stage, "app1", &[], &[]);
    let name = stage.name("app1");
    let (port, socket) = (format!("{name}:80"), format!("unix://{name}{SOCKET}"));
    run(&stage, "app2", &[("link.p", &port), ("link.s", &socket)], &[]);
    let port = stage.await_state("app2", "p", "NoListener");
    let socket = stage.await_state("app2", "s", "Unreachable");
    let count = |link: &Value| link["networks"].as_array().unwrap().len();
    assert_eq!((count(&port), count(&socket)), (1, 0));
    assert_eq!(socket["paths"][0]["provider_address"], Value::Null);
}
