//! Whether the engine still holds a container's network namespace, where its mounts can be seen.

use std::fs::read_to_string;
use std::path::Path;

use bollard::models::ContainerInspectResponse;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use tokio::net::UnixStream;

use super::{Docker, convert};
use crate::model::container::{Container, NetworkMode};

impl Docker {
    /// Whether the engine has lost the network namespace that it holds by the file `sandbox`.
    pub(super) async fn has_lost(&self, container: &Container, sandbox: &str) -> bool {
        let has_own = container.is_up() && container.mode == NetworkMode::Own && !sandbox.is_empty();
        let Some(socket) = self.socket().filter(|_| has_own) else { return false };
        // It may just have ended.
        is_lost(socket, sandbox).await
            && self.inspect(&container.id).await.is_ok_and(|again| {
                file(&again) == sandbox && convert::container(container.id.clone(), again).is_up()
            })
    }
}

/// The file by which the engine holds a container's network namespace.
pub(super) fn file(response: &ContainerInspectResponse) -> String {
    response.network_settings.as_ref().and_then(|settings| settings.sandbox_key.clone()).unwrap_or_default()
}

/// Whether the file by which the engine holds a namespace is no mount any more. False also where that
/// cannot be seen: the engine is not in the mount namespace of this PID namespace's first process, as for
/// a controller in a container without the host's processes, or behind a proxy.
async fn is_lost(socket: &Path, file: &str) -> bool {
    let Ok(stream) = UnixStream::connect(socket).await else { return false };
    let Some(engine) = stream.peer_cred().ok().and_then(|peer| peer.pid()).filter(|pid| *pid > 0) else {
        return false;
    };
    let table = |pid: i32| read_to_string(format!("/proc/{pid}/mountinfo"));
    let (Ok(first), Ok(engine)) = (table(1), table(engine)) else { return false };
    is_same_namespace(&first, &engine)
        && !has_namespace(&engine, file)
        && exists(Path::new("/proc/1/root"), file)
}

/// Whether a file is there below another root. The engine mounts a namespace on an empty file, which stays where it
/// is when that is unmounted. Without this file, the socket belongs to a proxy, and the engine is elsewhere.
fn exists(root: &Path, file: &str) -> bool {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let Ok(root) = rustix::fs::open(root, flags, Mode::empty()) else { return false };
    rustix::fs::openat2(root, file, flags, Mode::empty(), ResolveFlags::IN_ROOT).is_ok()
}

/// Whether two mount tables (proc(5), mountinfo) are of one namespace: the numbers of mounts are the system's.
fn is_same_namespace(one: &str, other: &str) -> bool {
    let number = |table: &str| table.split(' ').next().map(str::to_owned);
    !one.is_empty() && number(one) == number(other)
}

/// Whether a file in a folder `netns`, such as `/var/run/docker/netns/1a2b3c`, is mounted. The table has it
/// without symbolic links.
fn has_namespace(table: &str, file: &str) -> bool {
    let Some((_, name)) = file.rsplit_once('/') else { return false };
    let end = format!("/netns/{name}");
    table.lines().any(|line| line.split(' ').nth(4).is_some_and(|point| point.ends_with(&end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
        22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
        31 22 0:21 / /run rw,nosuid shared:5 - tmpfs tmpfs rw\n\
        32 31 0:4 net:[4026532281] /run/docker/netns/1a2b3c rw shared:9 - nsfs nsfs rw\n";

    #[test]
    fn a_file_that_is_mounted_is_told_from_one_that_is_not() {
        assert!(has_namespace(TABLE, "/var/run/docker/netns/1a2b3c"));
        assert!(!has_namespace(TABLE, "/var/run/docker/netns/2b3c"));
        assert!(!has_namespace(TABLE, "/var/run/docker/netns/4d5e6f"));
    }

    #[test]
    fn a_file_below_another_root_is_found_through_links() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("run/docker/netns")).unwrap();
        std::fs::create_dir(root.path().join("var")).unwrap();
        std::os::unix::fs::symlink("/run", root.path().join("var/run")).unwrap();
        std::fs::write(root.path().join("run/docker/netns/1a2b3c"), "").unwrap();
        assert!(exists(root.path(), "/var/run/docker/netns/1a2b3c"));
        assert!(!exists(root.path(), "/var/run/docker/netns/4d5e6f"));
        assert!(!exists(&root.path().join("none"), "/var/run/docker/netns/1a2b3c"));
    }

    #[test]
    fn the_table_of_another_namespace_tells_nothing() {
        assert!(is_same_namespace(TABLE, TABLE));
        assert!(!is_same_namespace(TABLE, &TABLE.replace("22 1 ", "922 1 ")));
        assert!(!is_same_namespace("", ""));
    }
}
