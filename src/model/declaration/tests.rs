//! The cost of one container's labels for all others, and the containers that a label decides about.

use std::collections::BTreeSet;

use super::super::container::{Container, ContainerId, NetworkMode, RunState};
use super::super::lab::Lab;
use super::super::labels;
use super::super::moment::Moment;
use super::super::owner::Owner;
use super::super::workload::{COMPOSE_PROJECT, COMPOSE_SERVICE};
use super::super::world::Policy;
use super::index::compared;
use super::*;

fn policy() -> Policy {
    Policy {
        owner: Owner::new("tieline"),
        label_prefix: "tieline.".to_owned(),
        default_deny: false,
        pool: "10.213.0.0/16".parse().unwrap(),
    }
}

fn participant(n: usize, labels: &[(&str, &str)]) -> Participant {
    let container = Container {
        id: ContainerId(format!("{n:064}")),
        name: format!("c{n}"),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        state: RunState::Created,
        created: Moment(n as i128),
        started: String::new(),
        mode: NetworkMode::Own,
        attachments: BTreeMap::new(),
        namespace_lost: false,
        mounts: Vec::new(),
    };
    let declared = labels::read("tieline.", &container.labels);
    assert_eq!(declared.errors, []);
    Participant::new(container, declared)
}

/// `count` containers that are alike, with 64 links to all of each other and `accept`.
fn crowd(count: usize, accept: &str) -> Vec<Participant> {
    let links: Vec<String> = (1..=64).map(|port| format!("[a=b]:{port}")).collect();
    let labels = [("a", "b"), ("tieline.link", &links.join(" ")), ("tieline.accept", accept)];
    (0..count).map(|n| participant(n, &labels)).collect()
}

fn declared(participants: &[Participant]) -> Declaration {
    let participants: Vec<&Participant> = participants.iter().collect();
    declare(&policy(), &Services::default(), &participants)
}

#[test]
fn containers_that_were_only_created_cost_what_they_declare() {
    let nobody: Vec<String> = (1..=64).map(|n| format!("[nobody={n}]")).collect();
    let participants = crowd(30, &nobody.join(" "));
    let before = compared();
    let declaration = declared(&participants);
    // Each selector once for each pair of containers, and the links' one selector once for each container.
    let pairs = 30 * 29;
    assert!(compared() - before <= pairs * 64 + 30, "{}", compared() - before);
    assert_eq!((declaration.links.len(), declaration.edges.len()), (30 * 64, 0));
}

#[test]
fn what_the_links_of_one_container_find_has_a_limit() {
    let declaration = declared(&crowd(100, "*"));
    for link in declaration.links.values() {
        let consumers: BTreeSet<_> = link.paths.keys().map(|(consumer, _)| consumer).collect();
        assert!(consumers.len() <= 1);
    }
    let paths: usize = declaration.links.values().map(|link| link.paths.len()).sum();
    assert!(paths <= 100 * MAX_FOUND, "{paths}");
    let left_out = |link: &DeclaredLink| link.resolution.left_out.is_some();
    assert!(declaration.links.values().all(left_out), "each finds more than is wired");
}

#[test]
fn the_edges_of_one_workload_have_a_limit_at_both_ends() {
    let declaration = declared(&crowd(100, "*"));
    let mut of_consumer: BTreeMap<&str, usize> = BTreeMap::new();
    for edge in declaration.edges.keys() {
        let EdgeKey::Pair { consumer: Workload::Container(consumer), .. } = edge else { panic!("{edge}") };
        *of_consumer.entry(consumer).or_default() += 1;
    }
    assert_eq!(of_consumer.values().max(), Some(&MAX_EDGES_OF_CONSUMER));

    let mut participants = vec![participant(0, &[])];
    participants.extend((1..=300).map(|n| participant(n, &[("tieline.link", "c0:80")])));
    // It ran, so it has its edge whatever was only created before it.
    participants[300].container.state = RunState::Running;
    let declaration = declared(&participants);
    assert_eq!(declaration.edges.len(), MAX_EDGES_OF_PROVIDER);
    let wired = |n: usize| {
        let name = format!("c{n}");
        declaration
            .links
            .iter()
            .any(|(key, link)| key.consumer.short_name() == name && !link.paths.is_empty())
    };
    assert!(wired(300) && wired(1) && !wired(299));
    // In topology shared they have one network together.
    participants[0] = participant(0, &[("tieline.topology", "shared")]);
    let declaration = declared(&participants);
    assert_eq!(declaration.edges.len(), 1);
    assert_eq!(declaration.edges.values().next().unwrap().pairs.len(), 300);
}

