//! The releases of Podman that scenarios run on, and what differs between them.

use std::process::Command;

use crate::engine::stage::ok;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The one that is installed, 4.3 on Debian 12.
    Installed,
    /// The one of Debian 13, 5.4, in a root file system of its own.
    Debian13,
}

impl Release {
    /// Its root file system. Empty: this machine's.
    pub fn root(self) -> String {
        let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/packages");
        match self {
            Self::Installed => String::new(),
            Self::Debian13 => ok(Command::new(packages).arg("podman")).trim().to_owned(),
        }
    }

    /// Whether the names of containers that start again, or join a network again, must resolve. Aardvark-dns 1.14
    /// of Debian 13 keeps them. 1.4 of Debian 12 loses them, with tieline and without.
    pub fn keeps_names(self) -> bool {
        self == Self::Debian13
    }

    /// Whether events tell of networks that somebody makes or removes. Those of 5.4 do, those of 4.3 do not.
    pub fn tells_of_networks(self) -> bool {
        self == Self::Debian13
    }
}
