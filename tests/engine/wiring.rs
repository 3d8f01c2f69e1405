//! What is wired, when, and what is left as it was.

use std::process::Stdio;

use super::stage::{IMAGE, Stage};

#[test]
fn two_containers_of_the_default_bridge_are_linked_and_proven() {
    let stage = Stage::new();
    stage.run("app1", &[]);
    let route_before = stage.shell("app1", "ip route | grep default");
    let target = format!("{}:12345", stage.name("app1"));
    stage.run(
        "app2",
        &[("link", &target), (&format!("link.{}.handshake", target.replace(':', "-")), "exchange")],
    );
    let link = stage.await_state("app2", &target.replace(':', "-"), "Ready");

    assert_eq!(link["provider"], stage.name("app1").as_str());
    assert_eq!(link["paths"][0]["verdict"], "Proven");
    assert!(link["paths"][0]["rtt_seconds"].as_f64().unwrap() > 0.0);
    let networks = stage.networks();
    assert_eq!(networks.len(), 1);
    assert_eq!(networks[0]["Internal"], true);
    assert_eq!(networks[0]["Labels"]["tieline.consumer"], stage.name("app2").as_str());
    assert_eq!(networks[0]["Labels"]["tieline.provider"], stage.name("app1").as_str());
    assert!(networks[0]["IPAM"]["Config"][0]["Subnet"].as_str().unwrap().ends_with("/28"));
    assert_eq!(stage.shell("app1", "ip route | grep default"), route_before, "the default route moved");

    // The recipe of the tutorials, typed by hand. Who types has an input that does not end: a listener whose input
    // is at its end hangs up, and now and then before it has heard anything.
    let mut listener = stage.docker_command();
    listener.args(["exec", "-i", &stage.name("app1"), "nc", "-l", "-p", "12345"]);
    let mut listener = listener.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let hands = listener.stdin.take();
    stage.eventually("somebody listens", || stage.shell("app1", "netstat -ltn").contains(":12345"));
    stage.shell("app2", &format!("echo 'Hello from app2' | nc {} 12345", stage.name("app1")));
    let heard = listener.wait_with_output().unwrap();
    drop(hands);
    assert_eq!(String::from_utf8_lossy(&heard.stdout), "Hello from app2\n");
}

#[test]
fn a_link_is_there_before_the_first_instruction_of_what_was_only_created() {
    let stage = Stage::new();
    stage.create("app1", &[], &["httpd", "-f", "-p", "8080"]);
    let first = format!(
        "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc {} 8080 >/first 2>&1; echo done >>/first; sleep 100000",
        stage.name("app1")
    );
    stage.create("app2", &[("link.web", &format!("{}:8080", stage.name("app1")))], &["sh", "-c", &first]);
    stage.eventually("both are attached while only created", || {
        stage.attachments("app1").len() == 1 && stage.attachments("app2").len() == 1
    });
    assert_eq!(stage.link("app2", "web").unwrap()["state"], "Pending");
    stage.docker(&["start", &stage.name("app1")]);
    stage.docker(&["start", &stage.name("app2")]);
    stage.eventually("the program asked", || stage.shell("app2", "cat /first || true").contains("done"));
    let answer = stage.shell("app2", "cat /first");
    assert!(answer.starts_with("HTTP/1."), "its first instruction was to ask, and it heard {answer:?}");
    assert!(stage.metric("tieline_wiring_duration_seconds_count{phase=\"create\"}").unwrap() >= 1.0);
    stage.await_state("app2", "web", "Ready");
}

#[test]
fn the_order_in_which_containers_come_does_not_matter() {
    let stage = Stage::new();
    let target = format!("{}:80", stage.name("late"));
    stage.run("early", &[("link.late", &target), ("link.late.handshake", "exchange")]);
    assert_eq!(stage.await_state("early", "late", "Pending")["conditions"][1]["reason"], "ProviderNotFound");
    assert!(stage.networks().is_empty(), "a link to nobody makes no network");
    stage.run("late", &[]);
    stage.await_state("early", "late", "Ready");
    assert!(
        stage.shell("early", "nslookup late 2>&1 || true").contains("Address"),
        "the link's name resolves"
    );
}

