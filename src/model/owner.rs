//! Ownership: how our networks are labelled and named, and how we know them again.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::container::{Attachment, Labels, Network, Shape};
use super::labels::is_plain;
use super::link::EdgeKey;
use super::workload::Workload;

/// Label of a link network: the instance that owns it.
pub const MANAGED_BY: &str = "tieline.managed-by";
/// Label of a link network: the consumer workload, or [`ALL_CONSUMERS`].
pub const CONSUMER: &str = "tieline.consumer";
/// Label of a link network: the provider workload.
pub const PROVIDER: &str = "tieline.provider";
/// Label of a helper: the instance for which it speaks.
pub const HELPER: &str = "tieline.helper";
/// The consumer of a network in topology `shared`. No workload is called that.
pub const ALL_CONSUMERS: &str = "*";

/// Prefix of the names of link networks. Other tools take the first of a container's networks by name
/// (Prometheus 2.54 and later by `docker_sd`), and are to take an ordinary one. A name begins with a
/// letter or a digit, so `z` sorts last; four of them sort after names that people begin with one, two
/// or three. Both byte order and an order that ignores case or punctuation agree.
const LAST: &str = "zzzz_";

/// In what a network differs from those that the controller makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Its driver or scope: link networks are bridges of one host.
    NoBridge,
    /// It has a way out.
    NotInternal,
    /// Its containers may not talk to one another.
    NoIcc,
    /// It has IPv6 addresses.
    Ipv6,
    /// Its name: that of a link network is made from its labels and its subnet.
    Name,
}

