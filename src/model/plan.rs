//! What to do for one edge: a pure function of the world. It makes no call; each action of a plan is
//! one engine call, and carries its cause.

mod teardown;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::Ipv4Net;

use super::container::{Attachment, Container, ContainerId, Labels, Network, NetworkId};
use super::declaration::{Edge, MAX_FEW_EDGES, is_leaving, is_wireable};
use super::labels::message;
use super::layout::{self, Spot};
use super::link::EdgeKey;
use super::subnet::{self, PAIR_PREFIX, SHARED_PREFIX};
use super::world::World;

pub use teardown::teardown;

/// What has to be done for one edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be done now, in this order.
    pub actions: Vec<Planned>,
    /// To be done when the edge's networks have been out of use for the grace period.
    pub garbage: Vec<Planned>,
    /// Why the plan cannot wire everything.
    pub blocked: Option<Blocked>,
}

/// One action and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What to do.
    pub action: Action,
    /// Why, for a person.
    pub cause: String,
}

/// Why a plan cannot wire everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// No subnet is left in the pool.
    PoolExhausted,
    /// The subnets that are left are kept for other edges.
    PoolReserved,
}

/// One engine call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a network.
    CreateNetwork(NewNetwork),
    /// Attach a container.
    Connect {
        /// To which network.
        network: NetworkRef,
        /// Which container.
        container: Member,
        /// The names it gets there.
        aliases: BTreeSet<String>,
        /// Driver options by which the attachment is known as ours even when its network is gone.
        options: Labels,
    },
    /// Detach a container, in whichever state it is.
    Disconnect {
        /// From which network.
        network: NetworkRef,
        /// Which container.
        container: Member,
    },
    /// Remove a network.
    RemoveNetwork {
        /// Which one.
        id: NetworkId,
        /// Its name, for people.
        name: String,
    },
}

/// A network to be made. It is always internal: a link gives no way out, and takes none over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNetwork {
    /// The name.
    pub name: String,
    /// The subnet.
    pub subnet: Ipv4Net,
    /// The labels that make it ours.
    pub labels: Labels,
}

/// A network that exists, or that an earlier action of the same plan makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkRef {
    /// It exists.
    Existing {
        /// Its id.
        id: NetworkId,
        /// Its name, for people.
        name: String,
    },
    /// It was made under this name by this plan.
    New(String),
    /// It is gone, and a stopped container that still refers to it by this name could not start.
    Gone(String),
    /// No network of this name is known, and the attachment tells no more. Before anything is done by this name, the
    /// engine has to say that none has it: events may not have told of a new one, which is somebody else's.
    Missing(String),
}

/// A container of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: ContainerId,
    /// Its name, for people.
    pub name: String,
}

impl Plan {
    /// The subnets that this plan is about to take.
    pub fn claim(&self) -> Vec<Ipv4Net> {
        let made = self.actions.iter().filter_map(|planned| match &planned.action {
            Action::CreateNetwork(new) => Some(new.subnet),
            _ => None,
        });
        made.collect()
    }

    fn act(&mut self, action: Action, cause: impl Into<String>) {
        self.actions.push(Planned { action, cause: cause.into() });
    }

    fn discard(&mut self, action: Action, cause: &str) {
        self.garbage.push(Planned { action, cause: cause.to_owned() });
    }
}

/// Plans one edge.
pub fn plan(key: &EdgeKey, world: &World) -> Plan {
    let nothing = Edge::default();
    let edge = world.declaration().edges.get(key).unwrap_or(&nothing);
    Planner { key, edge, world, plan: Plan::default() }.run()
}

struct Planner<'a> {
    key: &'a EdgeKey,
    edge: &'a Edge,
    world: &'a World,
    plan: Plan,
}

