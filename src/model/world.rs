//! The world as observed: containers, networks and routes, each as of the newest look at it, and
//! what they declare together.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;

use super::container::{Attachment, Attachments, Container, ContainerId, Network, NetworkId};
use super::declaration::{self, Declaration, Edge, Participant, declares_the_same};
use super::labels;
use super::link::EdgeKey;
use super::obstacles::Obstacles;
use super::owner::{Difference, Owner};
use super::services::Services;

/// How many things seen to be gone are remembered between two whole lists; of more, the older half is
/// forgotten. Only an answer that was asked for before all of those would be believed wrongly, until
/// the next list.
pub const MAX_GONE: usize = 10_000;

/// Order of looks at the engine: taken before the question is sent, so that of two answers about
/// the same thing the one asked for later wins, in whichever order they arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

/// One thing learnt about the engine.
#[derive(Clone, Debug)]
pub enum Observation {
    /// The container is like this.
    Container(Box<Container>),
    /// There is no such container.
    ContainerGone(ContainerId),
    /// The network is like this.
    Network(Network),
    /// There is no such network.
    NetworkGone(NetworkId),
}

/// What an observation changed.
#[derive(Debug, Default)]
pub struct Touched {
    /// Edges that may have to be wired differently.
    pub edges: BTreeSet<EdgeKey>,
    /// How many containers and networks are not as they had been seen.
    pub changes: usize,
    /// Whether a subnet became free.
    pub freed: bool,
}

/// The rules that the operator gave, as far as decisions need them.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whose networks are ours.
    pub owner: Owner,
    /// Prefix of the labels on containers, with its dot.
    pub label_prefix: String,
    /// Providers without an accept label accept nobody.
    pub default_deny: bool,
    /// Where link networks get their subnets from.
    pub pool: Ipv4Net,
}

#[derive(Debug)]
struct Seen<T> {
    at: Stamp,
    thing: T,
}

/// Everything that decisions are made from.
#[derive(Debug)]
pub struct World {
    policy: Policy,
    participants: BTreeMap<ContainerId, Seen<Participant>>,
    networks: BTreeMap<NetworkId, Seen<Network>>,
    owned: BTreeMap<EdgeKey, BTreeSet<NetworkId>>,
    /// When something was seen to be gone, until the next whole list: an answer that was asked for
    /// earlier must not bring it back.
    gone: BTreeMap<String, Stamp>,
    /// When the last whole list was asked for: what it did not name, an older answer cannot know of.
    listed: Stamp,
    /// Containers that exist and could not be inspected, with the networks that the list tells of them.
    unseen: BTreeMap<ContainerId, Attachments>,
    obstacles: Obstacles,
    services: Services,
    declaration: Declaration,
}

