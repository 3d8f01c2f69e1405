//! The oracle: what the labels of a stage's containers declare, worked out without a line of the
//! program, and whether the engine and the controller say the same.
//!
//! It reads the labels that scenarios use: `link` and `link.NAME` with a target `NAME:PORT` or
//! `PROJECT/SERVICE:PORT`, `link.NAME.handshake`, and `topology`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::stage::{PATIENCE, Stage, is_link_network};
use crate::call;

/// How many containers a network has addresses for.
const PAIR_ROOM: usize = 13;

/// The consumer's workload, or `*`, and the provider's.
type Edge = (String, String);

#[derive(Default)]
struct Wanted {
    /// Consumer, provider, and the names by which the one has to find the other.
    pairs: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Wanted {
    fn members(&self) -> BTreeSet<&String> {
        self.pairs.keys().flat_map(|(consumer, provider)| [consumer, provider]).collect()
    }
}

struct Container {
    id: String,
    name: String,
    workload: String,
    project: Option<String>,
    labels: BTreeMap<String, String>,
    state: String,
    joinable: bool,
    /// By the network's name: its id, where the container knows it, and the aliases.
    places: BTreeMap<String, (String, BTreeSet<String>)>,
}

impl Container {
    fn is_alive(&self) -> bool {
        self.state == "running" || self.state == "paused"
    }

    fn is_on(&self, network: &Value) -> Option<&BTreeSet<String>> {
        let (id, aliases) = self.places.get(network["Name"].as_str()?)?;
        (id.is_empty() || network["Id"] == id.as_str()).then_some(aliases)
    }
}

struct Link {
    consumer: usize,
    name: String,
    alias: Option<String>,
    providers: Vec<usize>,
    proven: bool,
}

/// All that is there at one moment.
struct Sight {
    instance: String,
    containers: Vec<Container>,
    networks: Vec<Value>,
    existing: BTreeSet<String>,
    links: Vec<Link>,
}

impl Stage {
    /// Waits until the engine holds exactly what the labels declare and every link is in the state
    /// that follows from what is there. Gives how long that took.
    pub fn settle(&self, what: &str) -> Duration {
        self.settle_within(what, PATIENCE)
    }

