//! What is in the way of new networks and members although no network that is seen says so.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;

use super::container::{Container, ContainerId, NetworkId};
use super::link::EdgeKey;

/// Subnets that are not free, and networks that have no room, for reasons of their own.
#[derive(Debug, Default)]
pub struct Obstacles {
    routes: Vec<Ipv4Net>,
    /// Subnets that running reconciles are about to take.
    claims: BTreeMap<EdgeKey, Vec<Ipv4Net>>,
    /// Subnets that the engine refused although nothing we see overlaps them.
    refused: BTreeSet<Ipv4Net>,
    /// Networks that the engine had no address left on, although we see room.
    full: BTreeSet<NetworkId>,
    /// Containers that the engine could not connect because it has lost their network namespaces, each
    /// with the time of its start: the next start makes a new namespace.
    lost: BTreeMap<ContainerId, String>,
}

impl Obstacles {
    /// Routes that subnets must stay clear of.
    pub fn set_routes(&mut self, routes: Vec<Ipv4Net>) {
        self.routes = routes;
    }

    /// Keeps the subnets that a reconcile is about to take, so that another one does not plan with
    /// them too.
    pub fn claim(&mut self, edge: EdgeKey, subnets: Vec<Ipv4Net>) {
        self.claims.insert(edge, subnets);
    }

    /// Drops the claim of a reconcile that ended.
    pub fn release(&mut self, edge: &EdgeKey) {
        self.claims.remove(edge);
    }

    /// Remembers until the next list that the engine would not give this subnet.
    pub fn refuse(&mut self, subnet: Ipv4Net) {
        self.refused.insert(subnet);
    }

    /// How many subnets the engine would not give.
    pub fn refusals(&self) -> usize {
        self.refused.len()
    }

    /// Forgets which subnets the engine would not give: what was in the way may be gone.
    pub fn forget_refusals(&mut self) {
        self.refused.clear();
    }

    /// Remembers until the next list that the engine has no address left on this network.
    pub fn fill(&mut self, network: NetworkId) {
        self.full.insert(network);
    }

    /// Whether the engine said that it has no address left on this network.
    pub fn is_full(&self, network: &NetworkId) -> bool {
        self.full.contains(network)
    }

    /// Remembers, until the container starts again, that the engine has lost its network namespace.
    pub fn lose_namespace(&mut self, container: &Container) {
        self.lost.insert(container.id.clone(), container.started.clone());
    }

    /// Forgets that the engine has lost its network namespace: it could connect the container.
    pub fn find_namespace(&mut self, container: &ContainerId) {
        self.lost.remove(container);
    }

    /// Whether the engine said that it has lost the network namespace of this run of the container.
    pub(super) fn has_lost_namespace(&self, container: &Container) -> bool {
        self.lost.get(&container.id) == Some(&container.started)
    }

    /// Forgets what the engine said before a new list, and all about containers that are not `known`.
    pub(super) fn renew(&mut self, known: impl Fn(&ContainerId) -> bool) {
        self.refused.clear();
        self.full.clear();
        self.lost.retain(|id, _| known(id));
    }

    /// The subnets in the way.
    pub(super) fn subnets(&self) -> impl Iterator<Item = &Ipv4Net> {
        self.routes.iter().chain(self.claims.values().flatten()).chain(&self.refused)
    }
}
