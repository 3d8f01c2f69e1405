//! The way into a container's network namespace.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::super::Side;
use super::super::handshake::Trouble;
use crate::docker::place::Place;
use crate::model::handshake::InconclusiveReason;

/// What gives the right to all of this.
const OVERLAY: &str = "deploy/compose.namespace.yml";

/// How a namespace was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// By the container's process, of which the rest can be looked at too.
    ByProcess,
    /// By the engine's hold on it. What has the process's number here may be somebody else.
    ByEngine,
}

/// Moves the calling thread into the network namespace of a container, for good.
///
/// A process's number is the engine's: where the controller counts its own, it may belong to anybody.
/// So nothing is believed but that the namespace has the container's address.
pub fn enter(place: &Place, side: &Side) -> Result<Found, Trouble> {
    let ways = [
        (Found::ByProcess, PathBuf::from(format!("/proc/{}/ns/net", place.pid))),
        (Found::ByEngine, place.sandbox.clone()),
    ];
    let mut obstacles = Vec::new();
    for (found, path) in ways.into_iter().filter(|(_, path)| !path.as_os_str().is_empty()) {
        match move_into(&path) {
            Ok(()) if side.address.is_none_or(is_here) => return Ok(found),
            Ok(()) => obstacles.push(format!("{} is somebody else's", path.display())),
            Err(error) => obstacles.push(format!("{}: {error}", path.display())),
        }
    }
    Err(lacks_rights(side, "its network namespace", &obstacles.join("; ")))
}

/// That the way to what a container has is closed, and who opens it.
pub fn lacks_rights(side: &Side, to: &str, why: &str) -> Trouble {
    let message = format!("{}: the way to {to} has to be granted, as {OVERLAY} does ({why})", side.name);
    Trouble::new(InconclusiveReason::NoRights, message)
}

fn move_into(path: &Path) -> io::Result<()> {
    let namespace = File::open(path)?;
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Whether this thread's network namespace has an address: only then can a socket have it.
fn is_here(address: Ipv4Addr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::container::{ContainerId, ImageId};

    fn side(address: Option<Ipv4Addr>) -> Side {
        let (id, image) = (ContainerId("1".into()), ImageId("sha256:1".into()));
        Side { id, name: "db".into(), image, address }
    }

    fn place(pid: i64) -> Place {
        let gone = PathBuf::from("/nowhere/to/be/found");
        Place { pid, sandbox: gone.clone(), hosts: gone.clone(), resolv_conf: gone }
    }

    #[test]
    fn what_cannot_be_found_is_a_lack_of_rights_and_told_with_its_remedy() {
        let trouble = enter(&place(i64::MAX), &side(None)).unwrap_err();
        assert_eq!(trouble.reason, InconclusiveReason::NoRights);
        for part in ["/proc/9223372036854775807/ns/net", "/nowhere/to/be/found", "compose.namespace.yml"] {
            assert!(trouble.message.contains(part), "{}", trouble.message);
        }
    }

    #[test]
    fn an_address_is_here_or_it_is_not() {
        assert!(is_here(Ipv4Addr::LOCALHOST));
        // Of a network for examples.
        assert!(!is_here(Ipv4Addr::new(192, 0, 2, 1)));
    }
}
