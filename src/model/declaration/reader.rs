//! From the labels of all containers to links and edges, within the limits that keep one container from taking
//! what is everybody's.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::index::{Found, Index, Place};
use super::{Declaration, DeclaredLink, Ends, Limit, Mistake, Participant, Path, Pool, Resolution, has_run};
use crate::model::labels::{Accept, LabelError, Topology};
use crate::model::link::{EdgeKey, Endpoint, Link, LinkKey};
use crate::model::workload::{Selector, Workload};
use crate::model::world::Policy;

/// Containers that the links of one container may find together.
pub const MAX_FOUND: usize = 1024;
/// Workloads that one workload may link to over networks.
pub const MAX_EDGES_OF_CONSUMER: usize = 64;
/// Workloads that may link to one workload over networks of their own, that is in topology `pair`.
pub const MAX_EDGES_OF_PROVIDER: usize = 256;
/// Edges of one consumer that count as few: these may take more of the pool than the others.
pub const MAX_FEW_EDGES: usize = 16;

pub(super) struct Reader<'a> {
    policy: &'a Policy,
    index: Index<'a>,
    declaration: Declaration,
    mistakes: Mistakes,
    edges: Edges<'a>,
}

/// The edges that there are, counted at both ends.
#[derive(Default)]
struct Edges<'a> {
    /// Each with how many its consumer had when it came.
    known: HashMap<(&'a Workload, &'a Workload), usize>,
    of_consumer: HashMap<&'a Workload, usize>,
    of_provider: HashMap<&'a Workload, usize>,
}

/// The relation of one container to a provider, the same for all links between the two.
enum Reach {
    Ignored,
    Denied,
    Accepted,
    /// Both are on networks of this edge.
    Wired(EdgeKey),
    LeftOut(Limit),
}

/// One container while its links are read.
struct Consumer<'a> {
    place: Place,
    participant: &'a Participant,
    /// The providers that earlier links reached; most links of one container lead to few.
    reached: HashMap<(Place, bool), Reach>,
    /// How many more containers its links may find.
    left: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(policy: &'a Policy, index: Index<'a>) -> Self {
        Self {
            policy,
            index,
            declaration: Declaration::default(),
            mistakes: Mistakes::default(),
            edges: Edges::default(),
        }
    }

    pub(super) fn read(mut self) -> Declaration {
        // In the order in which the replicas lead: the first one that declares a link is shown, and what comes
        // late finds the limits reached.
        for place in 0..self.index.all.len() {
            let participant = self.index.all[place];
            for error in &participant.declared.errors {
                self.mistakes.note(participant, error.clone());
            }
            let mut consumer = Consumer { place, participant, reached: HashMap::new(), left: MAX_FOUND };
            // Links by name come before links by label, which may find many containers.
            let by_labels = |link: &Link| matches!(link.target.selector, Selector::Labels(_));
            for labelled in [false, true] {
                for link in participant.declared.links.iter().filter(|link| by_labels(link) == labelled) {
                    self.read_link(&mut consumer, link);
                }
            }
        }
        self.declaration.errors = self.mistakes.list();
        self.declaration
    }

    fn read_link(&mut self, consumer: &mut Consumer<'a>, link: &'a Arc<Link>) {
        let from = consumer.participant;
        let selector = &link.target.selector;
        let found = self.index.select(from, selector);
        if found.places.iter().any(|place| self.index.all[*place].workload == from.workload) {
            self.mistakes.note(from, LabelError::self_link(&self.policy.label_prefix, link));
            return;
        }
        let key = LinkKey { consumer: from.workload.clone(), name: link.name.clone() };
        let mut resolution = self.resolution(&found);
        let mut paths: Vec<(Ends, Path)> = Vec::new();
        let over_network = !matches!(link.target.endpoint, Endpoint::Unix(_));
        for (nth, place) in found.places.iter().enumerate() {
            if consumer.left == 0 {
                resolution.leave_out(found.places.len() - nth, Limit::Found);
                break;
            }
            consumer.left -= 1;
            let reach = match consumer.reached.entry((*place, over_network)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(reach(
                    &self.index,
                    self.policy,
                    &mut self.edges,
                    consumer.place,
                    *place,
                    over_network,
                )),
            };
            let provider = self.index.all[*place];
            resolution.count(reach);
            let edge = match reach {
                Reach::Ignored | Reach::Denied | Reach::LeftOut(_) => continue,
                Reach::Accepted => None,
                Reach::Wired(edge) => Some(edge.clone()),
            };
            let ends = (from.id().clone(), provider.id().clone());
            if let Some(edge) = &edge {
                let pool = self.edges.pool(from, provider);
                let entry = self.declaration.edges.entry(edge.clone()).or_default();
                entry.pool = entry.pool.max(pool);
                let pair = entry.pairs.entry(ends.clone()).or_default();
                pair.aliases.insert(provider.workload.short_name().to_owned());
                pair.aliases.extend(link.alias.clone());
                pair.links.insert(key.clone());
            }
            paths.push((ends, Path { link: Arc::clone(link), edge }));
        }
        let entry = self.declaration.links.entry(key).or_insert_with(|| DeclaredLink {
            link: Arc::clone(link),
            consumers: BTreeSet::new(),
            otherwise: Vec::new(),
            provider: provider_name(selector, found.places.first().map(|place| self.index.all[*place])),
            resolution,
            paths: BTreeMap::new(),
        });
        if entry.link != *link {
            entry.otherwise.push(from.container.name.clone());
        }
        entry.consumers.insert(from.id().clone());
        entry.paths.extend(paths);
    }

    fn resolution(&self, found: &Found) -> Resolution {
        let name = |place: Option<Place>| place.map(|place| self.index.all[place].container.name.clone());
        Resolution {
            stranger: name(found.stranger),
            pretender: name(found.pretender),
            ..Resolution::default()
        }
    }
}

