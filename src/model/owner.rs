//! Ownership: how our networks are labelled and named, and how we know them again.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::container::{Attachment, Labels, Network};
use super::labels::is_plain;
use super::link::EdgeKey;
use super::workload::Workload;

/// Label of a link network: the instance that owns it.
pub const MANAGED_BY: &str = "tieline.managed-by";
/// Label of a link network: the consumer workload, or [`ALL_CONSUMERS`].
pub const CONSUMER: &str = "tieline.consumer";
/// Label of a link network: the provider workload.
pub const PROVIDER: &str = "tieline.provider";
/// Label of a helper: the instance for which it speaks. No container that has it is a workload, whoever
/// gave it that.
pub const HELPER: &str = "tieline.helper";
/// The consumer of a network in topology `shared`. No workload is called that.
pub const ALL_CONSUMERS: &str = "*";

/// One instance of the controller, as the owner of networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    instance: String,
}

impl Owner {
    /// The owner called `instance`.
    pub fn new(instance: impl Into<String>) -> Self {
        Self { instance: instance.into() }
    }

    /// The instance's name.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The labels of a network that carries `edge`.
    pub fn labels(&self, edge: &EdgeKey) -> Labels {
        let consumer = match edge {
            EdgeKey::Pair { consumer, .. } => consumer.to_string(),
            EdgeKey::Shared { .. } => ALL_CONSUMERS.to_owned(),
        };
        [(MANAGED_BY, self.instance.clone()), (CONSUMER, consumer), (PROVIDER, edge.provider().to_string())]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// The edge that `network` carries, if it is ours: only all three labels together make it so.
    pub fn edge_of(&self, network: &Network) -> Option<EdgeKey> {
        self.edge_in(&network.labels)
    }

    /// The edge that an attachment was made for, if we made it. Its driver options tell, which are our
    /// labels again and stay when the network is gone; the bridge driver reads none of them.
    pub fn edge_of_attachment(&self, attachment: &Attachment) -> Option<EdgeKey> {
        self.edge_in(&attachment.options)
    }

    /// Whether another instance made it, whatever its name seems to tell: to the instance `a`, a name of
    /// the instance `a_b` looks like one of its own.
    pub fn is_another_s(&self, attachment: &Attachment) -> bool {
        attachment.options.get(MANAGED_BY).is_some_and(|by| *by != self.instance)
    }

    fn edge_in(&self, labels: &Labels) -> Option<EdgeKey> {
        if labels.get(MANAGED_BY)? != &self.instance {
            return None;
        }
        let provider = workload(labels.get(PROVIDER)?)?;
        Some(match labels.get(CONSUMER)?.as_str() {
            ALL_CONSUMERS => EdgeKey::Shared { provider },
            consumer => EdgeKey::Pair { consumer: workload(consumer)?, provider },
        })
    }

    /// The name of the network that carries `edge` on `subnet`. The labels are what makes a network
    /// ours; but a container that was never started knows its networks by name alone, and the engine
    /// gives one name twice. No two networks have the same subnet, so none have the same name, not
    /// even those that two controllers make at once.
    pub fn network_name(&self, edge: &EdgeKey, subnet: Ipv4Net) -> String {
        format!("{}_{}", self.base_name(edge), subnet.network())
    }

    /// Whether a network of `edge` may have been called `name`.
    pub fn may_have_named(&self, edge: &EdgeKey, name: &str) -> bool {
        name.strip_prefix(&self.base_name(edge)).is_some_and(|rest| {
            rest.strip_prefix('_').is_some_and(|address| address.parse::<Ipv4Addr>().is_ok())
        })
    }

    /// An edge that may have had a network of this name. It need not be the one that had it, since a
    /// name does not tell where it is put together; but both name their networks alike.
    pub fn edge_named(&self, name: &str) -> Option<EdgeKey> {
        let (ends, address) = name.strip_prefix(&self.instance)?.strip_prefix('_')?.rsplit_once('_')?;
        let (consumer, provider) = ends.split_once('_')?;
        address.parse::<Ipv4Addr>().ok()?;
        Some(EdgeKey::Pair { consumer: workload(consumer)?, provider: workload(provider)? })
    }

    fn base_name(&self, edge: &EdgeKey) -> String {
        let consumer = match edge {
            EdgeKey::Pair { consumer, .. } => consumer.to_string(),
            EdgeKey::Shared { .. } => "all".to_owned(),
        };
        // A network's name must not have a slash; everything else that names may have, it may too.
        format!("{}_{consumer}_{}", self.instance, edge.provider()).replace('/', ".")
    }
}

/// The workload that a label names. A container's name never has a slash; and no name has a character
/// that does not show, so that we did not write a label which has one.
fn workload(text: &str) -> Option<Workload> {
    if !text.chars().all(is_plain) {
        return None;
    }
    Some(match text.split_once('/') {
        Some((project, service)) => {
            Workload::Service { project: project.to_owned(), service: service.to_owned() }
        }
        None => Workload::Container(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::container::NetworkId;
    use super::super::workload::{COMPOSE_NUMBER, COMPOSE_PROJECT, COMPOSE_SERVICE};
    use super::*;

    fn edge() -> EdgeKey {
        EdgeKey::Pair {
            consumer: Workload::Service { project: "shop".into(), service: "web".into() },
            provider: Workload::Container("db".into()),
        }
    }

    fn network(labels: Labels) -> Network {
        Network {
            id: NetworkId("n".into()),
            name: "any".into(),
            labels,
            subnets: vec![],
            created: String::new(),
        }
    }

    #[test]
    fn a_network_is_known_again_by_its_labels() {
        let owner = Owner::new("tieline");
        for edge in [edge(), EdgeKey::Shared { provider: Workload::Container("db".into()) }] {
            assert_eq!(owner.edge_of(&network(owner.labels(&edge))), Some(edge));
        }
    }

    #[test]
    fn a_network_that_lacks_one_of_the_labels_is_foreign() {
        let owner = Owner::new("tieline");
        for missing in [MANAGED_BY, CONSUMER, PROVIDER] {
            let mut labels = owner.labels(&edge());
            labels.remove(missing);
            assert_eq!(owner.edge_of(&network(labels)), None);
        }
        assert_eq!(Owner::new("other").edge_of(&network(owner.labels(&edge()))), None);
    }

    #[test]
    fn a_network_whose_labels_we_cannot_have_written_is_foreign() {
        let owner = Owner::new("tieline");
        for (key, text) in [(CONSUMER, "web\u{1b}[31m"), (PROVIDER, "d\nb"), (PROVIDER, "shop/\u{202e}bd")] {
            let mut labels = owner.labels(&edge());
            labels.insert(key.to_owned(), text.to_owned());
            assert_eq!(owner.edge_of(&network(labels)), None, "{text}");
        }
    }

    #[test]
    fn hostile_compose_labels_make_no_edge_that_is_not_known_again() {
        let labels = |project: &str, service: &str| {
            let pairs = [(COMPOSE_PROJECT, project), (COMPOSE_SERVICE, service), (COMPOSE_NUMBER, "1")];
            pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
        };
        let owner = Owner::new("tieline");
        for (project, service) in [("a/b", "c"), ("a", "b/c"), ("", ""), ("*", "*"), ("/", "/"), ("a", "*")] {
            let consumer = Workload::named("app", &labels(project, service));
            let edge = EdgeKey::Pair { consumer, provider: Workload::Container("db".into()) };
            assert_eq!(owner.edge_of(&network(owner.labels(&edge))), Some(edge), "{project} {service}");
        }
    }

    #[test]
    fn names_are_made_from_both_ends_and_the_subnet() {
        let owner = Owner::new("tieline");
        let name = owner.network_name(&edge(), "10.213.0.16/28".parse().unwrap());
        assert_eq!(name, "tieline_shop.web_db_10.213.0.16");
        assert!(owner.may_have_named(&edge(), &name));
        for foreign in ["tieline_shop.web_db", "tieline_shop.web_db_2", "tieline_shop.web_db2_10.213.0.16"] {
            assert!(!owner.may_have_named(&edge(), foreign), "{foreign}");
        }
    }

    #[test]
    fn a_name_leads_to_an_edge_that_may_have_given_it() {
        let owner = Owner::new("tieline");
        let container = |name: &str| Workload::Container(name.to_owned());
        let odd = EdgeKey::Pair { consumer: container("a_b"), provider: container("c_10.0.0.1") };
        for edge in [edge(), odd, EdgeKey::Shared { provider: container("db") }] {
            let name = owner.network_name(&edge, "10.213.0.16/28".parse().unwrap());
            let found = owner.edge_named(&name).unwrap();
            assert!(owner.may_have_named(&found, &name), "{name}");
        }
        for foreign in ["tieline_default", "tieline_web_db", "tieline_10.0.0.0", "other_web_db_10.213.0.16"] {
            assert_eq!(owner.edge_named(foreign), None, "{foreign}");
        }
    }
}
