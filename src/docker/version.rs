//! Which engine it is, and what it cannot do.

use super::{Docker, Error, Operation};

/// Limits of every Podman (4.3 and 5.4 were measured). The README has them at length.
const ANY_PODMAN: &str = "names resolve only with netavark and aardvark-dns; containers of a pod cannot be linked; \
    each exec of a handshake leaves a conmon process on the host for five minutes; beside a Docker Engine on the \
    same host, that one's firewall drops what goes through Podman's internal networks";

/// Further limits of Podman before 5 (4.3 was measured).
const OLD_PODMAN: &str = "names of containers that start again may get lost; networks that somebody makes or removes \
    are noticed at the next --resync";

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
    pub fn warning(&self) -> Option<String> {
        let major: Option<u32> = self.version.split('.').next().and_then(|major| major.parse().ok());
        let old = if major.is_some_and(|major| major >= 5) { None } else { Some(OLD_PODMAN) };
        let parts: Vec<&str> = old.into_iter().chain([ANY_PODMAN]).collect();
        self.is_podman().then(|| format!("this is Podman {}: {}", self.version, parts.join("; ")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_holds_what_does_not_work_on_this_version() {
        let warning = |product, version: &str| {
            let (version, api) = (version.to_owned(), "1.41".to_owned());
            Version { product, version, api }.warning()
        };
        assert_eq!(warning("Docker", "20.10.24"), None);
        for (version, old) in [("4.3.1", true), ("5.4.2", false), ("10.0.0", false), ("", true)] {
            let text = warning("Podman", version).unwrap();
            assert_eq!(text.contains("--resync"), old, "{text}");
            assert!(text.contains("conmon"), "{text}");
        }
    }
}
