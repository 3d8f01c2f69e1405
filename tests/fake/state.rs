//! What the fake engine holds, with Engine 20.10's rules for it.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};
use tokio::sync::broadcast;

/// The daemon keeps that many events (moby, `daemon/events`).
const RING: usize = 256;

#[derive(Clone, Debug)]
pub struct Container {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub running: bool,
    pub created: u64,
    pub started: u64,
    pub attachments: BTreeMap<String, Attachment>,
}

#[derive(Clone, Debug, Default)]
pub struct Attachment {
    /// Empty until the container was started on the network, unless it was told at connect.
    pub network: String,
    pub aliases: Vec<String>,
    pub address: String,
}

#[derive(Clone, Debug)]
pub struct Network {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub subnet: String,
    pub internal: bool,
    pub created: u64,
}

/// A fault at the next calls of one operation.
#[derive(Clone, Debug)]
pub struct Fault {
    pub operation: &'static str,
    pub status: u16,
    pub message: &'static str,
    /// The fault is at every nth call.
    pub every: usize,
    pub calls: usize,
}

pub struct State {
    pub containers: BTreeMap<String, Container>,
    pub networks: BTreeMap<String, Network>,
    pub faults: Vec<Fault>,
    pub calls: Vec<String>,
    /// Events are made but neither kept nor sent.
    pub mute: bool,
    ring: VecDeque<(u64, String)>,
    live: broadcast::Sender<String>,
    clock: u64,
}

/// Status code and message of a refusal.
pub type Refusal = (u16, String);

impl State {
    pub fn new() -> Self {
        let (live, _) = broadcast::channel(1024);
        Self {
            containers: BTreeMap::new(),
            networks: BTreeMap::new(),
            faults: Vec::new(),
            calls: Vec::new(),
            mute: false,
            ring: VecDeque::new(),
            live,
            clock: 0,
        }
    }

    /// The time: it goes on with every look, so that no two things happen at once.
    pub fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Notes a call, and the fault that is due at it.
    pub fn call(&mut self, operation: &str) -> Result<(), Refusal> {
        self.calls.push(operation.to_owned());
        for fault in self.faults.iter_mut().filter(|fault| fault.operation == operation) {
            fault.calls += 1;
            if fault.calls.is_multiple_of(fault.every) {
                return Err((fault.status, fault.message.to_owned()));
            }
        }
        Ok(())
    }

    pub fn subscribe(&self) -> (Vec<String>, broadcast::Receiver<String>) {
        (self.ring.iter().map(|(_, event)| event.clone()).collect(), self.live.subscribe())
    }

    pub fn emit(&mut self, kind: &str, action: &str, id: &str, attributes: Value) {
        if self.mute {
            return;
        }
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let event = json!({
            "Type": kind, "Action": action, "scope": "local",
            "Actor": { "ID": id, "Attributes": attributes },
            "time": u64::try_from(nanos / 1_000_000_000).unwrap(), "timeNano": u64::try_from(nanos).unwrap(),
        });
        let line = format!("{event}\n");
        let at = self.tick();
        self.ring.push_back((at, line.clone()));
        if self.ring.len() > RING {
            self.ring.pop_front();
        }
        let _ = self.live.send(line);
    }

    pub fn create_container(&mut self, name: &str, labels: &[(&str, &str)]) -> String {
        let created = self.tick();
        let id = format!("{created:064x}");
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let container = Container {
            name: name.to_owned(),
            labels,
            running: false,
            created,
            started: 0,
            attachments: BTreeMap::new(),
        };
        self.containers.insert(id.clone(), container);
        self.emit("container", "create", &id, json!({ "name": name }));
        id
    }

