//! What people do.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use proptest::sample::Index;

use super::super::container::{Attachment, ContainerId, NetworkId, RunState, Shape};
use super::super::link::EdgeKey;
use super::super::subnet::PAIR_PREFIX;
use super::controller::Subject;
use super::engine::Body;
use super::history::{Deed, Name, News, Spec};
use super::oracle::{BY_HAND, is_ours};
use super::story::Story;

impl Story {
    fn pick<'a, K, V>(map: &'a BTreeMap<K, V>, index: &Index) -> Option<&'a K> {
        (!map.is_empty()).then(|| map.keys().nth(index.index(map.len())))?
    }

    pub fn deed(&mut self, deed: &Deed, news: News) {
        let container_at = |story: &Self, index| Self::pick(&story.engine.containers, index).cloned();
        match deed {
            Deed::Create { name, spec } => drop(self.create(name, spec, news)),
            Deed::Run { name, spec } => {
                if let Some(id) = self.create(name, spec, news) {
                    self.start(&id, news);
                }
            }
            Deed::Attach { container, network, named } => {
                let Some(id) = container_at(self, container) else { return };
                let Some(network) = Self::pick(&self.engine.networks, network).cloned() else { return };
                self.attach(&id, &network, *named, news);
            }
            Deed::Crowd(network) => {
                let Some(network) = Self::pick(&self.ours(), network).cloned() else { return };
                for id in self.engine.containers.keys().cloned().collect::<Vec<_>>() {
                    self.attach(&id, &network, true, news);
                }
            }
            Deed::Detach { container, entry } => self.detach(container, entry, news),
            Deed::RemoveNetwork { network, detach } => self.remove_network(network, *detach, news),
            Deed::Squat { edge, slot, taking } => {
                let Some((edge, subnet)) = self.edge_and_slot(edge, *slot) else { return };
                let name = self.policy.owner.network_name(&edge, subnet);
                let elsewhere = format!("192.168.{}.0/24", 100 + slot).parse().unwrap();
                // Known at once: by its name alone it would be taken for ours if it went again.
                let subnet = if *taking { subnet } else { elsewhere };
                self.make_network(&name, subnet, None, News::Prompt);
            }
            Deed::Duplicate { edge, slot, name, shape, prefix } => {
                let Some((edge, subnet)) = self.edge_and_slot(edge, *slot) else { return };
                let ours = self.policy.owner.network_name(&edge, subnet);
                let name = match name {
                    Name::Ours => ours,
                    Name::Old => ours.trim_start_matches("zzzz_").to_owned(),
                    Name::ByHand => format!("{BY_HAND}{slot}"),
                };
                self.tampered = true;
                let subnet = Ipv4Net::new(subnet.addr(), *prefix).unwrap();
                self.make_network(&name, subnet, Some((&edge, *shape)), news);
            }
            Deed::Start(index)
            | Deed::Stop(index)
            | Deed::TogglePause(index)
            | Deed::Remove(index)
            | Deed::Die(index)
            | Deed::Rename(index, _)
            | Deed::Recreate(index, _) => {
                if let Some(id) = container_at(self, index) {
                    self.change(&id, deed, news);
                }
            }
        }
    }

    fn change(&mut self, id: &ContainerId, deed: &Deed, news: News) {
        match deed {
            Deed::Start(_) => return self.start(id, news),
            Deed::Stop(_) => self.engine.stop(id, RunState::Exited),
            Deed::TogglePause(_) => self.engine.toggle_pause(id),
            Deed::Die(_) => self.engine.stop(id, RunState::Dead),
            Deed::Rename(_, name) if self.engine.named(name).is_none() => {
                self.engine.containers.get_mut(id).unwrap().name = (*name).to_owned();
            }
            Deed::Remove(_) => self.remove(id),
            Deed::Recreate(_, spec) => {
                let old = self.engine.containers[id].clone();
                self.remove(id);
                self.news(&Subject::Container(id.clone()), news);
                let Some(new) = self.create(&old.name, spec, news) else { return };
                if old.is_up() {
                    self.start(&new, news);
                }
                return;
            }
            _ => return,
        }
        self.news(&Subject::Container(id.clone()), news);
    }

    fn create(&mut self, name: &str, spec: &Spec, news: News) -> Option<ContainerId> {
        let id = self.engine.create(name, spec.labels(), spec.mode)?;
        self.specs.insert(id.clone(), spec.clone());
        self.news(&Subject::Container(id.clone()), news);
        Some(id)
    }

    fn start(&mut self, id: &ContainerId, news: News) {
        if self.engine.containers[id].is_up() || self.engine.containers[id].is_leaving() {
            return;
        }
        if let Err((entry, refusal)) = self.engine.start(id)
            && entry.ours
            && !self.tampered
        {
            self.crimes.push(format!("{id} did not start because of us: {refusal:?}"));
        }
        self.news(&Subject::Container(id.clone()), news);
    }

    fn remove(&mut self, id: &ContainerId) {
        self.engine.containers.remove(id);
        self.specs.remove(id);
    }

    fn attach(&mut self, id: &ContainerId, network: &NetworkId, named: bool, news: News) {
        let name = self.engine.containers[id].name.clone();
        let shown = Attachment { aliases: named.then_some(name).into_iter().collect(), ..Default::default() };
        // People detach what they attached to a network that is not ours.
        let ours = is_ours(&self.engine.networks[network]);
        let _ = self.engine.connect(network, id, shown, ours);
        self.news(&Subject::Container(id.clone()), news);
    }

    fn ours(&self) -> BTreeMap<NetworkId, ()> {
        let ours = self.engine.networks.iter().filter(|(_, network)| is_ours(network));
        ours.map(|(id, _)| (id.clone(), ())).collect()
    }

    fn detach(&mut self, container: &Index, entry: &Index, news: News) {
        let Some(id) = Self::pick(&self.engine.containers, container).cloned() else { return };
        let Some(name) = Self::pick(&self.engine.containers[&id].entries, entry).cloned() else { return };
        let _ = self.engine.disconnect(&name, &id);
        self.news(&Subject::Container(id), news);
    }

    fn remove_network(&mut self, network: &Index, detach: bool, news: News) {
        let Some(id) = Self::pick(&self.ours(), network).cloned() else { return };
        if detach {
            let on = |body: &Body| body.endpoints.contains(&id);
            let members: Vec<ContainerId> = self
                .engine
                .containers
                .iter()
                .filter(|(_, body)| on(body))
                .map(|(id, _)| id.clone())
                .collect();
            for member in members {
                let _ = self.engine.disconnect(id.as_str(), &member);
                self.news(&Subject::Container(member), news);
            }
        }
        self.tampered = true;
        let _ = self.engine.remove_network(&id);
        self.news(&Subject::Network(id), news);
    }

    fn edge_and_slot(&self, edge: &Index, slot: u8) -> Option<(EdgeKey, Ipv4Net)> {
        let edge = self.pick_edge(0, edge)?;
        Some((edge, self.policy.pool.subnets(PAIR_PREFIX).unwrap().nth(slot.into()).unwrap()))
    }

    fn make_network(&mut self, name: &str, subnet: Ipv4Net, labelled: Option<(&EdgeKey, Shape)>, news: News) {
        let labels = labelled.map(|(edge, _)| self.policy.owner.labels(edge)).unwrap_or_default();
        // The docker command refuses a name that is taken.
        let taken = labelled.is_none() && self.engine.networks.values().any(|network| network.name == name);
        if taken {
            return;
        }
        if let Ok(id) = self.engine.create_network(name, subnet, labels) {
            if let Some((_, shape)) = labelled {
                self.engine.networks.get_mut(&id).unwrap().shape = shape;
            }
            self.news(&Subject::Network(id), news);
        }
    }
}
