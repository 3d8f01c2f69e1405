//! What is to be proven: who, whom, and by which way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::model::carrier;
use crate::model::container::{Attachment, Container, ContainerId, Network};
use crate::model::declaration::DeclaredLink;
use crate::model::handshake::role::Transport;
use crate::model::link::{Endpoint, Handshake, Link, Payload};
use crate::model::world::World;

/// One container of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its id.
    pub id: ContainerId,
    /// Its name, for people.
    pub name: String,
    /// Its address on the network that carries the path, where one does.
    pub address: Option<Ipv4Addr>,
}

/// One handshake to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who opens the connection.
    pub consumer: Side,
    /// To whom.
    pub provider: Side,
    /// Where in the provider.
    pub route: Route,
    /// Which handshake; never `none`.
    pub mode: Handshake,
    /// What to say to the provider's own listener, and what it has to answer.
    pub payload: Payload,
    /// Bound on the whole handshake.
    pub timeout: Duration,
}

/// Where in the provider a handshake goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To a port.
    Port(PortRoute),
    /// To the unix socket that the consumer has at this path.
    Socket(String),
}

/// How the consumer gets to a port of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRoute {
    /// By what.
    pub transport: Transport,
    /// The name by which the consumer looks for the provider.
    pub host: String,
    /// The provider's IPv4 address on the network that carries the path.
    pub address: Ipv4Addr,
    /// Its IPv6 address there, where that network has IPv6.
    pub address6: Option<Ipv6Addr>,
    /// Its addresses of both families on other networks: the name may lead to one of these where the consumer
    /// is on that network too.
    pub others: Vec<IpAddr>,
    /// The declared port.
    pub port: u16,
}

impl PortRoute {
    /// Every IPv6 address of the provider.
    pub fn ipv6(&self) -> impl Iterator<Item = Ipv6Addr> {
        let others = self.others.iter().filter_map(|other| match other {
            IpAddr::V6(other) => Some(*other),
            IpAddr::V4(_) => None,
        });
        self.address6.into_iter().chain(others)
    }
}

impl Route {
    /// The protocol, as the metrics name it.
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Port(route) => route.transport.as_str(),
            Self::Socket(_) => "unix",
        }
    }
}

impl Request {
    /// The handshake for the path between the two over a network that both are on, as the consumer container's own
    /// label says; `None` while the provider has no address there, and for a link to a socket.
    pub fn over(
        world: &World,
        network: &Network,
        consumer: &Container,
        provider: &Container,
        declared: &DeclaredLink,
        timeout: Duration,
    ) -> Option<Self> {
        let ends = (consumer.id.clone(), provider.id.clone());
        let link = &declared.paths.get(&ends)?.link;
        let (transport, port) = match link.target.endpoint {
            Endpoint::Tcp(port) => (Transport::Tcp, port),
            Endpoint::Udp(port) => (Transport::Udp, port),
            Endpoint::Unix(_) => return None,
        };
        let here = provider.attachment(network)?;
        let address = here.address?;
        let others = provider.attachments.values().flat_map(Attachment::addresses);
        let route = PortRoute {
            transport,
            host: carrier::host(world, declared, link, &ends, provider),
            address,
            address6: here.address6,
            others: others.filter(|other| here.addresses().all(|own| own != *other)).collect(),
            port,
        };
        let sides = [consumer, provider].map(|container| Side {
            address: container.attachment(network).and_then(|attachment| attachment.address),
            ..Side::of(container)
        });
        Some(Self::new(sides, Route::Port(route), link, timeout))
    }

    /// The handshake for `link` by the socket that the consumer has at `path`.
    pub fn through(
        path: String,
        consumer: &Container,
        provider: &Container,
        link: &Link,
        timeout: Duration,
    ) -> Self {
        Self::new([consumer, provider].map(Side::of), Route::Socket(path), link, timeout)
    }

    fn new([consumer, provider]: [Side; 2], route: Route, link: &Link, timeout: Duration) -> Self {
        let (mode, payload) = (link.handshake, link.payload.clone());
        Self { consumer, provider, route, mode, payload, timeout: link.timeout.unwrap_or(timeout) }
    }
}

impl Side {
    fn of(container: &Container) -> Self {
        let Container { id, name, .. } = container.clone();
        Self { id, name, address: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lab::Lab;

    #[test]
    fn the_provider_s_addresses_are_those_of_both_families_on_every_network() {
        let mut lab = Lab::default();
        let (db, web) = (lab.run("db", &[]), lab.run("web", &[("tieline.link", "db:80")]));
        let there = [("ours", "10.213.0.2", None), ("six", "172.18.0.2", Some("fd00::2"))];
        for (network, address, address6) in there {
            lab.add_network(network, network, "10.0.0.0/24", None);
            for container in [&db, &web] {
                lab.attach(container, network, &[]);
            }
            lab.change(&db, |container| {
                let attachment = container.attachments.get_mut(network).unwrap();
                attachment.address = Some(address.parse().unwrap());
                attachment.address6 = address6.map(|address| address.parse().unwrap());
            });
        }
        let world = &lab.world;
        let (link, container) =
            (world.declaration().links.values().next().unwrap(), |id| world.container(id).unwrap());
        let route = |name: &str| {
            let network = world.networks().find(|network| network.name == name).unwrap();
            let timeout = Duration::from_secs(1);
            let request = Request::over(world, network, container(&web), container(&db), link, timeout);
            let Some(Request { route: Route::Port(route), .. }) = request else { panic!("{request:?}") };
            let others: Vec<String> = route.others.iter().map(ToString::to_string).collect();
            (route.address.to_string(), route.address6.map(|six| six.to_string()), others.join(" "))
        };
        assert_eq!(route("ours"), ("10.213.0.2".into(), None, "fd00::2 172.18.0.2".into()));
        assert_eq!(route("six"), ("172.18.0.2".into(), Some("fd00::2".into()), "10.213.0.2".into()));
    }
}
