//! A controller on paper: the real world and the real plans, carried out as `controller::apply` does,
//! with whatever goes wrong meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use super::super::container::{ContainerId, NetworkId};
use super::super::link::EdgeKey;
use super::super::world::{Observation, Policy, Stamp, World};
use super::engine::Engine;
use super::history::News;

/// A container or a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Container(ContainerId),
    Network(NetworkId),
}

pub struct Controller {
    pub world: World,
    /// Nothing is planned before the first whole list.
    pub listed: bool,
    /// Edges whose reconciles are under way.
    pub busy: BTreeSet<EdgeKey>,
    delayed: Vec<(Stamp, Observation)>,
    looks: u64,
}

impl Controller {
    pub fn new(policy: Policy) -> Self {
        Self {
            world: World::new(policy),
            listed: false,
            busy: BTreeSet::new(),
            delayed: Vec::new(),
            looks: 0,
        }
    }

    fn stamp(&mut self) -> Stamp {
        self.looks += 1;
        Stamp(self.looks)
    }

    pub fn look(&mut self, engine: &Engine, subject: &Subject) -> (Stamp, Observation) {
        let observation = match subject {
            Subject::Container(id) => match engine.inspect(id) {
                Some(container) => Observation::Container(Box::new(container)),
                None => Observation::ContainerGone(id.clone()),
            },
            Subject::Network(id) => match engine.networks.get(id) {
                Some(network) => Observation::Network(network.clone()),
                None => Observation::NetworkGone(id.clone()),
            },
        };
        (self.stamp(), observation)
    }

    pub fn hear(&mut self, engine: &Engine, subject: &Subject, news: News) {
        let seen = self.look(engine, subject);
        match news {
            News::Prompt => drop(self.world.apply([seen])),
            News::Delayed => self.delayed.push(seen),
            News::Lost => {}
            News::Twice => {
                self.delayed.push(seen.clone());
                self.world.apply([seen]);
            }
        }
    }

    /// One of the delayed news arrives.
    pub fn deliver(&mut self, which: &proptest::sample::Index) {
        if !self.delayed.is_empty() {
            let seen = self.delayed.remove(which.index(self.delayed.len()));
            self.world.apply([seen]);
        }
    }

    pub fn relist(&mut self, engine: &Engine) {
        let at = self.stamp();
        let networks = engine.networks.values().map(|network| (at, Observation::Network(network.clone())));
        self.world.apply(networks.collect::<Vec<_>>());
        for id in engine.containers.keys() {
            let seen = self.look(engine, &Subject::Container(id.clone()));
            self.world.apply([seen]);
        }
        self.world.finish_list(
            at,
            &engine.containers.keys().cloned().collect(),
            &engine.networks.keys().cloned().collect(),
        );
        self.listed = true;
    }

    pub fn look_at_all_networks(&mut self, engine: &Engine) {
        let at = self.stamp();
        let seen = engine.networks.values().map(|network| (at, Observation::Network(network.clone())));
        self.world.apply(seen.collect::<Vec<_>>());
    }

    /// What may have to be done: every edge that is looked at after a whole list.
    pub fn edges(&self) -> BTreeSet<EdgeKey> {
        self.world.edges()
    }
}

/// What `controller::apply` keeps of one run.
#[derive(Default)]
pub struct Run {
    pub made: BTreeMap<String, NetworkId>,
    pub joined: Vec<(NetworkId, ContainerId)>,
    pub containers: BTreeSet<ContainerId>,
    pub networks: BTreeSet<NetworkId>,
    pub all_networks: bool,
}