    pub fn settle_within(&self, what: &str, patience: Duration) -> Duration {
        let (begin, patience) = (Instant::now(), crate::patience::patience(patience));
        loop {
            let mut problems = self.problems();
            if problems.is_empty() {
                problems = Sight::take(self).lies(&self.links());
            }
            if problems.is_empty() {
                println!("{what}: settled in {:.1?}", begin.elapsed());
                return begin.elapsed();
            }
            if begin.elapsed() > patience {
                panic!("{what}: after {patience:?}\n{}\n{}", problems.join("\n"), self.log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// In what the engine differs from what the labels declare.
    pub fn problems(&self) -> Vec<String> {
        Sight::take(self).problems()
    }
}

impl Sight {
    fn take(stage: &Stage) -> Self {
        let labels = [stage.owner_label(), format!("com.docker.compose.project={}", stage.id)];
        let containers = labels.iter().flat_map(|label| stage.containers(label));
        let mut containers: Vec<Container> = containers.map(|told| read_container(&told)).collect();
        containers.sort_by(|a, b| a.id.cmp(&b.id));
        containers.dedup_by(|a, b| a.id == b.id);
        let existing = call::list(&stage.host(), "/networks", "");
        let mut sight = Self {
            instance: stage.instance.clone(),
            networks: stage.networks(),
            existing: existing.into_iter().collect(),
            links: Vec::new(),
            containers,
        };
        sight.links = (0..sight.containers.len()).flat_map(|n| sight.links_of(n, &stage.prefix())).collect();
        sight
    }

    fn links_of(&self, consumer: usize, prefix: &str) -> Vec<Link> {
        let labels = &self.containers[consumer].labels;
        let mut links = Vec::new();
        for (key, value) in labels {
            let Some(rest) = key.strip_prefix(&format!("{prefix}link")) else { continue };
            let (names, alias) = match rest.strip_prefix('.') {
                None => (value.split_whitespace().map(|t| (t.replace(':', "-"), t)).collect(), None),
                Some(name) if !name.contains('.') => (vec![(name.to_owned(), value.as_str())], Some(name)),
                Some(_) => continue,
            };
            for (name, target) in names {
                let (selector, _port) = target.rsplit_once(':').unwrap();
                let proven =
                    labels.get(&format!("{prefix}link.{name}.handshake")).is_none_or(|h| h != "none");
                links.push(Link {
                    consumer,
                    alias: alias.map(str::to_owned),
                    providers: self.select(consumer, selector),
                    proven,
                    name,
                });
            }
        }
        links
    }

    fn select(&self, from: usize, selector: &str) -> Vec<usize> {
        let all = |fits: &dyn Fn(&Container) -> bool| -> Vec<usize> {
            (0..self.containers.len()).filter(|n| fits(&self.containers[*n])).collect()
        };
        if selector.contains('/') {
            return all(&|other| other.workload == selector);
        }
        let own = self.containers[from].project.as_ref().map(|project| format!("{project}/{selector}"));
        let services = own.map_or(Vec::new(), |service| all(&|other| other.workload == service));
        if services.is_empty() { all(&|other| other.name == selector) } else { services }
    }

    fn wanted(&self, prefix_topology: &str) -> BTreeMap<Edge, Wanted> {
        let mut edges: BTreeMap<Edge, Wanted> = BTreeMap::new();
        for link in &self.links {
            let consumer = &self.containers[link.consumer];
            for provider in link.providers.iter().map(|n| &self.containers[*n]) {
                if !consumer.joinable || !provider.joinable {
                    continue;
                }
                let shared = provider.labels.get(prefix_topology).is_some_and(|value| value == "shared");
                let from = if shared { "*".to_owned() } else { consumer.workload.clone() };
                let edge = edges.entry((from, provider.workload.clone())).or_default();
                let names = edge.pairs.entry((consumer.id.clone(), provider.id.clone())).or_default();
                names.insert(provider.name.clone());
                names.insert(provider.workload.rsplit('/').next().unwrap().to_owned());
                names.extend(link.alias.clone());
            }
        }
        edges
    }

    fn problems(&self) -> Vec<String> {
        let prefix =
            self.containers.iter().flat_map(|c| c.labels.keys()).find_map(|k| k.strip_suffix("topology"));
        let edges = self.wanted(&format!("{}topology", prefix.unwrap_or_default()));
        let mut problems = Vec::new();
        let by_id: BTreeMap<&String, &Container> = self.containers.iter().map(|c| (&c.id, c)).collect();
        for ((from, to), edge) in &edges {
            let networks: Vec<&Value> = self.networks.iter().filter(|net| carries(net, from, to)).collect();
            for ((consumer, provider), names) in &edge.pairs {
                let (consumer, provider) = (by_id[consumer], by_id[provider]);
                let together = networks.iter().any(|net| {
                    consumer.is_on(net).is_some()
                        && provider.is_on(net).is_some_and(|aliases| names.is_subset(aliases))
                });
                if !together {
                    problems.push(format!("{} does not reach {} as {names:?}", consumer.name, provider.name));
                }
            }
            if edge.members().len() <= PAIR_ROOM && networks.len() > 1 {
                problems.push(format!("{from} -> {to} has {} networks", networks.len()));
            }
        }
        for network in &self.networks {
            let name = network["Name"].as_str().unwrap();
            let edge = edges.iter().find(|((from, to), _)| carries(network, from, to));
            let members = edge.map_or(BTreeSet::new(), |(_, edge)| edge.members());
            if edge.is_none() {
                problems.push(format!("nobody declares {name}"));
            }
            for container in self.containers.iter().filter(|container| container.is_on(network).is_some()) {
                if !members.contains(&container.id) {
                    problems.push(format!("{} has no business on {name}", container.name));
                }
            }
            if network["Internal"] != true {
                problems.push(format!("{name} is not internal"));
            }
        }
        problems.extend(self.stranded());
        problems
    }

    /// Who refers to one of our networks that is gone, and could not start.
    fn stranded(&self) -> Vec<String> {
        let mut stranded = Vec::new();
        for container in &self.containers {
            for (name, (id, _)) in &container.places {
                // Where the network was gone when it was joined, its id is all that there is for a name.
                let ours = is_link_network(&self.instance, name) || name == id;
                let there = if id.is_empty() {
                    self.networks.iter().any(|net| net["Name"] == name.as_str())
                } else {
                    self.existing.contains(id)
                };
                if ours && !there {
                    stranded.push(format!("{} refers to {name}, which is gone", container.name));
                }
            }
        }
        stranded
    }

    /// Which links are not in the state that follows from what is there.
    fn lies(&self, told: &[Value]) -> Vec<String> {
        let mut expected: BTreeMap<(&String, &String), &str> = BTreeMap::new();
        for link in &self.links {
            let key = (&self.containers[link.consumer].workload, &link.name);
            expected.insert(key, self.state(key));
        }
        let mut lies: Vec<String> = Vec::new();
        for ((consumer, name), state) in &expected {
            let link = told.iter().find(|l| l["consumer"] == consumer.as_str() && l["name"] == name.as_str());
            let is = link.map_or("missing", |link| link["state"].as_str().unwrap());
            if is != *state {
                let message = link.map_or(&Value::Null, |link| &link["message"]);
                lies.push(format!("{consumer}/{name} is said to be {is}, not {state}: {message}"));
            }
        }
        if told.len() > expected.len() {
            lies.push(format!("{} links are told of, not {}", told.len(), expected.len()));
        }
        lies
    }

    /// The state of a link, all replicas of its consumer taken together.
    fn state(&self, key: (&String, &String)) -> &'static str {
        let parts: Vec<&Link> = self
            .links
            .iter()
            .filter(|link| (&self.containers[link.consumer].workload, &link.name) == key)
            .collect();
        let pairs: Vec<(&Container, &Container)> = parts
            .iter()
            .flat_map(|link| link.providers.iter().map(|n| (link.consumer, *n)))
            .map(|(c, p)| (&self.containers[c], &self.containers[p]))
            .collect();
        let live = pairs.iter().filter(|(c, p)| c.is_alive() && p.is_alive()).count();
        if !pairs.iter().any(|(c, _)| c.is_alive()) || !pairs.iter().any(|(_, p)| p.is_alive()) {
            "Pending"
        } else if pairs.iter().any(|(c, p)| !c.joinable || !p.joinable) {
            "Wiring"
        } else if parts.iter().any(|link| !link.proven)
            || pairs
                .iter()
                .any(|(c, p)| c.is_alive() && p.is_alive() && [c, p].iter().any(|e| e.state == "paused"))
        {
            "Unknown"
        } else if live == 0 {
            "Verifying"
        } else {
            "Ready"
        }
    }
}

fn carries(network: &Value, from: &str, to: &str) -> bool {
    network["Labels"]["tieline.consumer"] == from && network["Labels"]["tieline.provider"] == to
}

fn read_container(told: &Value) -> Container {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&told["Name"]).trim_start_matches('/').to_owned();
    let labels: BTreeMap<String, String> =
        serde_json::from_value(told["Config"]["Labels"].clone()).unwrap_or_default();
    let project = labels.get("com.docker.compose.project").cloned();
    let is_replica = labels.contains_key("com.docker.compose.container-number");
    let workload = match (&project, labels.get("com.docker.compose.service")) {
        (Some(project), Some(service)) if is_replica => format!("{project}/{service}"),
        _ => name.clone(),
    };
    let mode = text(&told["HostConfig"]["NetworkMode"]);
    let places = told["NetworkSettings"]["Networks"].as_object().unwrap().iter().map(|(name, place)| {
        // Newer engines tell what resolves besides what was asked for.
        let names = ["Aliases", "DNSNames"].map(|key| place[key].as_array().cloned().unwrap_or_default());
        let aliases = names.concat().iter().map(text).collect();
        (name.clone(), (text(&place["NetworkID"]), aliases))
    });
    Container {
        id: text(&told["Id"]),
        joinable: mode != "host" && mode != "none" && !mode.starts_with("container:"),
        state: text(&told["State"]["Status"]),
        places: places.collect(),
        name,
        workload,
        project,
        labels,
    }
}
