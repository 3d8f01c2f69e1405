//! What the labels mean, worked out from what the containers were made with and not from their
//! labels: nothing of `labels`, `declaration`, `layout` or `plan` is used here.

use std::collections::{BTreeMap, BTreeSet};

use super::super::container::{ContainerId, Network, NetworkMode, RunState};
use super::engine::{Body, Engine, Refusal};
use super::history::{Accept, PROJECT, Spec, Target};

/// The edge as our labels on a network say it: consumer, provider.
pub type EdgeName = (String, String);
type Ends = (ContainerId, ContainerId);

/// How networks that people make with our labels are called, where not as a controller calls them.
pub const BY_HAND: &str = "by-hand-";

pub fn is_ours(network: &Network) -> bool {
    network.shape.bridge
        && network.shape.internal
        && !network.name.starts_with(BY_HAND)
        && network.labels.get("tieline.managed-by").is_some_and(|by| by == "tieline")
        && ["tieline.consumer", "tieline.provider"].iter().all(|key| network.labels.contains_key(*key))
}

/// Who must share a network of which edge, and the names that the provider must have there.
pub type Meaning = BTreeMap<EdgeName, BTreeMap<Ends, BTreeSet<String>>>;

struct Reader<'a> {
    engine: &'a Engine,
    specs: &'a BTreeMap<ContainerId, Spec>,
}

/// What all labels together mean.
pub fn meaning(engine: &Engine, specs: &BTreeMap<ContainerId, Spec>) -> Meaning {
    let reader = Reader { engine, specs };
    let mut meaning = Meaning::new();
    for (consumer, spec) in specs {
        for (link, target) in &spec.links {
            for provider in reader.providers(consumer, target) {
                let edge = reader.edge(consumer, &provider);
                let names =
                    meaning.entry(edge).or_default().entry((consumer.clone(), provider.clone())).or_default();
                names.insert(reader.short_name(&provider));
                names.extend(link.map(str::to_owned));
            }
        }
    }
    meaning.retain(|_, pairs| {
        pairs.retain(|(consumer, provider), _| reader.can_join(consumer) && reader.can_join(provider));
        !pairs.is_empty()
    });
    meaning
}

impl Reader<'_> {
    fn body(&self, id: &ContainerId) -> &Body {
        &self.engine.containers[id]
    }

    fn can_join(&self, id: &ContainerId) -> bool {
        self.body(id).mode == NetworkMode::Own && !self.body(id).is_leaving()
    }

    fn workload(&self, id: &ContainerId) -> String {
        match self.specs[id].replica_of() {
            Some(service) => format!("{PROJECT}/{service}"),
            None => self.body(id).name.clone(),
        }
    }

    fn short_name(&self, id: &ContainerId) -> String {
        self.specs[id].replica_of().map_or_else(|| self.body(id).name.clone(), str::to_owned)
    }

    fn of_service(&self, service: &str) -> Vec<ContainerId> {
        self.specs
            .iter()
            .filter(|(_, spec)| spec.replica_of() == Some(service))
            .map(|(id, _)| id.clone())
            .collect()
    }

    fn providers(&self, consumer: &ContainerId, target: &Target) -> Vec<ContainerId> {
        let mut found = match target {
            Target::Service(service) => self.of_service(service),
            Target::Name(name) => {
                let own = self.specs[consumer].service.map(|_| self.of_service(name)).unwrap_or_default();
                if own.is_empty() { self.engine.named(name).into_iter().cloned().collect() } else { own }
            }
        };
        found.retain(|id| !self.body(id).is_leaving() && !self.is_replaced(id));
        // A link to itself is a mistake, whatever else it would find.
        if found.iter().any(|id| self.workload(id) == self.workload(consumer)) {
            return Vec::new();
        }
        found.retain(|id| !self.specs[id].ignore && self.accepts(id, consumer));
        if self.specs[consumer].ignore { Vec::new() } else { found }
    }

    /// Whether it does not run, while a newer one of its number ever ran.
    fn is_replaced(&self, id: &ContainerId) -> bool {
        let (spec, body) = (&self.specs[id], self.body(id));
        let newer = |(other, its): (&ContainerId, &Spec)| {
            let other = self.body(other);
            (its.replica_of(), its.number) == (spec.replica_of(), spec.number)
                && other.created > body.created
                && other.state != RunState::Created
                && !other.is_leaving()
        };
        spec.replica_of().is_some() && !body.is_up() && self.specs.iter().any(newer)
    }

    fn accepts(&self, provider: &ContainerId, consumer: &ContainerId) -> bool {
        match self.specs[provider].accept {
            None | Some(Accept::Any) => true,
            Some(Accept::Nobody) => false,
            Some(Accept::Only(name)) => self.body(consumer).name == name && !self.body(consumer).is_leaving(),
        }
    }

    fn edge(&self, consumer: &ContainerId, provider: &ContainerId) -> EdgeName {
        let workload = self.workload(provider);
        let leading = self
            .specs
            .keys()
            .filter(|id| self.workload(id) == workload && !self.specs[*id].ignore)
            .filter(|id| !self.body(id).is_leaving())
            .min_by_key(|id| (self.body(id).state == RunState::Created, self.body(id).created));
        let shared = leading.is_some_and(|id| self.specs[id].shared);
        (if shared { "*".to_owned() } else { self.workload(consumer) }, workload)
    }
}

