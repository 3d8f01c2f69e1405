//! The state of the fake engine, with Engine 20.10's rules for it unless newer ones are asked for. `conformance` holds
//! them to the real one.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use serde_json::json;

use super::events::Events;
use super::faults::{Fault, What};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub mode: String,
    pub running: bool,
    pub paused: bool,
    pub created: u64,
    pub started: u64,
    /// By network name or, where the network was gone already when it was joined, by its id.
    pub attachments: BTreeMap<String, Attachment>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// Empty until the container was started on the network, unless it was told at connect.
    pub network: String,
    pub aliases: Vec<String>,
    pub options: BTreeMap<String, String>,
    /// Empty where the container does not run, or was refused and keeps this all the same.
    pub address: String,
}

impl Container {
    /// Whether it lives in another container's namespace, and joins nothing at its start.
    fn is_guest(&self) -> bool {
        self.mode.starts_with("container:")
    }
}

impl Attachment {
    fn is_on(&self, network: &str) -> bool {
        self.network == network && !self.address.is_empty()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub subnet: String,
    pub internal: bool,
    pub ipv6: bool,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    pub created: u64,
}

impl Network {
    fn subnet(&self) -> Ipv4Net {
        self.subnet.parse().unwrap()
    }

    /// The engine keeps three addresses.
    fn capacity(&self) -> usize {
        (1usize << (32 - self.subnet().prefix_len())).saturating_sub(3)
    }
}

pub struct State {
    pub containers: BTreeMap<String, Container>,
    pub networks: BTreeMap<String, Network>,
    pub events: Events,
    pub faults: Vec<Fault>,
    pub calls: Vec<&'static str>,
    /// Newer engines refuse a second network of the same name.
    pub unique_names: bool,
    /// Newer engines do not start a container in another one's namespace that was connected to a network.
    pub connected_guests_start: bool,
    /// Options of the driver that a network has unless the request says otherwise, as newer engines take
    /// them from `default-network-opts`.
    pub network_defaults: BTreeMap<String, String>,
    /// Options that a network gets whatever the request says.
    pub network_overrides: BTreeMap<String, String>,
    clock: u64,
}

/// Status code and message of a refusal.
pub type Refusal = (u16, String);

impl State {
    pub fn new() -> Self {
        Self {
            containers: BTreeMap::new(),
            networks: BTreeMap::new(),
            events: Events::new(),
            faults: Vec::new(),
            calls: Vec::new(),
            unique_names: false,
            connected_guests_start: true,
            network_defaults: BTreeMap::new(),
            network_overrides: BTreeMap::new(),
            clock: 0,
        }
    }

    /// The same containers and other people's networks, with nothing that a controller made.
    pub fn bare(&self) -> Self {
        let is_foreign = |network: &Network| !network.labels.contains_key("tieline.managed-by");
        let mut bare = Self { clock: self.clock, ..Self::new() };
        bare.containers = self.containers.clone();
        bare.containers.values_mut().for_each(|container| container.attachments.clear());
        bare.networks = self.networks.clone();
        bare.networks.retain(|_, network| is_foreign(network));
        bare
    }

    /// The time: it goes on with every look, so that no two things happen at once.
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Notes a call, and says what goes wrong with it.
    pub fn call(&mut self, operation: &'static str, path_and_body: &str) -> Option<What> {
        self.calls.push(operation);
        // Every fault counts, though only one strikes.
        let struck: Vec<What> =
            self.faults.iter_mut().filter_map(|fault| fault.strikes(operation, path_and_body)).collect();
        struck.into_iter().next()
    }

    pub fn create_container(&mut self, name: &str, labels: &[(&str, &str)]) -> String {
        let created = self.tick();
        let id = format!("{created:064x}");
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let container = Container {
            name: name.to_owned(),
            labels,
            mode: "default".to_owned(),
            running: false,
            paused: false,
            created,
            started: 0,
            attachments: BTreeMap::new(),
        };
        self.containers.insert(id.clone(), container);
        self.events.emit("container", "create", &id, json!({ "name": name }));
        id
    }