impl Difference {
    /// The first difference in how the engine made the network.
    pub fn of(shape: Shape) -> Option<Self> {
        let Shape { bridge, internal, icc, ipv6 } = shape;
        let differences = [
            (!bridge, Self::NoBridge),
            (!internal, Self::NotInternal),
            (!icc, Self::NoIcc),
            (ipv6, Self::Ipv6),
        ];
        differences.into_iter().find(|(differs, _)| *differs).map(|(_, difference)| difference)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoBridge => "it is not a bridge network of this host",
            Self::NotInternal => "it is not internal",
            Self::NoIcc => "its containers may not talk to one another (enable_icc)",
            Self::Ipv6 => "it has IPv6",
            Self::Name => "its name is not made from these labels and its one IPv4 subnet",
        })
    }
}

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

    /// The edge that `network` carries, if it is ours: it has all three labels, and is in every other
    /// respect what this controller makes. Anybody may write labels on a network, and a container that
    /// is connected to a network that is not internal gets another default route.
    ///
    /// Where the subnet lies does not matter: the pool may have been another one in an earlier run.
    pub fn edge_of(&self, network: &Network) -> Option<EdgeKey> {
        let edge = self.edge_in(&network.labels)?;
        self.difference(&edge, network).is_none().then_some(edge)
    }

    /// Why `network` is not ours, if its labels say that it is.
    pub fn pretence(&self, network: &Network) -> Option<Difference> {
        self.difference(&self.edge_in(&network.labels)?, network)
    }

    fn difference(&self, edge: &EdgeKey, network: &Network) -> Option<Difference> {
        let named = || match network.subnets[..] {
            [subnet] => old_form(&network.name) == self.old_name(edge, subnet.network()),
            _ => false,
        };
        match Difference::of(network.shape) {
            Some(difference @ (Difference::NoBridge | Difference::NotInternal)) => Some(difference),
            // An engine that follows the daemon's `default-network-opts` makes ours so.
            Some(_) | None => (!named()).then_some(Difference::Name),
        }
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
        format!("{LAST}{}", self.old_name(edge, subnet.network()))
    }

    fn old_name(&self, edge: &EdgeKey, address: Ipv4Addr) -> String {
        format!("{}_{address}", self.base_name(edge))
    }

    /// Whether a network of `edge` may have been called `name`.
    pub fn may_have_named(&self, edge: &EdgeKey, name: &str) -> bool {
        old_form(name).strip_prefix(&self.base_name(edge)).is_some_and(|rest| {
            rest.strip_prefix('_').is_some_and(|address| address.parse::<Ipv4Addr>().is_ok())
        })
    }

    /// An edge that may have had a network of this name. It need not be the one that had it, since a
    /// name does not tell where it is put together; but both name their networks alike.
    pub fn edge_named(&self, name: &str) -> Option<EdgeKey> {
        let (ends, address) =
            old_form(name).strip_prefix(&self.instance)?.strip_prefix('_')?.rsplit_once('_')?;
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

/// The name that a network would have had before link networks were named to sort last. Those that have
/// such a name live on.
fn old_form(name: &str) -> &str {
    name.strip_prefix(LAST).unwrap_or(name)
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
    use super::super::moment::Moment;
    use super::super::workload::{COMPOSE_NUMBER, COMPOSE_PROJECT, COMPOSE_SERVICE};
    use super::*;

    fn edge() -> EdgeKey {
        EdgeKey::Pair {
            consumer: Workload::Service { project: "shop".into(), service: "web".into() },
            provider: Workload::Container("db".into()),
        }
    }

    /// The network that the first owner would make for the edge, with these labels.
    fn network(edge: &EdgeKey, labels: Labels) -> Network {
        let subnet = "10.213.0.16/28".parse().unwrap();
        Network {
            id: NetworkId("n".into()),
            name: Owner::new("tieline").network_name(edge, subnet),
            labels,
            subnets: vec![subnet],
            shape: Shape::LINK,
            created: Moment::default(),
        }
    }

    #[test]
    fn a_network_is_known_again_by_its_labels() {
        let owner = Owner::new("tieline");
        for edge in [edge(), EdgeKey::Shared { provider: Workload::Container("db".into()) }] {
            assert_eq!(owner.edge_of(&network(&edge, owner.labels(&edge))), Some(edge));
        }
    }

    #[test]
    fn a_network_of_the_old_name_is_known_again() {
        let owner = Owner::new("tieline");
        let mut old = network(&edge(), owner.labels(&edge()));
        old.name = "tieline_shop.web_db_10.213.0.16".to_owned();
        assert_eq!(owner.edge_of(&old), Some(edge()));
    }

    #[test]
    fn a_network_that_has_our_labels_and_is_not_what_we_make_is_foreign() {
        let owner = Owner::new("tieline");
        let differing = |change: &dyn Fn(&mut Network)| {
            let mut network = network(&edge(), owner.labels(&edge()));
            change(&mut network);
            assert_eq!(owner.edge_of(&network), None);
            owner.pretence(&network)
        };
        assert_eq!(differing(&|net| net.shape.bridge = false), Some(Difference::NoBridge));
        assert_eq!(differing(&|net| net.shape.internal = false), Some(Difference::NotInternal));
        assert_eq!(differing(&|net| net.name = "aaa-mine".into()), Some(Difference::Name));
        assert_eq!(differing(&|net| net.name.push('7')), Some(Difference::Name));
        assert_eq!(differing(&|net| net.subnets.clear()), Some(Difference::Name));
        assert_eq!(
            differing(&|net| net.subnets.push("10.9.0.0/28".parse().unwrap())),
            Some(Difference::Name)
        );
        assert_eq!(
            differing(&|net| drop(net.labels.insert(PROVIDER.into(), "other".into()))),
            Some(Difference::Name)
        );
        // A network that differs only by the daemon's defaults is ours all the same.
        let mut dull = network(&edge(), owner.labels(&edge()));
        dull.shape = Shape { icc: false, ipv6: true, ..Shape::LINK };
        assert_eq!((owner.edge_of(&dull), owner.pretence(&dull)), (Some(edge()), None));
        assert_eq!(owner.pretence(&network(&edge(), Labels::new())), None, "nothing says that it is ours");
    }

    #[test]
    fn a_network_that_lacks_one_of_the_labels_is_foreign() {
        let owner = Owner::new("tieline");
        for missing in [MANAGED_BY, CONSUMER, PROVIDER] {
            let mut labels = owner.labels(&edge());
            labels.remove(missing);
            assert_eq!(owner.edge_of(&network(&edge(), labels)), None);
        }
        assert_eq!(Owner::new("other").edge_of(&network(&edge(), owner.labels(&edge()))), None);
    }

    #[test]
    fn a_network_whose_labels_we_cannot_have_written_is_foreign() {
        let owner = Owner::new("tieline");
        for (key, text) in [(CONSUMER, "web\u{1b}[31m"), (PROVIDER, "d\nb"), (PROVIDER, "shop/\u{202e}bd")] {
            let mut labels = owner.labels(&edge());
            labels.insert(key.to_owned(), text.to_owned());
            assert_eq!(owner.edge_of(&network(&edge(), labels)), None, "{text}");
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
            assert_eq!(
                owner.edge_of(&network(&edge, owner.labels(&edge))),
                Some(edge),
                "{project} {service}"
            );
        }
    }

    #[test]
    fn names_are_made_from_both_ends_and_the_subnet() {
        let owner = Owner::new("tieline");
        let name = owner.network_name(&edge(), "10.213.0.16/28".parse().unwrap());
        assert_eq!(name, "zzzz_tieline_shop.web_db_10.213.0.16");
        assert!(owner.may_have_named(&edge(), &name));
        assert!(owner.may_have_named(&edge(), "tieline_shop.web_db_10.213.0.16"), "as it was named before");
        for foreign in ["tieline_shop.web_db", "tieline_shop.web_db_2", "tieline_shop.web_db2_10.213.0.16"] {
            assert!(!owner.may_have_named(&edge(), foreign), "{foreign}");
        }
    }

    #[test]
    fn names_sort_after_every_ordinary_name() {
        for instance in ["tieline", "a", "A-1"] {
            let ours = Owner::new(instance).network_name(&edge(), "10.213.0.16/28".parse().unwrap());
            for ordinary in [
                "bridge",
                "shop_default",
                "zoo_default",
                "zz-top_default",
                "zzz",
                "ZZZZZ",
                "zzz_last",
                "zzz.net",
                "_",
            ] {
                assert!(*ours > *ordinary, "{ours} {ordinary}");
                let folded = |name: &str| name.to_lowercase().replace(['_', '-', '.'], "");
                assert!(ordinary == "ZZZZZ" || folded(&ours) > folded(ordinary), "{ours} {ordinary}");
            }
        }
    }

    #[test]
    fn a_name_leads_to_an_edge_that_may_have_given_it() {
        let owner = Owner::new("tieline");
        let container = |name: &str| Workload::Container(name.to_owned());
        let odd = EdgeKey::Pair { consumer: container("a_b"), provider: container("c_10.0.0.1") };
        for edge in [edge(), odd, EdgeKey::Shared { provider: container("db") }] {
            let name = owner.network_name(&edge, "10.213.0.16/28".parse().unwrap());
            for name in [&name, old_form(&name)] {
                let found = owner.edge_named(name).unwrap();
                assert!(owner.may_have_named(&found, name), "{name}");
            }
        }
        for foreign in ["tieline_default", "tieline_web_db", "tieline_10.0.0.0", "other_web_db_10.213.0.16"] {
            assert_eq!(owner.edge_named(foreign), None, "{foreign}");
        }
    }
}