#[test]
fn what_is_named_is_wired_before_what_has_some_label() {
    let mut participants: Vec<Participant> = (0..100).map(|n| participant(n, &[("a", "b")])).collect();
    let link = [("tieline.link.crowd", "[a=b]:80"), ("tieline.link.db", "db:5432")];
    participants.push(participant(100, &link));
    let mut db = participant(101, &[]);
    db.container.name = "db".to_owned();
    participants.push(Participant::new(db.container, db.declared));
    let declaration = declared(&participants);
    let link = |name: &str| declaration.links.iter().find(|(key, _)| key.name == name).unwrap().1;
    assert_eq!((link("db").paths.len(), link("db").resolution.left_out), (1, None));
    assert_eq!(link("crowd").resolution.left_out, Some((37, Limit::OfConsumer)));
}

#[test]
fn the_pool_is_for_those_that_ran_and_for_the_first_few_edges() {
    let mut participants: Vec<Participant> = (0..20).map(|n| participant(n, &[("a", "b")])).collect();
    participants.push(participant(20, &[("tieline.link", "[a=b]:80")]));
    let pools = |participants: &[Participant]| {
        let mut pools: BTreeMap<Pool, usize> = BTreeMap::new();
        for edge in declared(participants).edges.values() {
            *pools.entry(edge.pool).or_default() += 1;
        }
        pools
    };
    let few = MAX_FEW_EDGES;
    assert_eq!(pools(&participants), BTreeMap::from([(Pool::Half, 20 - few), (Pool::ThreeQuarters, few)]));
    participants[20].container.state = RunState::Running;
    assert_eq!(pools(&participants), BTreeMap::from([(Pool::ThreeQuarters, 20 - few), (Pool::All, few)]));
}

/// The containers that the only link leads to, and what is said about it.
fn leads_to(lab: &Lab) -> (Vec<String>, Resolution) {
    let link = lab.world.declaration().links.values().next().unwrap();
    let providers = link.paths.keys().map(|(_, id)| lab.world.container(id).unwrap().name.clone());
    (providers.collect(), link.resolution.clone())
}

#[test]
fn a_service_without_a_container_is_not_replaced_by_somebody_else_s() {
    let mut lab = Lab::default();
    lab.run_service("shop/web", 1, &[("tieline.link.db", "db:5432")]);
    let stranger = lab.run("db", &[]);
    assert_eq!(leads_to(&lab).0, ["db"], "there never was such a service");
    let db = lab.run_service("shop/db", 1, &[]);
    assert_eq!(leads_to(&lab).0, ["shop-db-1"]);
    lab.remove(&db);
    let (found, resolution) = leads_to(&lab);
    assert_eq!((found.len(), resolution.stranger.as_deref()), (0, Some("db")));
    // A container of the own project is no stranger.
    lab.change(&stranger, |db| drop(db.labels.insert(COMPOSE_PROJECT.to_owned(), "shop".to_owned())));
    assert_eq!(leads_to(&lab).0, ["db"]);
}

