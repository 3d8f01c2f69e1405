//! Warnings of networks that carry our labels and are not ours.

use std::collections::BTreeSet;

use crate::model::container::NetworkId;
use crate::model::labels::message;
use crate::model::world::World;

/// Networks of which a warning was logged.
#[derive(Default)]
pub(super) struct Pretenders {
    known: BTreeSet<NetworkId>,
}

impl Pretenders {
    /// Logs one line for each network that has our labels, is not ours and was not there before.
    pub(super) fn warn(&mut self, world: &World) {
        let found: BTreeSet<NetworkId> = world
            .pretenders()
            .map(|(network, difference)| {
                if !self.known.contains(&network.id) {
                    let name = message(&network.name);
                    tracing::warn!(network = %name, id = %network.id, "left alone, although its labels say that it is a link network: {difference}");
                }
                network.id.clone()
            })
            .collect();
        self.known = found;
    }
}
