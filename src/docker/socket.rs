//! The engine's unix socket as a file.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where Linux shows what is mounted where (proc(5)).
const MOUNTS: &str = "/proc/self/mountinfo";

/// Whether the file itself is a mount, and not a folder that it is in. An engine that restarts makes a
/// new file. Such a mount remains one of the old file until the container is started again.
pub(super) fn is_mount(path: &Path) -> bool {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let file: PathBuf = folder.into_iter().chain(path.file_name().map(PathBuf::from)).collect();
    is_mount_point(&file, &std::fs::read_to_string(MOUNTS).unwrap_or_default())
}

/// Whether the file has been removed, and is there only because it is a mount. An engine removes its socket
/// file when it ends and when it starts. Nothing can listen at a removed file again.
pub(super) fn is_removed(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.nlink() == 0)
}

/// Why we may not use the socket, and what helps.
pub(super) fn refusal(path: &Path) -> String {
    let Ok(file) = path.metadata() else {
        return "permission denied: this user may not even look into the socket's folder".to_owned();
    };
    let (group, mode) = (file.gid(), file.mode() & 0o777);
    format!(
        "permission denied: the socket is for user {} and group {group} (mode {mode:o}); run as a member of that \
         group (--group-add {group}, in Compose group_add, for a service SupplementaryGroups={group}) or as root",
        file.uid()
    )
}

/// What is there in the socket's place, if it is something else.
pub(super) fn impostor(path: &Path) -> Option<String> {
    let kind = path.metadata().ok()?.file_type();
    let what = match (kind.is_socket(), kind.is_dir()) {
        (true, _) => return None,
        // What the engine makes of a bind mount whose source is not there.
        (false, true) => "a directory, as a bind mount of a missing file makes one",
        (false, false) => "a file",
    };
    Some(format!("{} is {what}, and no socket", path.display()))
}

fn is_mount_point(path: &Path, mounts: &str) -> bool {
    let path = path.to_string_lossy().replace(' ', "\\040");
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
        22 1 254:0 / / rw,relatime - ext4 /dev/root rw\n\
        31 22 0:21 /docker.sock /run/docker.sock rw,nosuid - tmpfs tmpfs rw\n\
        32 22 0:21 / /host/run ro - tmpfs tmpfs rw\n\
        33 22 0:21 /docker.sock /an\\040engine/docker.sock rw - tmpfs tmpfs rw\n";

    #[test]
    fn a_mounted_file_is_told_from_one_in_a_mounted_folder() {
        let is = |path| is_mount_point(Path::new(path), TABLE);
        assert!(is("/run/docker.sock"));
        assert!(is("/an engine/docker.sock"));
        assert!(!is("/host/run/docker.sock"));
        assert!(!is("/docker.sock"));
    }

    #[test]
    fn what_is_no_socket_is_told() {
        let told = |path: &str| impostor(Path::new(path)).unwrap_or_default();
        assert!(told("/proc").contains("a directory"));
        assert!(told("/proc/self/status").contains("is a file, and no socket"));
        assert_eq!(told("/nonexistent"), "");
    }

    #[test]
    fn a_removed_file_is_told_from_one_that_has_a_name_and_from_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        assert!(!is_removed(&path));
        let file = std::fs::File::create(&path).unwrap();
        assert!(!is_removed(&path));
        std::fs::remove_file(&path).unwrap();
        // A path that still leads to the file, as a mount of it does.
        let mount = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        assert!(is_removed(Path::new(&mount)));
    }

    #[test]
    fn this_process_can_see_its_mounts() {
        assert!(is_mount(Path::new("/proc")));
        assert!(!is_mount(Path::new("/proc/self")));
    }
}
