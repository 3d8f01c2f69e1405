//! Who may link to whom.

use super::stage::Stage;

#[test]
fn a_provider_chooses_its_consumers() {
    let stage = Stage::new();
    let (friend, picky, target) =
        (stage.name("friend"), stage.name("picky"), format!("{}:80", stage.name("picky")));
    stage.run("picky", &[("accept", &friend)]);
    for name in ["friend", "stranger"] {
        stage.run(name, &[("link.it", &target), ("link.it.handshake", "exchange")]);
    }
    stage.await_state("friend", "it", "Ready");
    let denied = stage.await_state("stranger", "it", "Denied");
    assert_eq!(denied["conditions"][0]["reason"], "NotAccepted");
    assert!(denied["message"].as_str().unwrap().contains(&picky));
    assert!(stage.attachments("stranger").is_empty());
    assert_eq!(stage.metric("tieline_links{state=\"Denied\"}"), Some(1.0));
}

#[test]
fn under_default_deny_only_the_invited_are_wired() {
    let stage = Stage::with(&["--default-deny"]);
    stage.run("closed", &[]);
    stage.run("open", &[("accept", "*")]);
    let target = |name: &str| format!("{}:80", stage.name(name));
    stage.run(
        "web",
        &[
            ("link.closed", &target("closed")),
            ("link.open", &target("open")),
            ("link.open.handshake", "exchange"),
        ],
    );
    stage.await_state("web", "open", "Ready");
    stage.await_state("web", "closed", "Denied");
    assert!(stage.attachments("closed").is_empty());
}

#[test]
fn what_is_labelled_to_be_ignored_is_no_provider_and_no_consumer() {
    let stage = Stage::new();
    stage.run("hidden", &[("ignore", "true")]);
    let target = format!("{}:80", stage.name("hidden"));
    stage.run("web", &[("link.it", &target)]);
    stage.run("silent", &[("link.it", &target), ("ignore", "true")]);
    let link = stage.await_state("web", "it", "Pending");
    assert_eq!(link["conditions"][1]["reason"], "ProviderIgnored");
    assert!(stage.link("silent", "it").is_none());
}
