//! A link as one container declares it, and the keys by which links and edges are known.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::container::{ContainerId, NetworkId};
use super::workload::{Selector, Workload};

/// Where a link ends inside the provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// A TCP port.
    Tcp(u16),
    /// A UDP port.
    Udp(u16),
    /// A unix socket at this absolute path.
    Unix(String),
}

impl Endpoint {
    /// The scheme that a target is written with.
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Udp(_) => "udp",
            Self::Unix(_) => "unix",
        }
    }

    /// The port, where the protocol has one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(port) | Self::Udp(port) => Some(*port),
            Self::Unix(_) => None,
        }
    }
}

/// What a link points at: `[SCHEME://]SELECTOR:PORT` or `unix://SELECTOR/PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Which containers.
    pub selector: Selector,
    /// Where in them.
    pub endpoint: Endpoint,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Endpoint::Tcp(port) => write!(f, "{}:{port}", self.selector),
            Endpoint::Udp(port) => write!(f, "udp://{}:{port}", self.selector),
            Endpoint::Unix(path) => write!(f, "unix://{}{path}", self.selector),
        }
    }
}

/// How a link is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Handshake {
    /// `Connect`; where the port is refused, an `Exchange` tells whether the path works.
    #[default]
    Auto,
    /// A connection to the provider's own listener.
    Connect,
    /// A listener of ours in the provider for the length of the handshake, tokens both ways.
    Exchange,
    /// Wired, never proven.
    None,
}

impl Handshake {
    /// Every value that the label may have.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Connect, Self::Exchange, Self::None];

    /// The word in the label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Connect => "connect",
            Self::Exchange => "exchange",
            Self::None => "none",
        }
    }
}

/// What to say to the provider's own listener, and what it has to answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// Bytes to send once connected.
    pub send: Option<Vec<u8>>,
    /// A regular expression (already checked) that the reply must match.
    pub expect: Option<String>,
}

impl Payload {
    /// Whether the provider's own listener is told or has to answer anything.
    pub fn is_empty(&self) -> bool {
        self.send.is_none() && self.expect.is_none()
    }
}

/// One link as one container declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The link's name, unique in its consumer.
    pub name: String,
    /// One more name under which the consumer reaches the provider; links from the plain label
    /// have none.
    pub alias: Option<String>,
    /// What it points at.
    pub target: Target,
    /// How it is proven.
    pub handshake: Handshake,
    /// How often it is proven; `None`: as the controller does by default.
    pub interval: Option<Duration>,
    /// Bound on one handshake; `None`: as the controller does by default.
    pub timeout: Option<Duration>,
    /// What to say and what to hear.
    pub payload: Payload,
}

impl Link {
    /// The link to `target` of which nothing more is said.
    pub fn to(target: Target) -> Self {
        Self {
            name: target.to_string(),
            alias: None,
            target,
            handshake: Handshake::default(),
            interval: None,
            timeout: None,
            payload: Payload::default(),
        }
    }
}

/// One declared edge between workloads: what `CONSUMER/LINK` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkKey {
    /// The workload that declares it.
    pub consumer: Workload,
    /// The link's name there.
    pub name: String,
}

impl fmt::Display for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.consumer, self.name)
    }
}

/// What one set of link networks carries, and so the unit of reconciliation: no two workers ever
/// write the same network.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EdgeKey {
    /// The links from one consumer workload to one provider workload.
    Pair {
        /// The side that opens connections.
        consumer: Workload,
        /// The side that is linked to.
        provider: Workload,
    },
    /// The links from all consumers to one provider workload with topology `shared`.
    Shared {
        /// The side that is linked to.
        provider: Workload,
    },
}

impl EdgeKey {
    /// The side whose labels the edge comes from, as far as it is one workload's: else the side that is linked to.
    pub fn declared_by(&self) -> &Workload {
        match self {
            Self::Pair { consumer, .. } => consumer,
            Self::Shared { provider } => provider,
        }
    }

    /// The side that is linked to.
    pub fn provider(&self) -> &Workload {
        match self {
            Self::Pair { provider, .. } | Self::Shared { provider } => provider,
        }
    }
}

impl fmt::Display for EdgeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pair { consumer, provider } => write!(f, "{consumer} -> {provider}"),
            Self::Shared { provider } => write!(f, "* -> {provider}"),
        }
    }
}

/// One consumer container to one provider container of a link.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathKey {
    /// The link.
    pub link: LinkKey,
    /// The consumer's container.
    pub consumer: ContainerId,
    /// The provider's container.
    pub provider: ContainerId,
}

/// What carries a path, by what tells it from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A network, on which the provider has this address.
    Network(NetworkId, Ipv4Addr),
    /// A volume or a folder of the host, in which the consumer has the socket at this path.
    Mount(String),
}

/// What a handshake was made for: a verdict on another run of either end, another network or
/// another port says nothing about this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// When the consumer was started.
    pub consumer_started: String,
    /// When the provider was started.
    pub provider_started: String,
    /// What carries the path.
    pub carrier: Carrier,
    /// Where in the provider.
    pub endpoint: Endpoint,
    /// How it is proven.
    pub handshake: Handshake,
    /// What is said and has to be answered.
    pub payload: Payload,
}
