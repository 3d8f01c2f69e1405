//! What the labels of all containers together declare: links, and the edges that carry them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::container::{Container, ContainerId, NetworkMode, RunState};
use super::labels::{Accept, Declared, LabelError, Topology};
use super::link::{EdgeKey, Endpoint, Link, LinkKey};
use super::workload::{COMPOSE_PROJECT, Selector, Workload};
use super::world::Policy;

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

    fn project(&self) -> Option<&String> {
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

/// The mistakes of all containers, each once, with those that make it.
#[derive(Default)]
struct Mistakes(BTreeMap<(LinkKey, LabelError), Vec<String>>);

impl Mistakes {
    fn note(&mut self, at: &Participant, error: LabelError) {
        let link = LinkKey { consumer: at.workload.clone(), name: error.link.clone() };
        let containers = self.0.entry((link, error)).or_default();
        // One container may make the same mistake twice.
        if containers.last() != Some(&at.container.name) {
            containers.push(at.container.name.clone());
        }
    }

    fn list(self) -> Vec<Mistake> {
        let mistakes = self.0.into_iter();
        mistakes.map(|((link, error), containers)| Mistake { link, containers, error }).collect()
    }
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
    /// What the leading replica's selector found.
    pub resolution: Resolution,
    /// From whom to whom.
    pub paths: BTreeMap<(ContainerId, ContainerId), Path>,
}

/// One consumer container to one provider container of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The link as this consumer container declares it.
    pub link: Arc<Link>,
    /// The edge that carries it. A unix socket needs none: it is reached through what both have mounted.
    pub edge: Option<EdgeKey>,
}

/// What a selector found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// Containers that it selects.
    pub found: usize,
    /// How many of these do not accept the consumer.
    pub denied: usize,
    /// Containers that it would select if they were not to be ignored.
    pub ignored: usize,
}

/// What has to be wired between the members of one edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// From whom to whom.
    pub pairs: BTreeMap<(ContainerId, ContainerId), Pair>,
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

/// Works out what `participants` declare under `policy`.
pub fn declare(policy: &Policy, participants: &[&Participant]) -> Declaration {
    Reader { policy, index: Index::new(participants) }.read(participants)
}

struct Reader<'a> {
    policy: &'a Policy,
    index: Index<'a>,
}

impl<'a> Reader<'a> {
    fn read(&self, participants: &[&'a Participant]) -> Declaration {
        let mut declaration = Declaration::default();
        let mut mistakes = Mistakes::default();
        // The first replica that declares a link is the leading one.
        let mut by_rank: Vec<&Participant> = participants.to_vec();
        by_rank.sort_by(|a, b| rank(&a.container).cmp(&rank(&b.container)));
        for consumer in by_rank {
            for error in &consumer.declared.errors {
                mistakes.note(consumer, error.clone());
            }
            for link in &consumer.declared.links {
                self.read_link(consumer, link, &mut declaration, &mut mistakes);
            }
        }
        declaration.errors = mistakes.list();
        declaration
    }

    fn read_link(
        &self,
        consumer: &'a Participant,
        link: &Arc<Link>,
        declaration: &mut Declaration,
        mistakes: &mut Mistakes,
    ) {
        let selector = &link.target.selector;
        let found = self.index.select(consumer, selector);
        if found.iter().any(|provider| provider.workload == consumer.workload) {
            mistakes.note(consumer, LabelError::self_link(&self.policy.label_prefix, link));
            return;
        }
        let key = LinkKey { consumer: consumer.workload.clone(), name: link.name.clone() };
        let mut resolution = Resolution::default();
        let mut paths = Vec::new();
        for provider in &found {
            if provider.declared.ignore {
                resolution.ignored += 1;
                continue;
            }
            resolution.found += 1;
            if !self.accepts(provider, consumer) {
                resolution.denied += 1;
                continue;
            }
            let needs_edge = !matches!(link.target.endpoint, Endpoint::Unix(_));
            let edge = needs_edge.then(|| self.edge_key(consumer, provider));
            let ends = (consumer.id().clone(), provider.id().clone());
            if let Some(edge) = edge.clone() {
                let pair = declaration.edges.entry(edge).or_default().pairs.entry(ends.clone()).or_default();
                pair.aliases.insert(provider.workload.short_name().to_owned());
                pair.aliases.extend(link.alias.clone());
                pair.links.insert(key.clone());
            }
            paths.push((ends, Path { link: Arc::clone(link), edge }));
        }
        let entry = declaration.links.entry(key).or_insert_with(|| DeclaredLink {
            link: Arc::clone(link),
            consumers: BTreeSet::new(),
            otherwise: Vec::new(),
            provider: provider_name(selector, &found),
            resolution,
            paths: BTreeMap::new(),
        });
        if entry.link != *link {
            entry.otherwise.push(consumer.container.name.clone());
        }
        entry.consumers.insert(consumer.id().clone());
        entry.paths.extend(paths);
    }

    /// Whether the label of `provider` lets `consumer` in.
    fn accepts(&self, provider: &Participant, consumer: &Participant) -> bool {
        let Some(accepted) = &provider.declared.accept else { return !self.policy.default_deny };
        accepted.iter().any(|accept| match accept {
            Accept::Any => true,
            Accept::Selector(selector) => {
                self.index.select(provider, selector).iter().any(|found| found.id() == consumer.id())
            }
        })
    }

    /// The topology is what the leading replica of the provider says: a container that comes later, or that
    /// never ran, moves nobody to another network.
    fn edge_key(&self, consumer: &Participant, provider: &Participant) -> EdgeKey {
        let replicas = self.index.replicas(&provider.workload).iter();
        let leading = replicas
            .filter(|replica| !replica.declared.ignore && !is_leaving(&replica.container))
            .min_by(|a, b| rank(&a.container).cmp(&rank(&b.container)));
        let topology = leading.map_or(Topology::Pair, |replica| replica.declared.topology);
        match topology {
            Topology::Pair => {
                EdgeKey::Pair { consumer: consumer.workload.clone(), provider: provider.workload.clone() }
            }
            Topology::Shared => EdgeKey::Shared { provider: provider.workload.clone() },
        }
    }
}

/// How the provider is called where people read it. A selector by labels keeps its text, since what
/// it finds may change from one container to the next.
fn provider_name(selector: &Selector, found: &[&Participant]) -> String {
    match (selector, found.first()) {
        (Selector::Labels(_), _) | (_, None) => selector.to_string(),
        (_, Some(provider)) => provider.workload.to_string(),
    }
}

struct Index<'a> {
    all: Vec<&'a Participant>,
    by_name: BTreeMap<&'a str, &'a Participant>,
    by_workload: BTreeMap<&'a Workload, Vec<&'a Participant>>,
}

