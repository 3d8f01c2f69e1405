//! What works on Podman, and what is said of what does not.

use std::sync::Arc;

use tieline::docker::Docker;
use tieline::model::container::ContainerId;
use tieline::model::handshake::{InconclusiveReason, Verdict};
use tieline::model::link::Handshake;
use tieline::prober::helper::Helper;
use tieline::prober::{Attempt, By, Prober, Side};

use super::{Podman, Release};
use crate::handshake::lab::request;

const SLEEP: [&str; 2] = ["sleep", "100000"];
const EXCHANGE: [&str; 4] =
    ["--label", "tieline.link.x=app1:80", "--label", "tieline.link.x.handshake=exchange"];

/// A handshake by helpers.
fn by_helper(podman: &Podman, consumer: &str, provider: &str) -> Attempt {
    let docker = Docker::new(&podman.host(), Arc::new(|_| ()));
    let prober = By::new(docker.clone(), Helper::new(docker, "tieline", None));
    let side = |name: &str| {
        let id = podman.docker(&["inspect", "-f", "{{.Id}}", name]).trim().to_owned();
        Side { id: ContainerId(id), name: name.to_owned(), address: None }
    };
    let request = request(&side(consumer), &side(provider), 80, Handshake::Exchange);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(prober.handshake(&request))
}

#[test]
fn the_whole_job_on_podman() {
    the_whole_job(Release::Installed);
}

#[test]
fn the_whole_job_on_the_podman_of_debian_13() {
    the_whole_job(Release::Debian13);
}

fn the_whole_job(release: Release) {
    let mut podman = Podman::start(release);
    // Before the first event, there is no head of the event stream.
    podman.eventually("it is ready", || podman.is_ready());
    podman.eventually("it says what does not work here", || podman.log().contains("WARN this is Podman"));

    if release == Release::Debian13 {
        assert!(podman.log().contains("WARN this is Podman 5.4"), "{}", podman.log());
    }

    // Created first: wired before the program's first instruction.
    podman.run("app1", &[], &SLEEP);
    podman.docker(&[&["create", "--name", "app2"], &EXCHANGE[..], &[super::PODMAN_IMAGE], &SLEEP].concat());
    podman.eventually("the created one is wired", || podman.attachments("app2").len() == 1);
    podman.docker(&["start", "app2"]);
    podman.await_state("app2", "Ready");
    podman.run("web", &[], &["httpd", "-f", "-p", "8080"]);
    podman.run("app3", &["--label", "tieline.link=web:8080"], &SLEEP);
    podman.await_state("app3", "Ready");

    // An end that stops and starts, without a list in between.
    podman.docker(&["stop", "-t", "0", "web"]);
    podman.await_state("app3", "Pending");
    podman.docker(&["start", "web"]);
    podman.await_proof("app3");

    // Who has no network of its own cannot be linked, and is in nobody's way.
    podman.run("app4", &[&["--net", "container:app2"], &EXCHANGE[..]].concat(), &SLEEP);
    podman.await_state("app4", "Wiring");
    podman.eventually("it says why", || {
        podman.link("app4")["message"].as_str().is_some_and(|why| why.contains("another container's network"))
    });
    assert_eq!(podman.link("app2")["conditions"][2]["status"], "True");

    // A helper would keep a container from being removed.
    let refused = by_helper(&podman, "app2", "app1");
    assert_eq!(refused.verdict, Verdict::Inconclusive(InconclusiveReason::NoRights), "{}", refused.message);

    // Detached by hand.
    let network = podman.attachments("app2").pop().unwrap();
    podman.docker(&["network", "disconnect", &network, "app2"]);
    podman.eventually("it is joined again", || podman.attachments("app2") == [network.as_str()]);
    podman.await_proof("app2");

    if release.tells_of_networks() {
        podman.docker(&["network", "create", "somebody-s"]);
        podman.docker(&["network", "rm", "somebody-s"]);
        let removals = "tieline_events_total{action=\"remove\",type=\"network\"}";
        podman.eventually("the removal is noticed", || podman.metric(removals) > 0.0);
    }

    // Nothing of a handshake stays, and a removed consumer takes its network along.
    podman.eventually("no process of ours is left", || {
        podman
            .docker(&["exec", "app1", "ps", "-o", "args"])
            .lines()
            .filter(|line| line.contains("nc "))
            .count()
            == 0
    });
    podman.docker(&["rm", "-f", "app3"]);
    podman.eventually("its network is gone", || podman.networks().len() == 1);
    for reason in ["error", "ended", "list"] {
        assert_eq!(
            podman.metric(&format!("tieline_event_stream_restarts_total{{reason=\"{reason}\"}}")),
            0.0
        );
    }
    assert!(!podman.log().contains("lost the engine"), "{}", podman.log());

    podman.stop_controller();
    let torn = crate::engine::stage::tieline().args(["teardown", "--host", &podman.host()]).output().unwrap();
    assert!(torn.status.success(), "{}", String::from_utf8_lossy(&torn.stderr));
    assert_eq!(podman.networks(), [] as [String; 0]);
}
