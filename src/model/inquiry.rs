//! A link that is asked about, whether or not anybody declares it: what would be if its consumer did.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::container::ContainerId;
use super::declaration::{DeclaredLink, Participant, declare};
use super::labels::Declared;
use super::link::{Link, LinkKey, Target};
use super::workload::Workload;
use super::world::World;

/// What is known of a link that was asked about.
#[derive(Debug)]
pub struct Inquiry {
    /// The key under which it is declared, unless nobody declares it.
    pub declared: Option<LinkKey>,
    /// The link as it is declared, or as it would be.
    pub link: DeclaredLink,
}

/// The workload that people call `name`: a container by its name, a service as `PROJECT/SERVICE`, or by its
/// own name where only one project has it.
pub fn workload(world: &World, name: &str) -> Option<Workload> {
    let participants = || world.participants();
    let full = participants().find(|p| p.container.name == name || p.workload.to_string() == name);
    let by_service = || {
        let found: BTreeSet<&Workload> =
            participants().map(|p| &p.workload).filter(|workload| workload.short_name() == name).collect();
        found
            .into_iter()
            .next()
            .filter(|only| participants().all(|p| p.workload == **only || p.workload.short_name() != name))
    };
    full.map(|participant| &participant.workload).or_else(by_service).cloned()
}

/// The containers of a workload.
pub fn replicas<'w>(world: &'w World, workload: &Workload) -> impl Iterator<Item = &'w Participant> {
    world.participants().filter(move |participant| participant.workload == *workload)
}

/// The link from `consumer` to `target`; `None` where that would be a link to itself.
pub fn inquire(world: &World, consumer: &Workload, target: &Target) -> Option<Inquiry> {
    let declared = world.declaration().links.iter().filter(|(key, _)| key.consumer == *consumer);
    let known = declared.filter_map(|(key, link)| Some((key, to_target(link, target)?))).next();
    if let Some((key, link)) = known {
        return Some(Inquiry { declared: Some(key.clone()), link });
    }
    let link = suppose(world, consumer, Link::to(target.clone()))?;
    Some(Inquiry { declared: None, link })
}

/// The paths of `link` to `target`, which not every replica may declare; `None` where no replica does.
fn to_target(link: &DeclaredLink, target: &Target) -> Option<DeclaredLink> {
    let mut link = link.clone();
    link.paths.retain(|_, path| path.link.target == *target);
    match link.paths.values().next() {
        Some(path) => link.link = Arc::clone(&path.link),
        None if link.link.target == *target => {}
        None => return None,
    }
    Some(link)
}

/// What `link` would be if `consumer` declared it, and nobody anything else.
fn suppose(world: &World, consumer: &Workload, link: Link) -> Option<DeclaredLink> {
    let link = Arc::new(link);
    let supposed: Vec<Participant> = world
        .participants()
        .map(|participant| {
            let links = if participant.workload == *consumer { vec![Arc::clone(&link)] } else { Vec::new() };
            let declared = Declared { links, errors: Vec::new(), ..participant.declared.clone() };
            Participant { declared, ..participant.clone() }
        })
        .collect();
    let supposed: Vec<&Participant> = supposed.iter().collect();
    declare(world.policy(), world.services(), &supposed).links.into_values().next()
}

/// The ends of the first path that runs at both ends, else of the first at all.
pub fn ends(world: &World, link: &DeclaredLink) -> Option<(ContainerId, ContainerId)> {
    let runs = |id: &ContainerId| world.container(id).is_some_and(|container| container.is_running());
    let mut paths = link.paths.keys();
    paths
        .clone()
        .find(|(consumer, provider)| runs(consumer) && runs(provider))
        .or_else(|| paths.next())
        .cloned()
}
