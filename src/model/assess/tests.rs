//! From situations to states: one table.

use std::collections::HashMap;

use super::super::container::{ContainerId, NetworkMode, RunState};
use super::super::handshake::{FailReason, InconclusiveReason, Verdict};
use super::super::lab::Lab;
use super::super::mounts::{Mount, Source};
use super::super::proof::Proof;
use super::super::workload::{COMPOSE_PROJECT, COMPOSE_SERVICE};
use super::*;

#[derive(Default)]
struct Told {
    proofs: HashMap<(ContainerId, ContainerId), Proof>,
    trouble: Option<Trouble>,
}

impl Findings for Told {
    fn proof(&self, consumer: &ContainerId, provider: &ContainerId) -> Option<&Proof> {
        self.proofs.get(&(consumer.clone(), provider.clone()))
    }

    fn trouble(&self, _: &EdgeKey) -> Option<&Trouble> {
        self.trouble.as_ref()
    }
}

struct Situation {
    lab: Lab,
    told: Told,
    app1: ContainerId,
    app2: ContainerId,
}

impl Situation {
    fn new(handshake: &str) -> Self {
        let mut lab = Lab::default();
        let app1 = lab.run("app1", &[]);
        let app2 = lab.run("app2", &[("tieline.link.x", "app1:80"), ("tieline.link.x.handshake", handshake)]);
        lab.carry_out(false);
        Self { lab, told: Told::default(), app1, app2 }
    }

    fn told(mut self, verdict: Verdict) -> Self {
        let mut proof = Proof::default();
        proof.take(verdict, "words");
        proof.take(verdict, "words");
        self.told.proofs.insert((self.app2.clone(), self.app1.clone()), proof);
        self
    }