impl World {
    /// A world of which nothing has been seen yet.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            participants: BTreeMap::new(),
            networks: BTreeMap::new(),
            owned: BTreeMap::new(),
            gone: BTreeMap::new(),
            listed: Stamp::default(),
            unseen: BTreeMap::new(),
            obstacles: Obstacles::default(),
            services: Services::default(),
            declaration: Declaration::default(),
        }
    }

    /// The operator's rules.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What all containers together declare.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// The compose services that there are, or were.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Every container, with what its labels say.
    pub fn participants(&self) -> impl Iterator<Item = &Participant> {
        self.participants.values().map(|seen| &seen.thing)
    }

    /// One container.
    pub fn container(&self, id: &ContainerId) -> Option<&Container> {
        self.participants.get(id).map(|seen| &seen.thing.container)
    }

    /// Every network of the engine.
    pub fn networks(&self) -> impl Iterator<Item = &Network> {
        self.networks.values().map(|seen| &seen.thing)
    }

    /// The networks that we own, each with the edge that it carries.
    pub fn owned(&self) -> impl Iterator<Item = (&Network, &EdgeKey)> {
        self.owned.iter().flat_map(move |(edge, ids)| {
            ids.iter().filter_map(move |id| Some((&self.networks.get(id)?.thing, edge)))
        })
    }

    /// The networks that are not ours although their labels say so, each with the reason.
    pub fn pretenders(&self) -> impl Iterator<Item = (&Network, Difference)> {
        self.networks().filter_map(|network| Some((network, self.policy.owner.pretence(network)?)))
    }

    /// The networks that carry `edge`.
    pub fn networks_of(&self, edge: &EdgeKey) -> impl Iterator<Item = &Network> {
        let ids = self.owned.get(edge).into_iter().flatten();
        ids.filter_map(|id| self.networks.get(id)).map(|seen| &seen.thing)
    }

    /// Every edge that anything may have to be done for: it is declared, has a network, or a container
    /// still refers to one that it had.
    pub fn edges(&self) -> BTreeSet<EdgeKey> {
        let stranded = self.participants().flat_map(|participant| {
            let attachments = participant.container.attachments.iter();
            attachments.filter_map(|(name, attachment)| {
                let edge = self.edge_referred_to(name, attachment)?;
                (!self.leads_somewhere(name, attachment)).then_some(edge)
            })
        });
        self.declaration.edges.keys().chain(self.owned.keys()).cloned().chain(stranded).collect()
    }

    /// The edge that an attachment, which its container has under `name`, was made for: as we noted
    /// on it, or else as its name tells.
    fn edge_referred_to(&self, name: &str, attachment: &Attachment) -> Option<EdgeKey> {
        let owner = &self.policy.owner;
        let named = || owner.edge_named(name).filter(|_| !owner.is_another_s(attachment));
        owner.edge_of_attachment(attachment).or_else(named)
    }

    /// Whether the engine would find the network of an attachment, which its container has under
    /// `name`. By name it finds none where several have it.
    pub fn leads_somewhere(&self, name: &str, attachment: &Attachment) -> bool {
        match attachment.network_id(name) {
            Some(id) => self.networks.contains_key(id),
            None => self.named(name) == 1,
        }
    }

    /// How many networks have this name.
    pub fn named(&self, name: &str) -> usize {
        self.networks().filter(|network| network.name == name).count()
    }

    /// Takes in what was learnt and says what that touches. An observation older than what is known
    /// already changes nothing.
    pub fn apply(&mut self, news: impl IntoIterator<Item = (Stamp, Observation)>) -> Touched {
        let unseen = self.unseen.len();
        let mut touched = Touched::default();
        let mut containers = BTreeSet::new();
        let mut declared_otherwise = false;
        for (at, observation) in news {
            match observation {
                Observation::Container(container) => {
                    let id = container.id.clone();
                    let before = self.edges_attached(&id);
                    if let Some(declares_otherwise) = self.see_container(at, *container) {
                        declared_otherwise |= declares_otherwise;
                        touched.edges.extend(before);
                        touched.edges.extend(self.edges_attached(&id));
                        touched.changes += 1;
                        containers.insert(id);
                    }
                }
                Observation::ContainerGone(id) => {
                    let before = self.edges_attached(&id);
                    if self.participants.get(&id).is_some_and(|seen| seen.at <= at) {
                        self.participants.remove(&id);
                        declared_otherwise = true;
                        touched.edges.extend(before);
                        touched.changes += 1;
                        containers.insert(id.clone());
                    }
                    self.unseen.remove(&id);
                    self.bury(id.0, at);
                }
                Observation::Network(network) => {
                    if let Some(edge) = self.see_network(at, network) {
                        touched.edges.extend(edge);
                        touched.changes += 1;
                    }
                }
                Observation::NetworkGone(id) => {
                    if self.networks.get(&id).is_some_and(|seen| seen.at <= at) {
                        touched.edges.extend(self.disown(&id));
                        self.networks.remove(&id);
                        touched.changes += 1;
                        touched.freed = true;
                    }
                    self.bury(id.0, at);
                }
            }
        }
        if declared_otherwise {
            touched.edges.extend(self.declare_again());
        }
        touched.edges.extend(self.edges_of_members(&containers));
        if self.unseen.len() < unseen {
            // Networks that had to wait for that.
            touched.edges.extend(self.edges());
        }
        touched
    }

    /// Ends a whole list that was asked for at `at`: what the list did not name is gone. Says what
    /// that touches.
    pub fn finish_list(
        &mut self,
        at: Stamp,
        containers: &BTreeSet<ContainerId>,
        networks: &BTreeSet<NetworkId>,
    ) -> Touched {
        let vanished: Vec<Observation> = self
            .participants
            .keys()
            .filter(|id| !containers.contains(*id))
            .map(|id| Observation::ContainerGone(id.clone()))
            .chain(
                self.networks
                    .keys()
                    .filter(|id| !networks.contains(*id))
                    .map(|id| Observation::NetworkGone(id.clone())),
            )
            .collect();
        self.gone.retain(|_, gone_at| *gone_at > at);
        self.listed = self.listed.max(at);
        self.obstacles.renew(|id| containers.contains(id));
        self.apply(vanished.into_iter().map(|observation| (at, observation)))
    }

    /// Takes note of containers that exist and could not be inspected. One that was inspected before is
    /// known well enough.
    pub fn set_unseen(&mut self, unseen: impl IntoIterator<Item = (ContainerId, Attachments)>) {
        self.unseen = unseen.into_iter().filter(|(id, _)| !self.participants.contains_key(id)).collect();
    }

    /// Whether a container that could not be inspected is attached to `network`. It may declare a link
    /// that needs the network, and the other members with it.
    pub fn is_held(&self, network: &Network) -> bool {
        let holds = |on: &Attachments| {
            on.get(&network.name).is_some_and(|attachment| attachment.leads_to(&network.name, network))
        };
        self.unseen.values().any(holds)
    }

    /// What is in the way of new networks and members, besides what is seen.
    pub fn obstacles(&self) -> &Obstacles {
        &self.obstacles
    }

    /// The same, to take note of more.
    pub fn obstacles_mut(&mut self) -> &mut Obstacles {
        &mut self.obstacles
    }

    /// Every subnet that a new network must not overlap.
    pub fn taken_subnets(&self) -> Vec<Ipv4Net> {
        self.networks()
            .flat_map(|network| &network.subnets)
            .chain(self.obstacles.subnets())
            .copied()
            .collect()
    }

    /// Whether a network of that name exists.
    pub fn is_name_taken(&self, name: &str) -> bool {
        self.named(name) > 0
    }

    /// Whether what is known of this thing is newer than `at`.
    fn is_stale(&self, id: &str, known: Option<Stamp>, at: Stamp) -> bool {
        match known {
            Some(known) => known > at,
            None => self.listed > at || self.gone.get(id).is_some_and(|gone| *gone > at),
        }
    }

    fn bury(&mut self, id: String, at: Stamp) {
        let gone = self.gone.entry(id).or_insert(at);
        *gone = at.max(*gone);
        if self.gone.len() > MAX_GONE {
            let mut stamps: Vec<Stamp> = self.gone.values().copied().collect();
            let (_, median, _) = stamps.select_nth_unstable(MAX_GONE / 2);
            let median = *median;
            self.gone.retain(|_, at| *at > median);
        }
    }

    /// If the container is not as it had been seen: whether it declares something else.
    fn see_container(&mut self, at: Stamp, container: Container) -> Option<bool> {
        self.unseen.remove(&container.id);
        let known = self.participants.get(&container.id);
        if self.is_stale(container.id.as_str(), known.map(|seen| seen.at), at) {
            return None;
        }
        let changed = known.is_none_or(|seen| seen.thing.container != container);
        let declares_otherwise =
            known.is_none_or(|seen| !declares_the_same(&seen.thing.container, &container));
        // Labels hardly ever change, and reading them may mean to compile regular expressions.
        let declared = match known {
            Some(seen) if seen.thing.container.labels == container.labels => seen.thing.declared.clone(),
            _ => labels::read(&self.policy.label_prefix, &container.labels),
        };
        let participant = Participant::new(container, declared);
        self.participants.insert(participant.container.id.clone(), Seen { at, thing: participant });
        changed.then_some(declares_otherwise)
    }

    /// Whether the network is not as it had been seen and, if it is ours, which edge it carries.
    fn see_network(&mut self, at: Stamp, network: Network) -> Option<Option<EdgeKey>> {
        let known = self.networks.get(&network.id);
        if self.is_stale(network.id.as_str(), known.map(|seen| seen.at), at) {
            return None;
        }
        let changed = known.is_none_or(|seen| seen.thing != network);
        let id = network.id.clone();
        self.disown(&id);
        let edge = self.policy.owner.edge_of(&network);
        if let Some(edge) = &edge {
            self.owned.entry(edge.clone()).or_default().insert(id.clone());
        }
        self.networks.insert(id, Seen { at, thing: network });
        changed.then_some(edge)
    }

    /// Takes a network out of the index of those that are ours, and says which edge it carries.
    fn disown(&mut self, id: &NetworkId) -> Option<EdgeKey> {
        let edge = self.policy.owner.edge_of(&self.networks.get(id)?.thing)?;
        let ids = self.owned.get_mut(&edge)?;
        ids.remove(id);
        if ids.is_empty() {
            self.owned.remove(&edge);
        }
        Some(edge)
    }

    /// The edges whose networks this container is on, or was put on by us, whether it declares them
    /// or not.
    fn edges_attached(&self, id: &ContainerId) -> BTreeSet<EdgeKey> {
        let Some(container) = self.container(id) else { return BTreeSet::new() };
        let put = container.attachments.iter();
        let put = put.filter_map(|(name, attachment)| self.edge_referred_to(name, attachment));
        self.owned()
            .filter(|(network, _)| container.attachment(network).is_some())
            .map(|(_, edge)| edge.clone())
            .chain(put)
            .collect()
    }

    /// The edges that have one of `containers` as a member.
    fn edges_of_members(&self, containers: &BTreeSet<ContainerId>) -> BTreeSet<EdgeKey> {
        let concerned = |edge: &Edge| edge.members().any(|id| containers.contains(id));
        let edges = self.declaration.edges.iter().filter(|(_, edge)| concerned(edge));
        edges.map(|(key, _)| key.clone()).collect()
    }

    /// Works out again what is declared, and says which edges that changed.
    fn declare_again(&mut self) -> BTreeSet<EdgeKey> {
        let new = {
            let participants: Vec<&Participant> =
                self.participants.values().map(|seen| &seen.thing).collect();
            self.services.see(participants.iter().copied());
            declaration::declare(&self.policy, &self.services, &participants)
        };
        let old = std::mem::replace(&mut self.declaration, new);
        let new = &self.declaration;
        let either: BTreeSet<&EdgeKey> = old.edges.keys().chain(new.edges.keys()).collect();
        either.into_iter().filter(|edge| old.edges.get(*edge) != new.edges.get(*edge)).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
