//! An engine on paper, with what was measured of Engine 20.10: what it refuses, and what it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::super::container::{
    Attachment, Container, ContainerId, Labels, Network, NetworkId, NetworkMode, RunState, Shape,
};
use super::super::moment::Moment;
use super::super::subnet;

/// Any: that there is one is all that matters.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

/// Why the engine refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoSuchContainer,
    NoSuchNetwork,
    AlreadyConnected,
    NotConnected,
    SubnetTaken,
    SubnetFull,
    NameTaken,
    InUse,
    Ambiguous,
    Leaving,
    Mode,
}

/// An entry of a container's networks, and what an inspection does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What an inspection shows, but for the address.
    pub shown: Attachment,
    /// Whether a controller made it.
    pub ours: bool,
}

#[derive(Clone, Debug)]
pub struct Body {
    pub name: String,
    pub labels: Labels,
    pub state: RunState,
    pub mode: NetworkMode,
    pub created: u64,
    pub started: u64,
    /// By network name or, where the network was gone already when it was joined, by its id.
    pub entries: BTreeMap<String, Entry>,
    /// The networks that the running container is on, whatever its entries say.
    pub endpoints: BTreeSet<NetworkId>,
}

impl Body {
    pub fn is_up(&self) -> bool {
        matches!(self.state, RunState::Running | RunState::Paused)
    }

    /// What an inspection shows of an entry: an address where the container is on the network.
    fn shown(&self, entry: &Entry) -> Attachment {
        let on = entry.shown.network.as_ref().is_some_and(|network| self.endpoints.contains(network));
        let address = on.then_some(Ipv4Addr::new(10, 213, 0, 2));
        Attachment { address, ..entry.shown.clone() }
    }

    pub fn is_leaving(&self) -> bool {
        matches!(self.state, RunState::Removing | RunState::Dead)
    }

    /// Whether it lives in another container's namespace, so that it joins nothing, whatever entries it has.
    pub fn is_guest(&self) -> bool {
        self.mode == NetworkMode::Shared
    }

