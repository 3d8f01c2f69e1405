//! The engine's errors, told apart in one place: status codes alone do not, since the engine uses
//! the same ones with different meanings.

use std::time::Duration;

use bollard::errors::Error as Bollard;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such container, network or exec.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done in the present state.
    #[error("{message}")]
    Conflict {
        /// What is in the way.
        what: Conflict,
        /// The engine's words.
        message: String,
    },
    /// The engine did not answer.
    #[error("{0}")]
    Unavailable(String),
    /// The engine answered that it is in trouble: with this call, or altogether.
    #[error("{0}")]
    Failed(String),
    /// The engine understood and said no.
    #[error("{0}")]
    Rejected(String),
    /// Whoever stands between us and the engine does not let the call through, or the engine does not let
    /// us make it.
    #[error("{0}")]
    Forbidden(String),
}

/// What is in the way of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The container is on that network already.
    AlreadyConnected,
    /// The container is not on that network.
    NotConnected,
    /// The subnet overlaps another network's.
    SubnetTaken,
    /// The network has no address left.
    SubnetFull,
    /// Another network has that name.
    NameTaken,
    /// Containers are still on the network.
    InUse,
    /// The engine has lost the container's network namespace.
    NamespaceLost,
    /// The container does not run.
    NotRunning,
    /// The container is paused.
    Paused,
    /// The engine does not have the image.
    NoImage,
    /// Something that is under way, such as its removal.
    Busy,
}

impl Error {
    pub(super) fn unanswered(after: Duration) -> Self {
        Self::Unavailable(format!("the engine did not answer within {} s", after.as_secs()))
    }

    /// What is in the way, if that is why the call failed.
    pub fn conflict(&self) -> Option<Conflict> {
        match self {
            Self::Conflict { what, .. } => Some(*what),
            _ => None,
        }
    }
}

/// The texts by which the engine (Docker 20.10 and later, Podman 4.3) tells what is in the way.
const CONFLICTS: [(&str, Conflict); 18] = [
    ("is not connected to", Conflict::NotConnected),
    ("already exists in network", Conflict::AlreadyConnected),
    ("is already attached to network", Conflict::AlreadyConnected),
    ("is already connected to network", Conflict::AlreadyConnected),
    ("Pool overlaps with other one", Conflict::SubnetTaken),
    ("networks have overlapping IPv4", Conflict::SubnetTaken),
    ("is already used on the host or by another config", Conflict::SubnetTaken),
    ("no available IPv4 addresses", Conflict::SubnetFull),
    ("has active endpoints", Conflict::InUse),
    ("has associated containers with it", Conflict::InUse),
    ("failed to set namespace on link", Conflict::NamespaceLost),
    ("is paused", Conflict::Paused),
    ("is not running", Conflict::NotRunning),
    ("of a non running container", Conflict::NotRunning),
    ("only create exec sessions on running containers", Conflict::NotRunning),
    ("already used", Conflict::NameTaken),
    ("already exists", Conflict::NameTaken),
    ("No such image", Conflict::NoImage),
];

/// What Podman 4.3 says when it means no, though with status 500.
const REFUSALS: [&str; 2] = ["invalid network mode", "invalid argument"];

pub(super) fn classify(error: Bollard, timeout: Duration) -> Error {
    match error {
        Bollard::DockerResponseServerError { status_code, message } => answer(status_code, message),
        Bollard::RequestTimeoutError => Error::unanswered(timeout),
        Bollard::SocketNotFoundError(path) => Error::Unavailable(format!("there is no socket at {path}")),
        Bollard::UnsupportedURISchemeError { uri } => {
            Error::Rejected(format!("{uri}: not a unix://, tcp:// or http:// address"))
        }
        other => Error::Unavailable(root_cause(&other)),
    }
}

