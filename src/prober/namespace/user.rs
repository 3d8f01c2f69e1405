//! The user of a container's program: what it may do with a socket's file, and no more.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{Gid, Uid, getgid, getuid};
use rustix::thread::{
    CapabilitySet, capabilities, set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::super::Side;
use super::super::handshake::Trouble;
use super::entry::{belongs_to, lacks_rights};
use crate::docker::place::Place;
use crate::model::container::ContainerId;

/// Makes the calling thread the user of a container's program, for good, and hands out where the container's
/// paths begin.
pub fn stand_in_for(place: &Place, side: &Side) -> Result<OwnedFd, Trouble> {
    let path = format!("/proc/{}/root", place.pid);
    let stand_in = || {
        let root = openat(CWD, &path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        User::of(place.pid, &side.id)?.become_it()?;
        io::Result::Ok(root)
    };
    stand_in().map_err(|error| lacks_rights(side, "its files as its user", &format!("{path}: {error}")))
}

/// Whom a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    effective: u64,
}

impl User {
    /// The user of a container's first process. A process's number is the engine's: its control group tells
    /// whether it is the container's here as well.
    pub fn of(pid: i64, container: &ContainerId) -> io::Result<Self> {
        belongs_to(pid, container)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Self::read(&status).ok_or_else(|| io::Error::other("its status cannot be read"))
    }

    /// What a process's status says of it: of each kind of id, the second is the one that counts.
    fn read(status: &str) -> Option<Self> {
        let cells = |name: &str| {
            let row = status.lines().find_map(|row| row.strip_prefix(name)?.strip_prefix(':'))?;
            Some(row.split_ascii_whitespace())
        };
        let id = |name| cells(name)?.nth(1)?.parse().ok();
        Some(Self {
            uid: id("Uid")?,
            gid: id("Gid")?,
            groups: cells("Groups")?.map(|group| group.parse().ok()).collect::<Option<_>>()?,
            effective: u64::from_str_radix(cells("CapEff")?.next()?, 16).ok()?,
        })
    }

    /// Gives the calling thread, and no other, this user's rights for good. The kernel then lets nobody but root look
    /// into this whole process, which is root's in any case.
    ///
    /// Only the effective ids are changed: files and the server of a socket (`SO_PEERCRED`) go by these. Signals and
    /// ptrace go by the real and the saved ones, which stay root's: a user of the host with this uid can do nothing to
    /// the thread, and with it to this process.
    pub fn become_it(&self) -> io::Result<()> {
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        set_thread_groups(&groups)?;
        set_thread_res_gid(getgid(), gid, getgid())?;
        set_thread_res_uid(getuid(), uid, getuid())?;
        // A container's root may be less than ours. Of anybody else the kernel has taken away all that is effective.
        let mut sets = capabilities(None)?;
        let theirs = CapabilitySet::from_bits_retain(self.effective);
        // Or more: what is denied to us would then not be denied to it.
        let passes = theirs & (CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
        if !sets.permitted.contains(passes) {
            return Err(io::Error::other("its user passes by permissions, and the controller may not"));
        }
        sets.effective = sets.permitted & theirs;
        Ok(set_capabilities(None, sets)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    #[test]
    fn a_status_is_read_by_the_ids_that_count() {
        let status = "Name:\tredis\nUid:\t0\t999\t999\t999\nGid:\t0\t1000\t1000\t1000\nGroups:\t5 1000 \n\
            CapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425f0\n";
        let user = User { uid: 999, gid: 1000, groups: vec![5, 1000], effective: 0xa804_25f0 };
        assert_eq!(User::read(status), Some(user));
        assert_eq!(User::read("Name:\tredis\n"), None);
        let alone = status.replace("5 1000 ", "");
        assert_eq!(User::read(&alone).unwrap().groups, [] as [u32; 0]);
    }

    #[test]
    fn whoever_has_the_user_s_number_on_the_host_cannot_signal_the_thread() {
        // Only root can take another user's ids.
        if !getuid().is_root() {
            return;
        }
        let (tell, told) = std::sync::mpsc::channel();
        let (end, until) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let user = User { uid: 4711, gid: 4712, groups: vec![4713], effective: 0 };
            user.become_it().unwrap();
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            tell.send((status, capabilities(None).unwrap(), rustix::thread::gettid())).unwrap();
            let _ = until.recv();
        });
        let (status, sets, number) = told.recv().unwrap();
        let kill = format!("kill -0 {}", number.as_raw_nonzero());
        let signalled = std::process::Command::new("sh").args(["-c", &kill]).uid(4711).output().unwrap();
        drop(end);
        thread.join().unwrap();
        for row in ["Uid:\t0\t4711\t0\t4711\n", "Gid:\t0\t4712\t0\t4712\n", "Groups:\t4713 \n"] {
            assert!(status.contains(row), "{status}");
        }
        assert_eq!(sets.effective, CapabilitySet::empty());
        assert!(!signalled.status.success(), "{signalled:?}");
        assert!(String::from_utf8_lossy(&signalled.stderr).contains("not permitted"), "{signalled:?}");
    }

    #[test]
    fn a_process_of_another_control_group_is_somebody_else_s() {
        let pid = std::process::id().into();
        let error = User::of(pid, &ContainerId("0".repeat(64))).unwrap_err();
        assert!(error.to_string().contains("somebody else's"), "{error}");
    }
}
