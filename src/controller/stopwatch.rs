//! How long wiring takes, from the event that a container was created or started.

use std::collections::HashMap;
use std::time::Instant;

use crate::docker::watch::Event;
use crate::metrics::{Metrics, Phase};
use crate::model::assess::carrier;
use crate::model::container::ContainerId;
use crate::model::declaration::is_wireable;
use crate::model::world::World;

/// Containers whose wiring is being timed.
#[derive(Debug, Default)]
pub struct Stopwatch {
    since: HashMap<ContainerId, (Phase, Instant)>,
}

impl Stopwatch {
    /// Starts to time the container of an event, if it is one that wiring is timed from.
    pub fn take(&mut self, event: &Event) {
        let Some(container) = &event.container else { return };
        match (event.kind, event.action) {
            ("container", "create") => {
                self.since.insert(container.clone(), (Phase::Create, event.received));
            }
            ("container", "start") => {
                // What was wired while it was only created has been timed already.
                self.since.insert(container.clone(), (Phase::Start, event.received));
            }
            ("container", "destroy") => {
                self.since.remove(container);
            }
            _ => {}
        }
    }

    /// Stops for every container whose links are all wired, or that has none to wire now.
    pub fn check(&mut self, world: &World, metrics: &Metrics) {
        self.since.retain(|id, (phase, since)| match state(world, id) {
            // Not looked at yet.
            None => true,
            Some(Wiring::Nothing) => false,
            Some(Wiring::Missing) => true,
            Some(Wiring::Done) => {
                let histogram = metrics.wiring_duration_seconds.with_label_values(&[phase.as_str()]);
                histogram.observe(since.elapsed().as_secs_f64());
                false
            }
        });
    }
}

enum Wiring {
    Nothing,
    Missing,
    Done,
}

fn state(world: &World, id: &ContainerId) -> Option<Wiring> {
    if !is_wireable(world.container(id)?) {
        return Some(Wiring::Nothing);
    }
    let mut wiring = Wiring::Nothing;
    for (key, edge) in &world.declaration().edges {
        for ends in edge.pairs.keys().filter(|(consumer, provider)| consumer == id || provider == id) {
            if carrier(world, key, ends).is_none() {
                return Some(Wiring::Missing);
            }
            wiring = Wiring::Done;
        }
    }
    Some(wiring)
}
