//! Plans as golden texts, and what every plan must lead to as a property.

use proptest::prelude::*;

use super::super::container::{ContainerId, NetworkMode, RunState, Shape};
use super::super::lab::Lab;
use super::super::layout;
use super::super::link::EdgeKey;
use super::super::owner::Owner;
use super::super::subnet;
use super::super::workload::Workload;
use super::super::world::{Observation, Policy, Stamp};
use super::teardown;

fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/plans"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// What a story did to the world, step by step, and what was planned after each step.
struct Story {
    lab: Lab,
    text: String,
}

impl Story {
    fn new(lab: Lab) -> Self {
        Self { lab, text: String::new() }
    }

    fn step(&mut self, what: &str, step: impl FnOnce(&mut Lab)) {
        step(&mut self.lab);
        self.text.push_str(&format!("# {what}\n{}\n", self.lab.plans()));
    }

    fn done(&mut self) {
        self.lab.carry_out(true);
        assert_eq!(self.lab.plans(), "nothing to do\n", "a plan that was carried out is not planned again");
    }
}

#[test]
fn one_link_from_its_creation_to_its_end() {
    let mut story = Story::new(Lab::default());
    story.step("app2 declares a link, app1 does not exist", |lab| {
        lab.run("app2", &[("tieline.link", "app1:12345"), ("tieline.link.db", "app1:5432")]);
    });
    story.step("app1 is created", |lab| {
        lab.run("app1", &[]);
    });
    story.done();
    story.step("both stop", |lab| {
        for name in ["app1", "app2"] {
            let id = super::super::container::ContainerId(format!("id-of-{name}"));
            lab.change(&id, |container| container.state = RunState::Exited);
        }
    });
    story.step("app2 is removed", |lab| {
        lab.remove(&super::super::container::ContainerId("id-of-app2".into()))
    });
    story.done();
    golden("one-link", &story.text);
}

#[test]
fn services_with_replicas() {
    let mut story = Story::new(Lab::default());
    story.step("two of web link to two of db", |lab| {
        for n in 1..=2 {
            lab.run_service("shop/db", n, &[]);
            lab.run_service("shop/web", n, &[("tieline.link.store", "db:5432")]);
        }
    });
    story.done();
    story.step("db is scaled to three", |lab| {
        lab.run_service("shop/db", 3, &[]);
    });
    story.done();
    golden("replicas", &story.text);
}

#[test]
fn a_provider_in_topology_shared() {
    let mut story = Story::new(Lab::default());
    story.step("two consumers of one shared provider", |lab| {
        lab.run("hub", &[("tieline.topology", "shared")]);
        lab.run("a", &[("tieline.link", "hub:80")]);
        lab.run("b", &[("tieline.link.center", "hub:80")]);
    });
    story.done();
    story.step("a third one knows the provider by another name: nothing is cut to give it one", |lab| {
        lab.run("c", &[("tieline.link.middle", "hub:80")]);
    });
    story.done();
    golden("shared", &story.text);
}

#[test]
fn the_topology_is_that_of_the_oldest_replica_that_ever_ran() {
    let mut lab = Lab::default();
    lab.run("web", &[("tieline.link", "shop/db:1")]);
    let shared = [("tieline.topology", "shared")];
    let first = lab.run_service("shop/db", 1, &shared);
    lab.change(&first, |container| container.state = RunState::Created);
    let topology = |lab: &Lab| lab.world.declaration().edges.keys().next().unwrap().to_string();
    assert_eq!(topology(&lab), "* -> shop/db", "the only one");
    let second = lab.run_service("shop/db", 2, &[]);
    lab.run_service("shop/db", 3, &shared);
    assert_eq!(topology(&lab), "web -> shop/db", "the first one never ran, the third one is newer");
    lab.remove(&second);
    assert_eq!(topology(&lab), "* -> shop/db");
}

