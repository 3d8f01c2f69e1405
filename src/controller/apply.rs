//! Actions into calls. Nothing here knows what a link is; what to do was decided by the plan.

mod aftermath;

use std::collections::{BTreeSet, HashMap};

use ipnet::Ipv4Net;

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
    /// Containers whose network namespaces the engine has lost.
    pub lost: Vec<ContainerId>,
    /// Containers that the engine connected.
    pub connected: Vec<ContainerId>,
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
    /// Seldom, whatever happens meanwhile: the attempt itself makes and removes things, and the events of
    /// that would lead to the next attempt.
    Rest,
}

/// Makes the calls one after the other. One that the engine refuses, fails at or is stuck at does not stop
/// those that do not need it; an engine that does not answer at all ends the run.
pub async fn apply(docker: &Docker, actions: Vec<Planned>) -> Applied {
    let mut run = Run {
        docker,
        made: HashMap::new(),
        joined: Vec::new(),
        names: None,
        touched: Touched::default(),
        applied: Applied::default(),
    };
    for planned in actions {
        tracing::debug!(action = %planned.action, cause = %planned.cause, "acting");
        if let Err(error) = run.act(&planned.action).await {
            run.note(&planned.action, &error);
            // The engine may be stuck at this container alone, and would be so again in the next run.
            if matches!(error, Error::Unavailable(_)) && docker.ping().await.is_err() {
                break;
            }
        }
    }
    run.look_again().await;
    run.hold_to_account().await;
    run.applied
}

#[derive(Default)]
struct Touched {
    containers: BTreeSet<ContainerId>,
    networks: BTreeSet<NetworkId>,
    all_networks: bool,
}

struct Joined {
    network: NetworkId,
    container: ContainerId,
    /// Whether the engine said that it was so already.
    claimed: bool,
    /// The action, and what the engine said to it.
    account: String,
}

struct Run<'a> {
    docker: &'a Docker,
    /// Networks made by this run, by the names that the plan gave them.
    made: HashMap<String, NetworkId>,
    /// Who was connected to what.
    joined: Vec<Joined>,
    /// The names of all networks, once they were asked for.
    names: Option<BTreeSet<String>>,
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
                let connected = patiently(|| self.docker.connect(&id, &container.id, aliases, options)).await;
                let claimed =
                    matches!(&connected, Err(e) if e.conflict() == Some(Conflict::AlreadyConnected));
                let said = connected.as_ref().map_or_else(Error::to_string, |()| {
                    "the engine says that it is done, and it is not".to_owned()
                });
                if connected.is_ok() {
                    self.applied.connected.push(container.id.clone());
                }
                let account = format!("{action}: {said}");
                self.joined.push(Joined { network: id, container: container.id.clone(), claimed, account });
                accept(connected, Conflict::AlreadyConnected)
            }
            Action::Disconnect { network, container } => {
                let address = match network {
                    NetworkRef::Missing(name) if self.exists(name).await? => {
                        self.touched.all_networks = true;
                        return Ok(());
                    }
                    NetworkRef::Gone(name) | NetworkRef::Missing(name) => name.clone(),
                    other => match self.id_of(other) {
                        Some(id) => id.0,
                        None => return Ok(()),
                    },
                };
                self.touched.containers.insert(container.id.clone());
                let left = patiently(|| self.docker.disconnect(&address, &container.id)).await;
                accept(left, Conflict::NotConnected)
            }
            Action::RemoveNetwork { id, name } => {
                self.touched.networks.insert(id.clone());
                // The engine removes a network under those who do not run, who could not start any more.
                // One may just have failed to be detached; and of one who was attached while it did not
                // run, no event has told.
                let attached = patiently(|| self.docker.containers_on(id, name)).await?;
                if attached.is_empty() {
                    patiently(|| self.docker.remove_network(id)).await?;
                    self.free_latecomers(id, name).await;
                    return Ok(());
                }
                self.touched.containers.extend(attached);
                let message = "a container is attached to it".to_owned();
                Err(Error::Conflict { what: Conflict::InUse, message })
            }
        }
    }

    /// Whether the engine has a network of this name, as of the first question in this run.
    async fn exists(&mut self, name: &str) -> Result<bool, Error> {
        if self.names.is_none() {
            let networks = patiently(|| self.docker.list_networks()).await?;
            self.names = Some(networks.into_iter().map(|network| network.name).collect());
        }
        Ok(self.names.as_ref().is_some_and(|names| names.contains(name)))
    }

    fn id_of(&self, network: &NetworkRef) -> Option<NetworkId> {
        match network {
            NetworkRef::Existing { id, .. } => Some(id.clone()),
            NetworkRef::New(name) => self.made.get(name).cloned(),
            NetworkRef::Gone(_) | NetworkRef::Missing(_) => None,
        }
    }

    fn note(&mut self, action: &Action, error: &Error) {
        tracing::debug!(%action, %error, "the engine refused");
        let trouble = Trouble::new(reason(action, error), &format!("{action}: {error}"));
        let retry = match error {
            // What is gone will not come back under that id; the look afterwards tells the rest.
            Error::NotFound(_) if !matches!(action, Action::CreateNetwork(_)) => return,
            // Each refusal takes one subnet of the pool out, so this ends.
            Error::Conflict { what: Conflict::SubnetTaken, .. } => Retry::Now,
            Error::Conflict { .. } | Error::Unavailable(_) | Error::Failed(_) => Retry::Backoff,
            Error::NotFound(_) | Error::Rejected(_) | Error::Forbidden(_) => Retry::Slowly,
        };
        if matches!(error.conflict(), Some(Conflict::SubnetTaken | Conflict::NameTaken)) {
            self.touched.all_networks = true;
        }
        if let (Action::CreateNetwork(new), Some(Conflict::SubnetTaken)) = (action, error.conflict()) {
            self.applied.refused.push(new.subnet);
        }
        if let (Action::Connect { network, .. }, Some(Conflict::SubnetFull)) = (action, error.conflict()) {
            self.applied.full.extend(self.id_of(network));
        }
        if let (Action::Connect { container, .. }, Some(Conflict::NamespaceLost)) = (action, error.conflict())
        {
            self.applied.lost.push(container.id.clone());
        }
        self.applied.failure.get_or_insert(Failure { trouble, retry });
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
        (Error::Conflict { what: Conflict::NamespaceLost, .. }, Action::Connect { .. }) => {
            Reason::NamespaceLost
        }
        (_, Action::Connect { .. }) => Reason::ConnectFailed,
        (_, Action::Disconnect { .. }) => Reason::DisconnectFailed,
        (_, Action::RemoveNetwork { .. }) => Reason::NetworkRemoveFailed,
    }
}