    pub fn named(&self, name: &str) -> Option<String> {
        self.containers.iter().find(|(_, container)| container.name == name).map(|(id, _)| id.clone())
    }

    /// # Errors
    /// If a network that the container was put on is gone, or has no address left.
    pub fn start_container(&mut self, id: &str) -> Result<(), Refusal> {
        let joined = self.try_start(id)?;
        let now = self.tick();
        let container = self.containers.get_mut(id).unwrap();
        container.running = true;
        container.started = now;
        for (name, network) in joined {
            let attachment = container.attachments.get_mut(&name).unwrap();
            attachment.address = format!("10.0.0.{}", now % 250);
            attachment.network.clone_from(&network);
            self.events.emit("network", "connect", &network, json!({ "container": id }));
        }
        self.events.emit("container", "start", id, json!({}));
        Ok(())
    }

    /// On which networks the container would be if it were started.
    pub fn try_start(&self, id: &str) -> Result<Vec<(String, String)>, Refusal> {
        let container = &self.containers[id];
        if container.is_guest() && !container.attachments.is_empty() && !self.connected_guests_start {
            return Err((400, HOST_MODE.to_owned()));
        }
        let mut joined = Vec::new();
        for (name, attachment) in container.attachments.iter().filter(|_| !container.is_guest()) {
            let network = match attachment.network.as_str() {
                "" => self.resolve(name).ok_or_else(|| (404, format!("network {name} not found")))?,
                id => id.to_owned(),
            };
            self.network(&network)?;
            self.has_room(&network)?;
            joined.push((name.clone(), network));
        }
        Ok(joined)
    }

    pub fn stop_container(&mut self, id: &str) {
        let container = self.containers.get_mut(id).unwrap();
        container.running = false;
        container.paused = false;
        container.attachments.values_mut().for_each(|attachment| attachment.address.clear());
        self.events.emit("container", "die", id, json!({}));
        self.events.emit("container", "stop", id, json!({}));
    }

    pub fn pause_container(&mut self, id: &str, paused: bool) {
        self.containers.get_mut(id).unwrap().paused = paused;
        self.events.emit("container", if paused { "pause" } else { "unpause" }, id, json!({}));
    }

    pub fn rename_container(&mut self, id: &str, name: &str) {
        self.containers.get_mut(id).unwrap().name = name.to_owned();
        self.events.emit("container", "rename", id, json!({ "name": name }));
    }

    pub fn remove_container(&mut self, id: &str) {
        self.containers.remove(id);
        self.events.emit("container", "destroy", id, json!({}));
    }

    pub fn create_network(&mut self, network: Network) -> Result<String, Refusal> {
        if self.unique_names && self.networks.values().any(|other| other.name == network.name) {
            return Err((409, format!("network with name {} already exists", network.name)));
        }
        let wanted = network.subnet();
        let overlaps = |other: &Network| {
            let other = other.subnet();
            other.contains(&wanted) || wanted.contains(&other)
        };
        if self.networks.values().any(overlaps) {
            return Err((403, "Pool overlaps with other one on this address space".to_owned()));
        }
        let created = self.tick();
        let id = format!("{created:064x}");
        let name = network.name.clone();
        self.networks.insert(id.clone(), Network { created, ..network });
        self.events.emit("network", "create", &id, json!({ "name": name, "type": "bridge" }));
        Ok(id)
    }