impl Planner<'_> {
    fn run(mut self) -> Plan {
        let prefix = match self.key {
            EdgeKey::Pair { .. } => PAIR_PREFIX,
            EdgeKey::Shared { .. } => SHARED_PREFIX,
        };
        let spots = layout::arrange(self.key, self.edge, self.world, prefix);
        self.heal_stranded();
        for spot in &spots {
            self.wire(spot, prefix);
        }
        self.plan
    }

    /// A container that refers to a network of ours which somebody removed could not start again,
    /// whether or not it still is a member.
    fn heal_stranded(&mut self) {
        for container in self.world.participants().map(|participant| &participant.container) {
            if is_leaving(container) {
                continue;
            }
            for (name, attachment) in &container.attachments {
                // What a running container is really attached to cannot be gone.
                if container.is_up() && !container.is_broken(attachment) {
                    continue;
                }
                if self.world.leads_somewhere(name, attachment) {
                    continue;
                }
                if let Some(network) = self.lost(name, attachment) {
                    let action = Action::Disconnect { network, container: member(container) };
                    self.plan.act(action, "that network is gone, and the container could not start");
                }
            }
        }
    }

    /// The network of an attachment that leads nowhere, if it was one of this edge: the controller noted that on the
    /// attachment, or the name tells, where the engine keeps no options or somebody attached the container by hand.
    fn lost(&self, name: &str, attachment: &Attachment) -> Option<NetworkRef> {
        let owner = &self.world.policy().owner;
        match owner.edge_of_attachment(attachment) {
            Some(edge) => (edge == *self.key).then(|| NetworkRef::Gone(name.to_owned())),
            None if owner.is_another_s(attachment) => None,
            // A network that has the name may be somebody else's.
            None => (owner.may_have_named(self.key, name) && self.world.named(name) == 0)
                .then(|| NetworkRef::Missing(name.to_owned())),
        }
    }

    fn wire(&mut self, spot: &Spot, prefix: u8) {
        match &spot.network {
            Some(network) if spot.is_needed() => {
                let existing = existing(network);
                self.detach_strangers(spot, &existing);
                self.attach(spot, existing);
            }
            Some(network) => self.discard(spot, network),
            None => match self.create(prefix) {
                Ok(network) => self.attach(spot, network),
                Err(blocked) => self.plan.blocked = Some(blocked),
            },
        }
    }

    fn create(&mut self, prefix: u8) -> Result<NetworkRef, Blocked> {
        let policy = self.world.policy();
        let mut taken = self.world.taken_subnets();
        taken.extend(self.plan.claim());
        let kept = self.edge.pool.kept(subnet::count_free(policy.pool, &[]));
        if kept > 0 && subnet::count_free(policy.pool, &taken) <= kept {
            return Err(Blocked::PoolReserved);
        }
        let (subnet, name) = subnet::free(policy.pool, prefix, &taken)
            .map(|subnet| (subnet, policy.owner.network_name(self.key, subnet)))
            .find(|(_, name)| !self.world.is_name_taken(name))
            .ok_or(Blocked::PoolExhausted)?;
        let labels = policy.owner.labels(self.key);
        let cause = self.links_of(|_| true);
        self.plan.act(Action::CreateNetwork(NewNetwork { name: name.clone(), subnet, labels }), cause);
        Ok(NetworkRef::New(name))
    }

    fn attach(&mut self, spot: &Spot, network: NetworkRef) {
        for id in &spot.joining {
            let Some(container) = self.world.container(id) else { continue };
            let action = Action::Connect {
                network: network.clone(),
                container: member(container),
                aliases: self.aliases(id, container),
                options: self.world.policy().owner.labels(self.key),
            };
            let cause = self.links_of(|(consumer, provider)| consumer == id || provider == id);
            self.plan.act(action, cause);
        }
    }

    /// Only who is no member of the edge, or can be none, is detached: a member may be talking over this
    /// network even where another one carries its pairs too.
    fn detach_strangers(&mut self, spot: &Spot, network: &NetworkRef) {
        for container in spot.crowded_out.iter().filter_map(|id| self.world.container(id)) {
            let action = Action::Disconnect { network: network.clone(), container: member(container) };
            self.plan.act(action, "the network has no address left for it, and it could not start");
        }
        // Which containers are strangers may depend on one that could not be inspected.
        if spot.network.as_ref().is_some_and(|network| self.world.is_held(network)) {
            return;
        }
        let wireable = |id: &&ContainerId| self.world.container(id).is_some_and(is_wireable);
        let members: BTreeSet<&ContainerId> = self.edge.members().filter(wireable).collect();
        for id in spot.attached.iter().filter(|id| !members.contains(id)) {
            let Some(container) = self.world.container(id) else { continue };
            let action = Action::Disconnect { network: network.clone(), container: member(container) };
            self.plan.act(action, "no link of the container needs this network");
        }
    }

    /// Every member is detached before the network is removed, the stopped ones too: they could not
    /// start again with a network that is gone.
    fn discard(&mut self, spot: &Spot, network: &Network) {
        const CAUSE: &str = "no link needs this network";
        if self.world.is_held(network) {
            return;
        }
        let all = spot.attached.iter().chain(&spot.crowded_out);
        for container in all.filter_map(|id| self.world.container(id)) {
            let action = Action::Disconnect { network: existing(network), container: member(container) };
            self.plan.discard(action, CAUSE);
        }
        self.free_the_refused(network);
        let Network { id, name, .. } = network.clone();
        self.plan.discard(Action::RemoveNetwork { id, name }, CAUSE);
    }

    /// A running container that the engine refused to attach still refers to the network, could not
    /// start again without it, and can be detached only once it is attached; now there is room.
    fn free_the_refused(&mut self, network: &Network) {
        const CAUSE: &str = "it was refused before, and could not start without this network";
        for container in self.world.participants().map(|participant| &participant.container) {
            // Somebody else's network may have the same name.
            let refused = container.attachments.get(&network.name).is_some_and(|attachment| {
                attachment.leads_to(&network.name, network) && container.is_broken(attachment)
            });
            if refused && is_wireable(container) {
                let (aliases, options) = (BTreeSet::new(), self.world.policy().owner.labels(self.key));
                let (to, from) = (existing(network), existing(network));
                let connect = Action::Connect { network: to, container: member(container), aliases, options };
                self.plan.discard(connect, CAUSE);
                let disconnect = Action::Disconnect { network: from, container: member(container) };
                self.plan.discard(disconnect, CAUSE);
            }
        }
    }

    /// All names that anybody on this edge knows the container by: an endpoint's aliases can only be
    /// given when it is made.
    fn aliases(&self, id: &ContainerId, container: &Container) -> BTreeSet<String> {
        let mut aliases: BTreeSet<String> = self
            .edge
            .pairs
            .iter()
            .filter(|((_, provider), _)| provider == id)
            .flat_map(|(_, pair)| pair.aliases.iter().cloned())
            .collect();
        aliases.extend([container.name.clone(), container.host()]);
        aliases
    }

    /// `web/db declares link db`, for the links whose ends fit.
    fn links_of(&self, fits: impl Fn(&(ContainerId, ContainerId)) -> bool) -> String {
        let mut by_consumer: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for (_, pair) in self.edge.pairs.iter().filter(|(ends, _)| fits(ends)) {
            for link in &pair.links {
                by_consumer.entry(link.consumer.to_string()).or_default().insert(&link.name);
            }
        }
        let causes: Vec<String> = by_consumer
            .into_iter()
            .map(|(consumer, links)| {
                let links: Vec<&str> = links.into_iter().collect();
                let plural = if links.len() == 1 { "" } else { "s" };
                format!("{consumer} declares link{plural} {}", links.join(", "))
            })
            .collect();
        causes.join("; ")
    }
}

