//! After the calls: what is so now, whatever the engine said to them.

use std::time::Duration;

use tokio::time::timeout;

use super::{Failure, Joined, Retry, Run};
use crate::docker::patiently;
use crate::model::assess::Trouble;
use crate::model::condition::Reason;
use crate::model::container::{Network, NetworkId};
use crate::model::owner::Difference;
use crate::model::world::{Observation, Stamp};

/// How long one look may take; what does not answer so soon will be told by its events.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

impl Run<'_> {
    /// Looks at everything that was touched, so that the next plan starts from what is so and not
    /// from what the calls were meant to do.
    pub(super) async fn look_again(&mut self) {
        for id in std::mem::take(&mut self.touched.networks) {
            let look = patiently(|| self.docker.look_at_network(&id));
            // Where one look takes so long, others would hold up the edge for as long again.
            let Ok(seen) = timeout(LOOK_TIMEOUT, look).await else { return };
            let Ok(mut seen) = seen else { continue };
            if let (_, Observation::Network(network)) = &seen
                && let Some(difference) = self.misshapen(network)
            {
                seen = self.unmake(network, difference).await;
            }
            if let (_, Observation::NetworkGone(_)) = seen {
                self.free_from(&id).await;
            }
            self.applied.observations.push(seen);
        }
        for id in &self.touched.containers {
            let look = patiently(|| self.docker.look_at_container(id));
            let Ok(seen) = timeout(LOOK_TIMEOUT, look).await else { return };
            self.applied.observations.extend(seen.ok());
        }
        if self.touched.all_networks {
            let at = self.docker.stamp();
            let list = timeout(LOOK_TIMEOUT, patiently(|| self.docker.list_networks())).await;
            let networks = list.ok().and_then(Result::ok).unwrap_or_default();
            let seen = networks.into_iter().map(|network| (at, Observation::Network(network)));
            self.applied.observations.extend(seen);
        }
    }

    /// Frees containers that were attached to a network, while they did not run, between the list that
    /// named none and the removal: no event tells of them, and they could not start any more. The engine
    /// has no call that removes a network only if no stopped container refers to it.
    pub(super) async fn free_latecomers(&mut self, gone: &NetworkId, name: &str) {
        let late = patiently(|| self.docker.containers_on(gone, name)).await.unwrap_or_default();
        for container in &late {
            if let Err(error) = self.docker.disconnect(name, container).await {
                tracing::debug!(%container, network = %gone, %error, "cannot free it from a network that is gone");
            }
        }
        self.touched.containers.extend(late);
    }

    /// In what a network that this run made differs from what was asked for.
    fn misshapen(&self, network: &Network) -> Option<Difference> {
        let made = self.made.values().any(|id| *id == network.id);
        Difference::of(network.shape).filter(|_| made)
    }

    /// Removes a network that something between us and the engine, or the engine, made otherwise than it
    /// was asked to. A network that is not internal would not even be known as ours later on. Its
    /// containers were connected in this run, so no traffic is cut off.
    async fn unmake(&mut self, network: &Network, difference: Difference) -> (Stamp, Observation) {
        let said = format!("create network {}: the engine made it otherwise: {difference}", network.name);
        let trouble = Trouble::new(Reason::NetworkCreateFailed, &said);
        self.applied.failure.get_or_insert(Failure { trouble, retry: Retry::Rest });
        self.free_from(&network.id).await;
        if let Err(error) = patiently(|| self.docker.remove_network(&network.id)).await {
            tracing::debug!(network = %network.id, %error, "cannot remove what was made otherwise");
            return (self.docker.stamp(), Observation::Network(network.clone()));
        }
        (self.docker.stamp(), Observation::NetworkGone(network.id.clone()))
    }

    /// Engine 20.10 connects a container that does not run even to a network that is gone, and then
    /// cannot start it (measured); it knows that attachment by the network's id.
    async fn free_from(&self, gone: &NetworkId) {
        for Joined { container, .. } in self.joined.iter().filter(|joined| joined.network == *gone) {
            if let Err(error) = self.docker.disconnect(gone.as_str(), container).await {
                tracing::debug!(%container, network = %gone, %error, "it was not attached after all");
            }
        }
    }

    /// Where both are there and the one is not on the other, joining them has to be tried again,
    /// whatever the engine said.
    pub(super) async fn hold_to_account(&mut self) {
        let apart: Vec<&Joined> = self.joined.iter().filter(|joined| self.is_apart(joined)).collect();
        // An engine that was killed may know an endpoint of which the container knows nothing. It is
        // in the way until somebody detaches what is not attached.
        for Joined { network, container, .. } in apart.iter().filter(|joined| joined.claimed) {
            if let Err(error) = self.docker.disconnect(network.as_str(), container).await {
                tracing::debug!(%container, %network, %error, "cannot detach what is not attached");
            }
        }
        let Some(Joined { account, .. }) = apart.first() else { return };
        let trouble = Trouble::new(Reason::ConnectFailed, account);
        self.applied.failure.get_or_insert(Failure { trouble, retry: Retry::Backoff });
    }

    /// Whether both were seen, and the container not on the network.
    fn is_apart(&self, joined: &Joined) -> bool {
        let network = self.seen().find_map(|seen| match seen {
            Observation::Network(network) if network.id == joined.network => Some(network),
            _ => None,
        });
        let container = self.seen().find_map(|seen| match seen {
            Observation::Container(container) if container.id == joined.container => Some(container),
            _ => None,
        });
        network.zip(container).is_some_and(|(network, container)| container.attachment(network).is_none())
    }

    fn seen(&self) -> impl Iterator<Item = &Observation> {
        self.applied.observations.iter().map(|(_, observation)| observation)
    }
}
