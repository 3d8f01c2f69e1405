//! Verdicts from what was read.

use super::tool::Flavour;
use super::transcript::{End, Socket, Transcript};
use super::{FailReason, InconclusiveReason, Verdict};

/// What a client told that knocked at the provider's own listener. `exit` is the exit code of the
/// script itself, once it is known.
pub fn knock(flavour: Flavour, client: &Transcript, exit: Option<i64>) -> Verdict {
    match connection(flavour, client, exit) {
        // Who is cut off had been connected; the other flavours do not even tell.
        Connection::Made | Connection::Failed(FailReason::Reset) => Verdict::Pass { listening: Some(true) },
        Connection::Failed(reason) => Verdict::Fail(reason),
        Connection::Unknown(reason) => Verdict::Inconclusive(reason),
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
    flavour: Flavour,
    client: &Transcript,
    exit: Option<i64>,
    listener: &Transcript,
) -> Verdict {
    match arrived {
        Arrived { request: true, reply: true } => return Verdict::Pass { listening: None },
        Arrived { request: true, reply: false } => return Verdict::Fail(FailReason::ReplyLost),
        Arrived { request: false, reply: true } => return Verdict::Fail(FailReason::RequestLost),
        Arrived { request: false, reply: false } => {}
    }
    if !listener.stdout().is_empty() {
        return Verdict::Inconclusive(InconclusiveReason::ListenerTaken);
    }
    let listener_ended = matches!(listener.end(), Some(End::Exit(_)));
    match connection(flavour, client, exit) {
        // A listener serves one connection and ends with it, whoever made it.
        Connection::Failed(FailReason::Refused) if listener_ended => {
            Verdict::Inconclusive(InconclusiveReason::ListenerTaken)
        }
        Connection::Failed(reason) => Verdict::Fail(reason),
        Connection::Unknown(reason) => Verdict::Inconclusive(reason),
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

fn connection(flavour: Flavour, client: &Transcript, exit: Option<i64>) -> Connection {
    match client.end() {
        Some(End::Open | End::Exit(0) | End::Bound(Socket::Connected)) => Connection::Made,
        Some(End::Bound(Socket::Connecting)) => Connection::Failed(FailReason::Timeout),
        // Where the socket cannot be seen, the word of a flavour that tells is good enough.
        Some(End::Bound(Socket::Missing)) => match Complaint::of(&client.complaint()) {
            Some(Complaint::Connected) => Connection::Made,
            _ => Connection::Failed(FailReason::NameNotResolved),
        },
        Some(End::Exit(126 | 127)) => Connection::Unknown(InconclusiveReason::NoNetcat),
        Some(End::Exit(_)) => complained(flavour, &client.complaint()),
        Some(End::Lacks(_)) => Connection::Unknown(InconclusiveReason::Unsupported),
        Some(End::Busy) | None => Connection::Unknown(cut_off(client, exit)),
    }
}

/// Why the listener's script ended before it listened.
pub fn no_listener(listener: &Transcript, exit: Option<i64>) -> InconclusiveReason {
    match listener.end() {
        Some(End::Busy) => InconclusiveReason::PortBusy,
        Some(End::Exit(126 | 127)) => InconclusiveReason::NoNetcat,
        Some(End::Exit(_)) => match Complaint::of(&listener.complaint()) {
            Some(Complaint::PortBusy) => InconclusiveReason::PortBusy,
            Some(Complaint::Denied) => InconclusiveReason::PermissionDenied,
            Some(Complaint::NoTool) => InconclusiveReason::Unsupported,
            _ => InconclusiveReason::ListenerNotReady,
        },
        Some(End::Lacks(_)) => InconclusiveReason::Unsupported,
        Some(End::Open | End::Bound(_)) => InconclusiveReason::ListenerNotReady,
        None => cut_off(listener, exit),
    }
}

/// Why a client ended that was not told its port yet.
pub fn not_told(client: &Transcript, exit: Option<i64>) -> InconclusiveReason {
    match client.end() {
        Some(End::Lacks(_)) => InconclusiveReason::Unsupported,
        Some(_) => InconclusiveReason::ListenerNotReady,
        None => cut_off(client, exit),
    }
}

/// Why a script ended without saying how.
pub fn cut_off(script: &Transcript, exit: Option<i64>) -> InconclusiveReason {
    // The engine reports a program that it cannot start on stdout.
    let said = format!("{}{}", String::from_utf8_lossy(script.stdout()), script.complaint());
    match exit {
        Some(126 | 127) if said.contains("ermission denied") => InconclusiveReason::PermissionDenied,
        // A container that ends just then cannot start anything either, and the engine says 126 too.
        Some(126 | 127) if said.contains("executable file") => InconclusiveReason::NoShell,
        // Killed: that happens to an exec when its container ends.
        Some(137) => InconclusiveReason::ContainerNotRunning,
        _ => InconclusiveReason::ExecFailed,
    }
}

fn complained(flavour: Flavour, text: &str) -> Connection {
    match Complaint::of(text) {
        Some(Complaint::Name) => Connection::Failed(FailReason::NameNotResolved),
        Some(Complaint::Denied) => Connection::Unknown(InconclusiveReason::PermissionDenied),
        Some(Complaint::Refused) => Connection::Failed(FailReason::Refused),
        Some(Complaint::Reset) => Connection::Failed(FailReason::Reset),
        Some(Complaint::Connected) => Connection::Made,
        Some(Complaint::Timeout) => Connection::Failed(FailReason::Timeout),
        Some(Complaint::Unreachable) => Connection::Failed(FailReason::NoRoute),
        Some(Complaint::NoTool | Complaint::PortBusy) => Connection::Unknown(InconclusiveReason::Unsupported),
        // The one flavour that does not say so.
        None if flavour == Flavour::BusyboxFull && text.is_empty() => Connection::Failed(FailReason::Refused),
        None => Connection::Unknown(InconclusiveReason::Unexplained),
    }
}

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
}

impl Complaint {
    /// The texts of all flavours in the C locale; the first that matches wins.
    const TEXTS: [(&str, Self); 24] = [
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
        ("Address already in use", Self::PortBusy),
        ("Can't grab", Self::PortBusy),
        ("not found", Self::NoTool),
        ("nvalid option", Self::NoTool),
        ("nknown option", Self::NoTool),
        ("(see \"nc --help\")", Self::NoTool),
        ("succeeded!", Self::Connected),
        (") open", Self::Connected),
    ];

    fn of(text: &str) -> Option<Self> {
        Self::TEXTS.into_iter().find(|(part, _)| text.contains(part)).map(|(_, complaint)| complaint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(stderr: &str, mark: &str) -> Transcript {
        let mut transcript = Transcript::default();
        transcript.hear_stderr(format!("{stderr}\n\ntieline: {mark}\n").as_bytes());
        transcript
    }

    fn exited(flavour: Flavour, stderr: &str) -> Connection {
        connection(flavour, &ended(stderr, "exit 1"), Some(0))
    }

    #[test]
    fn each_flavour_s_words_for_refused() {
        let refused = [
            (Flavour::BusyboxTiny, "nc: can't connect to remote host (127.0.0.1): Connection refused"),
            (Flavour::BusyboxFull, ""),
            (
                Flavour::OpenBsd,
                "nc.openbsd: connect to 127.0.0.1 port 19999 (tcp) failed: Connection refused",
            ),
            (Flavour::Traditional, "(UNKNOWN) [127.0.0.1] 19999 (?) : Connection refused"),
            (Flavour::Ncat, "Ncat: Connection refused."),
            (Flavour::Toybox, "nc: connect: Connection refused"),
        ];
        for (flavour, stderr) in refused {
            assert_eq!(exited(flavour, stderr), Connection::Failed(FailReason::Refused), "{flavour:?}");
        }
    }

    #[test]
    fn each_flavour_s_words_for_no_answer() {
        let dropped = [
            (Flavour::BusyboxTiny, "nc: timed out"),
            (Flavour::BusyboxFull, "nc: 127.0.0.1 (127.0.0.1:9999): Connection timed out"),
            (
                Flavour::OpenBsd,
                "nc.openbsd: connect to 127.0.0.1 port 9999 (tcp) timed out: Operation now in progress",
            ),
            (Flavour::Traditional, "(UNKNOWN) [127.0.0.1] 9999 (?) : Connection timed out"),
            (Flavour::Ncat, "Ncat: TIMEOUT."),
            (Flavour::Toybox, "nc: Timeout"),
        ];
        for (flavour, stderr) in dropped {
            assert_eq!(exited(flavour, stderr), Connection::Failed(FailReason::Timeout), "{flavour:?}");
        }
    }

    #[test]
    fn each_flavour_s_words_for_no_route() {
        let unreachable = [
            (Flavour::BusyboxTiny, "nc: can't connect to remote host (127.0.0.1): No route to host"),
            (Flavour::BusyboxFull, "nc: 127.0.0.1 (127.0.0.1:9998): No route to host"),
            (Flavour::OpenBsd, "nc.openbsd: connect to 127.0.0.1 port 9998 (tcp) failed: No route to host"),
            (Flavour::Traditional, "(UNKNOWN) [127.0.0.1] 9998 (?) : No route to host"),
            (Flavour::Ncat, "Ncat: No route to host."),
            (Flavour::Toybox, "nc: connect: No route to host"),
        ];
        for (flavour, stderr) in unreachable {
            assert_eq!(exited(flavour, stderr), Connection::Failed(FailReason::NoRoute), "{flavour:?}");
        }
    }

    #[test]
    fn each_flavour_s_words_for_an_unknown_name() {
        let unknown = [
            (Flavour::BusyboxTiny, "nc: bad address 'no.such.nx'"),
            (
                Flavour::OpenBsd,
                "nc.openbsd: getaddrinfo for host \"no.such.nx\" port 80: Name or service not known",
            ),
            (
                Flavour::OpenBsd,
                "nc.openbsd: getaddrinfo for host \"x\" port 80: Temporary failure in name resolution",
            ),
            (Flavour::Traditional, "no.such.nx: forward host lookup failed: Unknown host"),
            (
                Flavour::Traditional,
                "x.sf: forward host lookup failed: Host name lookup failure : Resource temporarily unavailable",
            ),
            (
                Flavour::Ncat,
                "Ncat: Could not resolve hostname \"no.such.nx\": Name or service not known. QUITTING.",
            ),
            (Flavour::Toybox, "nc: no.such.nx:80: Name or service not known"),
        ];
        for (flavour, stderr) in unknown {
            assert_eq!(exited(flavour, stderr), Connection::Failed(FailReason::NameNotResolved), "{stderr}");
        }
    }

    #[test]
    fn who_was_cut_off_had_been_connected() {
        let cut = ended("Ncat: Connection reset by peer.", "exit 1");
        assert_eq!(knock(Flavour::Ncat, &cut, Some(0)), Verdict::Pass { listening: Some(true) });
        let heard = Transcript::default();
        let exchanged = exchange(Arrived::default(), Flavour::Ncat, &cut, Some(0), &heard);
        assert_eq!(exchanged, Verdict::Fail(FailReason::Reset));
    }

    #[test]
    fn an_exchange_needs_both_tokens() {
        let (client, listener) = (ended("", "exit 0"), ended("", "ready 80"));
        let told = |request, reply| {
            exchange(Arrived { request, reply }, Flavour::BusyboxTiny, &client, Some(0), &listener)
        };
        assert_eq!(told(true, true), Verdict::Pass { listening: None });
        assert_eq!(told(true, false), Verdict::Fail(FailReason::ReplyLost));
        assert_eq!(told(false, true), Verdict::Fail(FailReason::RequestLost));
        assert_eq!(told(false, false), Verdict::Fail(FailReason::RequestLost));
    }

    #[test]
    fn a_stranger_at_either_end_of_an_exchange_is_seen() {
        let neither = |client: &Transcript, listener: &Transcript| {
            exchange(Arrived::default(), Flavour::BusyboxTiny, client, Some(0), listener)
        };
        let refused = ended("nc: can't connect to remote host (10.0.0.2): Connection refused", "exit 1");
        assert_eq!(neither(&refused, &ended("", "ready 80")), Verdict::Fail(FailReason::Refused));
        let taken = Verdict::Inconclusive(InconclusiveReason::ListenerTaken);
        assert_eq!(neither(&refused, &ended("\ntieline: ready 80", "exit 0")), taken);
        let mut visited = ended("", "ready 80");
        visited.hear_stdout(b"GET / HTTP/1.1\r\n");
        assert_eq!(neither(&refused, &visited), taken);
        let mut elsewhere = ended("", "bound 01");
        elsewhere.hear_stdout(b"220 smtp ready\r\n");
        assert_eq!(neither(&elsewhere, &ended("", "bound")), Verdict::Fail(FailReason::TokenMismatch));
    }

    #[test]
    fn a_tool_of_another_kind_is_no_refusal() {
        for stderr in [
            "nc: invalid option -- 'z'",
            "nc: Unknown option 'z' (see \"nc --help\")",
            "nc: -q < 1 (see \"nc --help\")",
        ] {
            let unsupported = Connection::Unknown(InconclusiveReason::Unsupported);
            assert_eq!(exited(Flavour::BusyboxTiny, stderr), unsupported, "{stderr}");
        }
        assert_eq!(exited(Flavour::BusyboxTiny, ""), Connection::Unknown(InconclusiveReason::Unexplained));
    }

    #[test]
    fn when_time_is_up_the_socket_tells_where_it_stood() {
        let at = |mark: &str| connection(Flavour::BusyboxTiny, &ended("", mark), Some(0));
        assert_eq!(at("bound"), Connection::Failed(FailReason::NameNotResolved));
        assert_eq!(at("bound 02"), Connection::Failed(FailReason::Timeout));
        assert_eq!(at("bound 01"), Connection::Made);
        for stderr in ["Connection to db 80 port [tcp/*] succeeded!", "127.0.0.1 (127.0.0.1:80) open"] {
            let unseen = connection(Flavour::OpenBsd, &ended(stderr, "bound"), Some(0));
            assert_eq!(unseen, Connection::Made, "{stderr}");
        }
    }

    #[test]
    fn a_listener_that_does_not_come_up_says_why() {
        let why = |stderr: &str| no_listener(&ended(stderr, "exit 1"), Some(0));
        for stderr in [
            "nc: bind: Address already in use",
            "nc.openbsd: Address already in use",
            "Ncat: bind to 0.0.0.0:80: Address already in use. QUITTING.",
            "Can't grab 0.0.0.0:80 with bind",
        ] {
            assert_eq!(why(stderr), InconclusiveReason::PortBusy, "{stderr}");
        }
        for stderr in ["nc: bind: Permission denied", "Can't grab 0.0.0.0:80 with bind : Permission denied"] {
            assert_eq!(why(stderr), InconclusiveReason::PermissionDenied, "{stderr}");
        }
        assert_eq!(no_listener(&ended("", "exit busy"), Some(0)), InconclusiveReason::PortBusy);
    }

    #[test]
    fn a_client_that_was_not_told_its_port_says_nothing_of_the_path() {
        assert_eq!(not_told(&ended("", "bound"), None), InconclusiveReason::ListenerNotReady);
        assert_eq!(not_told(&ended("", "lacks sleep"), None), InconclusiveReason::Unsupported);
        assert_eq!(not_told(&Transcript::default(), Some(137)), InconclusiveReason::ContainerNotRunning);
    }

    #[test]
    fn no_shell_is_known_by_what_the_engine_says_instead() {
        let mut transcript = Transcript::default();
        transcript.hear_stdout(
            b"OCI runtime exec failed: exec failed: unable to start container process: exec: \"sh\": \
            executable file not found in $PATH: unknown\r\n",
        );
        assert_eq!(cut_off(&transcript, Some(126)), InconclusiveReason::NoShell);
        let mut ending = Transcript::default();
        ending.hear_stdout(
            b"OCI runtime exec failed: exec failed: cannot exec in a stopped container: unknown\r\n",
        );
        assert_eq!(cut_off(&ending, Some(126)), InconclusiveReason::ExecFailed);
        assert_eq!(cut_off(&Transcript::default(), Some(137)), InconclusiveReason::ContainerNotRunning);
        assert_eq!(cut_off(&Transcript::default(), None), InconclusiveReason::ExecFailed);
    }
}
