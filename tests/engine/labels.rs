//! Labels that cannot be read: each spoils its own link only, and is seen everywhere.

use super::stage::Stage;

#[test]
fn a_mistake_spoils_only_its_own_link() {
    let stage = Stage::new();
    stage.run("app1", &[]);
    let (name, good) = (stage.name("app1"), format!("{}:80", stage.name("app1")));
    let links = format!("{good} {name}:db");
    stage.run(
        "app2",
        &[
            ("link", &links),
            (&format!("link.{name}-80.handshake"), "exchange"),
            ("link.slow", &good),
            ("link.slow.interval", "soon"),
            ("acept", "*"),
        ],
    );
    stage.await_state("app2", &format!("{name}-80"), "Ready");
    let port = stage.await_state("app2", &format!("{name}-db"), "Invalid");
    let message = port["message"].as_str().unwrap();
    for word in
        [&stage.name("app2"), &format!("{}link", stage.prefix()), "port", "Compose", &format!("{name}:db")]
    {
        assert!(message.contains(word), "{message:?} does not name {word}");
    }
    assert_eq!(port["conditions"][0]["reason"], "InvalidPort");
    assert_eq!(stage.await_state("app2", "slow", "Invalid")["conditions"][0]["reason"], "InvalidDuration");
    let unknown = stage.await_state("app2", "acept", "Invalid");
    assert!(unknown["message"].as_str().unwrap().contains(&format!("did you mean {}accept", stage.prefix())));

    assert_eq!(stage.metric("tieline_label_errors"), Some(3.0));
    assert_eq!(stage.metric("tieline_links{state=\"Invalid\"}"), Some(3.0));
    assert!(stage.log().contains("the part after the colon is a port here"));
    let status = stage.tieline(&["status"]);
    assert_eq!(status.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&status.stdout).contains("InvalidPort")
            || String::from_utf8_lossy(&status.stdout).contains("Invalid")
    );
}

#[test]
fn a_link_to_itself_is_a_mistake() {
    let stage = Stage::new();
    let target = format!("{}:80", stage.name("alone"));
    stage.run("alone", &[("link.me", &target)]);
    let link = stage.await_state("alone", "me", "Invalid");
    assert_eq!(link["conditions"][0]["reason"], "SelfLink");
}

#[test]
fn what_cannot_be_proven_in_the_way_it_says_is_wired_and_unknown() {
    let stage = Stage::new();
    stage.run("app1", &[]);
    let name = stage.name("app1");
    stage.run(
        "app2",
        &[
            ("link.dns", &format!("udp://{name}:53")),
            ("link.dns.handshake", "connect"),
            ("link.sock", &format!("unix://{name}/run/x.sock")),
            ("link.sock.handshake", "exchange"),
            ("link.never", &format!("{name}:80")),
            ("link.never.handshake", "none"),
        ],
    );
    for (link, reason) in
        [("dns", "PayloadNeeded"), ("sock", "ExchangeNotPossible"), ("never", "HandshakeNone")]
    {
        let link = stage.await_state("app2", link, "Unknown");
        assert_eq!(link["conditions"][2]["status"], "True", "it is wired all the same");
        assert_eq!(link["conditions"][3]["reason"], reason);
    }
}