#[test]
fn a_selector_by_labels_finds_every_container_that_has_them() {
    let stage = Stage::new();
    let (role, owner) = ("role=db", stage.owner_label());
    for n in ["db1", "db2"] {
        stage.run_with(n, &[], &["--label", role], IMAGE, &["sleep", "100000"]);
    }
    stage.run("other", &[]);
    let target = format!("[{role},{owner}]:5432");
    stage.run("web", &[("link.db", &target), ("link.db.handshake", "exchange")]);
    let link = stage.await_state("web", "db", "Ready");
    assert_eq!(link["paths"].as_array().unwrap().len(), 2);
    assert_eq!(link["provider"], target.trim_end_matches(":5432"));
    assert!(stage.attachments("other").is_empty());
    assert_eq!(stage.attachments("web").len(), 2, "one network for each provider workload");
}

#[test]
fn an_edge_that_outgrows_its_subnet_gets_a_further_network() {
    let stage = Stage::new();
    let labels = ["com.docker.compose.project=grow", "com.docker.compose.service=db"];
    stage.run("web", &[("link.db", "grow/db:5432")]);
    for n in 0..13 {
        let number = format!("com.docker.compose.container-number={n}");
        let flags = ["--label", labels[0], "--label", labels[1], "--label", &number];
        stage.run_with(&format!("db{n}"), &[], &flags, IMAGE, &["sleep", "100000"]);
    }
    // Twelve of them share the first network with their consumer. The engine may note an attachment that it then
    // refuses.
    stage.eventually("every provider has a place, on two networks", || {
        (0..13).all(|n| stage.attachments(&format!("db{n}")).len() == 1)
            && stage.networks().len() == 2
            && stage.attachments("web").len() == 2
    });
}

#[test]
fn all_consumers_of_a_shared_provider_are_on_one_network() {
    let stage = Stage::new();
    stage.run("hub", &[("topology", "shared")]);
    let target = format!("{}:80", stage.name("hub"));
    for name in ["a", "b"] {
        stage.run(name, &[("link.hub", &target), ("link.hub.handshake", "exchange")]);
    }
    stage.await_state("a", "hub", "Ready");
    stage.await_state("b", "hub", "Ready");
    let networks = stage.networks();
    assert_eq!(networks.len(), 1);
    assert!(networks[0]["IPAM"]["Config"][0]["Subnet"].as_str().unwrap().ends_with("/24"));
    assert_eq!(networks[0]["Containers"].as_object().unwrap().len(), 3);
}

#[test]
fn what_was_detached_by_hand_is_attached_again() {
    let stage = Stage::new();
    stage.run("app1", &[]);
    let target = format!("{}:80", stage.name("app1"));
    stage.run("app2", &[("link.one", &target), ("link.one.handshake", "exchange")]);
    stage.await_state("app2", "one", "Ready");
    let network = stage.attachments("app1").remove(0);
    stage.docker(&["network", "disconnect", &network, &stage.name("app1")]);
    stage.eventually("app1 is back", || stage.attachments("app1") == [network.clone()]);
    stage.await_state("app2", "one", "Ready");
}

#[test]
fn a_container_that_no_network_can_be_joined_to_says_so_and_stops_nobody() {
    let stage = Stage::new();
    stage.run_with("hosted", &[], &["--network", "host"], IMAGE, &["sleep", "100000"]);
    stage.run_with("closed", &[], &["--network", "none"], IMAGE, &["sleep", "100000"]);
    stage.run("app1", &[]);
    let target = |name: &str| format!("{}:80", stage.name(name));
    stage.run(
        "app2",
        &[
            ("link.hosted", &target("hosted")),
            ("link.closed", &target("closed")),
            ("link.one", &target("app1")),
            ("link.one.handshake", "exchange"),
        ],
    );
    stage.await_state("app2", "one", "Ready");
    for (name, reason) in [("hosted", "HostNetworkMode"), ("closed", "NoneNetworkMode")] {
        let link = stage.await_state("app2", name, "Wiring");
        assert_eq!(link["conditions"][2]["reason"], reason);
        assert!(link["message"].as_str().unwrap().contains(&stage.name(name)));
    }
}
