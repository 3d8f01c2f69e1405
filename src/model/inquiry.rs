//! A link that is asked about, whether or not anybody declares it: what would be if its consumer did.

use std::collections::BTreeSet;

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
    let mut declared = world.declaration().links.iter();
    let known = declared.find(|(key, link)| key.consumer == *consumer && link.link.target == *target);
    if let Some((key, link)) = known {
        return Some(Inquiry { declared: Some(key.clone()), link: link.clone() });
    }
    let link = suppose(world, consumer, &Link::to(target.clone()))?;
    Some(Inquiry { declared: None, link })
}

/// What `link` would be if `consumer` declared it, and nobody anything else.
fn suppose(world: &World, consumer: &Workload, link: &Link) -> Option<DeclaredLink> {
    let supposed: Vec<Participant> = world
        .participants()
        .map(|participant| {
            let links = if participant.workload == *consumer { vec![link.clone()] } else { Vec::new() };
            let declared = Declared { links, errors: Vec::new(), ..participant.declared.clone() };
            Participant { declared, ..participant.clone() }
        })
        .collect();
    let supposed: Vec<&Participant> = supposed.iter().collect();
    declare(world.policy(), &supposed).links.into_values().next()
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