/// Whether the system, not the engine, refused us the engine's address.
pub(super) fn is_permission_denied(error: &Bollard) -> bool {
    let mut cause = Some(error as &dyn std::error::Error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn answer(status: u16, message: String) -> Error {
    let known = CONFLICTS.iter().find(|(text, _)| message.contains(text)).map(|(_, what)| *what);
    // Who is on its way out is as good as gone; the engine says so with status 500.
    let gone = status == 404 && known != Some(Conflict::NoImage);
    if gone || message.contains("is marked for removal") {
        return Error::NotFound(message);
    }
    if let Some(what) = known {
        return Error::Conflict { what, message };
    }
    match status {
        401 | 403 | 405 => Error::Forbidden(message),
        409 => Error::Conflict { what: Conflict::Busy, message },
        500.. if REFUSALS.iter().any(|text| message.contains(text)) => Error::Rejected(message),
        // What stands between us and the engine answers these for an engine that does not.
        502..=504 => Error::Unavailable(message),
        500.. => Error::Failed(message),
        _ => Error::Rejected(message),
    }
}

/// hyper says "client error (Connect)"; what is the matter, its innermost source says.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_status_codes_are_told_apart_by_their_texts() {
        let conflict = |status, text: &str| answer(status, text.to_owned()).conflict();
        assert_eq!(
            conflict(403, "endpoint with name app1 already exists in network x"),
            Some(Conflict::AlreadyConnected)
        );
        assert_eq!(
            conflict(403, "Pool overlaps with other one on this address space"),
            Some(Conflict::SubnetTaken)
        );
        assert_eq!(
            conflict(
                403,
                "cannot create network 1 (br-1): conflicts with network 2 (br-2): networks have overlapping IPv4"
            ),
            Some(Conflict::SubnetTaken)
        );
        assert_eq!(
            conflict(403, "error while removing network: network x id y has active endpoints"),
            Some(Conflict::InUse)
        );
        assert_eq!(
            conflict(500, "container a is not connected to the network b"),
            Some(Conflict::NotConnected)
        );
        assert_eq!(
            conflict(409, "Container a is paused, unpause the container before exec"),
            Some(Conflict::Paused)
        );
        assert_eq!(conflict(409, "network with name x already exists"), Some(Conflict::NameTaken));
        let leaving =
            "Container 1 is marked for removal and cannot be connected or disconnected to the network";
        assert!(matches!(answer(500, leaving.to_owned()), Error::NotFound(_)));
        let full = "no available IPv4 addresses on this network's address pools: x (id)";
        assert_eq!(conflict(500, full), Some(Conflict::SubnetFull));
        let lost = "failed to add interface veth1 to sandbox: failed to set namespace on link \"veth1\": invalid argument";
        assert_eq!(conflict(500, lost), Some(Conflict::NamespaceLost));
        let alone = "cannot join network of a non running container: 1";
        assert_eq!(conflict(409, alone), Some(Conflict::NotRunning));
        assert_eq!(conflict(404, "No such image: tieline:latest"), Some(Conflict::NoImage));
    }

    #[test]
    fn podman_s_words_mean_the_same() {
        let conflict = |status, text: &str| answer(status, text.to_owned()).conflict();
        for (status, text, what) in [
            (
                500,
                "container 1 is already connected to network \"x\": network is already connected",
                Conflict::AlreadyConnected,
            ),
            (500, "container web is not connected to network x", Conflict::NotConnected),
            (
                500,
                "subnet 10.0.0.0/28 is already used on the host or by another config",
                Conflict::SubnetTaken,
            ),
            (500, "network name x already used: network already exists", Conflict::NameTaken),
            (
                500,
                "\"x\" has associated containers with it. Use -f to forcibly delete containers and pods: network is being used",
                Conflict::InUse,
            ),
            (
                500,
                "can only create exec sessions on running containers: container state improper",
                Conflict::NotRunning,
            ),
            (409, "cannot create exec session as container 1 is paused", Conflict::Paused),
        ] {
            assert_eq!(conflict(status, text), Some(what), "{text}");
        }
        let refused = answer(500, "\"\" is not supported: invalid network mode".to_owned());
        assert!(matches!(refused, Error::Rejected(_)), "trying again at once would not help");
    }

    #[test]
    fn the_rest_goes_by_status() {
        assert!(matches!(answer(404, "No such container: x".into()), Error::NotFound(_)));
        for status in [401, 403, 405] {
            assert!(matches!(answer(status, "Forbidden".into()), Error::Forbidden(_)), "{status}");
        }
        assert!(matches!(answer(500, "boom".into()), Error::Failed(_)));
        assert!(matches!(answer(503, "no upstream".into()), Error::Unavailable(_)));
        assert!(matches!(answer(400, "bad".into()), Error::Rejected(_)));
        assert_eq!(answer(409, "x is being changed".into()).conflict(), Some(Conflict::Busy));
    }
}