#[test]
fn consent_decides_who_is_wired() {
    let deny = Policy {
        owner: Owner::new("tieline"),
        label_prefix: "tieline.".to_owned(),
        default_deny: true,
        pool: "10.213.0.0/16".parse().unwrap(),
    };
    let mut story = Story::new(Lab::with_policy(deny));
    story.step("under --default-deny only the invited are wired", |lab| {
        lab.run("closed", &[]);
        lab.run("open", &[("tieline.accept", "*")]);
        lab.run("picky", &[("tieline.accept", "web [tier=front]")]);
        lab.run("nobody", &[("tieline.accept", "none")]);
        lab.run("hidden", &[("tieline.accept", "*"), ("tieline.ignore", "true")]);
        let all = "closed:1 open:1 picky:1 nobody:1 hidden:1";
        lab.run("web", &[("tieline.link", all)]);
        lab.run("front", &[("tieline.link", all), ("tier", "front")]);
        lab.run("other", &[("tieline.link", all)]);
    });
    golden("consent", &story.text);
}

#[test]
fn what_people_do_by_hand() {
    let mut story = Story::new(Lab::default());
    let mut ids = Vec::new();
    story.step("a link and a bystander", |lab| {
        ids.push(lab.run("app1", &[]));
        ids.push(lab.run("app2", &[("tieline.link.db", "app1:5432")]));
        ids.push(lab.run("bystander", &[]));
    });
    story.done();
    story.step("app1 is detached", |lab| {
        lab.change(&ids[0], |container| container.attachments.clear());
    });
    story.done();
    story.step("app1 is attached again without the link's name", |lab| {
        lab.change(&ids[0], |container| container.attachments.clear());
        lab.attach(&ids[0], "zzzz_tieline_app2_app1_10.213.0.0", &["app1"]);
    });
    story.done();
    story.step("a bystander is attached to the link network", |lab| {
        lab.attach(&ids[2], "zzzz_tieline_app2_app1_10.213.0.16", &[]);
    });
    story.done();
    story.step("app2 is stopped and the network is removed", |lab| {
        lab.change(&ids[1], |container| container.state = RunState::Exited);
        lab.change(&ids[0], |container| container.attachments.clear());
        let id = super::super::container::NetworkId("id-of-zzzz_tieline_app2_app1_10.213.0.16".into());
        lab.world
            .apply([(super::super::world::Stamp(1_000), super::super::world::Observation::NetworkGone(id))]);
    });
    golden("by-hand", &story.text);
}

#[test]
fn who_is_stranded_is_healed_member_or_not_and_only_from_networks_that_may_have_been_ours() {
    let mut lab = Lab::default();
    let gone =
        ["zzzz_tieline_web_app1_10.213.0.0", "tieline_all_app1_10.213.1.0", "tieline_default", "other"];
    for (n, name) in gone.into_iter().enumerate() {
        lab.add_network(&format!("{n}"), name, &format!("172.20.{n}.0/24"), None);
    }
    let app1 = lab.run("app1", &[]);
    gone.iter().for_each(|name| lab.attach(&app1, name, &[]));
    lab.change(&app1, |container| container.state = RunState::Exited);
    assert_eq!(lab.plans(), "nothing to do\n", "while the networks are there");
    for n in 0..gone.len() {
        lab.remove_network(&format!("{n}"));
    }
    lab.carry_out(false);
    let left: Vec<&String> = lab.world.container(&app1).unwrap().attachments.keys().collect();
    assert_eq!(left, ["other", "tieline_default"]);
}

#[test]
fn who_is_stranded_on_a_network_of_another_instance_is_left_to_that() {
    let mut lab = Lab::default();
    // It could just as well be that of our own edge from `b` to `web_app1`.
    let name = "tieline_b_web_app1_10.213.0.0";
    lab.add_network("theirs", name, "172.20.0.0/24", None);
    let app1 = lab.run("app1", &[]);
    lab.attach(&app1, name, &[]);
    let edge = EdgeKey::Shared { provider: Workload::Container("app1".to_owned()) };
    lab.change(&app1, |container| {
        container.state = RunState::Exited;
        container.attachments.get_mut(name).unwrap().options = Owner::new("tieline_b").labels(&edge);
    });
    lab.remove_network("theirs");
    assert_eq!(lab.plans(), "nothing to do\n");
}

