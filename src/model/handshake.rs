//! The handshake: `nc` in the consumer talks to the provider, and what was read decides.
//!
//! Exit codes of `nc` prove little: against a silent server, a reset or a lost message most of its
//! flavours exit 0. What proves a path is a fresh token of each side, read by the other, or for a
//! connection to the provider's own listener the socket itself.

pub mod reading;
pub mod script;
pub mod token;
pub mod tool;
pub mod transcript;

#[cfg(test)]
mod tests;

/// What one handshake told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The path works.
    Pass {
        /// Whether the provider's own program listens on the port; `None` where nobody asked.
        listening: Option<bool>,
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
        /// `nc` ended in a way that we do not know.
        Unexplained: "nc ended for a reason that is not known",
    }
}
