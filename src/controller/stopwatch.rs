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
        if self.runs.is_empty() {
            return;
        }
        let wiring = self.wiring(world);
        self.runs.retain(|id, run| {
            let Some(container) = world.container(id) else {
                // Not looked at yet.
                return true;
            };
            match wiring.get(id).filter(|_| is_wireable(container)) {
                Some(Wiring::Missing) => {
                    run.missing = true;
                    return true;
                }
                Some(Wiring::Done) if run.missing => {
                    let histogram = metrics.wiring_duration_seconds.with_label_values(&[run.phase.as_str()]);
                    histogram.observe(run.since.elapsed().as_secs_f64());
                }
                Some(Wiring::Done) | None => {}
            }
            false
        });
    }

    /// How each container is wired that is being timed and has something to wire. Reads the edges once,
    /// however many containers are being timed.
    fn wiring(&self, world: &World) -> HashMap<ContainerId, Wiring> {
        let mut wiring = HashMap::new();
        for (key, edge) in &world.declaration().edges {
            for ends in edge.pairs.keys() {
                let timed = |id: &&ContainerId| {
                    self.runs.contains_key(*id) && !matches!(wiring.get(*id), Some(Wiring::Missing))
                };
                let timed: Vec<&ContainerId> = [&ends.0, &ends.1].into_iter().filter(timed).collect();
                if timed.is_empty() {
                    continue;
                }
                let is_missing = carrier::network(world, key, ends).is_none();
                let found = if is_missing { Wiring::Missing } else { Wiring::Done };
                wiring.extend(timed.into_iter().map(|id| (id.clone(), found)));
            }
        }
        wiring
    }
}

#[derive(Clone, Copy, Debug)]
enum Wiring {
    Missing,
    Done,
}