    /// Whether the adapter shows its entries: those of a guest only while it can be detached.
    pub fn shows_entries(&self) -> bool {
        !self.is_guest() || matches!(self.state, RunState::Created | RunState::Exited)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Engine {
    pub containers: BTreeMap<ContainerId, Body>,
    pub networks: BTreeMap<NetworkId, Network>,
    /// Newer engines refuse a second network of the same name.
    pub unique_names: bool,
    clock: u64,
}

impl Engine {
    pub fn new(unique_names: bool) -> Self {
        Self { unique_names, ..Self::default() }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// `None` where the name is taken.
    pub fn create(&mut self, name: &str, labels: Labels, mode: NetworkMode) -> Option<ContainerId> {
        if self.named(name).is_some() {
            return None;
        }
        let created = self.tick();
        let id = ContainerId(format!("c{created:011}"));
        let body = Body {
            name: name.to_owned(),
            labels,
            state: RunState::Created,
            mode,
            created,
            started: 0,
            entries: BTreeMap::new(),
            endpoints: BTreeSet::new(),
        };
        self.containers.insert(id.clone(), body);
        Some(id)
    }

    pub fn named(&self, name: &str) -> Option<&ContainerId> {
        self.containers.iter().find(|(_, body)| body.name == name).map(|(id, _)| id)
    }

    /// # Errors
    /// With the entry that keeps the container from starting.
    pub fn start(&mut self, id: &ContainerId) -> Result<(), (Entry, Refusal)> {
        let joined = self.try_start(id)?;
        let now = self.tick();
        let Some(body) = self.containers.get_mut(id) else { return Ok(()) };
        body.state = RunState::Running;
        body.started = now;
        for (name, network) in joined {
            body.endpoints.insert(network.clone());
            body.entries.entry(name).and_modify(|entry| {
                entry.shown.network = Some(network);
                entry.shown.address = Some(ADDRESS);
            });
        }
        Ok(())
    }

    /// Which networks the container would be on if it were started.
    pub fn try_start(&self, id: &ContainerId) -> Result<Vec<(String, NetworkId)>, (Entry, Refusal)> {
        let Some(body) = self.containers.get(id) else { return Ok(Vec::new()) };
        let mut joined = Vec::new();
        let own = body.entries.iter().filter(|_| !body.is_guest());
        for (name, entry) in own {
            let network = match &entry.shown.network {
                Some(id) => self.networks.get(id).map(|network| network.id.clone()),
                None => self.resolve(name).map_err(|refusal| (entry.clone(), refusal))?,
            };
            let network = network.ok_or((entry.clone(), Refusal::NoSuchNetwork))?;
            if self.is_full(&network) && !body.endpoints.contains(&network) {
                return Err((entry.clone(), Refusal::SubnetFull));
            }
            joined.push((name.clone(), network));
        }
        Ok(joined)
    }

    pub fn stop(&mut self, id: &ContainerId, state: RunState) {
        let Some(body) = self.containers.get_mut(id) else { return };
        if body.is_leaving() || (state == RunState::Exited && !body.is_up()) {
            return;
        }
        body.state = state;
        body.endpoints.clear();
        body.entries.values_mut().for_each(|entry| entry.shown.address = None);
    }

    /// Freezes a running container, or thaws a frozen one.
    pub fn toggle_pause(&mut self, id: &ContainerId) {
        let Some(body) = self.containers.get_mut(id) else { return };
        body.state = match body.state {
            RunState::Running => RunState::Paused,
            RunState::Paused => RunState::Running,
            other => other,
        };
    }

    /// The network that is meant by an id or a name; none is no error here.
    fn resolve(&self, address: &str) -> Result<Option<NetworkId>, Refusal> {
        if let Some(network) = self.networks.get(&NetworkId(address.to_owned())) {
            return Ok(Some(network.id.clone()));
        }
        let mut named = self.networks.values().filter(|network| network.name == address);
        match (named.next(), named.next()) {
            (Some(_), Some(_)) => Err(Refusal::Ambiguous),
            (found, _) => Ok(found.map(|network| network.id.clone())),
        }
    }

    /// Whether the container has an entry of this name, for a network that exists.
    fn leads_somewhere(&self, container: &ContainerId, name: &str) -> bool {
        let entry = self.containers.get(container).and_then(|body| body.entries.get(name));
        entry.is_some_and(|entry| match &entry.shown.network {
            Some(id) => self.networks.contains_key(id),
            None => self.resolve(name).is_ok_and(|found| found.is_some()),
        })
    }

    pub fn is_full(&self, id: &NetworkId) -> bool {
        let Some(network) = self.networks.get(id) else { return false };
        let capacity = network.subnets.iter().map(|net| subnet::capacity(*net)).max().unwrap_or(0);
        self.containers.values().filter(|body| body.endpoints.contains(id)).count() >= capacity
    }

    pub fn create_network(
        &mut self,
        name: &str,
        subnet: Ipv4Net,
        labels: Labels,
    ) -> Result<NetworkId, Refusal> {
        if self.unique_names && self.networks.values().any(|network| network.name == name) {
            return Err(Refusal::NameTaken);
        }
        let overlaps = |other: &Ipv4Net| other.contains(&subnet) || subnet.contains(other);
        if self.networks.values().flat_map(|network| &network.subnets).any(overlaps) {
            return Err(Refusal::SubnetTaken);
        }
        let created = self.tick();
        let id = NetworkId(format!("n{created:063}"));
        let network = Network {
            id: id.clone(),
            name: name.to_owned(),
            labels,
            subnets: vec![subnet],
            shape: Shape::LINK,
            created: Moment(created.into()),
        };
        self.networks.insert(id.clone(), network);
        Ok(id)
    }

    /// # Errors
    /// Of a container that does not run next to nothing is checked, not even that the network exists.
    pub fn connect(
        &mut self,
        network: &NetworkId,
        container: &ContainerId,
        mut shown: Attachment,
        ours: bool,
    ) -> Result<(), Refusal> {
        let (found, full) = (self.networks.get(network).cloned(), self.is_full(network));
        let kept = found.as_ref().is_some_and(|network| self.leads_somewhere(container, &network.name));
        let body = self.containers.get_mut(container).ok_or(Refusal::NoSuchContainer)?;
        if matches!(body.mode, NetworkMode::Host | NetworkMode::None) {
            return Err(Refusal::Mode);
        }
        if !body.is_up() {
            if body.is_leaving() {
                return Err(Refusal::Leaving);
            }
            // What leads somewhere stays as it is.
            let name = found.map_or_else(|| network.0.clone(), |network| network.name);
            if body.is_guest() {
                shown.network = None;
            }
            if !kept {
                body.entries.insert(name, Entry { shown, ours });
            }
            return Ok(());
        }
        if body.is_guest() {
            return Err(Refusal::Mode);
        }
        let found = found.ok_or(Refusal::NoSuchNetwork)?;
        if full || body.endpoints.contains(network) {
            // What is refused leaves an entry without an address.
            let refusal = if body.endpoints.contains(network) {
                Refusal::AlreadyConnected
            } else {
                Refusal::SubnetFull
            };
            body.entries.entry(found.name).or_insert(Entry { shown, ours });
            return Err(refusal);
        }
        body.endpoints.insert(network.clone());
        shown.network = Some(network.clone());
        shown.address = Some(ADDRESS);
        body.entries.insert(found.name, Entry { shown, ours });
        Ok(())
    }

    /// Detaches by force.
    pub fn disconnect(&mut self, address: &str, container: &ContainerId) -> Result<Entry, Refusal> {
        let network = self.resolve(address).ok().flatten();
        let name = network.as_ref().and_then(|id| self.networks.get(id)).map(|network| network.name.clone());
        let body = self.containers.get_mut(container).ok_or(Refusal::NoSuchContainer)?;
        match network {
            Some(id) if body.is_up() => {
                if !body.endpoints.remove(&id) {
                    return Err(Refusal::NotConnected);
                }
                let nothing = Entry { shown: Attachment::default(), ours: true };
                Ok(body.entries.remove(&name.unwrap_or_default()).unwrap_or(nothing))
            }
            _ if body.is_leaving() => Err(Refusal::Leaving),
            _ => body.entries.remove(name.as_deref().unwrap_or(address)).ok_or(Refusal::NotConnected),
        }
    }

    /// Who refers to a network and could still be started, though not without it, in whichever state.
    pub fn attached_to(&self, id: &NetworkId) -> Vec<ContainerId> {
        let Some(network) = self.networks.get(id) else { return Vec::new() };
        let on = |body: &Body| {
            let entry = body.entries.get(&network.name);
            entry.is_some_and(|entry| entry.shown.network.as_ref().is_none_or(|told| told == id))
        };
        let attached =
            self.containers.iter().filter(|(_, body)| !body.is_leaving() && body.shows_entries() && on(body));
        attached.map(|(id, _)| id.clone()).collect()
    }

    pub fn remove_network(&mut self, id: &NetworkId) -> Result<(), Refusal> {
        if self.containers.values().any(|body| body.endpoints.contains(id)) {
            return Err(Refusal::InUse);
        }
        self.networks.remove(id).map(drop).ok_or(Refusal::NoSuchNetwork)
    }

    pub fn inspect(&self, id: &ContainerId) -> Option<Container> {
        let body = self.containers.get(id)?;
        let own = body.entries.iter().filter(|_| body.shows_entries());
        Some(Container {
            id: id.clone(),
            name: body.name.clone(),
            labels: body.labels.clone(),
            state: body.state,
            created: Moment(body.created.into()),
            started: format!("{:09}", body.started),
            mode: body.mode,
            attachments: own.map(|(name, entry)| (name.clone(), body.shown(entry))).collect(),
            namespace_lost: false,
            mounts: Vec::new(),
        })
    }
}