    pub fn start_container(&mut self, id: &str) {
        let now = self.tick();
        let ids: BTreeMap<String, String> =
            self.networks.iter().map(|(id, network)| (network.name.clone(), id.clone())).collect();
        let container = self.containers.get_mut(id).unwrap();
        container.running = true;
        container.started = now;
        let mut joined = Vec::new();
        for (name, attachment) in &mut container.attachments {
            attachment.network = ids.get(name).expect("a network that is gone: the start would fail").clone();
            attachment.address = format!("10.0.0.{}", now % 250);
            joined.push(attachment.network.clone());
        }
        for network in joined {
            self.emit("network", "connect", &network, json!({ "container": id }));
        }
        self.emit("container", "start", id, json!({}));
    }

    pub fn stop_container(&mut self, id: &str) {
        let container = self.containers.get_mut(id).unwrap();
        container.running = false;
        container.attachments.values_mut().for_each(|attachment| attachment.address.clear());
        self.emit("container", "die", id, json!({}));
        self.emit("container", "stop", id, json!({}));
    }

    pub fn remove_container(&mut self, id: &str) {
        self.containers.remove(id);
        self.emit("container", "destroy", id, json!({}));
    }

    pub fn create_network(&mut self, network: Network) -> Result<String, Refusal> {
        let wanted: ipnet::Ipv4Net = network.subnet.parse().unwrap();
        let overlaps = |other: &Network| {
            let other: ipnet::Ipv4Net = other.subnet.parse().unwrap();
            other.contains(&wanted) || wanted.contains(&other)
        };
        if self.networks.values().any(overlaps) {
            return Err((403, "Pool overlaps with other one on this address space".to_owned()));
        }
        let created = self.tick();
        let id = format!("{created:064x}");
        let name = network.name.clone();
        self.networks.insert(id.clone(), Network { created, ..network });
        self.emit("network", "create", &id, json!({ "name": name, "type": "bridge" }));
        Ok(id)
    }

    /// Attaches a container; of one that is not up, the network's id is what was `told`.
    pub fn connect(
        &mut self,
        network: &str,
        container: &str,
        aliases: Vec<String>,
        told: &str,
    ) -> Result<(), Refusal> {
        let now = self.tick();
        let name = self.network(network)?.name.clone();
        let Some(found) = self.containers.get_mut(container) else {
            return Err((404, format!("No such container: {container}")));
        };
        if found.running && found.attachments.contains_key(&name) {
            return Err((403, format!("endpoint with name {} already exists in network {name}", found.name)));
        }
        let attachment = if found.running {
            Attachment { network: network.to_owned(), aliases, address: format!("10.0.0.{}", now % 250) }
        } else {
            Attachment { network: told.to_owned(), aliases, ..Attachment::default() }
        };
        let running = found.running;
        found.attachments.insert(name, attachment);
        // Engine 20.10 says nothing of a container that is not up (measured).
        if running {
            self.emit("network", "connect", network, json!({ "container": container }));
        }
        Ok(())
    }

    pub fn disconnect(&mut self, network: &str, container: &str) -> Result<(), Refusal> {
        let name = self.network(network)?.name.clone();
        let found = self.containers.get_mut(container);
        let Some(found) = found else { return Err((404, format!("No such container: {container}"))) };
        if found.attachments.remove(&name).is_none() {
            return Err((500, format!("container {container} is not connected to network {name}")));
        }
        self.emit("network", "disconnect", network, json!({ "container": container }));
        Ok(())
    }

    pub fn remove_network(&mut self, id: &str) -> Result<(), Refusal> {
        let name = self.network(id)?.name.clone();
        let in_use = |container: &Container| container.running && container.attachments.contains_key(&name);
        if self.containers.values().any(in_use) {
            return Err((403, format!("error while removing network: network {name} has active endpoints")));
        }
        self.networks.remove(id);
        self.emit("network", "destroy", id, json!({ "name": name }));
        Ok(())
    }

    pub fn network(&self, id: &str) -> Result<&Network, Refusal> {
        self.networks.get(id).ok_or_else(|| (404, format!("network {id} not found")))
    }
}
