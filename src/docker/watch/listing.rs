//! Everything the engine holds, asked for in one go.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::super::{Docker, Error, patiently};
use crate::model::container::{Attachments, ContainerId, NetworkId};
use crate::model::world::{Observation, Stamp};

/// Looks under way at once while listing.
const LOOKS_AT_ONCE: usize = 8;

/// How long the engine may take for each thing that it is asked. A connection that is half open never
/// tells that the engine is back; another one does. And one container that the engine is stuck at must
/// not hold up the whole list.
const ANSWER: Duration = Duration::from_secs(10);

/// Everything the engine held at one time.
#[derive(Debug)]
pub struct Listing {
    /// When it was asked for.
    pub at: Stamp,
    /// The ids of all containers.
    pub containers: BTreeSet<ContainerId>,
    /// The ids of all networks.
    pub networks: BTreeSet<NetworkId>,
    /// How each of them is.
    pub observations: Vec<(Stamp, Observation)>,
    /// Containers that exist, but could not be inspected, and the networks that each is attached to.
    pub unseen: Vec<(ContainerId, Attachments)>,
}

/// Lists. One container that cannot be looked at does not spoil the list.
///
/// # Errors
/// If the engine cannot be asked for its containers or networks.
pub async fn list(docker: Docker) -> Result<Listing, Error> {
    let at = docker.stamp();
    let networks = in_time(patiently(|| docker.list_networks())).await?;
    let containers = in_time(patiently(|| docker.list_containers())).await?;
    let mut listing = Listing {
        at,
        networks: networks.iter().map(|network| network.id.clone()).collect(),
        observations: networks.into_iter().map(|network| (at, Observation::Network(network))).collect(),
        unseen: Vec::new(),
        containers: containers.keys().cloned().collect(),
    };
    let mut looks = stream::iter(containers)
        .map(|(id, on)| async { (in_time(patiently(|| docker.look_at_container(&id))).await, id, on) })
        .buffer_unordered(LOOKS_AT_ONCE);
    while let Some((look, id, attachments)) = looks.next().await {
        match look {
            Ok(observation) => listing.observations.push(observation),
            Err(error) => {
                tracing::debug!(container = %id, %error, "cannot look at the container");
                listing.unseen.push((id, attachments));
            }
        }
    }
    drop(looks);
    Ok(listing)
}

pub(super) async fn in_time<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(ANSWER, call).await.map_err(|_| Error::unanswered(ANSWER))?
}