#[test]
fn the_dead_are_not_asked_to_leave() {
    let mut lab = Lab::default();
    lab.run("app1", &[]);
    let app2 = lab.run("app2", &[("tieline.link", "app1:1")]);
    lab.carry_out(false);
    lab.change(&app2, |container| container.state = RunState::Dead);
    lab.carry_out(true);
    assert!(lab.world.owned().next().is_none(), "its network is not needed, and goes");
    assert_eq!(lab.plans(), "nothing to do\n", "although the dead one still refers to it");
}

#[test]
fn who_was_refused_is_connected_again_and_wired_elsewhere_if_the_network_is_full() {
    let mut lab = Lab::default();
    lab.run("app1", &[]);
    let app2 = lab.run("app2", &[("tieline.link", "app1:1")]);
    lab.carry_out(false);
    let (id, name) =
        lab.world.owned().map(|(network, _)| (network.id.clone(), network.name.clone())).next().unwrap();
    let refused = |lab: &mut Lab| {
        lab.change(&app2, |container| container.attachments.get_mut(&name).unwrap().address = None);
    };
    refused(&mut lab);
    assert!(lab.plans().contains(&format!("connect app2 to {name}")), "{}", lab.plans());
    lab.carry_out(false);
    assert_eq!(lab.plans(), "nothing to do\n");
    refused(&mut lab);
    let other = lab.run("other", &[]);
    lab.attach(&other, &name, &[]);
    lab.world.obstacles_mut().fill(id);
    assert!(lab.plans().contains("create network zzzz_tieline_app2_app1_10.213.0.16"), "{}", lab.plans());
}

#[test]
fn a_teardown_frees_the_stranded_and_the_refused_too() {
    let mut lab = Lab::default();
    lab.run("app1", &[]);
    let app2 = lab.run("app2", &[("tieline.link", "app1:1")]);
    lab.carry_out(false);
    let (name, gone) = ("zzzz_tieline_app2_app1_10.213.0.0", "tieline_web_app1_10.213.9.0");
    lab.change(&app2, |container| container.attachments.get_mut(name).unwrap().address = None);
    lab.add_network("gone", gone, "172.20.0.0/24", None);
    let old = lab.run("old", &[]);
    lab.attach(&old, gone, &[]);
    lab.change(&old, |container| container.state = RunState::Exited);
    lab.remove_network("gone");
    let actions: Vec<String> =
        teardown(&lab.world).iter().map(|planned| planned.action.to_string()).collect();
    let expected = [
        format!("disconnect app1 from {name}"),
        format!("connect app2 to {name} as "),
        format!("disconnect app2 from {name}"),
        format!("remove network {name}"),
        format!("disconnect old from {gone}"),
    ];
    assert_eq!(actions, expected);
}

#[test]
fn who_would_find_no_address_is_detached_while_it_does_not_run() {
    let mut lab = Lab::default();
    lab.run("app1", &[]);
    let app2 = lab.run("app2", &[("tieline.link", "app1:1")]);
    let edge = lab.edges().pop_first().unwrap();
    // Room for one.
    lab.add_network("tiny", "tieline_app2_app1_10.213.0.0", "10.213.0.0/30", Some(&edge));
    lab.change(&app2, |container| container.state = RunState::Exited);
    for id in ["id-of-app1", "id-of-app2"] {
        lab.attach(&ContainerId(id.into()), "tieline_app2_app1_10.213.0.0", &["app1"]);
    }
    assert!(lab.plans().contains("disconnect app2 from tieline_app2_app1_10.213.0.0"), "{}", lab.plans());
    lab.carry_out(true);
    lab.carry_out(true);
    let on: Vec<&String> = lab.world.container(&app2).unwrap().attachments.keys().collect();
    assert_eq!(on, ["zzzz_tieline_app2_app1_10.213.0.16"]);
}

