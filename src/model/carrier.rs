//! What carries a path's bytes: a network that both ends are on, or something that both have mounted.

use super::container::{ContainerId, Network};
use super::declaration::{DeclaredLink, Pair};
use super::handshake::FailReason;
use super::layout;
use super::link::{EdgeKey, Endpoint};
use super::mounts;
use super::world::World;

type Ends = (ContainerId, ContainerId);

/// The network of `edge` that carries the path already.
pub fn network<'w>(world: &'w World, edge: &EdgeKey, ends: &Ends) -> Option<&'w Network> {
    let pair: &Pair = world.declaration().edges.get(edge)?.pairs.get(ends)?;
    world.networks_of(edge).find(|network| layout::carries(network, ends, pair, world))
}

/// Why a path cannot work, which is found before anybody tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfReach {
    /// For programs.
    pub reason: FailReason,
    /// For people: also what to do.
    pub message: String,
}

/// The path at which the consumer has the provider's socket, or why it has none; `None` where the link is to
/// no socket.
pub fn socket(world: &World, link: &DeclaredLink, ends: &Ends) -> Option<Result<String, OutOfReach>> {
    let Endpoint::Unix(path) = &link.link.target.endpoint else { return None };
    let (consumer, provider) = (world.container(&ends.0)?, world.container(&ends.1)?);
    let found = mounts::path_in(&consumer.mounts, &provider.mounts, path);
    Some(found.map_err(|unshared| OutOfReach {
        reason: unshared.reason(),
        message: unshared.message(&consumer.name, &provider.name, path),
    }))
}

/// Why the path cannot work, if that is known already.
pub fn out_of_reach(world: &World, link: &DeclaredLink, ends: &Ends) -> Option<OutOfReach> {
    socket(world, link, ends)?.err()
}
