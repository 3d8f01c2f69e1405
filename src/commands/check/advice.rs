//! What to do, in words that a person can act on.

use crate::model::container::{Container, RunState};
use crate::model::handshake::{FailReason, InconclusiveReason};
use crate::model::workload::Workload;
use crate::model::world::World;

/// About a container that does not run.
pub fn to_run(container: &Container) -> String {
    match container.state {
        RunState::Paused => format!("docker unpause {}", container.name),
        RunState::Removing | RunState::Dead => "make it anew".to_owned(),
        _ => format!("docker start {}, and look at docker logs {0} if it does not stay", container.name),
    }
}

/// About a container that is left alone.
pub fn not_ignored(world: &World) -> String {
    format!("take the label {}ignore away, or ask about another one", world.policy().label_prefix)
}

/// About a provider that does not let the consumer in.
pub fn to_accept(world: &World, consumer: &Workload) -> String {
    format!("name {consumer} in the provider's label {}accept", world.policy().label_prefix)
}

/// About two containers that nothing links.
pub fn to_label(consumer: &Workload, label: &str) -> String {
    format!("give {consumer} the label {label}, and run tieline")
}

/// About a link that is declared and not there yet.
pub fn to_wire(consumer: &Container, provider: &Container) -> String {
    format!(
        "tieline plan says what has to be done for {} and {}, tieline status why it was not: does a controller run?",
        consumer.name, provider.name
    )
}

/// About a path that does not work.
pub fn on_failure(reason: FailReason) -> &'static str {
    match reason {
        FailReason::NameNotResolved | FailReason::ByAddressOnly => {
            "look at /etc/resolv.conf in the consumer: the engine's resolver is 127.0.0.11; a restart of the consumer \
             writes it anew"
        }
        FailReason::NameLeadsElsewhere | FailReason::TokenMismatch => {
            "look at /etc/hosts in the consumer (extra_hosts, --add-host), and for a container of the same name or \
             alias on its other networks"
        }
        FailReason::NoRoute | FailReason::Timeout => {
            "something drops or rejects it: look at the firewall of the host (iptables -S FORWARD, DOCKER-USER) and at \
             that of the provider"
        }
        FailReason::Refused => {
            "nothing listens on that port there: start the program, or let it listen on 0.0.0.0 and not on 127.0.0.1"
        }
        FailReason::Reset => {
            "the provider's program, or something in between, cuts connections: look at its log"
        }
        FailReason::RequestLost | FailReason::ReplyLost => {
            "connections are made and bytes get lost on the way: look for a proxy or a firewall in between"
        }
        FailReason::NoReply => "the program takes connections and does not answer: look at its log",
        FailReason::ReplyMismatch => {
            "it is another program, or the link expects something else than it answers"
        }
        FailReason::SocketMissing => "start the program that makes the socket, or mend the path",
        FailReason::SocketStale => "the program that made the socket has ended: start it again",
        FailReason::SocketDenied => {
            "let the consumer's user read and write the socket, and pass the folders above it"
        }
        FailReason::MountMissing | FailReason::SocketPathTooLong => "mount the same volume in both",
    }
}

/// About a path of which nothing was learned.
pub fn on_doubt(reason: InconclusiveReason) -> &'static str {
    match reason {
        InconclusiveReason::NoNetcat | InconclusiveReason::NoShell | InconclusiveReason::Unsupported => {
            "let another prober do it (--prober namespace or helper), or put netcat-openbsd into the image"
        }
        InconclusiveReason::NoRights | InconclusiveReason::PermissionDenied => {
            "give it what is missing, or let another prober do it (--prober, --helper-image)"
        }
        InconclusiveReason::ReplyTooLong => "expect something nearer to the beginning of the reply",
        InconclusiveReason::SocketNoStream => {
            "link to a socket that takes streams, or let nobody prove this one: handshake none"
        }
        InconclusiveReason::ContainerNotRunning => "start it",
        InconclusiveReason::ContainerPaused => "unpause it",
        InconclusiveReason::EngineUnavailable | InconclusiveReason::ExecFailed => "look at the engine's log",
        InconclusiveReason::ListenerNotReady
        | InconclusiveReason::PortBusy
        | InconclusiveReason::ListenerTaken
        | InconclusiveReason::NotInTime
        | InconclusiveReason::Unexplained => "try again, with a longer --timeout where the host is busy",
    }
}