#[test]
fn a_service_that_the_consumer_s_depends_on_is_known_after_a_restart_too() {
    let mut lab = Lab::default();
    lab.run("db", &[]);
    let depends = ("com.docker.compose.depends_on", "db:service_started:false");
    lab.run_service("shop/web", 1, &[("tieline.link.db", "db:5432"), depends]);
    assert_eq!(leads_to(&lab).1.stranger.as_deref(), Some("db"));
}

#[test]
fn nobody_else_is_let_in_by_the_name_of_a_service_without_a_container() {
    let mut lab = Lab::default();
    lab.run_service("shop/db", 1, &[("tieline.accept", "web")]);
    let web = lab.run_service("shop/web", 1, &[]);
    lab.remove(&web);
    lab.run("web", &[("tieline.link", "shop/db:5432")]);
    let (found, resolution) = leads_to(&lab);
    assert_eq!((found.len(), resolution.denied), (0, 1));
}

#[test]
fn a_project_that_is_gone_is_forgotten() {
    let mut lab = Lab::default();
    let db = lab.run_service("shop/db", 1, &[]);
    assert!(lab.world.services().has("shop", "db"));
    lab.remove(&db);
    lab.run("other", &[]);
    assert!(!lab.world.services().has("shop", "db"));
}

#[test]
fn what_compose_makes_beside_the_replicas_is_none_of_them() {
    let mut lab = Lab::default();
    lab.run("web", &[("tieline.link", "shop/db:5432")]);
    let service = [(COMPOSE_PROJECT, "shop"), (COMPOSE_SERVICE, "db")];
    lab.run("shop-db-pre_start-1", &service);
    let (found, resolution) = leads_to(&lab);
    assert_eq!((found.len(), resolution.pretender.as_deref()), (0, Some("shop-db-pre_start-1")));
    lab.run_service("shop/db", 1, &[]);
    lab.run_service("shop/db", 2, &[("com.docker.compose.hook", "pre_start")]);
    lab.run_service("shop/db", 3, &[("com.docker.compose.relay", "x")]);
    lab.run_service("shop/db", 4, &[("com.docker.compose.oneoff", "True")]);
    assert_eq!(leads_to(&lab).0, ["shop-db-1"]);
    // A container that is no replica never gets the service's name as an alias.
    lab.run("admin", &[("tieline.link", "shop-db-pre_start-1:1 shop-db-2:1 shop-db-3:1 shop-db-4:1")]);
    let edges = &lab.world.declaration().edges;
    let of_admin = edges.iter().filter(|(key, _)| key.to_string().starts_with("admin"));
    let aliases: BTreeSet<_> =
        of_admin.flat_map(|(_, edge)| edge.pairs.values()).flat_map(|pair| pair.aliases.clone()).collect();
    assert_eq!(aliases.len(), 4);
    assert!(!aliases.contains("db"), "{aliases:?}");
}

#[test]
fn what_an_updater_kept_is_no_provider_while_it_does_not_run() {
    let mut lab = Lab::default();
    lab.run("web", &[("tieline.link", "shop/db:5432")]);
    let old = lab.run_service("shop/db", 1, &[]);
    lab.change(&old, |container| {
        container.name = "shop-db-1-old".to_owned();
        container.state = RunState::Exited;
    });
    let both = |lab: &Lab| leads_to(lab).0.len();
    assert_eq!(both(&lab), 1, "the only one");
    // Its labels are those of the old one, and its name.
    let number = ("com.docker.compose.container-number", "1");
    let new = lab.run("new-one", &[(COMPOSE_PROJECT, "shop"), (COMPOSE_SERVICE, "db"), number]);
    assert_eq!(leads_to(&lab).0, ["new-one"]);
    lab.change(&new, |container| container.state = RunState::Created);
    assert_eq!(both(&lab), 2, "what was only created takes nobody's place");
    lab.change(&new, |container| container.state = RunState::Running);
    lab.change(&old, |container| container.state = RunState::Running);
    assert_eq!(both(&lab), 2, "who runs is a replica, whoever else has its number");
}