    fn is(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn assess(&self) -> Assessment {
        let link = self.lab.world.declaration().links.values().next().unwrap();
        assess(&self.lab.world, link, &self.told)
    }
}

fn stop(situation: &mut Situation, state: RunState) {
    let id = situation.app1.clone();
    situation.lab.change(&id, |container| container.state = state);
}

#[test]
fn every_situation_has_its_state_and_reason() {
    const PASSED: Verdict = Verdict::Pass { listening: None, detour: false };
    const OPEN: Verdict = Verdict::Pass { listening: Some(true), detour: false };
    const SILENT: Verdict = Verdict::Pass { listening: Some(false), detour: false };
    let table = [
        ("wired only", Situation::new("auto"), State::Verifying, "NotYetProven"),
        ("open", Situation::new("auto").told(OPEN), State::Ready, "Ready"),
        ("silent", Situation::new("auto").told(SILENT), State::NoListener, "NoListener"),
        ("exchanged", Situation::new("exchange").told(PASSED), State::Ready, "Ready"),
        (
            "failed",
            Situation::new("exchange").told(Verdict::Fail(FailReason::Timeout)),
            State::Unreachable,
            "Timeout",
        ),
        (
            "no tool",
            Situation::new("auto").told(Verdict::Inconclusive(InconclusiveReason::NoNetcat)),
            State::Unknown,
            "NoNetcat",
        ),
        ("none", Situation::new("none"), State::Unknown, "HandshakeNone"),
        (
            "stopped",
            Situation::new("auto").told(OPEN).is(|s| stop(s, RunState::Exited)),
            State::Pending,
            "ProviderNotRunning",
        ),
        (
            "paused",
            Situation::new("auto").told(OPEN).is(|s| stop(s, RunState::Paused)),
            State::Unknown,
            "ContainerPaused",
        ),
        (
            "gone",
            Situation::new("auto").is(|s| s.lab.remove(&s.app1.clone())),
            State::Pending,
            "ProviderNotFound",
        ),
        (
            "detached",
            Situation::new("auto")
                .told(OPEN)
                .is(|s| s.lab.change(&s.app1.clone(), |c| c.attachments.clear())),
            State::Wiring,
            "InProgress",
        ),
        (
            "refused by the engine",
            Situation::new("auto").is(|s| {
                s.lab.change(&s.app1.clone(), |c| c.attachments.clear());
                let message = "no".to_owned();
                s.told.trouble = Some(Trouble { reason: Reason::ConnectFailed, message });
            }),
            State::Wiring,
            "ConnectFailed",
        ),
        (
            "failed, one namespace lost",
            Situation::new("auto")
                .told(Verdict::Fail(FailReason::NameNotResolved))
                .is(|s| s.lab.change(&s.app1.clone(), |c| c.namespace_lost = true)),
            State::Wiring,
            "NamespaceLost",
        ),
        (
            "works, one namespace lost",
            Situation::new("auto")
                .told(OPEN)
                .is(|s| s.lab.change(&s.app1.clone(), |c| c.namespace_lost = true)),
            State::Ready,
            "Ready",
        ),
        (
            "host",
            Situation::new("auto").is(|s| s.lab.change(&s.app1.clone(), |c| c.mode = NetworkMode::Host)),
            State::Wiring,
            "HostNetworkMode",
        ),
    ];
    for (what, situation, state, reason) in table {
        let assessment = situation.assess();
        let ready = assessment.conditions.last().unwrap();
        assert_eq!((assessment.state, ready.reason.as_str()), (state, reason), "{what}");
        assert_eq!(assessment.conditions.len(), 6, "{what}");
        assert_eq!(ready.status == Status::True, state == State::Ready, "{what}");
        assert_eq!(assessment.message.is_empty(), state == State::Ready, "{what} says what is the matter");
    }
}

#[test]
fn one_bad_path_is_enough_and_one_that_waits_hides_no_other() {
    let mut lab = Lab::default();
    let provider = lab.run("db", &[]);
    let consumers: Vec<ContainerId> =
        (1..=3).map(|n| lab.run_service("shop/web", n, &[("tieline.link.db", "db:1")])).collect();
    lab.carry_out(false);
    let mut told = Told::default();
    let mut tell = |n: usize, verdict| {
        let mut proof = Proof::default();
        proof.take(verdict, "");
        proof.take(verdict, "");
        told.proofs.insert((consumers[n].clone(), provider.clone()), proof);
        let link = lab.world.declaration().links.values().next().unwrap();
        assess(&lab.world, link, &told).state
    };
    assert_eq!(tell(0, Verdict::Pass { listening: Some(true), detour: false }), State::Verifying);
    assert_eq!(tell(1, Verdict::Inconclusive(InconclusiveReason::NoShell)), State::Unknown);
    assert_eq!(tell(2, Verdict::Fail(FailReason::Refused)), State::Unreachable);
}

/// Shop/web links `db:1`, and a second replica of it declares the same link as `second` says.
fn two_replicas(second: &[(&str, &str)], started: bool) -> (Lab, Told) {
    let mut lab = Lab::default();
    let db = lab.run("db", &[]);
    let web = lab.run_service("shop/web", 1, &[("tieline.link.db", "db:1")]);
    let other = lab.run_service("shop/web", 2, second);
    if !started {
        lab.change(&other, |container| container.state = RunState::Created);
    }
    lab.carry_out(false);
    let mut proof = Proof::default();
    proof.take(Verdict::Pass { listening: Some(true), detour: false }, "");
    (lab, Told { proofs: HashMap::from([((web, db), proof)]), trouble: None })
}

#[test]
fn a_replica_that_declares_a_link_otherwise_is_told_and_spoils_no_other_path() {
    let host = ("tieline.link.db", "host:9");
    let none = [("tieline.link.db", "db:2"), ("tieline.link.db.handshake", "none")];
    let table: [(_, &[(&str, &str)], _, _); 4] = [
        ("never started, to where nothing can be wired", &[host], false, State::Ready),
        ("never started, to another port", &[("tieline.link.db", "db:2")], false, State::Ready),
        ("never to be proven", &none, true, State::Ready),
        ("to another port, not proven yet", &[("tieline.link.db", "db:2")], true, State::Verifying),
    ];
    for (what, second, started, state) in table {
        let (mut lab, told) = two_replicas(second, started);
        let id = lab.run("host", &[]);
        lab.change(&id, |container| container.mode = NetworkMode::Host);
        let link = lab.world.declaration().links.values().next().unwrap();
        let assessment = assess(&lab.world, link, &told);
        assert_eq!(assessment.state, state, "{what}: {assessment:?}");
        assert!(
            assessment.message.contains("shop-web-2 declares this link otherwise"),
            "{what}: {assessment:?}"
        );
        assert_eq!(link.link.target.to_string(), "db:1", "{what}");
    }
}

#[test]
fn what_is_left_out_or_not_taken_for_the_service_is_told_with_what_to_do() {
    let assessed = |lab: &Lab| {
        let link = lab.world.declaration().links.values().next().unwrap();
        let assessment = assess(&lab.world, link, &Told::default());
        let reason = assessment.conditions.last().unwrap().reason.as_str();
        (assessment.state, reason, assessment.message)
    };
    let mut lab = Lab::default();
    for n in 0..70 {
        lab.run(&format!("p{n}"), &[("a", "b")]);
    }
    lab.run("web", &[("tieline.link", "[a=b]:80")]);
    let (state, reason, message) = assessed(&lab);
    assert_eq!((state, reason), (State::Wiring, "TooManyEdges"));
    assert!(
        message.contains("6 of 70 containers are left out") && message.contains("at most 64"),
        "{message}"
    );

    let mut lab = Lab::default();
    let db = lab.run_service("shop/db", 1, &[]);
    lab.run_service("shop/web", 1, &[("tieline.link", "db:5432")]);
    lab.run("db", &[]);
    lab.remove(&db);
    let (state, reason, message) = assessed(&lab);
    assert_eq!((state, reason), (State::Pending, "ProviderNotFound"));
    assert!(message.contains("has no container now") && message.contains("[KEY=VALUE]"), "{message}");

    lab.run("hook", &[(COMPOSE_PROJECT, "shop"), (COMPOSE_SERVICE, "cache")]);
    lab.run("other", &[("tieline.link", "shop/cache:1")]);
    let (_, _, message) = assessed(&lab);
    assert!(message.contains("hook has the labels of that service"), "{message}");
}

#[test]
fn a_provider_that_no_program_can_look_up_has_a_name_all_the_same() {
    let long = "a".repeat(300);
    let target = format!("{long}:80");
    let mut lab = Lab::default();
    lab.run(&long, &[]);
    lab.run("app2", &[("tieline.link", &target), ("tieline.link.x", &target)]);
    lab.carry_out(false);
    let world = &lab.world;
    let told = |named: bool| {
        let fits = |link: &&DeclaredLink| link.link.alias.is_some() == named;
        let link = world.declaration().links.values().find(fits).unwrap();
        assess(world, link, &Told::default()).conditions[1].clone()
    };
    assert_eq!((told(true).status, told(true).message.as_str()), (Status::True, ""));
    let message = told(false).message;
    assert!(
        message.contains("reached as id-of-aaaaaa") && message.contains("tieline.link.NAME"),
        "{message}"
    );
    let provider = world.participants().find(|p| p.container.name == long).unwrap();
    let attachment = provider.container.attachments.values().next().unwrap();
    assert!(attachment.aliases.contains(&provider.container.host()), "{:?}", attachment.aliases);
}

/// A link to a socket of `app1`, which has the volume v at /run; `app2` has these mounts.
fn to_socket(handshake: &str, mounts: Vec<Mount>) -> Situation {
    let mut lab = Lab::default();
    let app1 = lab.run("app1", &[]);
    let target = "unix://app1/run/x.sock";
    let app2 = lab.run("app2", &[("tieline.link.x", target), ("tieline.link.x.handshake", handshake)]);
    lab.change(&app1, |container| container.mounts = vec![volume("v", "/run")]);
    lab.change(&app2, |container| container.mounts = mounts);
    Situation { lab, told: Told::default(), app1, app2 }
}

fn volume(name: &str, destination: &str) -> Mount {
    Mount::new(Source::Volume(name.to_owned()), destination)
}

#[test]
fn a_socket_is_out_of_reach_where_no_volume_is_shared_and_else_what_the_handshake_tells() {
    const OPEN: Verdict = Verdict::Pass { listening: Some(true), detour: false };
    let shared = |handshake| to_socket(handshake, vec![volume("v", "/data")]);
    let failed = |reason| shared("auto").told(Verdict::Fail(reason));
    let long = format!("/{}", "x".repeat(107));
    let unknown = Status::Unknown;
    let table = [
        ("open", shared("auto").told(OPEN), State::Ready, "HandshakePassed", Status::True),
        ("not yet", shared("connect"), State::Verifying, "NotYetProven", unknown),
        ("no mount", to_socket("auto", vec![]), State::Unreachable, "MountMissing", unknown),
        (
            "no mount any more",
            to_socket("auto", vec![volume("w", "/run")]).told(OPEN),
            State::Unreachable,
            "MountMissing",
            unknown,
        ),
        (
            "no mount, and paused",
            to_socket("auto", vec![]).is(|s| stop(s, RunState::Paused)),
            State::Unreachable,
            "MountMissing",
            unknown,
        ),
        (
            "too long",
            to_socket("auto", vec![volume("v", &long)]),
            State::Unreachable,
            "SocketPathTooLong",
            unknown,
        ),
        ("no file", failed(FailReason::SocketMissing), State::Unreachable, "SocketMissing", Status::False),
        ("nobody", failed(FailReason::SocketStale), State::Unreachable, "SocketStale", Status::False),
        ("not permitted", failed(FailReason::SocketDenied), State::Unreachable, "SocketDenied", unknown),
        ("exchange", shared("exchange"), State::Unknown, "ExchangeNotPossible", unknown),
        ("none", shared("none"), State::Unknown, "HandshakeNone", unknown),
        (
            "stopped, and no mount",
            to_socket("auto", vec![]).is(|s| stop(s, RunState::Exited)),
            State::Pending,
            "NotYetProven",
            unknown,
        ),
        (
            "without a network",
            shared("auto").told(OPEN).is(|s| s.lab.change(&s.app1.clone(), |c| c.mode = NetworkMode::None)),
            State::Ready,
            "HandshakePassed",
            Status::True,
        ),
    ];
    for (what, situation, state, reachable, listening) in table {
        let assessment = situation.assess();
        let [.., wired, reach, listen, _] = &assessment.conditions[..] else { panic!("{what}") };
        assert_eq!((assessment.state, reach.reason.as_str()), (state, reachable), "{what}");
        assert_eq!((wired.reason, listen.status), (Reason::NoNetworkNeeded, listening), "{what}");
        assert!(situation.lab.edges().is_empty(), "{what} makes a network");
    }
    let message = to_socket("auto", vec![]).assess().message;
    assert!(message.contains("the volume v, which app2 does not mount"), "{message}");
}

fn wired(situation: &Situation) -> Condition {
    situation.assess().conditions.into_iter().find(|condition| condition.kind == Kind::Wired).unwrap()
}

#[test]
fn a_lost_namespace_is_told_until_the_container_starts_again() {
    let mut situation = Situation::new("auto");
    let app1 = situation.lab.world.container(&situation.app1).unwrap().clone();
    situation.lab.world.obstacles_mut().lose_namespace(&app1);
    let lost = wired(&situation);
    assert_eq!((lost.status, lost.reason), (Status::False, Reason::NamespaceLost));
    assert!(lost.message.ends_with("restart app1"), "{}", lost.message);
    let proven = situation.told(Verdict::Pass { listening: Some(true), detour: false });
    let works = wired(&proven);
    assert_eq!((works.status, works.reason), (Status::True, Reason::NamespaceLost));
    assert!(works.message.contains("works until"), "{}", works.message);
    let restarted = proven.is(|s| s.lab.change(&app1.id, |c| c.started = "later".to_owned()));
    assert_eq!(wired(&restarted).reason, Reason::Wired);
}

#[test]
fn two_ends_with_one_address_are_a_lost_namespace_where_the_handshake_fails() {
    let failed = Situation::new("auto").told(Verdict::Fail(FailReason::NameNotResolved));
    assert_eq!(wired(&failed).reason, Reason::Wired);
    let alike = |s: &mut Situation| {
        for id in [s.app1.clone(), s.app2.clone()] {
            s.lab.change(&id, |c| {
                c.attachments
                    .values_mut()
                    .for_each(|a| a.address = Some(std::net::Ipv4Addr::new(10, 0, 0, 9)));
            });
        }
    };
    let doubled = wired(&failed.is(alike));
    assert_eq!((doubled.status, doubled.reason), (Status::False, Reason::NamespaceLost));
    assert!(doubled.message.contains("the address 10.0.0.9 for both app"), "{}", doubled.message);
    let untold = Situation::new("auto").is(alike);
    assert_eq!(wired(&untold).reason, Reason::Wired, "an address may have changed hands");
}
