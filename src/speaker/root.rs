//! Where the path of a unix socket begins that is not a path of this process: the root of a container, or one mount of
//! it.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};
use rustix::io::Errno;

/// The error of a path whose symbolic links lead to where the container may have something, and this process has not.
pub const LEADS_OUT: Errno = Errno::XDEV;

/// How many symbolic links a path may have, as in the kernel (path_resolution(7)).
const LINKS: usize = 40;

/// Where paths and the symbolic links on their way begin.
#[derive(Debug)]
pub struct Root {
    folder: OwnedFd,
    only: Option<Only>,
}

/// The files of a container that this process has.
#[derive(Debug)]
struct Only {
    /// Those at and below this path,
    mount: PathBuf,
    /// except at and below these, where the container has other things mounted.
    others: Vec<PathBuf>,
}

impl Only {
    fn has(&self, path: &Path) -> bool {
        path.starts_with(&self.mount) && !self.others.iter().any(|other| path.starts_with(other))
    }
}

impl Root {
    /// The root of a whole container.
    pub fn whole(folder: OwnedFd) -> Self {
        Self { folder, only: None }
    }

    /// A folder that has, of a container's files, those at and below the path `mount`, except at and below `others`,
    /// where the container has other things mounted.
    pub fn with_only(folder: OwnedFd, mount: PathBuf, others: Vec<PathBuf>) -> Self {
        Self { folder, only: Some(Only { mount, others }) }
    }

    /// Takes hold of the file at `path`. Symbolic links lead where they lead in the container.
    ///
    /// # Errors
    /// If there is none, or as [`LEADS_OUT`] says.
    pub fn hold(&self, path: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let open = |path: &Path| openat2(&self.folder, path, flags, Mode::empty(), resolve);
        let Some(only) = &self.only else { return Ok(open(Path::new(path))?) };
        let resolved = self.resolve(Path::new(path))?;
        if !only.has(&Path::new("/").join(&resolved)) {
            return Err(LEADS_OUT.into());
        }
        match open(&resolved) {
            // Linux before 5.6, or a filter of system calls that is older. In a helper there is nothing outside to
            // which a link could lead that was swapped in meanwhile.
            Err(Errno::NOSYS | Errno::PERM) => {
                Ok(openat(&self.folder, &resolved, flags | OFlags::NOFOLLOW, Mode::empty())?)
            }
            held => Ok(held?),
        }
    }

    /// The path without symbolic links, relative to the root. What is not there is no link.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let (mut done, mut links) = (PathBuf::new(), 0);
        let mut todo = parts(path);
        while let Some(part) = todo.pop() {
            match Path::new(&part).components().next() {
                Some(Component::Normal(name)) => done.push(name),
                Some(Component::RootDir) => done.clear(),
                Some(Component::ParentDir) => drop(done.pop()),
                _ => continue,
            }
            if done.as_os_str().is_empty() {
                continue;
            }
            if let Ok(target) = readlinkat(&self.folder, &done, Vec::new()) {
                links += 1;
                if links > LINKS {
                    return Err(Errno::LOOP.into());
                }
                done.pop();
                todo.extend(parts(Path::new(std::ffi::OsStr::from_bytes(target.as_bytes()))));
            }
        }
        Ok(done)
    }
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_out_of_the_only_mount_is_told_from_a_file_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("run/db/sub")).unwrap();
        fs::create_dir_all(at("run/db/other")).unwrap();
        fs::write(at("run/db/s"), "").unwrap();
        fs::write(at("elsewhere"), "").unwrap();
        for (target, link) in [
            ("/run/db/s", "run/db/absolute"),
            ("s", "run/db/relative"),
            ("../s", "run/db/sub/up"),
            ("/run/db/sub", "run/db/folder"),
            ("/run/db/gone", "run/db/dangling"),
            ("/run/db/other/s", "run/db/nested"),
            ("/elsewhere", "run/db/out"),
            ("../../elsewhere", "run/db/up-and-out"),
            ("/run", "run/db/above"),
            ("loop", "run/db/loop"),
            ("/proc/self/exe", "run/db/magic"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        let others = vec!["/run/db/other".into()];
        let root = Root::with_only(File::open(folder.path()).unwrap().into(), "/run/db".into(), others);
        let held =
            |path: &str| root.hold(path).map(drop).map_err(|error| Errno::from_io_error(&error).unwrap());
        for path in ["s", "absolute", "relative", "sub/up", "folder/up", "above/db/s", "../db/s"] {
            assert_eq!(held(&format!("/run/db/{path}")), Ok(()), "{path}");
        }
        for (path, error) in [
            ("gone", Errno::NOENT),
            ("dangling", Errno::NOENT),
            ("s/below", Errno::NOTDIR),
            ("nested", LEADS_OUT),
            ("out", LEADS_OUT),
            ("up-and-out", LEADS_OUT),
            ("above/other", LEADS_OUT),
            ("../../../elsewhere", LEADS_OUT),
            ("loop", Errno::LOOP),
            ("magic", LEADS_OUT),
        ] {
            assert_eq!(held(&format!("/run/db/{path}")), Err(error), "{path}");
        }
    }

    #[test]
    fn a_mount_may_be_the_file_itself() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("only.sock"), "").unwrap();
        let root = Root::with_only(File::open(folder.path()).unwrap().into(), "/only.sock".into(), vec![]);
        assert!(root.hold("/only.sock").is_ok());
    }
}
