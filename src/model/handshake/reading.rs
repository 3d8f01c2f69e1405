//! Verdicts from what was read.

use super::role::{Medium, Transport};
use super::tool::Flavour;
use super::transcript::{End, Socket, Transcript};
use super::{FailReason, InconclusiveReason, Verdict};

/// What a client told that knocked at the provider's own listener, over `medium`. `flavour` is that of its `nc`, where it is
/// one, and `exit` the exit code of the script itself, once it is known.
pub fn knock(medium: Medium, flavour: Option<Flavour>, client: &Transcript, exit: Option<i64>) -> Verdict {
    match connection(medium, flavour, client, exit) {
        // Who is cut off had been connected; the other flavours do not even tell.
        Connection::Made | Connection::Failed(FailReason::Reset) => {
            Verdict::Pass { listening: Some(true), detour: false }
        }
        Connection::Failed(reason) => Verdict::Fail(reason),
        Connection::Unknown(reason) => Verdict::Inconclusive(reason),
    }
}

/// What a client told that asked the provider's own program something and did not get the right answer.
pub fn asked(medium: Medium, flavour: Option<Flavour>, client: &Transcript, exit: Option<i64>) -> Verdict {
    if client.up() && !client.stdout().is_empty() {
        return Verdict::Fail(FailReason::ReplyMismatch);
    }
    match (connection(medium, flavour, client, exit), medium) {
        // Most flavours do not tell that the connection was reset, nor that a datagram was refused.
        (Connection::Made | Connection::Failed(FailReason::Reset), _)
        | (Connection::Failed(FailReason::Refused | FailReason::Timeout), Medium::Network(Transport::Udp)) => {
            Verdict::Fail(FailReason::NoReply)
        }
        (Connection::Failed(reason), _) => Verdict::Fail(reason),
        (Connection::Unknown(reason), _) => Verdict::Inconclusive(reason),
    }
}

/// Which tokens arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// The consumer's, in the provider.
    pub request: bool,
    /// The provider's, in the consumer.
    pub reply: bool,
}

impl Arrived {
    /// Whether nothing is missing.
    pub fn both(self) -> bool {
        self.request && self.reply
    }
}

/// What an exchange told.
pub fn exchange(
    arrived: Arrived,
    transport: Transport,
    flavour: Option<Flavour>,
    client: &Transcript,
    exit: Option<i64>,
    listener: &Transcript,
) -> Verdict {
    match arrived {
        Arrived { request: true, reply: true } => return Verdict::Pass { listening: None, detour: false },
        Arrived { request: true, reply: false } => return Verdict::Fail(FailReason::ReplyLost),
        Arrived { request: false, reply: true } => return Verdict::Fail(FailReason::RequestLost),
        Arrived { request: false, reply: false } => {}
    }
    if !listener.stdout().is_empty() {
        return Verdict::Inconclusive(InconclusiveReason::ListenerTaken);
    }
    let listener_ended = matches!(listener.end(), Some(End::Exit(_)));
    match connection(Medium::Network(transport), flavour, client, exit) {
        // A listener serves one connection and ends with it, whoever made it.
        Connection::Failed(FailReason::Refused) if listener_ended => {
            Verdict::Inconclusive(InconclusiveReason::ListenerTaken)
        }
        Connection::Failed(reason) => Verdict::Fail(reason),
        Connection::Unknown(reason) => Verdict::Inconclusive(reason),
        // A datagram that went nowhere and one that nobody answered look alike.
        Connection::Made if client.stdout().is_empty() && transport == Transport::Udp => {
            Verdict::Fail(FailReason::Timeout)
        }
        Connection::Made if client.stdout().is_empty() => Verdict::Fail(FailReason::RequestLost),
        Connection::Made => Verdict::Fail(FailReason::TokenMismatch),
    }
}

/// What the client's script told of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Made,
    Failed(FailReason),
    Unknown(InconclusiveReason),
}

