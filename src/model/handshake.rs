//! The handshake: `nc` in the consumer talks to the provider, and what was read decides.
//!
//! Exit codes of `nc` prove little: against a silent server, a reset or a lost message most of its
//! flavours exit 0. What proves a path is a fresh token of each side, read by the other, or for a
//! connection to the provider's own listener the socket itself.

pub mod reading;
pub mod role;
pub mod script;
pub mod token;
pub mod tool;
pub mod transcript;

#[cfg(test)]
mod tests;

impl InconclusiveReason {
    /// Whether it lies in the way in which a handshake is made, so that another way may tell more. What is not
    /// here lies in the containers, the engine or the moment, and would be the same in every way.
    ///
    /// An exec that failed and an `nc` that ended oddly are here: both are somebody else's programs, which
    /// other ways do without.
    pub fn is_of_the_way(self) -> bool {
        match self {
            Self::NoNetcat
            | Self::NoShell
            | Self::Unsupported
            | Self::ExecFailed
            | Self::PermissionDenied
            | Self::NoRights
            | Self::Unexplained => true,
            Self::EngineUnavailable
            | Self::ContainerNotRunning
            | Self::ContainerPaused
            | Self::ListenerNotReady
            | Self::PortBusy
            | Self::ListenerTaken
            | Self::NotInTime
            | Self::ReplyTooLong
            | Self::SocketNoStream => false,
        }
    }
}

/// What one handshake told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The path works.
    Pass {
        /// Whether the provider's own program listens on the port; `None` where nobody asked.
        listening: Option<bool>,
        /// Whether the provider's name led over another network that both are on, and not over the link's.
        detour: bool,
    },
    /// The path does not work.
    Fail(FailReason),
    /// Nothing was learned of the path.
    Inconclusive(InconclusiveReason),
}

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident: $meaning:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The reason of this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
            }

            /// The reason as conditions and metrics name it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)*
                }
            }

            /// The reason as a person says it.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }
        }
    };
}

reasons! {
    /// Why a path does not work.
    FailReason {
        /// The consumer does not know the provider's name.
        NameNotResolved: "the name is not resolved",
        /// No way leads to the provider's address.
        NoRoute: "no route to the address",
        /// The provider's address refuses the port.
        Refused: "connection refused",
        /// Connecting had no answer.
        Timeout: "no answer in time",
        /// The connection was cut.
        Reset: "connection reset",
        /// The provider did not read the consumer's token.
        RequestLost: "what the consumer said did not arrive",
        /// The consumer did not read the provider's token.
        ReplyLost: "what the provider answered did not arrive",
        /// Somebody else answered: the name leads to another listener.
        TokenMismatch: "somebody else answered: the name leads to another listener",
        /// The provider's address works, and its name does not.
        ByAddressOnly: "works by address, not by name",
        /// The name leads to an address that is not the provider's.
        NameLeadsElsewhere: "the name leads to an address that is not the provider's",
        /// The provider's program did not answer what it was sent.
        NoReply: "connected, and no reply came",
        /// The provider's program answered something else.
        ReplyMismatch: "the reply is not the one that is expected",
        /// The two containers do not mount the same volume at the socket's path.
        MountMissing: "the two containers share no volume with the socket",
        /// The consumer has the socket at a path that is too long for the kernel.
        SocketPathTooLong: "the socket's path in the consumer is too long",
        /// The shared volume has no socket at that path.
        SocketMissing: "there is no socket at that path",
        /// The socket's file is there, and nobody listens.
        SocketStale: "the socket's file is there, and nobody listens on it",
        /// The consumer's user may not use the socket.
        SocketDenied: "the consumer's user may not use the socket",
    }
}

reasons! {
    /// Why nothing was learned of a path.
    InconclusiveReason {
        /// A container has no `nc` that we know.
        NoNetcat: "no nc that is known",
        /// A container has no `sh`.
        NoShell: "no sh",
        /// A container lacks something else that the scripts need.
        Unsupported: "the container lacks what a handshake needs",
        /// The engine refused to execute, or what it executed ended oddly.
        ExecFailed: "the exec failed",
        /// The engine did not answer.
        EngineUnavailable: "the engine did not answer",
        /// A container does not run, or is gone.
        ContainerNotRunning: "the container is not running",
        /// A container is paused.
        ContainerPaused: "the container is paused",
        /// The listener in the provider did not come up in time.
        ListenerNotReady: "the listener did not come up in time",
        /// Every port tried in the provider is somebody else's.
        PortBusy: "every port tried is taken",
        /// Somebody else connected to the listener meant for the consumer.
        ListenerTaken: "somebody else connected to the listener",
        /// The user of a container may not do what a handshake needs.
        PermissionDenied: "not permitted to the container's user",
        /// What speaks for the consumer did not get to connect in time.
        NotInTime: "it did not get as far as to connect in time",
        /// The reply was longer than what is read of it, and what was read did not match.
        ReplyTooLong: "the reply is longer than what is read of it",
        /// The socket is for datagrams or packets, as that of a syslog is.
        SocketNoStream: "the socket takes no streams, and a handshake is one",
        /// A way to prove paths that the controller was given no rights for.
        NoRights: "the controller has no right to do that",
        /// `nc` ended in a way that we do not know.
        Unexplained: "nc ended for a reason that is not known",
    }
}
