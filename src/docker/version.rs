//! Which engine it is, and what it cannot do.

use super::{Docker, Error, Operation};

/// What does not work on Podman 4.3 (measured), for the log. The README has it at length.
const PODMAN: &str = "this is Podman: names resolve only with netavark and aardvark-dns, which may lose those of \
    containers that start again; networks that somebody makes or removes are noticed at the next --resync; \
    containers of a pod cannot be linked; each exec of a handshake leaves a conmon process on the host for \
    five minutes; and beside a Docker Engine on the same host, that one's firewall drops what goes through \
    Podman's internal networks";

/// An engine's account of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// `Docker` or `Podman`.
    pub product: &'static str,
    /// Its own version.
    pub version: String,
    /// The newest version of the Engine API that it speaks.
    pub api: String,
}

impl Version {
    /// Whether it is Podman.
    pub fn is_podman(&self) -> bool {
        self.product == "Podman"
    }

    /// What a person should know of such an engine before relying on it.
    pub fn warning(&self) -> Option<&'static str> {
        self.is_podman().then_some(PODMAN)
    }
}

impl Docker {
    /// Asks the engine which one it is.
    pub async fn version(&self) -> Result<Version, Error> {
        let told = self.call(Operation::Version, async |client| client.version().await).await?;
        let podman = told.components.unwrap_or_default().iter().any(|part| part.name.contains("Podman"));
        Ok(Version {
            product: if podman { "Podman" } else { "Docker" },
            version: told.version.unwrap_or_default(),
            api: told.api_version.unwrap_or_default(),
        })
    }
}
