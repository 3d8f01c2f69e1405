//! How long wiring takes, from the event that a container was created or started.

use std::collections::HashMap;
use std::time::Instant;

use crate::docker::watch::Event;
use crate::metrics::{Metrics, Phase};
use crate::model::carrier;
use crate::model::container::ContainerId;
use crate::model::declaration::is_wireable;
use crate::model::world::World;

/// Containers whose wiring is being timed.
#[derive(Debug, Default)]
pub struct Stopwatch {
    runs: HashMap<ContainerId, Run>,
}

#[derive(Debug)]
struct Run {
    phase: Phase,
    since: Instant,
    /// Whether a link was seen to be missing: a restart of what is wired is no wiring.
    missing: bool,
}

impl Stopwatch {
    /// Starts to time the container of an event, if it is one that wiring is timed from.
    pub fn take(&mut self, event: &Event) {
        let Some(container) = &event.container else { return };
        let phase = match (event.kind, event.action) {
            ("container", "create") => Phase::Create,
            ("container", "start") => Phase::Start,
            ("container", "destroy") => {
                self.runs.remove(container);
                return;
            }
            _ => return,
        };
        self.runs.insert(container.clone(), Run { phase, since: event.received, missing: false });
    }

    /// Forgets containers that a list did not name.
    pub fn forget_unknown(&mut self, world: &World) {
        self.runs.retain(|id, _| world.container(id).is_some());
    }

    /// Stops for every container whose links are all wired, or that has none to wire now.
    pub fn check(&mut self, world: &World, metrics: &Metrics) {
        self.runs.retain(|id, run| match state(world, id) {
            // Not looked at yet.
            None => true,
            Some(Wiring::Nothing) => false,
            Some(Wiring::Missing) => {
                run.missing = true;
                true
            }
            Some(Wiring::Done) => {
                if run.missing {
                    let histogram = metrics.wiring_duration_seconds.with_label_values(&[run.phase.as_str()]);
                    histogram.observe(run.since.elapsed().as_secs_f64());
                }
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
            if carrier::network(world, key, ends).is_none() {
                return Some(Wiring::Missing);
            }
            wiring = Wiring::Done;
        }
    }
    Some(wiring)
}
