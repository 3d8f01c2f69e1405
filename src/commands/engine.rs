//! The way to an engine for commands that do their work and end.

use std::sync::Arc;

use super::Error;
use crate::docker::watch::{self, Listing};
use crate::docker::{self, Docker};
use crate::model::world::{Policy, World};
use crate::routes;

/// A client whose calls nobody counts.
pub fn docker(host: &str) -> Docker {
    Docker::new(host, Arc::new(|_| ()))
}

/// The world as one list tells it.
pub async fn world(docker: &Docker, policy: Policy) -> Result<World, Error> {
    let listing = watch::list(docker.clone()).await.map_err(|error| unreachable(docker.host(), &error))?;
    let Listing { at, containers, networks, observations, unseen } = listing;
    if !unseen.is_empty() {
        let ids: Vec<String> = unseen.iter().map(|(id, _)| id.to_string()).collect();
        eprintln!("cannot inspect {}: networks with these containers are left alone", ids.join(", "));
    }
    let mut world = World::new(policy);
    world.obstacles_mut().set_routes(routes::read());
    world.apply(observations);
    world.finish_list(at, &containers, &networks);
    world.set_unseen(unseen);
    Ok(world)
}

/// Says which of the usual reasons it is, and what to do.
pub fn unreachable(host: &str, error: &docker::Error) -> Error {
    let text = error.to_string();
    let advice = if text.starts_with("permission denied") {
        // The text has it already.
        return Error::Engine(format!("cannot reach the engine at {host}: {text}"));
    } else if text.contains("there is no socket") {
        "is the engine installed and running? Start it, or give its address by --host or DOCKER_HOST"
    } else if text.contains("refused") || text.contains("did not answer") {
        "the engine is down or hangs: look at its log, start it again"
    } else {
        "is this the address of a Docker Engine?"
    };
    Error::Engine(format!("cannot reach the engine at {host}: {text}; {advice}"))
}
