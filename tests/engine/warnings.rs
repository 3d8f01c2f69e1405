//! Warnings of faults elsewhere that a link may cause: before and after it is wired, and gone with their cause.

use serde_json::Value;

use super::stage::{IMAGE, Stage};

#[test]
fn a_link_of_a_container_behind_traefik_names_the_label_to_add() {
    let stage = Stage::new();
    let network = stage.name("front");
    stage.docker(&["network", "create", "--label", &stage.owner_label(), &network]);
    let target = format!("{}:80", stage.name("db"));
    let labels = [("link.db", target.as_str()), ("link.db.handshake", "exchange")];
    let front = ["--network", network.as_str(), "--label", "traefik.enable=true"];
    stage.run_with("web", &labels, &front, IMAGE, &["sleep", "100000"]);
    let advice = format!("traefik.docker.network={network}");
    let warned = |link: &Value| link["warnings"][0].as_str().is_some_and(|words| words.contains(&advice));

    let link = stage.await_state("web", "db", "Pending");
    assert!(warned(&link), "before there is anything to wire: {link:#?}");
    stage.run("db", &[]);
    let link = stage.await_state("web", "db", "Ready");
    assert!(warned(&link), "it is wired: {link:#?}");
    assert_eq!(link["message"], "", "its state is not changed by that");
    let key = format!("{}/db", stage.name("web"));
    for command in [vec!["status"], vec!["describe", &key], vec!["status", "-o", "json"]] {
        let told = stage.tieline(&command);
        assert_eq!(told.status.code(), Some(0), "{command:?}");
        let words = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(words.contains(&advice), "{command:?}: {words}");
    }
    let logged = stage.log().lines().filter(|line| line.contains(&advice)).count();
    assert_eq!(logged, 1, "once for the link: {}", stage.log());

    stage.docker(&["rm", "-f", &stage.name("web")]);
    let named = [&front[..], &["--label", &advice]].concat();
    stage.run_with("web", &labels, &named, IMAGE, &["sleep", "100000"]);
    stage.eventually("there is nothing to warn of", || {
        stage
            .link("web", "db")
            .is_some_and(|link| link["state"] == "Ready" && link["warnings"] == Value::Array(vec![]))
    });
}