#[test]
fn two_networks_of_one_edge() {
    let mut lab = Lab::default();
    let app1 = lab.run("app1", &[]);
    let app2 = lab.run("app2", &[("tieline.link", "app1:1")]);
    let edge = lab.edges().pop_first().unwrap();
    let newer = "tieline_app2_app1_10.213.0.16";
    lab.add_network("older", "tieline_app2_app1_10.213.0.0", "10.213.0.0/28", Some(&edge));
    lab.add_network("newer", newer, "10.213.0.16/28", Some(&edge));
    lab.attach(&app1, newer, &["app1"]);
    lab.attach(&app2, newer, &["app2"]);
    golden("two-networks", &lab.plans());
}

#[test]
fn who_may_be_started_any_moment_is_connected_first_and_consumers_before_providers() {
    let mut lab = Lab::default();
    let ids = ["p1", "p2"]
        .map(|name| lab.run_service(&format!("shop/{}", &name[..1]), name[1..].parse().unwrap(), &[]));
    let consumers = ["c1", "c2"].map(|name| {
        lab.run_service(
            &format!("shop/{}", &name[..1]),
            name[1..].parse().unwrap(),
            &[("tieline.link.x", "p:1")],
        )
    });
    for id in [&ids[0], &consumers[0]] {
        lab.change(id, |container| container.state = RunState::Created);
    }
    let plans = lab.plans();
    let order: Vec<&str> = plans
        .lines()
        .filter_map(|line| line.strip_prefix("connect shop-")?.split_once(" to ").map(|(name, _)| name))
        .collect();
    assert_eq!(order, ["c-1", "p-1", "p-2", "c-2"], "{plans}");
}

#[test]
fn a_container_that_cannot_be_inspected_holds_back_only_the_networks_that_it_is_on() {
    let mut lab = Lab::default();
    lab.run("db", &[]);
    let [web1, web2] = ["web1", "web2"].map(|name| lab.run(name, &[("tieline.link", "db:1")]));
    lab.carry_out(false);
    let on = lab.world.container(&web1).unwrap().attachments.clone();
    let stranger = lab.run("stranger", &[]);
    for network in ["zzzz_tieline_web1_db_10.213.0.0", "zzzz_tieline_web2_db_10.213.0.16"] {
        lab.attach(&stranger, network, &[]);
    }
    lab.remove(&web1);
    lab.world.set_unseen([(web1.clone(), on)]);
    // The link of `web1` may need its network, with everybody on it.
    assert!(!lab.plans().contains("web1_db"), "{}", lab.plans());
    assert!(lab.plans().contains("disconnect stranger from zzzz_tieline_web2_db"), "{}", lab.plans());
    lab.remove(&web2);
    assert!(lab.plans().contains("remove network zzzz_tieline_web2_db"), "{}", lab.plans());
    let torn: Vec<String> = teardown(&lab.world).iter().map(|planned| planned.action.to_string()).collect();
    assert!(torn.contains(&"remove network zzzz_tieline_web2_db_10.213.0.16".to_owned()), "{torn:?}");
    assert!(!torn.iter().any(|action| action.contains("web1_db")), "{torn:?}");
    // Once it is known to be gone, nothing is held back any more, and its edge is planned for again.
    let gone = Observation::ContainerGone(web1);
    let touched = lab.world.apply([(Stamp(1_000), gone)]);
    assert!(touched.edges.iter().any(|edge| edge.to_string().contains("web1")), "{:?}", touched.edges);
    assert!(lab.plans().contains("remove network zzzz_tieline_web1_db"), "{}", lab.plans());
}

