//! What one side of a handshake does, whoever does it: an `nc` of the container's own, or a program of
//! ours in its place.
//!
//! A side reads its stdin, writes what it receives to its stdout and tells by its stderr how it fares, in
//! the lines that [`super::transcript::Transcript`] reads. It ends when its stdin does, when its time is up,
//! or when its connection does.

/// What carries the bytes of a link over a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Transport {
    /// The word, which is also the name of the kernel's table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// One side of a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Listens for one peer.
    Listener {
        /// On what.
        transport: Transport,
        /// On the first of these that nobody else has.
        ports: Vec<u16>,
        /// Says besides whether somebody has this port already.
        asked: Option<u16>,
        /// At the IPv6 addresses too, which some have to be told: the provider has such addresses.
        ipv6: bool,
    },
    /// Connects to a port.
    Client {
        /// By what.
        transport: Transport,
        /// To whom: a name to be looked up, or an address.
        host: String,
        /// To one of these. Which one is the first line of its stdin ([`port_line`]).
        ports: Vec<u16>,
        /// And then?
        manner: Manner,
    },
    /// Connects to the unix socket at this path, once a first line comes on its stdin.
    SocketClient {
        /// The path in the container.
        path: String,
        /// And then?
        manner: Manner,
    },
}

impl Role {
    /// What carries what it says.
    pub fn medium(&self) -> Medium {
        match self {
            Self::Listener { transport, .. } | Self::Client { transport, .. } => Medium::Network(*transport),
            Self::SocketClient { .. } => Medium::Socket,
        }
    }
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Ends as soon as it is connected; says nothing.
    Knock,
    /// Says what it is given, and ends with its stdin or its connection, whichever is first.
    Talk,
    /// Says what it is given, and stays for the answer when its stdin has ended.
    Ask,
}

impl Manner {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Knock => "knock",
            Self::Talk => "talk",
            Self::Ask => "ask",
        }
    }
}

/// What carries what a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A network.
    Network(Transport),
    /// A unix socket's file.
    Socket,
}

/// The line by which a client is told its port, and to begin.
pub fn port_line(port: u16) -> String {
    format!("{port}\n")
}