impl<'a> Index<'a> {
    fn new(participants: &[&'a Participant]) -> Self {
        let all = participants.to_vec();
        // While a rename or a removal has not been seen yet, two containers seem to have one name: the
        // last one wins, so the newest of those that stay.
        let mut by_age = all.clone();
        by_age.sort_by_key(|p| (!is_leaving(&p.container), &p.container.created));
        let by_name = by_age.into_iter().map(|p| (p.container.name.as_str(), p)).collect();
        let mut by_workload: BTreeMap<&Workload, Vec<&Participant>> = BTreeMap::new();
        for participant in &all {
            by_workload.entry(&participant.workload).or_default().push(participant);
        }
        Self { all, by_name, by_workload }
    }

    fn replicas(&self, workload: &Workload) -> &[&'a Participant] {
        self.by_workload.get(workload).map_or(&[], Vec::as_slice)
    }

    /// The containers that `selector` means when it is written on `from`.
    fn select(&self, from: &Participant, selector: &Selector) -> Vec<&'a Participant> {
        let found = match selector {
            Selector::Name(name) => self.select_name(from, name),
            Selector::Service { project, service } => self.service(project, service),
            Selector::Labels(labels) => self.select_labels(from, labels),
        };
        found.into_iter().filter(|other| !is_leaving(&other.container)).collect()
    }

    fn select_name(&self, from: &Participant, name: &str) -> Vec<&'a Participant> {
        let service = from.project().map_or(Vec::new(), |project| self.service(project, name));
        if service.is_empty() { self.by_name.get(name).copied().into_iter().collect() } else { service }
    }

    fn select_labels(&self, from: &Participant, labels: &[(String, String)]) -> Vec<&'a Participant> {
        let has = |other: &Participant, (key, value): &(String, String)| {
            other.container.labels.get(key) == Some(value)
        };
        self.all
            .iter()
            .copied()
            .filter(|other| other.workload != from.workload)
            .filter(|other| labels.iter().all(|label| has(other, label)))
            .collect()
    }

    fn service(&self, project: &str, service: &str) -> Vec<&'a Participant> {
        let (project, service) = (project.to_owned(), service.to_owned());
        self.replicas(&Workload::Service { project, service }).to_vec()
    }
}

/// The order in which containers lead: those on their way out last, those that never ran before them, and the
/// oldest first.
fn rank(container: &Container) -> (bool, bool, &str, &ContainerId) {
    (is_leaving(container), !has_run(container), &container.created, &container.id)
}

/// Whether the container was ever started.
pub fn has_run(container: &Container) -> bool {
    container.state != RunState::Created
}

/// Whether two looks at one container tell the same about what is declared: what changes most often,
/// its attachments and whether it runs, declares nothing.
pub fn declares_the_same(a: &Container, b: &Container) -> bool {
    a.name == b.name && a.labels == b.labels && rank(a) == rank(b)
}

/// A container on its way out can neither be started nor connected any more.
pub fn is_leaving(container: &Container) -> bool {
    matches!(container.state, RunState::Removing | RunState::Dead)
}

/// Whether networks can be connected to `container` at all.
pub fn is_wireable(container: &Container) -> bool {
    container.mode == NetworkMode::Own && !is_leaving(container)
}