/// A link with a network that the engine made as the daemon's `default-network-opts` say.
fn linked_on(shape: Shape) -> Lab {
    let mut lab = Lab::default();
    lab.run("app1", &[]);
    lab.run("app2", &[("tieline.link", "app1:1")]);
    lab.carry_out(false);
    let id = lab.world.owned().map(|(network, _)| network.id.clone()).next().unwrap();
    lab.change_network(&id, |network| network.shape = shape);
    lab
}

#[test]
fn a_network_on_which_nobody_may_talk_is_replaced_and_then_goes() {
    let mut story = Story::new(linked_on(Shape { icc: false, ..Shape::LINK }));
    story.step("the engine made the network without inter-container communication", |_| {});
    story.done();
    assert_eq!(story.lab.world.owned().count(), 1);
    golden("no-icc", &story.text);
}

#[test]
fn a_network_that_has_ipv6_keeps_its_pairs_and_gets_no_others() {
    let mut lab = linked_on(Shape { ipv6: true, ..Shape::LINK });
    assert_eq!(lab.plans(), "nothing to do\n", "nobody is cut off");
    lab.remove(&ContainerId("id-of-app2".into()));
    lab.run("app2", &[("tieline.link.x", "app1:1")]);
    assert!(lab.plans().contains("create network zzzz_tieline_app2_app1_10.213.0.16"), "{}", lab.plans());
}

#[test]
fn a_network_that_is_not_ours_in_every_respect_is_left_alone() {
    let mut lab = Lab::default();
    let [app1, app2] = ["app1", "app2"].map(|name| lab.run(name, &[]));
    let consumer = lab.run("web", &[("tieline.link", "app1:1")]);
    lab.carry_out(false);
    // Foreign networks with our labels: of an edge that is declared and of one that is not.
    let other = EdgeKey::Pair {
        consumer: Workload::Container("app2".into()),
        provider: Workload::Container("app1".into()),
    };
    let declared = lab.edges().pop_first().unwrap();
    for (n, edge) in [&declared, &other].into_iter().enumerate() {
        lab.add_network(&format!("named-{n}"), &format!("aaa-{n}"), &format!("192.168.{n}.0/24"), Some(edge));
        let name = lab.world.policy().owner.network_name(edge, "192.168.9.0/24".parse().unwrap());
        let id = lab.add_network(&format!("open-{n}"), &name, "192.168.9.0/24", Some(edge));
        lab.change_network(&id, |network| network.shape.internal = false);
        for container in [&app1, &app2, &consumer] {
            lab.attach(container, &format!("aaa-{n}"), &[]);
            lab.attach(container, &name, &[]);
        }
    }
    assert_eq!(lab.plans(), "nothing to do\n");
    assert_eq!(teardown(&lab.world).len(), 3, "two leave the one network that is ours, and it goes");
    let mut why: Vec<String> =
        lab.world.pretenders().map(|(net, why)| format!("{}: {why}", net.id)).collect();
    why.sort();
    assert_eq!(why.len(), 4, "{why:?}");
    assert!(why[0].starts_with("named-0: its name"), "{why:?}");
    assert_eq!(why[2], "open-0: it is not internal");
}

#[test]
fn modes_that_no_network_can_be_joined_to() {
    let mut lab = Lab::default();
    for (name, mode) in
        [("host", NetworkMode::Host), ("none", NetworkMode::None), ("side", NetworkMode::Shared)]
    {
        let id = lab.run(name, &[]);
        lab.change(&id, |container| container.mode = mode);
    }
    lab.run("app", &[("tieline.link", "host:1 none:1 side:1")]);
    assert_eq!(lab.plans(), "nothing to do\n");
}

#[test]
fn a_full_pool_blocks_only_what_is_new() {
    let mut story = Story::new(Lab::with_pool("10.9.0.0/28"));
    story.step("the pool has room for one network", |lab| {
        lab.run("db", &[]);
        lab.run("a", &[("tieline.link", "db:1")]);
        lab.carry_out(false);
        lab.run("b", &[("tieline.link", "db:1")]);
    });
    golden("full-pool", &story.text);
}

