//! A world in a test tube: containers made by hand, plans carried out on paper.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::test_runner::{Config as ProptestConfig, FailurePersistence, FileFailurePersistence};

use super::container::{
    Attachment, Container, ContainerId, Network, NetworkId, NetworkMode, RunState, Shape,
};
use super::link::EdgeKey;
use super::moment::Moment;
use super::owner::Owner;
use super::plan::{Action, NetworkRef, Plan, plan};
use super::workload::{COMPOSE_NUMBER, COMPOSE_PROJECT, COMPOSE_SERVICE};
use super::world::{Observation, Policy, Stamp, World};

/// For how long a case that failed is made smaller, in milliseconds. It is time that has an end, not steps:
/// on a slow machine they would go on until somebody ends the run, and nobody is told.
const SHRINKING: u32 = 30_000;

/// How properties are tried: so many random cases, or as many as `PROPTEST_CASES` says, after those that
/// once failed, which are kept.
pub fn property(cases: u32, seeds: &'static str) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = asked.unwrap_or(cases);
    let persistence: Box<dyn FailurePersistence> = Box::new(FileFailurePersistence::Direct(seeds));
    ProptestConfig {
        cases,
        failure_persistence: Some(persistence),
        max_shrink_time: SHRINKING,
        // The greatest number would mean some for each case that is tried.
        max_shrink_iters: u32::MAX - 1,
        ..ProptestConfig::default()
    }
}

pub struct Lab {
    pub world: World,
    clock: u64,
}

impl Default for Lab {
    fn default() -> Self {
        Self::with_pool("10.213.0.0/16")
    }
}

impl Lab {
    pub fn with_pool(pool: &str) -> Self {
        Self::with_policy(Policy {
            owner: Owner::new("tieline"),
            label_prefix: "tieline.".to_owned(),
            default_deny: false,
            pool: pool.parse().unwrap(),
        })
    }

    pub fn with_policy(policy: Policy) -> Self {
        Self { world: World::new(policy), clock: 0 }
    }

    /// A running container with these labels.
    pub fn run(&mut self, name: &str, labels: &[(&str, &str)]) -> ContainerId {
        let container = Container {
            id: ContainerId(format!("id-of-{name}")),
            name: name.to_owned(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            state: RunState::Running,
            created: Moment(self.clock.into()),
            started: format!("{:09}", self.clock),
            mode: NetworkMode::Own,
            attachments: BTreeMap::new(),
            namespace_lost: false,
            mounts: Vec::new(),
        };
        let id = container.id.clone();
        self.observe(Observation::Container(Box::new(container)));
        id
    }

    /// A running replica of a compose service.
    pub fn run_service(&mut self, service: &str, n: usize, labels: &[(&str, &str)]) -> ContainerId {
        let (project, service_name) = service.split_once('/').unwrap();
        let mut labels = labels.to_vec();
        labels.push((COMPOSE_PROJECT, project));
        labels.push((COMPOSE_SERVICE, service_name));
        let number = n.to_string();
        labels.push((COMPOSE_NUMBER, &number));
        self.run(&format!("{project}-{service_name}-{n}"), &labels)
    }

    pub fn change(&mut self, id: &ContainerId, change: impl FnOnce(&mut Container)) {
        let mut container = self.world.container(id).unwrap().clone();
        change(&mut container);
        self.observe(Observation::Container(Box::new(container)));
    }

    pub fn remove(&mut self, id: &ContainerId) {
        self.observe(Observation::ContainerGone(id.clone()));
    }

    pub fn add_network(&mut self, id: &str, name: &str, subnet: &str, edge: Option<&EdgeKey>) -> NetworkId {
        let labels = edge.map(|edge| self.world.policy().owner.labels(edge)).unwrap_or_default();
        let network = Network {
            id: NetworkId(id.to_owned()),
            name: name.to_owned(),
            labels,
            subnets: vec![subnet.parse().unwrap()],
            shape: Shape::LINK,
            created: Moment(self.clock.into()),
        };
        self.observe(Observation::Network(network));
        NetworkId(id.to_owned())
    }

    pub fn change_network(&mut self, id: &NetworkId, change: impl FnOnce(&mut Network)) {
        let mut network = self.world.networks().find(|network| network.id == *id).unwrap().clone();
        change(&mut network);
        self.observe(Observation::Network(network));
    }

    pub fn remove_network(&mut self, id: &str) {
        self.observe(Observation::NetworkGone(NetworkId(id.to_owned())));
    }

    pub fn attach(&mut self, container: &ContainerId, network: &str, aliases: &[&str]) {
        let id = self.world.networks().find(|net| net.name == network).unwrap().id.clone();
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        // No two containers have the same.
        let address = Ipv4Addr::from_bits(0x0a00_0000 | u32::try_from(self.clock).unwrap());
        self.change(container, |c| {
            let address = c.is_up().then_some(address);
            let attachment = Attachment { network: Some(id), aliases, address, ..Attachment::default() };
            c.attachments.insert(network.to_owned(), attachment);
        });
    }

    pub fn edges(&self) -> BTreeSet<EdgeKey> {
        self.world.edges()
    }

    /// The plans of all edges as text, each under its edge.
    pub fn plans(&self) -> String {
        let plans = self.edges().into_iter().map(|edge| (plan(&edge, &self.world), edge));
        let texts = plans
            .filter(|(plan, _)| *plan != Plan::default())
            .map(|(plan, edge)| format!("[{edge}]\n{plan}"));
        let text: String = texts.collect();
        if text.is_empty() { "nothing to do\n".to_owned() } else { text }
    }

    /// Carries out every plan, garbage included if so wished, as an engine would.
    pub fn carry_out(&mut self, garbage: bool) {
        for edge in self.edges() {
            let plan = plan(&edge, &self.world);
            let discarded = if garbage { plan.garbage } else { Vec::new() };
            for planned in plan.actions.into_iter().chain(discarded) {
                self.act(&planned.action);
            }
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::CreateNetwork(new) => {
                let network = Network {
                    id: NetworkId(format!("id-of-{}", new.name)),
                    name: new.name.clone(),
                    labels: new.labels.clone(),
                    subnets: vec![new.subnet],
                    shape: Shape::LINK,
                    created: Moment(self.clock.into()),
                };
                self.observe(Observation::Network(network));
            }
            Action::Connect { network, container, aliases, .. } => {
                let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
                self.attach(&container.id, &network.to_string(), &aliases);
            }
            Action::Disconnect { network, container } => {
                let name = match network {
                    NetworkRef::Existing { name, .. }
                    | NetworkRef::New(name)
                    | NetworkRef::Gone(name)
                    | NetworkRef::Missing(name) => name,
                };
                self.change(&container.id, |c| {
                    c.attachments.remove(name);
                });
            }
            Action::RemoveNetwork { id, .. } => self.observe(Observation::NetworkGone(id.clone())),
        }
    }

    fn observe(&mut self, observation: Observation) {
        self.clock += 1;
        self.world.apply([(Stamp(self.clock), observation)]);
    }
}
