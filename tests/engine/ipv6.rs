//! Containers that are on a network with IPv6 besides: a name that leads to IPv6 first leads to the same
//! container, and every backend says the same of it.

use super::stage::{IMAGE, Stage};
use crate::handshake::lab::image_of_ours;

const FOREVER: [&str; 2] = ["sleep", "100000"];

/// The ways in which handshakes are made, each by the flags of its controller.
fn backends() -> [(&'static str, Vec<String>); 3] {
    let flags = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    [
        ("exec", flags(&["--prober", "exec", "--timeout", "20s"])),
        ("namespace", flags(&["--prober", "namespace", "--timeout", "20s"])),
        ("helper", flags(&["--prober", "helper", "--helper-image", &image_of_ours(), "--timeout", "20s"])),
    ]
}

/// A network with both families, for containers of the stage, and how its IPv6 addresses begin.
fn network(stage: &Stage) -> (String, String) {
    let name = stage.name("six");
    let prefix = format!("fd00:7113:{:x}::", fastrand::u16(..));
    let subnet = format!("{prefix}/64");
    stage.docker(&[
        "network",
        "create",
        "--ipv6",
        "--subnet",
        &subnet,
        "--label",
        &stage.owner_label(),
        &name,
    ]);
    (name, prefix)
}

fn address(stage: &Stage, short: &str, network: &str) -> String {
    let address = stage.inspect(short)["NetworkSettings"]["Networks"][network]["GlobalIPv6Address"].clone();
    address.as_str().filter(|address| !address.is_empty()).expect("an address of IPv6").to_owned()
}

#[test]
fn a_provider_with_ipv6_is_proven_by_every_backend() {
    for (backend, flags) in backends() {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let stage = Stage::with(&flags);
        let (network, prefix) = network(&stage);
        let on = ["--network", network.as_str()];
        let serve = |short: &str, at: &str, flags: &[&str]| {
            stage.run_with(short, &[], &[&on[..], flags].concat(), IMAGE, &["httpd", "-f", "-p", at]);
        };
        // At both families, at IPv4 alone, and at IPv6 alone.
        serve("both", "8080", &[]);
        serve("four", "0.0.0.0:8080", &[]);
        let six = format!("{prefix}66");
        serve("six", &format!("[{six}]:8080"), &["--ip6", &six]);
        let to = |short: &str, port: u16| format!("{}:{port}", stage.name(short));
        let consumers = ["busybox", "openbsd", "bash"];
        for image in consumers {
            let labels = [
                ("link.both", to("both", 8080)),
                ("link.tokens", to("both", 8080)),
                ("link.tokens.handshake", "exchange".to_owned()),
                ("link.four", to("four", 8080)),
                ("link.knock", to("four", 8080)),
                ("link.knock.handshake", "connect".to_owned()),
                ("link.six", to("six", 8080)),
                ("link.nobody", to("four", 9999)),
            ];
            let labels: Vec<(&str, &str)> =
                labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
            stage.run_with(image, &labels, &on, &format!("tieline-lab/{image}"), &FOREVER);
        }
        for image in consumers {
            for link in ["both", "tokens", "four", "knock", "six"] {
                let link = stage.await_state(image, link, "Ready");
                assert_eq!(link["conditions"][3]["status"], "True", "by {backend}: {link:#?}");
            }
            let nobody = stage.await_state(image, "nobody", "NoListener");
            assert_eq!(nobody["conditions"][3]["status"], "True", "by {backend}: the path works");
        }
    }
}

#[test]
fn a_name_that_leads_to_somebody_else_s_ipv6_address_is_no_proof() {
    for (backend, flags) in backends() {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let stage = Stage::with(&flags);
        let (network, _) = network(&stage);
        let on = ["--network", network.as_str()];
        stage.run_with("stranger", &[], &on, IMAGE, &["httpd", "-f", "-p", "8080"]);
        stage.run_with("db", &[], &on, IMAGE, &["httpd", "-f", "-p", "9090"]);
        let stranger = address(&stage, "stranger", &network);
        let wrong = format!("--add-host={}:{stranger}", stage.name("db"));
        let labels = [8080, 9090, 7070].map(|port| format!("{}:{port}", stage.name("db")));
        let labels: Vec<(String, &String)> =
            labels.iter().enumerate().map(|(at, target)| (format!("link.l{at}"), target)).collect();
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        stage.run_with("web", &labels, &[&on[..], &[&wrong]].concat(), IMAGE, &FOREVER);
        // Where the stranger listens, where the provider does, and where nobody does.
        for link in ["l0", "l1", "l2"] {
            let link = stage.await_state("web", link, "Unreachable");
            assert_eq!(link["conditions"][3]["reason"], "NameLeadsElsewhere", "by {backend}: {link:#?}");
        }
    }
}

#[test]
fn an_nc_that_listens_on_ipv4_alone_is_no_failure_of_the_path() {
    let mut stage = Stage::with(&["--prober", "exec", "--timeout", "20s"]);
    let (network, _) = network(&stage);
    let on = ["--network", network.as_str()];
    stage.run_with("db", &[], &on, "tieline-lab/traditional", &FOREVER);
    let target = format!("{}:8080", stage.name("db"));
    let labels = [("link.db", target.as_str()), ("link.db.handshake", "exchange")];
    stage.run_with("web", &labels, &on, IMAGE, &FOREVER);
    let there = address(&stage, "db", &network);
    stage.eventually("it is told where the name may lead", || {
        stage.link("web", "db").is_some_and(|link| {
            let (state, reason) = (&link["state"], &link["conditions"][3]["reason"]);
            let message = link["message"].as_str().unwrap();
            state == "Unknown" && reason == "Unsupported" && message.contains(&there)
        })
    });
    // Another way can do it.
    stage.kill_controller();
    let mut next = stage.rival(&["--prober", "exec,namespace", "--timeout", "20s"]);
    next.start_controller();
    next.await_state("web", "db", "Ready");
}