fn reach<'a>(
    index: &Index<'a>,
    policy: &Policy,
    edges: &mut Edges<'a>,
    consumer: Place,
    provider: Place,
    over_network: bool,
) -> Reach {
    let (from, to) = (index.all[consumer], index.all[provider]);
    if to.declared.ignore {
        return Reach::Ignored;
    }
    if !accepts(index, policy, to, consumer) {
        return Reach::Denied;
    }
    if !over_network {
        return Reach::Accepted;
    }
    let topology = index.topology(&to.workload);
    if let Err(limit) = edges.add(&from.workload, &to.workload, topology) {
        return Reach::LeftOut(limit);
    }
    let provider = to.workload.clone();
    Reach::Wired(match topology {
        Topology::Pair => EdgeKey::Pair { consumer: from.workload.clone(), provider },
        Topology::Shared => EdgeKey::Shared { provider },
    })
}

/// Whether the label of `provider` lets the container at `consumer` in.
fn accepts(index: &Index<'_>, policy: &Policy, provider: &Participant, consumer: Place) -> bool {
    let Some(accepted) = &provider.declared.accept else { return !policy.default_deny };
    accepted.iter().any(|accept| match accept {
        Accept::Any => true,
        Accept::Selector(selector) => index.selects(provider, selector, consumer),
    })
}

impl<'a> Edges<'a> {
    /// Adds an edge unless there are too many at either end. The consumers of a provider in topology `shared` have
    /// one network together, so that their number is not limited.
    fn add(
        &mut self,
        consumer: &'a Workload,
        provider: &'a Workload,
        topology: Topology,
    ) -> Result<(), Limit> {
        if self.known.contains_key(&(consumer, provider)) {
            return Ok(());
        }
        let of_consumer = self.of_consumer.entry(consumer).or_default();
        if *of_consumer == MAX_EDGES_OF_CONSUMER {
            return Err(Limit::OfConsumer);
        }
        let of_provider = self.of_provider.entry(provider).or_default();
        if topology == Topology::Pair && *of_provider == MAX_EDGES_OF_PROVIDER {
            return Err(Limit::OfProvider);
        }
        self.known.insert((consumer, provider), *of_consumer);
        *of_consumer += 1;
        *of_provider += 1;
        Ok(())
    }

    /// How much of the pool the networks between the two may use.
    fn pool(&self, consumer: &Participant, provider: &Participant) -> Pool {
        let earlier = self.known.get(&(&consumer.workload, &provider.workload));
        let few = earlier.is_some_and(|earlier| *earlier < MAX_FEW_EDGES);
        match (few, has_run(&consumer.container)) {
            (true, true) => Pool::All,
            (true, false) | (false, true) => Pool::ThreeQuarters,
            (false, false) => Pool::Half,
        }
    }
}

impl Resolution {
    fn count(&mut self, reach: &Reach) {
        match reach {
            Reach::Ignored => self.ignored += 1,
            Reach::Denied => {
                self.found += 1;
                self.denied += 1;
            }
            Reach::Accepted | Reach::Wired(_) => self.found += 1,
            Reach::LeftOut(limit) => self.leave_out(1, *limit),
        }
    }

    fn leave_out(&mut self, containers: usize, limit: Limit) {
        let (so_far, _) = self.left_out.unwrap_or((0, limit));
        self.found += containers;
        self.left_out = Some((so_far + containers, limit));
    }
}

/// How the provider is called where people read it. A selector by labels keeps its text, since what
/// it finds may change from one container to the next.
fn provider_name(selector: &Selector, found: Option<&Participant>) -> String {
    match (selector, found) {
        (Selector::Labels(_), _) | (_, None) => selector.to_string(),
        (_, Some(provider)) => provider.workload.to_string(),
    }
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