fn connection(
    medium: Medium,
    flavour: Option<Flavour>,
    client: &Transcript,
    exit: Option<i64>,
) -> Connection {
    match client.end() {
        Some(End::Open | End::Exit(0) | End::Bound(Socket::Connected)) => Connection::Made,
        Some(End::Bound(Socket::Connecting)) => Connection::Failed(FailReason::Timeout),
        // Where the socket cannot be seen, or was closed just now, the word of a flavour that tells is good enough.
        Some(End::Bound(Socket::Missing)) => match complained(medium, None, &client.words()) {
            // It looks no name up: the container lets nobody see its socket.
            Connection::Unknown(_) if medium == Medium::Socket => {
                Connection::Unknown(InconclusiveReason::Unsupported)
            }
            Connection::Unknown(_) => Connection::Failed(FailReason::NameNotResolved),
            told => told,
        },
        Some(End::Exit(126 | 127)) => Connection::Unknown(InconclusiveReason::NoNetcat),
        Some(End::Exit(_)) => match complained(medium, flavour, &client.words()) {
            Connection::Unknown(InconclusiveReason::Unexplained) if client.connected() => Connection::Made,
            told => told,
        },
        Some(End::Lacks(_)) => Connection::Unknown(InconclusiveReason::Unsupported),
        Some(End::Failed(FailReason::Refused)) => refused(medium),
        Some(End::Failed(reason)) => Connection::Failed(reason),
        Some(End::Untold(reason)) => match Complaint::of(&client.words()) {
            Some(Complaint::Connected) => Connection::Made,
            _ => Connection::Unknown(reason),
        },
        // It was asked to end while it was connected.
        None if client.connected() && exit.is_none_or(|code| code == 0) => Connection::Made,
        Some(End::Busy) | None => Connection::Unknown(cut_off(client, exit)),
    }
}

/// Why the listener's script ended before it listened.
pub fn no_listener(listener: &Transcript, exit: Option<i64>) -> InconclusiveReason {
    match listener.end() {
        Some(End::Busy) => InconclusiveReason::PortBusy,
        Some(End::Exit(126 | 127)) => InconclusiveReason::NoNetcat,
        Some(End::Exit(_)) => match Complaint::of(&listener.words()) {
            Some(Complaint::PortBusy) => InconclusiveReason::PortBusy,
            Some(Complaint::Denied) => InconclusiveReason::PermissionDenied,
            Some(Complaint::NoTool) => InconclusiveReason::Unsupported,
            _ => InconclusiveReason::ListenerNotReady,
        },
        Some(End::Lacks(_)) => InconclusiveReason::Unsupported,
        Some(End::Untold(reason)) => reason,
        Some(End::Open | End::Bound(_) | End::Failed(_)) => InconclusiveReason::ListenerNotReady,
        None => cut_off(listener, exit),
    }
}

/// Why a client ended that was not told its port yet.
pub fn not_told(client: &Transcript, exit: Option<i64>) -> InconclusiveReason {
    match client.end() {
        Some(End::Lacks(_)) => InconclusiveReason::Unsupported,
        Some(End::Untold(reason)) => reason,
        Some(_) => InconclusiveReason::ListenerNotReady,
        None => cut_off(client, exit),
    }
}

/// Why a script ended without saying how.
pub fn cut_off(script: &Transcript, exit: Option<i64>) -> InconclusiveReason {
    // The engine reports a program that it cannot start on stdout.
    let said = format!("{}{}", String::from_utf8_lossy(script.stdout()), script.words());
    match exit {
        Some(126 | 127) if said.contains("ermission denied") => InconclusiveReason::PermissionDenied,
        // A container that ends just then cannot start anything either, and the engine says 126 too.
        Some(126 | 127) if said.contains("executable file") => InconclusiveReason::NoShell,
        // Killed: that happens to an exec when its container ends.
        Some(137) => InconclusiveReason::ContainerNotRunning,
        _ => InconclusiveReason::ExecFailed,
    }
}

