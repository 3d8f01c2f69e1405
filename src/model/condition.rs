//! Conditions, their reasons, and the one word that sums a link up.

use std::fmt;

use super::handshake::{FailReason, InconclusiveReason};
use super::labels::Problem;

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It cannot be told.
    Unknown,
}

impl Status {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What conditions are about, in the order in which they build on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The label can be read and the provider lets the consumer in.
    Accepted,
    /// The target was found, and both ends run.
    Resolved,
    /// Both ends share a network.
    Wired,
    /// A handshake passed.
    Reachable,
    /// Something listens on the declared port.
    Listening,
    /// All that the link wants.
    Ready,
}

impl Kind {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Resolved => "Resolved",
            Self::Wired => "Wired",
            Self::Reachable => "Reachable",
            Self::Listening => "Listening",
            Self::Ready => "Ready",
        }
    }
}

/// Why a condition is as it is: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The label reads well and the provider has no objection.
    Accepted,
    /// The label cannot be read.
    Label(Problem),
    /// The provider's accept label, or the default, keeps the consumer out.
    NotAccepted,
    /// The target was found and both ends run.
    Found,
    /// No container fits the target.
    ProviderNotFound,
    /// What fits the target is labelled to be ignored.
    ProviderIgnored,
    /// The provider exists but does not run.
    ProviderNotRunning,
    /// The consumer does not run.
    ConsumerNotRunning,
    /// Both ends of every path share a network.
    Wired,
    /// A unix socket needs no network.
    NoNetworkNeeded,
    /// Networks are being made or joined.
    InProgress,
    /// There is nothing to wire yet.
    NothingToWire,
    /// One end is in the host's network namespace.
    HostNetworkMode,
    /// One end is closed to every network.
    NoneNetworkMode,
    /// One end lives in another container's network namespace.
    ContainerNetworkMode,
    /// The controller's pool has no subnet left, or none for this edge.
    PoolExhausted,
    /// One end has more edges, or its selectors find more containers, than there may be.
    TooManyEdges,
    /// The engine would not make the network.
    NetworkCreateFailed,
    /// The engine would not attach a container.
    ConnectFailed,
    /// The engine has lost the network namespace of a container.
    NamespaceLost,
    /// The engine would not detach a container.
    DisconnectFailed,
    /// The engine would not remove a network.
    NetworkRemoveFailed,
    /// The engine does not answer.
    EngineUnavailable,
    /// A handshake passed on every path.
    HandshakePassed,
    /// A handshake passed on every path, and the provider's name led over another network.
    PassedOverAnotherNetwork,
    /// No handshake has told yet.
    NotYetProven,
    /// The link is declared never to be proven.
    HandshakeNone,
    /// It cannot be proven by an exchange, which would have to listen where a label says.
    ExchangeNotPossible,
    /// Without something to send and to expect it cannot be proven in this way.
    PayloadNeeded,
    /// A handshake failed.
    Handshake(FailReason),
    /// A handshake could not be made.
    Probe(InconclusiveReason),
    /// Something listens on the port.
    PortOpen,
    /// Something listens on the socket.
    SocketOpen,
    /// The path works, and the declared port refuses.
    NoListener,
    /// This handshake does not tell whether something listens.
    NotChecked,
    /// All that the link wants is true.
    Ready,
    /// The first condition that is not true tells why.
    NotReady,
}

impl Reason {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Label(problem) => problem.reason(),
            Self::NotAccepted => "NotAccepted",
            Self::Found => "Found",
            Self::ProviderNotFound => "ProviderNotFound",
            Self::ProviderIgnored => "ProviderIgnored",
            Self::ProviderNotRunning => "ProviderNotRunning",
            Self::ConsumerNotRunning => "ConsumerNotRunning",
            Self::Wired => "Wired",
            Self::NoNetworkNeeded => "NoNetworkNeeded",
            Self::InProgress => "InProgress",
            Self::NothingToWire => "NothingToWire",
            Self::HostNetworkMode => "HostNetworkMode",
            Self::NoneNetworkMode => "NoneNetworkMode",
            Self::ContainerNetworkMode => "ContainerNetworkMode",
            Self::PoolExhausted => "PoolExhausted",
            Self::TooManyEdges => "TooManyEdges",
            Self::NetworkCreateFailed => "NetworkCreateFailed",
            Self::ConnectFailed => "ConnectFailed",
            Self::NamespaceLost => "NamespaceLost",
            Self::DisconnectFailed => "DisconnectFailed",
            Self::NetworkRemoveFailed => "NetworkRemoveFailed",
            Self::EngineUnavailable => "EngineUnavailable",
            Self::HandshakePassed => "HandshakePassed",
            Self::PassedOverAnotherNetwork => "PassedOverAnotherNetwork",
            Self::NotYetProven => "NotYetProven",
            Self::HandshakeNone => "HandshakeNone",
            Self::ExchangeNotPossible => "ExchangeNotPossible",
            Self::PayloadNeeded => "PayloadNeeded",
            Self::Handshake(reason) => reason.as_str(),
            Self::Probe(reason) => reason.as_str(),
            Self::PortOpen => "PortOpen",
            Self::SocketOpen => "SocketOpen",
            Self::NoListener => "NoListener",
            Self::NotChecked => "NotChecked",
            Self::Ready => "Ready",
            Self::NotReady => "NotReady",
        }
    }
}

/// One condition of a link, without the time at which it became so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it is about.
    pub kind: Kind,
    /// What it says.
    pub status: Status,
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

/// The one word that sums a link up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// All that the link wants.
    Ready,
    /// The label cannot be read.
    Invalid,
    /// The provider does not accept this consumer.
    Denied,
    /// No provider, or none running, or the consumer is not running.
    Pending,
    /// Networks are being made or joined, or that failed and is being tried again.
    Wiring,
    /// Wired, not yet proven.
    Verifying,
    /// The path works, nothing listens on the port.
    NoListener,
    /// The handshake failed.
    Unreachable,
    /// It cannot be probed.
    Unknown,
}

impl State {
    /// All nine.
    pub const ALL: [Self; 9] = [
        Self::Ready,
        Self::Invalid,
        Self::Denied,
        Self::Pending,
        Self::Wiring,
        Self::Verifying,
        Self::NoListener,
        Self::Unreachable,
        Self::Unknown,
    ];

    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Invalid => "Invalid",
            Self::Denied => "Denied",
            Self::Pending => "Pending",
            Self::Wiring => "Wiring",
            Self::Verifying => "Verifying",
            Self::NoListener => "NoListener",
            Self::Unreachable => "Unreachable",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
