//! The files by which a container looks names up.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::entry::Found;
use crate::docker::place::Place;
use crate::speaker::names::{self, Names};

/// Where the engine's own nameserver is in a container.
const EMBEDDED: &str = "nameserver 127.0.0.11\noptions ndots:0\n";

/// Names as the container looks them up: by the files that it has, or those that the engine has given to it.
pub fn names(place: &Place, found: Found) -> Names {
    let of = |file: &str, given: &Path| {
        let own = (found == Found::ByProcess).then(|| within(place.pid, file)).and_then(Result::ok);
        own.or_else(|| File::open(given).and_then(names::text).ok())
    };
    let hosts = of("etc/hosts", &place.hosts).unwrap_or_default();
    let resolv_conf = of("etc/resolv.conf", &place.resolv_conf).unwrap_or_else(|| EMBEDDED.to_owned());
    Names::new(&hosts, &resolv_conf)
}

/// The text of a file of the container's own. Its links lead where they lead in the container, and not to files
/// of ours; a pipe in its place does not hold us up.
fn within(pid: i64, file: &str) -> io::Result<String> {
    let root = File::open(format!("/proc/{pid}/root"))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    names::text(File::from(openat2(root, file, flags, Mode::empty(), resolve)?))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn place(hosts: &Path, resolv_conf: &Path) -> Place {
        let pid = std::process::id().into();
        Place { pid, sandbox: PathBuf::new(), hosts: hosts.to_owned(), resolv_conf: resolv_conf.to_owned() }
    }

    #[test]
    fn the_container_s_own_files_come_first_then_the_engine_s_then_its_nameserver() {
        let folder = tempfile::tempdir().unwrap();
        let (hosts, resolv_conf) = (folder.path().join("hosts"), folder.path().join("resolv.conf"));
        std::fs::write(&hosts, "10.0.0.2 db\n").unwrap();
        std::fs::write(&resolv_conf, "nameserver 10.0.0.1\n").unwrap();
        let given = place(&hosts, &resolv_conf);
        let own = Names::read(Path::new("/etc/hosts"), Path::new("/etc/resolv.conf"));
        assert_eq!(names(&given, Found::ByProcess), own);
        assert_eq!(names(&given, Found::ByEngine), Names::new("10.0.0.2 db\n", "nameserver 10.0.0.1\n"));
        let nothing = place(Path::new("/nowhere"), folder.path());
        assert_eq!(names(&nothing, Found::ByEngine), Names::new("", EMBEDDED));
    }

    #[test]
    fn what_is_no_ordinary_file_is_none() {
        let pid = std::process::id().into();
        assert!(within(pid, "etc/hosts").is_ok());
        assert!(within(pid, "dev/tty").is_err());
        assert!(within(pid, "proc/self/fd/0").is_err(), "a link that leads out of the container");
        assert!(within(pid, "../../etc/nothing").is_err());
    }
}
