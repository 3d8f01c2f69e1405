//! Actions into calls. Nothing here knows what a link is; what to do was decided by the plan.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use ipnet::Ipv4Net;
use tokio::time::timeout;

use crate::docker::{Conflict, Docker, Error, patiently};
use crate::model::assess::Trouble;
use crate::model::condition::Reason;
use crate::model::container::{ContainerId, NetworkId};
use crate::model::plan::{Action, NetworkRef, Planned};
use crate::model::world::{Observation, Stamp};

/// What came of a list of actions.
#[derive(Debug, Default)]
pub struct Applied {
    /// How everything that was touched is now.
    pub observations: Vec<(Stamp, Observation)>,
    /// The first thing that went wrong, if any.
    pub failure: Option<Failure>,
    /// Subnets that the engine would not give.
    pub refused: Vec<Ipv4Net>,
    /// Networks that the engine had no address left on.
    pub full: Vec<NetworkId>,
}

/// What went wrong.
#[derive(Debug)]
pub struct Failure {
    /// For conditions.
    pub trouble: Trouble,
    /// When it is worth trying again.
    pub retry: Retry,
}

/// When it is worth trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// At once: the world was not as it had seemed, and has been looked at again.
    Now,
    /// Soon, and less and less often: the engine is in trouble.
    Backoff,
    /// Seldom: the engine understood and said no.
    Slowly,
}

/// How long one look afterwards may take; what does not answer so soon will be told by its events.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes the calls one after the other. One that the engine refuses or fails at does not stop those
/// that do not need it; an engine that does not answer ends the run.
pub async fn apply(docker: &Docker, actions: Vec<Planned>) -> Applied {
    let mut run = Run {
        docker,
        made: HashMap::new(),
        joined: Vec::new(),
        spoiled: BTreeSet::new(),
        unfound: None,
        claimed: Vec::new(),
        touched: Touched::default(),
        applied: Applied::default(),
    };
    for planned in actions {
        tracing::debug!(action = %planned.action, cause = %planned.cause, "acting");
        if let Err(error) = run.act(&planned.action).await {
            run.note(&planned.action, &error);
            if let Error::Unavailable(_) = error {
                break;
            }
        }
    }
    run.look_again().await;
    run.free_the_claimed().await;
    run.conclude()
}

#[derive(Default)]
struct Touched {
    containers: BTreeSet<ContainerId>,
    networks: BTreeSet<NetworkId>,
    all_networks: bool,
}

struct Run<'a> {
    docker: &'a Docker,
    /// Networks made by this run, by the names that the plan gave them.
    made: HashMap<String, NetworkId>,
    /// Who was connected to what.
    joined: Vec<(NetworkId, ContainerId)>,
    /// Networks that somebody could not be attached to or detached from. The engine would remove them
    /// under a stopped container, which could not start any more.
    spoiled: BTreeSet<NetworkId>,
    /// The first thing that the engine did not find.
    unfound: Option<Failure>,
    /// Who is said to be on what already.
    claimed: Vec<(NetworkId, ContainerId)>,
    touched: Touched,
    applied: Applied,
}

