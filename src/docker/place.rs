//! Where the engine has put a container on its own host, for those who are there too.

use std::path::PathBuf;

use super::{Docker, Error};
use crate::model::container::ContainerId;

/// Where a running container is on the engine's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its first process, as the host counts.
    pub pid: i64,
    /// The engine's hold on its network namespace; empty where it has none of its own.
    pub sandbox: PathBuf,
    /// What it has at `/etc/hosts`.
    pub hosts: PathBuf,
    /// What it has at `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
}

impl Docker {
    /// Where a running container is.
    pub async fn place(&self, id: &ContainerId) -> Result<Place, Error> {
        let told = self.inspect(id).await?;
        let pid = told.state.and_then(|state| state.pid).filter(|pid| *pid > 0);
        let path = |path: Option<String>| PathBuf::from(path.unwrap_or_default());
        Ok(Place {
            pid: pid.ok_or_else(|| Error::NotFound(format!("container {id} has no process")))?,
            sandbox: path(told.network_settings.and_then(|settings| settings.sandbox_key)),
            hosts: path(told.hosts_path),
            resolv_conf: path(told.resolv_conf_path),
        })
    }
}
