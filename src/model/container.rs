//! What we need to know of a container and of a network: complete types, no `Option` that only
//! means "the engine did not say".

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

use super::moment::Moment;
use super::mounts::Mount;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub String);

        impl $name {
            /// The whole id, as the engine gave it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// The first twelve characters, as `docker ps` shows an id.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let end = self.0.char_indices().nth(12).map_or(self.0.len(), |(at, _)| at);
                f.write_str(&self.0[..end])
            }
        }
    };
}

id!(
    /// A container's id: never reused by the engine.
    ContainerId
);
id!(
    /// A network's id. Networks are addressed by id only: on Engine 20.10 names are not unique.
    NetworkId
);
id!(
    /// An image's id: what its containers have in common.
    ImageId
);

/// Longest name of a host that can be asked for, in bytes.
pub const MAX_HOST_BYTES: usize = 253;
/// Longest part of such a name between two dots, in bytes.
pub const MAX_HOST_PART_BYTES: usize = 63;

/// Labels as the engine holds them, in a stable order.
pub type Labels = BTreeMap<String, String>;

/// The networks that a container is attached to, by network name.
pub type Attachments = BTreeMap<String, Attachment>;

/// The engine's states of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Made, never started.
    Created,
    /// Its program runs.
    Running,
    /// Its program is frozen.
    Paused,
    /// Between two runs, by the restart policy.
    Restarting,
    /// Its program ended.
    Exited,
    /// Being removed.
    Removing,
    /// Could not be removed; cannot be started.
    Dead,
}

/// Where a container's network namespace comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    /// A namespace of its own that networks can be connected to.
    Own,
    /// The host's.
    Host,
    /// Its own, closed to every network.
    None,
    /// Another container's.
    Shared,
}

/// One container as last observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: ContainerId,
    /// The name, without the engine's leading slash.
    pub name: String,
    /// All its labels.
    pub labels: Labels,
    /// What its program does.
    pub state: RunState,
    /// Creation time, only ever compared.
    pub created: Moment,
    /// Time of the last start as the engine writes it: another value is another run.
    pub started: String,
    /// Where its network namespace comes from.
    pub mode: NetworkMode,
    /// Networks it is attached to, by network name.
    pub attachments: Attachments,
    /// Whether the engine has lost its network namespace: the file by which the engine holds it is no mount.
    /// False also where that cannot be seen.
    pub namespace_lost: bool,
    /// What is mounted into it. That stays as it is for as long as the container is there.
    pub mounts: Vec<Mount>,
}

/// A container's place on one network. A container that does not run has one too, without an
/// address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// The network, once the container has been started on it, or where whoever attached it said
    /// which. Otherwise Engine 20.10 knows the network by its name alone.
    pub network: Option<NetworkId>,
    /// Names given at connect.
    pub aliases: BTreeSet<String>,
    /// Driver options given at connect. The engine keeps them for as long as the attachment, even
    /// when the network is gone.
    pub options: Labels,
    /// The IPv4 address while it runs.
    pub address: Option<Ipv4Addr>,
    /// The IPv6 address while it runs, where the network has IPv6.
    pub address6: Option<Ipv6Addr>,
}

impl Container {
    /// Whether its program runs, so that something can be executed in it.
    pub fn is_running(&self) -> bool {
        self.state == RunState::Running
    }

    /// The name by which others on its networks reach it: its own, or, where no resolver takes that for
    /// a host's name, the short id, which the engine itself makes an alias of every endpoint.
    pub fn host(&self) -> String {
        if is_host_name(&self.name) { self.name.clone() } else { self.id.to_string() }
    }

    /// Whether it has a network namespace that is in use: its program runs, or is frozen.
    pub fn is_up(&self) -> bool {
        matches!(self.state, RunState::Running | RunState::Paused)
    }

    /// The attachment to `network`, if there is one.
    pub fn attachment(&self, network: &Network) -> Option<&Attachment> {
        let attachment = self.attachments.get(&network.name)?;
        (attachment.leads_to(&network.name, network) && !self.is_broken(attachment)).then_some(attachment)
    }

    /// Whether the engine refused to make this attachment, and kept it all the same: a running
    /// container has an address on every link network that it is really on.
    pub fn is_broken(&self, attachment: &Attachment) -> bool {
        self.is_up() && attachment.address.is_none()
    }
}

/// Whether `name` can be asked for by DNS (RFC 1035's lengths), and is no option to a program. The
/// engine allows containers and networks longer names, and ones with empty parts.
pub fn is_host_name(name: &str) -> bool {
    let part = |part: &str| (1..=MAX_HOST_PART_BYTES).contains(&part.len());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    name.len() <= MAX_HOST_BYTES
        && name.bytes().all(plain)
        && name.split('.').all(part)
        && !name.starts_with('-')
}

impl Attachment {
    /// Whether this attachment, which the container has under `name`, is one to `network`.
    pub fn leads_to(&self, name: &str, network: &Network) -> bool {
        match self.network_id(name) {
            Some(id) => *id == network.id,
            None => name == network.name,
        }
    }

    /// The addresses of both families.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.address6.map(IpAddr::from).into_iter().chain(self.address.map(IpAddr::from))
    }

    /// The id of the network of this attachment, which the container has under `name`, where the engine
    /// tells it. Podman 4.3 tells the name in its place.
    pub fn network_id(&self, name: &str) -> Option<&NetworkId> {
        self.network.as_ref().filter(|id| id.0 != name)
    }
}

/// One network of the engine, ours or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The engine's id.
    pub id: NetworkId,
    /// The name; not unique on Engine 20.10.
    pub name: String,
    /// All its labels.
    pub labels: Labels,
    /// Its IPv4 subnets.
    pub subnets: Vec<Ipv4Net>,
    /// How the engine made it.
    pub shape: Shape,
    /// Creation time, only ever compared.
    pub created: Moment,
}

/// How the engine made a network, as far as a link relies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Whether it is a bridge of this host. Others are overlays, macvlans and networks of plugins.
    pub bridge: bool,
    /// Whether it has no way out, so that it never becomes the default route of a container.
    pub internal: bool,
    /// Whether its containers may talk to one another ("inter-container communication").
    pub icc: bool,
    /// Whether its containers get IPv6 addresses there.
    pub ipv6: bool,
}

impl Shape {
    /// The shape of a network that is made for a link.
    pub const LINK: Self = Self { bridge: true, internal: true, icc: true, ipv6: false };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_resolver_takes_is_no_host_name() {
        let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
        let parts = [longest.as_str(); 4].join(".");
        for good in ["a", "App_1.x-2", "tl-gg_", "a.-x", &longest, &parts[..253]] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in ["", "a..b", "a.", ".a", "-e", "$(reboot)", "a b", "wäb", &too_long, &parts] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }
}