/// What is wrong with the engine's state, if it is to be as the labels mean; empty when nothing is.
pub fn faults(engine: &Engine, meaning: &Meaning) -> Vec<String> {
    let mut faults = Vec::new();
    let places = places(engine);
    for (edge, pairs) in meaning {
        for ((consumer, provider), names) in pairs {
            let carried = networks(engine, edge).filter(|network| network.shape.icc).any(|network| {
                let on = |id: &ContainerId| places.get(&(id.clone(), network.id.clone()));
                on(consumer).is_some() && on(provider).is_some_and(|aliases| names.is_subset(aliases))
            });
            if !carried {
                faults.push(format!("{consumer} and {provider} share no network of {edge:?}"));
            }
        }
    }
    for network in engine.networks.values().filter(|network| is_ours(network)) {
        let edge = (network.labels["tieline.consumer"].clone(), network.labels["tieline.provider"].clone());
        let Some(pairs) = meaning.get(&edge) else {
            faults.push(format!("{} is left over", network.name));
            continue;
        };
        for (id, _) in places.keys().filter(|(_, on)| *on == network.id) {
            let member = pairs.keys().any(|(consumer, provider)| [consumer, provider].contains(&id));
            if !member && !engine.containers[id].is_leaving() {
                faults.push(format!("{id} is a stranger on {}", network.name));
            }
        }
    }
    // A running container will be stopped and started once, too.
    for (id, body) in engine.containers.iter().filter(|(_, body)| !body.is_leaving()) {
        if let Err((entry, refusal)) = engine.try_start(id) {
            // From a network that is full nobody can detach who runs and is not really on it.
            let stuck = body.is_up() && refusal == Refusal::SubnetFull;
            if entry.ours && !stuck {
                faults.push(format!("{} ({id}) could not start: {refusal:?} {entry:?}", body.name));
            }
        }
    }
    faults
}

fn networks<'a>(engine: &'a Engine, edge: &'a EdgeName) -> impl Iterator<Item = &'a Network> {
    engine.networks.values().filter(move |network| {
        is_ours(network)
            && network.labels["tieline.consumer"] == edge.0
            && network.labels["tieline.provider"] == edge.1
    })
}

type Places = BTreeMap<(ContainerId, super::super::container::NetworkId), BTreeSet<String>>;

/// Who is on which network or, where it does not run, will be once it is started; and under which
/// names.
fn places(engine: &Engine) -> Places {
    let mut places = Places::new();
    for (id, body) in engine.containers.iter().filter(|(_, body)| body.shows_entries()) {
        for (name, entry) in &body.entries {
            let network = match &entry.shown.network {
                Some(network) => engine.networks.get(network),
                None if body.is_up() => None,
                None => engine.networks.values().find(|network| network.name == *name),
            };
            let Some(network) = network else { continue };
            if !body.is_up() || body.endpoints.contains(&network.id) {
                places.insert((id.clone(), network.id.clone()), entry.shown.aliases.clone());
            }
        }
        for network in &body.endpoints {
            places.entry((id.clone(), network.clone())).or_default();
        }
    }
    places
}

/// For each edge how many networks it has, and who is on any of them.
pub fn summary(engine: &Engine) -> BTreeMap<EdgeName, BTreeSet<ContainerId>> {
    let places = places(engine);
    let mut summary: BTreeMap<EdgeName, BTreeSet<ContainerId>> = BTreeMap::new();
    for network in engine.networks.values().filter(|network| is_ours(network)) {
        let edge = (network.labels["tieline.consumer"].clone(), network.labels["tieline.provider"].clone());
        let on = places.keys().filter(|(_, on)| *on == network.id).map(|(id, _)| id.clone());
        summary.entry(edge).or_default().extend(on.filter(|id| !engine.containers[id].is_leaving()));
    }
    summary
}
