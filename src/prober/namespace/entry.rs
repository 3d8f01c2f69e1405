//! The way into a container's network namespace.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::super::Side;
use super::super::handshake::Trouble;
use crate::docker::place::Place;
use crate::model::container::ContainerId;
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
/// A process's number is the engine's: where the controller counts its own, it may belong to anybody. So the process
/// has to be in the container's control group, and the namespace has to have the container's address.
pub fn enter(place: &Place, side: &Side) -> Result<Found, Trouble> {
    let ways = [
        (Found::ByProcess, PathBuf::from(format!("/proc/{}/ns/net", place.pid))),
        (Found::ByEngine, place.sandbox.clone()),
    ];
    let mut obstacles = Vec::new();
    for (found, path) in ways.into_iter().filter(|(_, path)| !path.as_os_str().is_empty()) {
        let entered = File::open(&path).and_then(|namespace| {
            // In this order: the number of a process that ended meanwhile may be another's by now.
            if found == Found::ByProcess {
                belongs_to(place.pid, &side.id)?;
            }
            move_into(&namespace)
        });
        match entered {
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

/// Whether a process is the container's. Its control group has the container's id in its name, on every engine.
///
/// # Errors
/// If it is not, or is not told.
pub fn belongs_to(pid: i64, container: &ContainerId) -> io::Result<()> {
    match fs::read_to_string(format!("/proc/{pid}/cgroup"))?.contains(container.as_str()) {
        true => Ok(()),
        false => Err(io::Error::other(format!("process {pid} is somebody else's"))),
    }
}

fn move_into(namespace: &File) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Whether this thread's network namespace has an address: only then does the way there begin at that address itself.
/// To bind it tells nothing where `net.ipv4.ip_nonlocal_bind` is set. Nothing is sent.
fn is_here(address: Ipv4Addr) -> bool {
    const DISCARD: u16 = 9;
    let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((address, DISCARD))?;
        socket.local_addr()
    });
    own.is_ok_and(|own| own.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(address: Option<Ipv4Addr>) -> Side {
        let id = ContainerId("0".repeat(64));
        Side { id, name: "db".into(), address }
    }

    fn place(pid: i64) -> Place {
        let gone = PathBuf::from("/nowhere/to/be/found");
        Place { pid, sandbox: gone.clone(), hosts: gone.clone(), resolv_conf: gone }
    }

    #[test]
    fn a_process_of_another_control_group_is_not_entered_whatever_addresses_it_has() {
        let trouble = enter(&place(std::process::id().into()), &side(None)).unwrap_err();
        assert_eq!(trouble.reason, InconclusiveReason::NoRights);
        assert!(trouble.message.contains("somebody else's"), "{}", trouble.message);
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
        assert!(!is_here(Ipv4Addr::UNSPECIFIED));
        // Of a network for examples.
        assert!(!is_here(Ipv4Addr::new(192, 0, 2, 1)));
    }
}
