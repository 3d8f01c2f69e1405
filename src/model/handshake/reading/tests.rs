//! What each flavour says, and what it means.

use super::*;

const TCP: Medium = Medium::Network(Transport::Tcp);

fn ended(stderr: &str, mark: &str) -> Transcript {
    let mut transcript = Transcript::default();
    transcript.hear_stderr(format!("{stderr}\n\ntieline: {mark}\n").as_bytes());
    transcript
}

fn exited(flavour: Flavour, stderr: &str) -> Connection {
    connection(TCP, Some(flavour), &ended(stderr, "exit 1"), Some(0))
}

#[test]
fn each_flavour_s_words_for_refused() {
    let refused = [
        (Flavour::BusyboxTiny, "nc: can't connect to remote host (127.0.0.1): Connection refused"),
        (Flavour::BusyboxFull, ""),
        (Flavour::OpenBsd, "nc.openbsd: connect to 127.0.0.1 port 19999 (tcp) failed: Connection refused"),
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
    let open = Verdict::Pass { listening: Some(true), detour: false };
    assert_eq!(knock(TCP, Some(Flavour::Ncat), &cut, Some(0)), open);
    let heard = Transcript::default();
    let exchanged = exchange(Arrived::default(), Transport::Tcp, Some(Flavour::Ncat), &cut, Some(0), &heard);
    assert_eq!(exchanged, Verdict::Fail(FailReason::Reset));
}

#[test]
fn an_exchange_needs_both_tokens() {
    let (client, listener) = (ended("", "exit 0"), ended("", "ready 80"));
    let told = |request, reply| {
        let arrived = Arrived { request, reply };
        exchange(arrived, Transport::Tcp, Some(Flavour::BusyboxTiny), &client, Some(0), &listener)
    };
    assert_eq!(told(true, true), Verdict::Pass { listening: None, detour: false });
    assert_eq!(told(true, false), Verdict::Fail(FailReason::ReplyLost));
    assert_eq!(told(false, true), Verdict::Fail(FailReason::RequestLost));
    assert_eq!(told(false, false), Verdict::Fail(FailReason::RequestLost));
}

#[test]
fn a_stranger_at_either_end_of_an_exchange_is_seen() {
    let neither = |client: &Transcript, listener: &Transcript| {
        exchange(Arrived::default(), Transport::Tcp, Some(Flavour::BusyboxTiny), client, Some(0), listener)
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
fn what_was_asked_and_not_answered_rightly_is_no_reply_or_another() {
    let asked_by = |transport, flavour, client: &Transcript| {
        asked(Medium::Network(transport), Some(flavour), client, Some(0))
    };
    let mut other = ended("\ntieline: up", "exit 0");
    other.hear_stdout(b"-ERR\r\n");
    for transport in [Transport::Tcp, Transport::Udp] {
        let told = asked_by(transport, Flavour::OpenBsd, &other);
        assert_eq!(told, Verdict::Fail(FailReason::ReplyMismatch));
        let told = asked_by(transport, Flavour::OpenBsd, &ended("", "exit 0"));
        assert_eq!(told, Verdict::Fail(FailReason::NoReply));
    }
    let refused = ended("Ncat: Connection refused.", "exit 1");
    assert_eq!(asked_by(Transport::Tcp, Flavour::Ncat, &refused), Verdict::Fail(FailReason::Refused));
    assert_eq!(asked_by(Transport::Udp, Flavour::Ncat, &refused), Verdict::Fail(FailReason::NoReply));
    let cut = ended("\ntieline: peer 10.0.0.2", "exit 1");
    assert_eq!(asked_by(Transport::Tcp, Flavour::Traditional, &cut), Verdict::Fail(FailReason::NoReply));
    let unending = ended("bash: half-close: not found", "exit 1");
    let unsupported = Verdict::Inconclusive(InconclusiveReason::Unsupported);
    assert_eq!(asked_by(Transport::Tcp, Flavour::Bash, &unending), unsupported);
}

#[test]
fn when_time_is_up_the_socket_tells_where_it_stood() {
    let at = |mark: &str| connection(TCP, Some(Flavour::BusyboxTiny), &ended("", mark), Some(0));
    assert_eq!(at("bound"), Connection::Failed(FailReason::NameNotResolved));
    assert_eq!(at("bound 02"), Connection::Failed(FailReason::Timeout));
    assert_eq!(at("bound 01"), Connection::Made);
    for stderr in ["Connection to db 80 port [tcp/*] succeeded!", "127.0.0.1 (127.0.0.1:80) open"] {
        let unseen = connection(TCP, Some(Flavour::OpenBsd), &ended(stderr, "bound"), Some(0));
        assert_eq!(unseen, Connection::Made, "{stderr}");
    }
}

#[test]
fn each_flavour_s_words_for_a_socket_that_cannot_be_used() {
    for (words, reason) in [
        ("No such file or directory", FailReason::SocketMissing),
        ("Not a directory", FailReason::SocketMissing),
        ("Connection refused", FailReason::SocketStale),
        ("Permission denied", FailReason::SocketDenied),
    ] {
        for (flavour, stderr) in [
            (Flavour::OpenBsd, format!("nc: /run/x.sock: {words}")),
            (Flavour::Ncat, format!("Ncat: {words}.")),
            (Flavour::Toybox, format!("nc: connect: {words}")),
        ] {
            let verdict = knock(Medium::Socket, Some(flavour), &ended(&stderr, "exit 1"), Some(0));
            assert_eq!(verdict, Verdict::Fail(reason), "{stderr}");
        }
    }
    let datagrams = ended("nc: connect: Protocol wrong type for socket", "exit 1");
    let verdict = knock(Medium::Socket, Some(Flavour::Toybox), &datagrams, Some(0));
    assert_eq!(verdict, Verdict::Inconclusive(InconclusiveReason::SocketNoStream));
    // Of a port, the same words tell of a file that nc or its shell needs.
    let bash = "bash: line 1: /dev/tcp/db/80: No such file or directory";
    assert_eq!(exited(Flavour::Bash, bash), Connection::Unknown(InconclusiveReason::Unexplained));
}

#[test]
fn who_speaks_for_a_container_itself_says_the_same_of_a_socket() {
    for (mark, verdict) in [
        ("open", Verdict::Pass { listening: Some(true), detour: false }),
        ("failed SocketMissing", Verdict::Fail(FailReason::SocketMissing)),
        ("failed SocketDenied", Verdict::Fail(FailReason::SocketDenied)),
        ("failed Refused", Verdict::Fail(FailReason::SocketStale)),
        ("bound 02 socket", Verdict::Fail(FailReason::Timeout)),
        ("bound", Verdict::Inconclusive(InconclusiveReason::Unsupported)),
    ] {
        assert_eq!(knock(Medium::Socket, None, &ended("", mark), Some(0)), verdict, "{mark}");
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

#[test]
fn what_is_said_of_one_address_is_not_the_end_where_another_lets_it_in() {
    let refused = "nc: connect to db (fd00::2) port 80 (tcp) failed: Connection refused\n";
    let succeeded = "Connection to db (10.213.0.2) 80 port [tcp/*] succeeded!\n";
    let last = |stderr: &str| exited(Flavour::OpenBsd, stderr);
    assert_eq!(last(refused), Connection::Failed(FailReason::Refused));
    assert_eq!(last(&format!("{refused}{succeeded}")), Connection::Made);
    let reset = format!("{refused}{succeeded}nc: read: Connection reset by peer");
    assert_eq!(last(&reset), Connection::Failed(FailReason::Reset));
}

#[test]
fn an_ipv6_address_cannot_be_reached_from_a_container_that_has_none() {
    let words = "nc: can't connect to remote host: Cannot assign requested address";
    assert_eq!(exited(Flavour::BusyboxTiny, words), Connection::Failed(FailReason::NoRoute));
}
