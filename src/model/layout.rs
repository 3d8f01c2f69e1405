//! Which of an edge's networks carries which pair.
//!
//! Every pair must share one network. What is connected stays where it is; a pair that fits nowhere
//! gets a further network, so nothing is ever cut to grow, or to give an endpoint another alias.

use std::collections::BTreeSet;

use super::container::{Container, ContainerId, Network, Shape};
use super::declaration::{Edge, Pair, is_leaving, is_wireable};
use super::link::EdgeKey;
use super::subnet;
use super::world::World;

/// One network of an edge, existing or to be made, and who is to be on it.
#[derive(Clone, Debug)]
pub struct Spot {
    /// The network, unless it has to be made.
    pub network: Option<Network>,
    /// Who is on it.
    pub attached: BTreeSet<ContainerId>,
    /// Who refers to it, does not run, and will find no address there.
    pub crowded_out: BTreeSet<ContainerId>,
    /// Who has to be on it.
    pub wanted: BTreeSet<ContainerId>,
    /// The containers that have to be on it and are not. First those that do not run: connecting one takes a few
    /// milliseconds, and it may be started any moment. Of these the consumers come first: with
    /// `depends_on` Compose starts the provider first, and the engine answers a connect of a container
    /// that is being started only when it has started, up to a second later (measured). Of those that
    /// run the providers come first, so that a name is there before a program looks it up.
    pub joining: Vec<ContainerId>,
    /// How many containers it has addresses for; none where nobody may join it.
    capacity: usize,
}

type Ends = (ContainerId, ContainerId);

impl Spot {
    /// Whether any pair needs it.
    pub fn is_needed(&self) -> bool {
        !self.wanted.is_empty()
    }

    fn existing(network: &Network, world: &World) -> Self {
        let mut attached: BTreeSet<ContainerId> = world
            .participants()
            .filter(|participant| participant.container.attachment(network).is_some())
            // Who is on its way out goes by itself, and can neither be connected nor disconnected.
            .filter(|participant| !is_leaving(&participant.container))
            .map(|participant| participant.container.id.clone())
            .collect();
        let capacity = network.subnets.iter().map(|net| subnet::capacity(*net)).max().unwrap_or(0);
        let up = |id: &ContainerId| world.container(id).is_some_and(Container::is_up);
        let waiting: Vec<ContainerId> = attached.iter().filter(|id| !up(id)).cloned().collect();
        let room = capacity.saturating_sub(attached.len() - waiting.len());
        let crowded_out: BTreeSet<ContainerId> = waiting.into_iter().skip(room).collect();
        attached.retain(|id| !crowded_out.contains(id));
        // With hardly anybody on it, it is not full, whatever the engine said.
        let full = world.obstacles().is_full(&network.id) && attached.len() > 1;
        // Who was never started would look for it by name, and find two.
        let ambiguous = world.named(&network.name) > 1;
        // Made by an engine that followed the daemon's `default-network-opts` in this. The
        // engine cannot change it, so containers that are to join get a further network.
        let misshapen = network.shape != Shape::LINK;
        let capacity = if full || ambiguous || misshapen { 0 } else { capacity };
        Self {
            network: Some(network.clone()),
            attached,
            crowded_out,
            wanted: BTreeSet::new(),
            joining: Vec::new(),
            capacity,
        }
    }

    fn new(capacity: usize) -> Self {
        Self {
            network: None,
            attached: BTreeSet::new(),
            crowded_out: BTreeSet::new(),
            wanted: BTreeSet::new(),
            joining: Vec::new(),
            capacity,
        }
    }

    fn holds(&self, id: &ContainerId) -> bool {
        self.attached.contains(id) || self.joining.contains(id)
    }

    fn missing<'a>(&self, (consumer, provider): &'a Ends) -> Vec<&'a ContainerId> {
        [provider, consumer].into_iter().filter(|id| !self.holds(id)).collect()
    }

    /// Whether the provider, if it is attached already, has every name that the pair needs.
    fn names_fit(&self, provider: &ContainerId, pair: &Pair, world: &World) -> bool {
        let attachment =
            self.network.as_ref().and_then(|network| world.container(provider)?.attachment(network));
        attachment.is_none_or(|attachment| pair.aliases.is_subset(&attachment.aliases))
    }

    fn take(&mut self, ends: &Ends) {
        self.joining.extend(self.missing(ends).into_iter().cloned());
        self.wanted.extend([ends.0.clone(), ends.1.clone()]);
    }
}

