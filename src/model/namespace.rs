//! Containers whose network namespace the engine has lost.
//!
//! The engine holds a namespace by a file that it mounts (`/run/docker/netns/…`). Where somebody unmounts that
//! file, the container keeps its interfaces, and the engine can connect it to no further network: the call
//! fails, and the engine may show an attachment all the same, with an address that the container does not
//! have and that another container gets. Only the container's next start makes a new namespace.

use super::container::{Container, ContainerId, Network};
use super::link::EdgeKey;
use super::world::World;

type Ends<'a> = [&'a ContainerId; 2];

/// Why the containers at the two ends of a path cannot be connected to any network, if a namespace is known to
/// be lost.
pub fn lost(world: &World, ends: Ends<'_>) -> Option<String> {
    let containers = ends.into_iter().filter_map(|id| world.container(id));
    let names: Vec<&str> =
        containers.filter(|end| is_lost(world, end)).map(|end| end.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let names = names.join(" and ");
    Some(format!(
        "the engine has lost the network namespace of {names}: something unmounted its file below /run; \
         restart {names}"
    ))
}

/// Two running containers with one address on `network`, if an end of a path is one of them. The engine gives
/// the address of an attachment that failed to the next container.
pub fn doubled(world: &World, edge: &EdgeKey, network: &Network, ends: Ends<'_>) -> Option<String> {
    let address = |container: &Container| container.attachment(network)?.address;
    let up = |id: &ContainerId| world.container(id).filter(|container| container.is_up());
    let members: Vec<&Container> = world.declaration().edges.get(edge)?.members().filter_map(up).collect();
    let (one, other, address) = ends.into_iter().filter_map(up).find_map(|end| {
        let taken = address(end)?;
        let other = members.iter().find(|other| other.id != end.id && address(other) == Some(taken))?;
        Some((&end.name, &other.name, taken))
    })?;
    Some(format!(
        "the engine shows the address {address} for both {one} and {other}: it has lost the network namespace \
         of one of them, where something unmounted a file below /run; restart {one} and {other}"
    ))
}

fn is_lost(world: &World, container: &Container) -> bool {
    container.is_up() && (container.namespace_lost || world.obstacles().has_lost_namespace(container))
}
