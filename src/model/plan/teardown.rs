//! The plan that leaves nothing.

use super::super::world::World;
use super::{Action, NetworkRef, Planned, member};

/// Everything that removes the networks that this instance owns, whoever needs them. Every member is
/// detached first, the stopped ones too: they could not start again with a network that is gone.
pub fn teardown(world: &World) -> Vec<Planned> {
    let mut actions = Vec::new();
    for (network, _) in world.owned() {
        let reference = NetworkRef::Existing { id: network.id.clone(), name: network.name.clone() };
        let cause = "teardown".to_owned();
        for participant in world.participants() {
            let container = &participant.container;
            if container.attachment(network).is_some() {
                let action = Action::Disconnect { network: reference.clone(), container: member(container) };
                actions.push(Planned { action, cause: cause.clone() });
            }
        }
        let action = Action::RemoveNetwork { id: network.id.clone(), name: network.name.clone() };
        actions.push(Planned { action, cause });
    }
    actions
}
