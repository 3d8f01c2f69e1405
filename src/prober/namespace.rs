//! Speaks by itself, from inside the containers' own network namespaces: nothing is asked of their images, and
//! nothing is started in them. Only where the controller may enter them, on the engine's own host.

mod entry;
mod files;
mod thread;
mod user;

use std::time::Duration;

use super::Side;
use super::handshake::{Means, Running, Trouble};
use super::overdue::Overdue;
use crate::docker::Docker;
use crate::model::handshake::role::Role;

/// Enters the containers' network namespaces.
pub struct Namespace {
    docker: Docker,
    threads: Overdue,
}

/// How long a thread may take to end that nobody needs any more, on a busy machine.
const THREAD_GRACE: Duration = Duration::from_secs(5);

impl Namespace {
    /// One that asks `docker` where the containers are.
    pub fn new(docker: Docker) -> Self {
        Self { docker, threads: Overdue::after(THREAD_GRACE) }
    }
}

impl Means for Namespace {
    const NAME: &'static str = "namespace";

    async fn start<'a>(
        &'a self,
        side: &'a Side,
        role: &Role,
        bound: Duration,
    ) -> Result<Running<'a>, Trouble> {
        let place = self.docker.place(&side.id).await.map_err(|error| Trouble::of(&error, side))?;
        let process = thread::speak(&self.threads, place, side, role.clone(), bound).await?;
        Ok(Running::ours(side, process))
    }
}