impl Run<'_> {
    async fn act(&mut self, action: &Action) -> Result<(), Error> {
        match action {
            Action::CreateNetwork(new) => {
                let id = self.docker.create_network(new).await?;
                self.touched.networks.insert(id.clone());
                self.made.insert(new.name.clone(), id);
                Ok(())
            }
            Action::Connect { network, container, aliases, options } => {
                // Where the network could not be made, that has been noted already.
                let Some(id) = self.id_of(network) else { return Ok(()) };
                self.touched.containers.insert(container.id.clone());
                self.touched.networks.insert(id.clone());
                self.joined.push((id.clone(), container.id.clone()));
                let connected = self.docker.connect(&id, &container.id, aliases, options).await;
                if matches!(&connected, Err(error) if error.conflict() == Some(Conflict::AlreadyConnected)) {
                    self.claimed.push((id, container.id.clone()));
                }
                accept(connected, Conflict::AlreadyConnected)
            }
            Action::Disconnect { network, container } => {
                let address = match network {
                    NetworkRef::Gone(name) => name.clone(),
                    other => match self.id_of(other) {
                        Some(id) => id.0,
                        None => return Ok(()),
                    },
                };
                self.touched.containers.insert(container.id.clone());
                accept(self.docker.disconnect(&address, &container.id).await, Conflict::NotConnected)
            }
            Action::RemoveNetwork { id, .. } if self.spoiled.contains(id) => Ok(()),
            Action::RemoveNetwork { id, name } => {
                self.touched.networks.insert(id.clone());
                // The engine removes a network under those who do not run, and of one who was attached
                // while it did not run, no event has told.
                let attached = self.docker.containers_on(id, name).await?;
                if attached.is_empty() {
                    return self.docker.remove_network(id).await;
                }
                self.touched.containers.extend(attached);
                let message = "a container that does not run is attached to it".to_owned();
                Err(Error::Conflict { what: Conflict::InUse, message })
            }
        }
    }

    fn id_of(&self, network: &NetworkRef) -> Option<NetworkId> {
        match network {
            NetworkRef::Existing { id, .. } => Some(id.clone()),
            NetworkRef::New(name) => self.made.get(name).cloned(),
            NetworkRef::Gone(_) => None,
        }
    }

    fn note(&mut self, action: &Action, error: &Error) {
        tracing::debug!(%action, %error, "the engine refused");
        let trouble = Trouble::new(reason(action, error), &format!("{action}: {error}"));
        let retry = match error {
            Error::NotFound(_) => {
                self.unfound.get_or_insert(Failure { trouble, retry: Retry::Backoff });
                return;
            }
            // Each refusal takes a subnet of the pool or a network out, so this ends.
            Error::Conflict { what: Conflict::SubnetTaken | Conflict::SubnetFull, .. } => Retry::Now,
            Error::Conflict { .. } | Error::Unavailable(_) | Error::Failed(_) => Retry::Backoff,
            Error::Rejected(_) => Retry::Slowly,
        };
        if matches!(error.conflict(), Some(Conflict::SubnetTaken | Conflict::NameTaken)) {
            self.touched.all_networks = true;
        }
        if let Action::Connect { network, .. } | Action::Disconnect { network, .. } = action {
            self.spoiled.extend(self.id_of(network));
        }
        if let (Action::CreateNetwork(new), Some(Conflict::SubnetTaken)) = (action, error.conflict()) {
            self.applied.refused.push(new.subnet);
        }
        if let (Action::Connect { network, .. }, Some(Conflict::SubnetFull)) = (action, error.conflict()) {
            self.applied.full.extend(self.id_of(network));
        }
        self.applied.failure.get_or_insert(Failure { trouble, retry });
    }

    /// Looks at everything that was touched, so that the next plan starts from what is so and not
    /// from what the calls were meant to do.
    async fn look_again(&mut self) {
        for id in std::mem::take(&mut self.touched.networks) {
            let look = patiently(|| self.docker.look_at_network(&id));
            let seen = timeout(LOOK_TIMEOUT, look).await;
            let Ok(Ok(seen)) = seen else { continue };
            if let (_, Observation::NetworkGone(_)) = seen {
                self.free_from(&id).await;
            }
            self.applied.observations.push(seen);
        }
        for id in &self.touched.containers {
            let look = patiently(|| self.docker.look_at_container(id));
            let seen = timeout(LOOK_TIMEOUT, look).await;
            self.applied.observations.extend(seen.ok().and_then(Result::ok));
        }
        if self.touched.all_networks {
            let at = self.docker.stamp();
            let list = patiently(|| self.docker.list_networks());
            let networks = list.await.unwrap_or_default();
            let seen = networks.into_iter().map(|network| (at, Observation::Network(network)));
            self.applied.observations.extend(seen);
        }
    }

    /// An engine that was killed may know an endpoint of which the container knows nothing. It is in
    /// the way until somebody detaches what is not attached.
    async fn free_the_claimed(&self) {
        for (id, container) in &self.claimed {
            if self.is_seen_apart(id, container)
                && let Err(error) = self.docker.disconnect(id.as_str(), container).await
            {
                tracing::debug!(%container, network = %id, %error, "cannot detach what is not attached");
            }
        }
    }

    /// Whether both were seen, and the container not on the network.
    fn is_seen_apart(&self, id: &NetworkId, container: &ContainerId) -> bool {
        let mut seen = self.applied.observations.iter().map(|(_, observation)| observation);
        let network = seen.clone().find_map(|observation| match observation {
            Observation::Network(network) if network.id == *id => Some(network),
            _ => None,
        });
        seen.any(|observation| match (observation, network) {
            (Observation::Container(seen), Some(network)) if seen.id == *container => {
                seen.attachment(network).is_none()
            }
            _ => false,
        })
    }

    /// What was not found is a failure only where it was seen to be there: what is gone will not come
    /// back under that id, and the next plan does without.
    fn conclude(self) -> Applied {
        let mut applied = self.applied;
        let gone = |(_, seen): &(Stamp, Observation)| {
            matches!(seen, Observation::ContainerGone(_) | Observation::NetworkGone(_))
        };
        if !applied.observations.iter().any(gone) {
            applied.failure = applied.failure.or(self.unfound);
        }
        applied
    }

    /// Engine 20.10 connects a container that does not run even to a network that is gone, and then
    /// cannot start it (measured); it knows that attachment by the network's id.
    async fn free_from(&self, gone: &NetworkId) {
        for (_, container) in self.joined.iter().filter(|(network, _)| network == gone) {
            if let Err(error) = self.docker.disconnect(gone.as_str(), container).await {
                tracing::debug!(%container, network = %gone, %error, "it was not attached after all");
            }
        }
    }
}

/// Takes `conflict` for success: what was wanted is so already.
fn accept(result: Result<(), Error>, conflict: Conflict) -> Result<(), Error> {
    match result {
        Err(error) if error.conflict() == Some(conflict) => Ok(()),
        other => other,
    }
}

fn reason(action: &Action, error: &Error) -> Reason {
    match (error, action) {
        (Error::Unavailable(_), _) => Reason::EngineUnavailable,
        (_, Action::CreateNetwork(_)) => Reason::NetworkCreateFailed,
        (_, Action::Connect { .. }) => Reason::ConnectFailed,
        (_, Action::Disconnect { .. }) => Reason::DisconnectFailed,
        (_, Action::RemoveNetwork { .. }) => Reason::NetworkRemoveFailed,
    }
}
