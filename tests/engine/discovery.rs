//! Tools that find containers and their addresses by the engine, beside us.

use std::collections::BTreeSet;
use std::process::Command;

use super::prometheus::Prometheus;
use super::stage::{IMAGE, Stage, ok};

/// The file that people are given.
const CONFIG: &str = include_str!("../../deploy/prometheus-docker.yml");

/// The containers that a Prometheus scrapes, each with the address.
fn scraped(prometheus: &Prometheus) -> BTreeSet<(String, String)> {
    let targets = prometheus.targets("activeTargets");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let rows = targets.iter().map(|target| {
        (text(&target["discoveredLabels"]["__meta_docker_container_name"]), text(&target["scrapeUrl"]))
    });
    rows.collect()
}

#[test]
fn a_linked_container_stays_the_one_target_that_it_was() {
    let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/packages");
    let newer = format!("{}/prometheus", ok(Command::new(packages).arg("prometheus")).trim());
    let mut stage = Stage::dark(&[]);
    // Its name sorts after most.
    let network = format!("zoo-{}", stage.id);
    stage.docker(&["network", "create", "--label", &stage.owner_label(), &network]);
    let run = |short: &str, labels: &[(&str, &str)]| {
        stage.run_with(short, labels, &["--network", &network], IMAGE, &["sleep", "100000"]);
    };
    run("db", &[]);
    run("web", &[("link.db", &format!("{}:80", stage.name("db"))), ("link.db.handshake", "exchange")]);

    // Faster, and without the containers of others.
    let filter = format!(
        "refresh_interval: 1s\n        filters: [{{name: label, values: [\"{}\"]}}]",
        stage.owner_label()
    );
    let config = CONFIG.replace("refresh_interval: 15s", &filter);
    assert!(config.contains("filters"), "deploy/prometheus-docker.yml has no interval of 15s");
    // The first makes a target of each network, the second takes the network whose name sorts first.
    let both = [Prometheus::start("prometheus", &config), Prometheus::start(&newer, &config)];
    let before = both.each_ref().map(|prometheus| {
        stage.eventually("both containers are targets", || scraped(prometheus).len() == 2);
        scraped(prometheus)
    });
    assert_eq!(before[0], before[1]);

    stage.start_controller();
    stage.await_state("web", "db", "Ready");
    // A Prometheus that knows a later container has looked since the others were linked.
    stage.run_with("late", &[], &["--network", &network], IMAGE, &["sleep", "100000"]);
    let late = format!("/{}", stage.name("late"));
    for (prometheus, before) in both.iter().zip(&before) {
        stage.eventually("the later container is a target", || {
            scraped(prometheus).iter().any(|(name, _)| *name == late)
        });
        let mut now = scraped(prometheus);
        now.retain(|(name, _)| *name != late);
        assert_eq!(now, *before);
    }
    let dropped = both[0].targets("droppedTargets");
    let label = "__meta_docker_network_label_tieline_managed_by";
    assert_eq!(dropped.len(), 2, "{dropped:?}");
    assert!(dropped.iter().all(|target| target["discoveredLabels"][label] == stage.instance.as_str()));
}
