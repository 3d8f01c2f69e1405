//! The plan that leaves nothing.

use super::super::declaration::Edge;
use super::super::link::EdgeKey;
use super::super::world::World;
use super::{Plan, Planned, Planner};

/// Everything that removes the networks that this instance owns, whoever needs them: what would be done
/// if nobody declared anything, so that here too everybody can start again.
pub fn teardown(world: &World) -> Vec<Planned> {
    let nothing = Edge::default();
    let plan = |key: EdgeKey| Planner { key: &key, edge: &nothing, world, plan: Plan::default() }.run();
    world
        .edges()
        .into_iter()
        .map(plan)
        .flat_map(|Plan { actions, garbage, .. }| [actions, garbage].concat())
        .collect()
}
