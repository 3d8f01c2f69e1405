//! Which of two answers about one thing wins, and which edges an answer touches.

use std::collections::BTreeSet;

use super::super::container::{Attachment, ContainerId, NetworkId, RunState};
use super::super::lab::Lab;
use super::{MAX_GONE, Observation, Stamp};

/// A lab with one link, wired, and a bystander; the stamps of all this are below 100.
fn wired() -> (Lab, ContainerId, ContainerId) {
    let mut lab = Lab::default();
    let app1 = lab.run("app1", &[]);
    let app2 = lab.run("app2", &[("tieline.link", "app1:80")]);
    lab.run("bystander", &[]);
    lab.carry_out(false);
    (lab, app1, app2)
}

fn seen(lab: &Lab, id: &ContainerId, state: RunState) -> Observation {
    let mut container = lab.world.container(id).unwrap().clone();
    container.state = state;
    Observation::Container(Box::new(container))
}

#[test]
fn the_answer_asked_for_later_wins_whichever_comes_first() {
    let (mut lab, app1, _) = wired();
    let (old, new) = (seen(&lab, &app1, RunState::Running), seen(&lab, &app1, RunState::Exited));
    assert_eq!(lab.world.apply([(Stamp(101), new)]).changes, 1);
    assert_eq!(lab.world.apply([(Stamp(100), old)]).changes, 0);
    assert_eq!(lab.world.container(&app1).unwrap().state, RunState::Exited);
}

#[test]
fn what_is_gone_is_not_brought_back_by_an_older_answer() {
    let (mut lab, app1, _) = wired();
    let old = seen(&lab, &app1, RunState::Running);
    lab.world.apply([(Stamp(101), Observation::ContainerGone(app1.clone()))]);
    lab.world.apply([(Stamp(100), old.clone())]);
    assert!(lab.world.container(&app1).is_none());
    // Nor one that had never been seen before it was gone.
    let unknown = ContainerId("unknown".into());
    lab.world.apply([(Stamp(101), Observation::ContainerGone(unknown.clone()))]);
    let Observation::Container(mut container) = old else { unreachable!() };
    container.id = unknown.clone();
    lab.world.apply([(Stamp(100), Observation::Container(container))]);
    assert!(lab.world.container(&unknown).is_none());
}

#[test]
fn of_what_is_gone_the_newest_is_remembered_and_the_rest_is_bounded() {
    let (mut lab, app1, _) = wired();
    let mut old = seen(&lab, &app1, RunState::Running);
    let id = |n: u64| ContainerId(format!("gone-{n}"));
    let last = 3 * MAX_GONE as u64;
    let gone = (0..=last).map(|n| (Stamp(1000 + n), Observation::ContainerGone(id(n))));
    lab.world.apply(gone);
    assert!((MAX_GONE / 2..=MAX_GONE).contains(&lab.world.gone.len()), "{}", lab.world.gone.len());
    let Observation::Container(container) = &mut old else { unreachable!() };
    container.id = id(last);
    lab.world.apply([(Stamp(999), old)]);
    assert!(lab.world.container(&id(last)).is_none());
}

#[test]
fn a_list_removes_what_it_does_not_name_but_not_what_came_after_it() {
    let (mut lab, app1, app2) = wired();
    let network = lab.world.owned().next().unwrap().0.clone();
    lab.world.apply([(Stamp(200), Observation::Network(network.clone()))]);
    let touched = lab.world.finish_list(Stamp(150), &BTreeSet::from([app1.clone()]), &BTreeSet::new());
    assert_eq!(touched.changes, 2, "app2 and the bystander went");
    assert!(lab.world.container(&app2).is_none());
    assert_eq!(lab.world.owned().count(), 1, "the network was seen after the list was asked for");
    lab.world.finish_list(Stamp(250), &BTreeSet::from([app1]), &BTreeSet::new());
    assert_eq!(lab.world.owned().count(), 0);
}

#[test]
fn what_stays_the_same_touches_nothing() {
    let (mut lab, app1, _) = wired();
    let same = seen(&lab, &app1, RunState::Running);
    let touched = lab.world.apply([(Stamp(101), same)]);
    assert_eq!((touched.changes, touched.edges.len()), (0, 0));
}

#[test]
fn a_stranger_on_a_link_network_touches_its_edge() {
    let (mut lab, ..) = wired();
    let bystander = ContainerId("id-of-bystander".into());
    let mut container = lab.world.container(&bystander).unwrap().clone();
    let network = Some(lab.world.owned().next().unwrap().0.id.clone());
    let address = Some(std::net::Ipv4Addr::new(10, 0, 0, 9));
    let attachment = Attachment { network, address, ..Attachment::default() };
    container.attachments.insert("tieline_app2_app1_10.213.0.0".to_owned(), attachment);
    let on = lab.world.apply([(Stamp(101), Observation::Container(Box::new(container.clone())))]);
    assert_eq!(on.edges, lab.edges());
    container.attachments.clear();
    let off = lab.world.apply([(Stamp(102), Observation::Container(Box::new(container)))]);
    assert_eq!(off.edges, lab.edges());
}

#[test]
fn a_service_that_appears_takes_a_name_over_from_a_container() {
    let mut lab = Lab::default();
    lab.run("db", &[]);
    lab.run_service("shop/web", 1, &[("tieline.link.db", "db:5432")]);
    let before = lab.edges();
    lab.run_service("shop/db", 1, &[]);
    assert_eq!(before.first().unwrap().provider().to_string(), "db");
    assert_eq!(lab.edges().first().unwrap().provider().to_string(), "shop/db");
}

#[test]
fn what_another_reconcile_is_about_to_take_is_taken() {
    let (mut lab, ..) = wired();
    let edge = lab.edges().pop_first().unwrap();
    let subnet = "10.213.0.16/28".parse().unwrap();
    lab.world.obstacles_mut().claim(edge.clone(), vec![subnet]);
    assert!(lab.world.taken_subnets().contains(&subnet));
    lab.world.obstacles_mut().release(&edge);
    assert!(!lab.world.taken_subnets().contains(&subnet));
}

#[test]
fn a_network_that_went_frees_its_subnet() {
    let (mut lab, ..) = wired();
    let id = lab.world.owned().next().unwrap().0.id.clone();
    assert!(!lab.world.apply([(Stamp(101), Observation::NetworkGone(NetworkId("none".into())))]).freed);
    assert!(lab.world.apply([(Stamp(101), Observation::NetworkGone(id))]).freed);
    assert_eq!(lab.world.owned().count(), 0);
}