fn existing(network: &Network) -> NetworkRef {
    NetworkRef::Existing { id: network.id.clone(), name: network.name.clone() }
}

fn member(container: &Container) -> Member {
    Member { id: container.id.clone(), name: container.name.clone() }
}

impl fmt::Display for NetworkRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Anybody may have named it.
            Self::Existing { name, .. } | Self::New(name) | Self::Gone(name) | Self::Missing(name) => {
                f.write_str(&message(name))
            }
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateNetwork(new) => write!(f, "create network {} ({})", new.name, new.subnet),
            Self::Connect { network, container, aliases, .. } => {
                let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
                write!(f, "connect {} to {network} as {}", container.name, aliases.join(", "))
            }
            Self::Disconnect { network, container } => {
                write!(f, "disconnect {} from {network}", container.name)
            }
            Self::RemoveNetwork { name, .. } => write!(f, "remove network {}", message(name)),
        }
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.action, self.cause)
    }
}

/// One line an action.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for planned in &self.actions {
            writeln!(f, "{planned}")?;
        }
        for planned in &self.garbage {
            writeln!(f, "after the grace period, {planned}")?;
        }
        if let Some(blocked) = self.blocked {
            writeln!(f, "cannot go on: {blocked}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoolExhausted => f.write_str("no free subnet is left in the pool (--subnet-pool)"),
            Self::PoolReserved => write!(
                f,
                "what is left of the pool (--subnet-pool) is kept for consumers that ever ran, and for the first \
                 {MAX_FEW_EDGES} workloads that each of them links to: start the consumer, or enlarge the pool"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
