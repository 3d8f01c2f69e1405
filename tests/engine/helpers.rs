//! Helpers as everybody else sees them: not at all, and not for long.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::stage::Stage;
use crate::handshake::lab::image_of_ours;
use crate::patience::patience;
use crate::proxy::Proxy;

const BARE: &str = "tieline-lab/bare:latest";

/// A stage whose controller speaks by helpers, and has not started.
fn dark(flags: &[&str]) -> Stage {
    let image = image_of_ours();
    Stage::dark(&[&["--prober", "helper", "--helper-image", &image, "--timeout", "20s"], flags].concat())
}

fn run_bare(stage: &Stage, short: &str, labels: &[(&str, &str)], flags: &[&str]) -> String {
    stage.run_with(short, labels, flags, BARE, &["sleep", "100000"])
}

/// The ids of an instance's helpers, in whichever state.
fn helpers(stage: &Stage, instance: &str) -> Vec<String> {
    let filter = format!("label=tieline.helper={instance}");
    let ids = stage.docker(&["ps", "-aq", "--no-trunc", "--filter", &filter]);
    ids.lines().map(str::to_owned).collect()
}

#[test]
fn nobody_looks_at_helpers_and_no_container_is_left() {
    let proxy = Proxy::start(None);
    let mut stage = dark(&["--host", &proxy.host(), "--interval", "1s", "--resync", "1s"]);
    stage.start_controller();
    stage.await_ready();
    run_bare(&stage, "app1", &[], &[]);
    let target = format!("{}:80", stage.name("app1"));
    run_bare(&stage, "app2", &[("link.x", &target), ("link.x.handshake", "exchange")], &[]);
    stage.await_state("app2", "x", "Ready");
    let count = || stage.link("app2", "x").unwrap()["handshakes"].as_u64().unwrap();
    let before = count();
    stage.eventually("four more handshakes were made", || count() >= before + 4);
    let labels = "prober=\"helper\",protocol=\"tcp\"";
    assert!(stage.metric(&format!("tieline_handshake_duration_seconds_count{{{labels}}}")) >= Some(5.0));
    assert_eq!(stage.links().len(), 1);
    assert_eq!(stage.stop_controller(), Some(0));

    let id_of = |path: &str| path.split('/').nth(2).unwrap_or_default().to_owned();
    let asked = |method: &str, end: &str| -> BTreeSet<String> {
        let requests = proxy.requests().into_iter();
        let alike = requests.filter(|asked| asked.method == method && asked.path.ends_with(end));
        alike.map(|asked| id_of(&asked.path)).collect()
    };
    let made = asked("POST", "/attach");
    assert!(made.len() >= 10, "{made:?}");
    let looked_at = asked("GET", "/json");
    assert_eq!(made.intersection(&looked_at).collect::<Vec<_>>(), [] as [&String; 0]);
    stage.eventually("no helper is left", || helpers(&stage, &stage.instance).is_empty());
}

/// The label of a helper hides only what is one: a guest of another container, with a helper's name.
#[test]
fn a_container_that_only_has_the_label_of_a_helper_is_a_workload_like_others() {
    let stage = Stage::with(&["--resync", "1s"]);
    let label = ["--label", "tieline.helper=somebody"];
    run_bare(&stage, "app1", &[("link.y", "nowhere:1")], &label);
    let (helper, beside) = (format!("somebody_helper_{}", stage.id), stage.name("app1"));
    let link = format!("{}link.z=nowhere:1", stage.prefix());
    let (owner, network) = (stage.owner_label(), format!("container:{beside}"));
    let flags = ["--name", &helper, "--label", &owner, "--label", &link, "--network", &network];
    stage.docker(&[&["run", "-d"], &label[..], &flags[..], &[BARE, "sleep", "100000"]].concat());
    stage.run("app2", &[("link.x", &format!("{beside}:80"))]);
    stage.eventually("both links are known", || stage.links().len() == 2);
    // For longer than it takes until the next list.
    std::thread::sleep(Duration::from_secs(3));
    let links = stage.links();
    stage.docker(&["rm", "-f", &helper]);
    let mut names: Vec<&str> = links.iter().filter_map(|link| link["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["x", "y"], "{links:#?}");
}

#[test]
fn what_a_killed_controller_leaves_of_its_helpers_goes() {
    let mut stage = dark(&["--interval", "1s"]);
    stage.start_controller();
    run_bare(&stage, "app1", &[], &[]);
    let target = format!("{}:80", stage.name("app1"));
    run_bare(&stage, "app2", &[("link.x", &target), ("link.x.handshake", "exchange")], &[]);
    stage.await_state("app2", "x", "Ready");
    for _ in 0..3 {
        stage.eventually("helpers speak", || !helpers(&stage, &stage.instance).is_empty());
        stage.kill_controller();
        let running = || {
            let label = format!("label=tieline.helper={}", stage.instance);
            stage.docker(&["ps", "-q", "--filter", &label])
        };
        stage.eventually("they end by themselves", || running().is_empty());
        stage.start_controller();
    }
    stage.stop_controller();

    // As after a death between create and start.
    let other_s = format!("{}x", stage.instance);
    let left = format!("{}_helper_left", stage.instance);
    let person_s = stage.name("person");
    let others = format!("{other_s}_helper_left");
    // What a person has labelled so is hidden, and not ours to remove.
    for (name, instance) in [(&left, &stage.instance), (&person_s, &stage.instance), (&others, &other_s)] {
        let label = format!("tieline.helper={instance}");
        let flags = ["--name", name, "--label", &stage.owner_label(), "--label", &label];
        stage.docker(&[&["create"], flags.as_slice(), &[BARE]].concat());
    }
    let start = Instant::now();
    stage.start_controller();
    let filter = format!("name=^{left}$");
    while !stage.docker(&["ps", "-aq", "--filter", &filter]).is_empty() {
        assert!(start.elapsed() < patience(Duration::from_secs(100)), "it is still there\n{}", stage.log());
        std::thread::sleep(Duration::from_millis(500));
    }
    stage.stop_controller();
    stage.docker(&[
        "create",
        "--name",
        &left,
        "--label",
        &stage.owner_label(),
        "--label",
        &format!("tieline.helper={}", stage.instance),
        BARE,
    ]);
    let torn = stage.tieline(&["teardown"]);
    let told = String::from_utf8_lossy(&torn.stdout).into_owned();
    assert!(torn.status.success() && told.contains("removed helper "), "{told}");
    assert_eq!(helpers(&stage, &stage.instance).len(), 1, "a person's is not ours to remove");
    assert_eq!(helpers(&stage, &other_s).len(), 1, "another instance's is not ours to remove");
}