/// Whether `network` carries the pair already: both are on it, the provider with every name, and the
/// engine lets them talk to one another.
pub fn carries(network: &Network, ends: &Ends, pair: &Pair, world: &World) -> bool {
    let attachment = |id| world.container(id).and_then(|container| container.attachment(network));
    network.shape.icc
        && attachment(&ends.0).is_some()
        && attachment(&ends.1).is_some_and(|provider| pair.aliases.is_subset(&provider.aliases))
}

/// Whether both containers of a pair can be wired at all.
fn is_pair_wireable(world: &World, (consumer, provider): &Ends) -> bool {
    [consumer, provider].into_iter().all(|id| world.container(id).is_some_and(is_wireable))
}

/// Puts every pair of the edge on a network; new ones have subnets of length `prefix`.
pub fn arrange(key: &EdgeKey, edge: &Edge, world: &World, prefix: u8) -> Vec<Spot> {
    let pairs: Vec<(&Ends, &Pair)> =
        edge.pairs.iter().filter(|(ends, _)| is_pair_wireable(world, ends)).collect();
    let mut spots = existing_spots(key, edge, world);
    let capacity = world.policy().pool.subnets(prefix).ok().and_then(|mut nets| nets.next());
    let capacity = capacity.map_or(0, subnet::capacity);
    let quota = Quota::new(&pairs, capacity);

    let mut homeless = Vec::new();
    for (ends, pair) in pairs {
        let home = spots.iter_mut().find(|spot| {
            spot.network.as_ref().is_some_and(|network| carries(network, ends, pair, world))
                && [&ends.0, &ends.1].into_iter().all(|id| spot.attached.contains(id))
        });
        match home {
            Some(spot) => spot.take(ends),
            None => homeless.push((ends, pair)),
        }
    }
    for (ends, pair) in homeless {
        let fitting = spots
            .iter_mut()
            .filter(|spot| spot.names_fit(&ends.1, pair, world) && quota.admits(spot, ends, edge))
            .min_by_key(|spot| spot.missing(ends).len());
        match fitting {
            Some(spot) => spot.take(ends),
            None => {
                let mut spot = Spot::new(capacity);
                spot.take(ends);
                spots.push(spot);
            }
        }
    }
    for spot in &mut spots {
        spot.joining.sort_by_key(|id| {
            let running = world.container(id).is_some_and(Container::is_running);
            let provider = edge.pairs.keys().any(|(_, provider)| provider == id);
            (running, provider != running)
        });
    }
    spots
}

/// The edge's networks, those in use before those that are not, and the older first: of two that
/// were made for the same edge at once, the one in use stays.
fn existing_spots(key: &EdgeKey, edge: &Edge, world: &World) -> Vec<Spot> {
    let mut networks: Vec<&Network> = world.networks_of(key).collect();
    networks.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    let members: BTreeSet<&ContainerId> = edge.members().collect();
    let mut spots: Vec<Spot> = networks.into_iter().map(|net| Spot::existing(net, world)).collect();
    spots.sort_by_key(|spot| !spot.attached.iter().any(|id| members.contains(id)));
    spots
}

/// How many consumers and providers one network may have, so that an edge with many of both is
/// covered by few networks: filled by the one side alone, a network would carry few pairs.
struct Quota {
    consumers: usize,
    providers: usize,
}

impl Quota {
    fn new(pairs: &[(&Ends, &Pair)], capacity: usize) -> Self {
        let consumers = pairs.iter().map(|(ends, _)| &ends.0).collect::<BTreeSet<_>>().len();
        let providers = pairs.iter().map(|(ends, _)| &ends.1).collect::<BTreeSet<_>>().len();
        let providers = providers.min((capacity / 2).max(capacity.saturating_sub(consumers)));
        Self { providers, consumers: capacity.saturating_sub(providers) }
    }

    fn admits(&self, spot: &Spot, ends: &Ends, edge: &Edge) -> bool {
        let missing = spot.missing(ends);
        if spot.attached.len() + spot.joining.len() + missing.len() > spot.capacity {
            return false;
        }
        let providers: BTreeSet<&ContainerId> = edge.pairs.keys().map(|(_, provider)| provider).collect();
        let held =
            |provider: bool| spot.wanted.iter().filter(|id| providers.contains(id) == provider).count();
        (spot.holds(&ends.0) || held(false) < self.consumers)
            && (spot.holds(&ends.1) || held(true) < self.providers)
    }
}