#[test]
fn what_never_ran_and_what_is_much_leaves_a_part_of_the_pool_to_others() {
    // Room for sixteen networks.
    let mut lab = Lab::with_pool("10.9.0.0/24");
    for n in 0..30 {
        lab.run(&format!("p{n}"), &[("a", "b")]);
    }
    let made = |lab: &mut Lab| {
        lab.carry_out(false);
        lab.world.owned().count()
    };
    let greedy = lab.run("greedy", &[("tieline.link", "[a=b]:80")]);
    lab.change(&greedy, |container| container.state = RunState::Created);
    assert_eq!(made(&mut lab), 12, "three quarters, since it never ran");
    assert!(lab.plans().contains("is kept for consumers that ever ran"), "{}", lab.plans());
    lab.run("web", &[("tieline.link", "p0:80")]);
    assert_eq!(made(&mut lab), 13, "an ordinary consumer has room");
    lab.change(&greedy, |container| container.state = RunState::Running);
    assert_eq!(made(&mut lab), 16);
    assert!(lab.plans().contains("no free subnet is left"), "{}", lab.plans());
}

#[test]
fn a_name_or_subnet_that_somebody_else_took_is_left_alone() {
    let mut lab = Lab::default();
    lab.add_network("foreign", "mine", "10.213.0.0/24", None);
    lab.add_network("disguised", "zzzz_tieline_app2_app1_10.213.1.0", "172.20.0.0/16", None);
    lab.run("app1", &[]);
    lab.run("app2", &[("tieline.link", "app1:1")]);
    golden("foreign", &lab.plans());
}

proptest! {
    #![proptest_config(super::super::lab::property(64, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/plans/seeds")))]

    /// Whatever numbers of replicas come one after the other: every pair shares a network, no
    /// network has more members than addresses, nothing that was connected is ever cut while its
    /// container exists, and what was done is not planned again.
    #[test]
    fn an_edge_grows_and_shrinks(
        steps in prop::collection::vec((0usize..2, any::<bool>(), 1usize..9), 1..8),
    ) {
        let mut lab = Lab::default();
        let mut next = [0usize; 2];
        let mut alive: [Vec<_>; 2] = Default::default();
        for (side, grow, count) in steps {
            for _ in 0..count {
                if grow {
                    next[side] += 1;
                    let id = match side {
                        0 => lab.run_service("shop/db", next[0], &[]),
                        _ => lab.run_service("shop/web", next[1], &[("tieline.link.db", "db:5432")]),
                    };
                    alive[side].push(id);
                } else if let Some(id) = alive[side].pop() {
                    lab.remove(&id);
                }
            }
            let before: Vec<_> = lab.world.participants().map(|p| p.container.clone()).collect();
            lab.carry_out(false);
            for was in before {
                let now = lab.world.container(&was.id).unwrap();
                for name in was.attachments.keys() {
                    let needed = lab.world.declaration().edges.values().any(|e| e.members().any(|m| *m == was.id));
                    prop_assert!(!needed || now.attachments.contains_key(name), "{} was cut from {name}", was.name);
                }
            }
            check(&lab)?;
        }
        lab.carry_out(true);
        prop_assert_eq!(lab.plans(), "nothing to do\n");
    }
}

fn check(lab: &Lab) -> Result<(), TestCaseError> {
    for (key, edge) in &lab.world.declaration().edges {
        for (ends, pair) in &edge.pairs {
            let carried = lab.world.networks_of(key).any(|net| layout::carries(net, ends, pair, &lab.world));
            prop_assert!(carried, "{ends:?} share no network");
        }
    }
    for (network, _) in lab.world.owned() {
        let members = lab.world.participants().filter(|p| p.container.attachment(network).is_some()).count();
        prop_assert!(members <= subnet::capacity(network.subnets[0]), "{} has {members}", network.name);
    }
    Ok(())
}