/// Who is refused at a socket found its file.
fn refused(medium: Medium) -> Connection {
    Connection::Failed(match medium {
        Medium::Network(_) => FailReason::Refused,
        Medium::Socket => FailReason::SocketStale,
    })
}

fn complained(medium: Medium, flavour: Option<Flavour>, text: &str) -> Connection {
    // The text before is about addresses that did not accept the connection.
    let text = text.rfind(CONNECTED).map_or(text, |at| &text[at..]);
    match Complaint::of(text) {
        Some(Complaint::NoFile) if medium == Medium::Socket => Connection::Failed(FailReason::SocketMissing),
        Some(Complaint::NoStream) if medium == Medium::Socket => {
            Connection::Unknown(InconclusiveReason::SocketNoStream)
        }
        Some(Complaint::Denied) if medium == Medium::Socket => Connection::Failed(FailReason::SocketDenied),
        Some(Complaint::Name) => Connection::Failed(FailReason::NameNotResolved),
        Some(Complaint::Denied) => Connection::Unknown(InconclusiveReason::PermissionDenied),
        Some(Complaint::Refused) => refused(medium),
        Some(Complaint::Reset) => Connection::Failed(FailReason::Reset),
        Some(Complaint::Connected) => Connection::Made,
        Some(Complaint::Timeout) => Connection::Failed(FailReason::Timeout),
        Some(Complaint::Unreachable) => Connection::Failed(FailReason::NoRoute),
        Some(Complaint::NoTool | Complaint::PortBusy) => Connection::Unknown(InconclusiveReason::Unsupported),
        // The one flavour that does not say so.
        None if flavour == Some(Flavour::BusyboxFull) && text.is_empty() => {
            Connection::Failed(FailReason::Refused)
        }
        Some(Complaint::NoFile | Complaint::NoStream) | None => {
            Connection::Unknown(InconclusiveReason::Unexplained)
        }
    }
}

/// The text by which OpenBSD's nc reports an accepted connection.
const CONNECTED: &str = "succeeded!";

/// What `nc` complains of, whatever its flavour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Complaint {
    Name,
    Denied,
    Refused,
    Reset,
    Timeout,
    Unreachable,
    PortBusy,
    NoTool,
    Connected,
    NoFile,
    NoStream,
}

impl Complaint {
    /// The texts of all flavours in the C locale; the first that matches wins.
    const TEXTS: [(&str, Self); 28] = [
        ("bad address", Self::Name),
        ("getaddrinfo for host", Self::Name),
        ("forward host lookup failed", Self::Name),
        ("Could not resolve hostname", Self::Name),
        ("Name or service not known", Self::Name),
        ("Temporary failure in name resolution", Self::Name),
        ("Permission denied", Self::Denied),
        ("Connection refused", Self::Refused),
        ("onnection reset by peer", Self::Reset),
        ("Broken pipe", Self::Reset),
        ("timed out", Self::Timeout),
        ("TIMEOUT", Self::Timeout),
        ("nc: Timeout", Self::Timeout),
        ("nc: timeout", Self::Timeout),
        ("No route to host", Self::Unreachable),
        ("Network is unreachable", Self::Unreachable),
        // An IPv6 address, where the container has none itself.
        ("annot assign requested address", Self::Unreachable),
        ("Address already in use", Self::PortBusy),
        ("Can't grab", Self::PortBusy),
        ("not found", Self::NoTool),
        ("nvalid option", Self::NoTool),
        ("nknown option", Self::NoTool),
        ("(see \"nc --help\")", Self::NoTool),
        (CONNECTED, Self::Connected),
        (") open", Self::Connected),
        ("No such file or directory", Self::NoFile),
        ("Not a directory", Self::NoFile),
        ("wrong type for socket", Self::NoStream),
    ];

    fn of(text: &str) -> Option<Self> {
        Self::TEXTS.into_iter().find(|(part, _)| text.contains(part)).map(|(_, complaint)| complaint)
    }
}

#[cfg(test)]
mod tests;