    /// A container that does not run is connected to whatever it is asked to be.
    pub fn connect(&mut self, network: &str, container: &str, wish: Attachment) -> Result<(), Refusal> {
        let now = self.tick();
        let name = self.network(network).map(|network| network.name.clone());
        let room = self.has_room(network);
        let kept = name.as_ref().is_ok_and(|name| self.leads_somewhere(container, name));
        let Some(found) = self.containers.get_mut(container) else {
            return Err((404, format!("No such container: {container}")));
        };
        match found.mode.as_str() {
            "host" => return Err((400, HOST_MODE.to_owned())),
            "none" => return Err((400, NONE_MODE.to_owned())),
            _ => {}
        }
        if !found.running {
            // Engine 20.10 says nothing of a container that is not up, and leaves an attachment as it is
            // that leads somewhere (measured).
            let key = name.unwrap_or_else(|_| network.to_owned());
            if !kept {
                found.attachments.insert(key, wish);
            }
            return Ok(());
        }
        if found.is_guest() {
            return Err((400, HOST_MODE.to_owned()));
        }
        let name = name?;
        if found.attachments.get(&name).is_some_and(|attachment| attachment.is_on(network)) {
            return Err((403, format!("endpoint with name {} already exists in network {name}", found.name)));
        }
        if let Err(full) = room {
            found.attachments.entry(name).or_insert(wish);
            return Err(full);
        }
        let (network_id, address) = (network.to_owned(), format!("10.0.0.{}", now % 250));
        found.attachments.insert(name, Attachment { network: network_id, address, ..wish });
        self.events.emit("network", "connect", network, json!({ "container": container }));
        Ok(())
    }

    /// Detaches by force.
    pub fn disconnect(&mut self, address: &str, container: &str) -> Result<(), Refusal> {
        let network = self.resolve(address);
        let name = network.as_ref().map_or(address, |id| &self.networks[id].name).to_owned();
        let Some(found) = self.containers.get_mut(container) else {
            return Err((404, format!("endpoint {container} not found")));
        };
        let refusal = (500, format!("container {container} is not connected to the network {name}"));
        match found.attachments.get(&name) {
            Some(attachment) if found.running && network.as_ref().is_some_and(|id| !attachment.is_on(id)) => {
                return Err(refusal);
            }
            Some(_) => found.attachments.remove(&name),
            None => return Err(refusal),
        };
        if let Some(network) = network {
            self.events.emit("network", "disconnect", &network, json!({ "container": container }));
        }
        Ok(())
    }

    pub fn remove_network(&mut self, id: &str) -> Result<(), Refusal> {
        let name = self.network(id)?.name.clone();
        if self.members(id) > 0 {
            return Err((403, format!("error while removing network: network {name} has active endpoints")));
        }
        self.networks.remove(id);
        self.events.emit("network", "destroy", id, json!({ "name": name }));
        Ok(())
    }

    pub fn network(&self, id: &str) -> Result<&Network, Refusal> {
        self.networks.get(id).ok_or_else(|| (404, format!("network {id} not found")))
    }

    /// The network that an id or a name means.
    fn resolve(&self, address: &str) -> Option<String> {
        if self.networks.contains_key(address) {
            return Some(address.to_owned());
        }
        let mut named = self.networks.iter().filter(|(_, network)| network.name == address);
        match (named.next(), named.next()) {
            (Some((id, _)), None) => Some(id.clone()),
            _ => None,
        }
    }

    /// Whether the container has an attachment under this name, to a network that exists.
    fn leads_somewhere(&self, container: &str, name: &str) -> bool {
        let attachment = self.containers.get(container).and_then(|found| found.attachments.get(name));
        attachment.is_some_and(|attachment| match attachment.network.as_str() {
            "" => self.resolve(name).is_some(),
            id => self.networks.contains_key(id),
        })
    }

    fn members(&self, network: &str) -> usize {
        let on = |container: &&Container| {
            container.running && container.attachments.values().any(|attachment| attachment.is_on(network))
        };
        self.containers.values().filter(on).count()
    }

    fn has_room(&self, id: &str) -> Result<(), Refusal> {
        let Some(network) = self.networks.get(id) else { return Ok(()) };
        if self.members(id) < network.capacity() {
            return Ok(());
        }
        let name = &network.name;
        Err((500, format!("no available IPv4 addresses on this network's address pools: {name} ({id})")))
    }
}

const HOST_MODE: &str = "container sharing network namespace with another container or host cannot be connected to any other network";
const NONE_MODE: &str =
    "container cannot be connected to multiple networks with one of the networks in private (none) mode";
