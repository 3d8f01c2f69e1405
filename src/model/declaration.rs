//! What the labels of all containers together declare: links, and the edges that carry them.

mod index;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::container::{Container, ContainerId, NetworkMode, RunState};
use super::labels::{Declared, LabelError};
use super::link::{EdgeKey, Link, LinkKey};
use super::moment::Moment;
use super::services::Services;
use super::workload::{self, COMPOSE_PROJECT, Workload};
use super::world::Policy;
use index::Index;
use reader::Reader;

pub use reader::{MAX_EDGES_OF_CONSUMER, MAX_EDGES_OF_PROVIDER, MAX_FEW_EDGES, MAX_FOUND};

/// A consumer container and a provider container.
type Ends = (ContainerId, ContainerId);

/// A container with what its labels say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// The container.
    pub container: Container,
    /// The workload that it is a replica of.
    pub workload: Workload,
    /// What its labels say.
    pub declared: Declared,
}

impl Participant {
    /// A container whose labels say `declared`.
    pub fn new(container: Container, declared: Declared) -> Self {
        Self { workload: Workload::of(&container), container, declared }
    }

    fn id(&self) -> &ContainerId {
        &self.container.id
    }

    /// The compose project that it says it is of.
    pub fn project(&self) -> Option<&String> {
        self.container.labels.get(COMPOSE_PROJECT)
    }
}

/// What all containers together declare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declaration {
    /// Every link that could be read.
    pub links: BTreeMap<LinkKey, DeclaredLink>,
    /// Every label that could not.
    pub errors: Vec<Mistake>,
    /// What has to be wired.
    pub edges: BTreeMap<EdgeKey, Edge>,
}

/// A label that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The link that it spoils; the name is the label's where no link is meant.
    pub link: LinkKey,
    /// The containers that carry the label: replicas of one workload make the same mistake.
    pub containers: Vec<String>,
    /// What is wrong and what would be right.
    pub error: LabelError,
}

/// One link, declared by one or more replicas of its consumer.
///
/// A container's label decides about the paths of that container only: what is said in a handshake, where, and
/// how often stands in [`Path::link`]. The rest is for display, and is what the leading replica declares: of those
/// that have ever run the oldest, else the oldest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredLink {
    /// As the leading replica declares it. For display only.
    pub link: Arc<Link>,
    /// The replicas that declare it.
    pub consumers: BTreeSet<ContainerId>,
    /// The replicas that declare it otherwise than the leading one, by their names.
    pub otherwise: Vec<String>,
    /// The workload that the leading replica's selector found, or the selector where that is none or may be
    /// several.
    pub provider: String,
    /// The result of the leading replica's selector.
    pub resolution: Resolution,
    /// From whom to whom.
    pub paths: BTreeMap<Ends, Path>,
}

/// One consumer container to one provider container of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The link as this consumer container declares it.
    pub link: Arc<Link>,
    /// The edge that carries it. A unix socket needs none: it is reached through what both have mounted.
    pub edge: Option<EdgeKey>,
}

/// The result of a selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// Containers that it selects.
    pub found: usize,
    /// How many of these do not accept the consumer.
    pub denied: usize,
    /// Containers that it would select if they were not to be ignored.
    pub ignored: usize,
    /// How many of those that it selects are left out, and by which limit.
    pub left_out: Option<(usize, Limit)>,
    /// A container of that name, which is not taken for the service that has no container now.
    pub stranger: Option<String>,
    /// A container that has the labels of that service, and is no replica of it.
    pub pretender: Option<String>,
}

/// A limit that leaves out containers that a selector selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`MAX_FOUND`].
    Found,
    /// [`MAX_EDGES_OF_CONSUMER`].
    OfConsumer,
    /// [`MAX_EDGES_OF_PROVIDER`].
    OfProvider,
}

/// How much of the pool of subnets may be in use once an edge got a network: labels on containers that never
/// run, or very many labels, leave room for other edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// Half of it: one edge of many, whose consumer never ran.
    #[default]
    Half,
    /// Three quarters: one of few edges of a consumer that never ran, or one of many.
    ThreeQuarters,
    /// All of it: one of the first [`MAX_FEW_EDGES`] edges of a consumer that ran.
    All,
}

impl Pool {
    /// How many of `size` subnets stay free for others.
    pub fn kept(self, size: usize) -> usize {
        match self {
            Self::All => 0,
            Self::ThreeQuarters => size / 4,
            Self::Half => size / 2,
        }
    }
}

/// What has to be wired between the members of one edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// From whom to whom.
    pub pairs: BTreeMap<Ends, Pair>,
    /// How much of the pool its networks may use.
    pub pool: Pool,
}

/// One consumer container and one provider container that must share a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// Names, besides its own, under which the consumer reaches the provider.
    pub aliases: BTreeSet<String>,
    /// The links that declare it.
    pub links: BTreeSet<LinkKey>,
}

impl Edge {
    /// Every container of the edge.
    pub fn members(&self) -> impl Iterator<Item = &ContainerId> {
        self.pairs.keys().flat_map(|(consumer, provider)| [consumer, provider])
    }
}

/// Works out what `participants` declare under `policy`; `services` are those that names may mean.
pub fn declare(policy: &Policy, services: &Services, participants: &[&Participant]) -> Declaration {
    Reader::new(policy, Index::new(participants, services)).read()
}

/// The order in which containers lead: those on their way out last, those that never ran before them, and the
/// oldest first.
fn rank(container: &Container) -> (bool, bool, Moment, &ContainerId) {
    (is_leaving(container), !has_run(container), container.created, &container.id)
}

/// Whether the container was ever started.
pub fn has_run(container: &Container) -> bool {
    container.state != RunState::Created
}

/// Whether its program does not run, and no restart policy is about to start it.
fn is_idle(container: &Container) -> bool {
    !matches!(container.state, RunState::Running | RunState::Paused | RunState::Restarting)
}

/// Whether two looks at one container tell the same about what is declared: what changes most often,
/// its attachments and whether it runs, declares nothing. Of a replica it counts whether it runs, since another one
/// may have taken its number.
pub fn declares_the_same(a: &Container, b: &Container) -> bool {
    let is_replica = workload::number(&a.labels).is_some();
    a.name == b.name
        && a.labels == b.labels
        && rank(a) == rank(b)
        && (!is_replica || is_idle(a) == is_idle(b))
}

/// A container on its way out can neither be started nor connected any more.
pub fn is_leaving(container: &Container) -> bool {
    matches!(container.state, RunState::Removing | RunState::Dead)
}

/// Whether networks can be connected to `container` at all.
pub fn is_wireable(container: &Container) -> bool {
    container.mode == NetworkMode::Own && !is_leaving(container)
}
