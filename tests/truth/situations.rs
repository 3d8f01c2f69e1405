//! The situations, and what is true in each.

use tieline::model::handshake::role::Transport::{self, Tcp, Udp};
use tieline::model::handshake::{FailReason, InconclusiveReason, Verdict};
use tieline::model::link::Handshake::{self, Auto, Connect, Exchange};

use super::peer::*;

/// One situation.
#[derive(Clone, Debug)]
pub struct Situation {
    /// What a person calls it.
    pub name: &'static str,
    pub transport: Transport,
    pub mode: Handshake,
    /// The declared port; 0 is one that nobody has. Of a socket, it stands for what is behind it.
    pub port: u16,
    /// Whether it is a socket in a volume instead of a port.
    pub is_socket: bool,
    pub provider: Provider,
    pub name_is: Name,
    /// Whether the provider is sent `PING` and has to answer `+PONG`.
    pub asks: bool,
    pub truth: Truth,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// A container with peers, whose image has this or that `nc`.
    Any,
    /// One into which no data comes, though connections are made.
    Deaf,
    /// One out of which no data comes, though connections are made.
    Mute,
    /// One whose firewall drops everything.
    Walled,
    /// One that is paused.
    Paused,
    /// One that does not run.
    Stopped,
    /// One to which this happens while the handshake is made.
    Fated(Fate),
}

/// What `docker` does to a container, by the words of its command line.
pub type Fate = &'static [&'static str];

const REMOVED: Fate = &["rm", "-f"];
const KILLED: Fate = &["kill"];
const RESTARTED: Fate = &["restart", "-t", "0"];
/// Not for who lets a process begin in it: engine 20.10 cannot unpause what is paused in that instant.
pub const PAUSED: Fate = &["pause"];

/// What the provider's name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Right,
    Missing,
    /// A stranger's address.
    Wrong,
}

/// What may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// This.
    Is(Verdict),
    /// That it could not be found out, and why.
    Untold(InconclusiveReason),
    /// That one of the containers lacks what it takes.
    Lacking,
    /// Anything but that the path is broken: nobody can tell whether the container or the handshake was quicker.
    NotFailed,
}

/// What a container can lack.
const LACKS: [InconclusiveReason; 3] =
    [InconclusiveReason::NoShell, InconclusiveReason::NoNetcat, InconclusiveReason::Unsupported];

impl Truth {
    pub fn allows(self, verdict: Verdict) -> bool {
        match self {
            Self::Is(truth) => truth == verdict,
            Self::Untold(reason) => Verdict::Inconclusive(reason) == verdict,
            Self::Lacking => LACKS.map(Verdict::Inconclusive).contains(&verdict),
            Self::NotFailed => !matches!(verdict, Verdict::Fail(_)),
        }
    }
}

const PROVEN: Truth = Truth::Is(Verdict::Pass { listening: None, detour: false });
const LISTENING: Truth = Truth::Is(Verdict::Pass { listening: Some(true), detour: false });
const NO_LISTENER: Truth = Truth::Is(Verdict::Pass { listening: Some(false), detour: false });
const ELSEWHERE: Truth = fails(FailReason::NameLeadsElsewhere);
const FREE: u16 = 0;

const fn fails(reason: FailReason) -> Truth {
    Truth::Is(Verdict::Fail(reason))
}

/// All of them.
pub fn all() -> Vec<Situation> {
    use FailReason::*;
    let row = |name, transport, mode, port, asks, truth| Situation {
        name,
        transport,
        mode,
        port,
        is_socket: false,
        provider: Provider::Any,
        name_is: Name::Right,
        asks,
        truth,
    };
    let at = |situation: Situation, provider| Situation { provider, ..situation };
    let by = |situation: Situation, name_is| Situation { name_is, ..situation };
    let socket = |name, mode, behaviour, asks, truth| Situation {
        is_socket: true,
        ..row(name, Tcp, mode, behaviour, asks, truth)
    };
    vec![
        row("open", Tcp, Connect, SILENT, false, LISTENING),
        row("open, auto", Tcp, Auto, ECHOES, false, LISTENING),
        row("closes at once", Tcp, Connect, CLOSES, false, LISTENING),
        row("resets at once", Tcp, Auto, RESETS, false, LISTENING),
        row("half-closes", Tcp, Connect, HALF_CLOSES, false, LISTENING),
        row("refused", Tcp, Connect, NOBODY, false, fails(Refused)),
        row("nobody listens", Tcp, Auto, NOBODY, false, NO_LISTENER),
        row("dropped", Tcp, Auto, DROPPED, false, fails(Timeout)),
        row("unreachable", Tcp, Connect, UNREACHABLE, false, fails(NoRoute)),
        row("no way back", Tcp, Auto, NO_WAY_BACK, false, fails(Timeout)),
        row("exchange", Tcp, Exchange, FREE, false, PROVEN),
        row("exchange, port taken", Tcp, Exchange, SILENT, false, PROVEN),
        at(row("exchange, walled", Tcp, Exchange, FREE, false, fails(Timeout)), Provider::Walled),
        at(row("exchange, nothing comes in", Tcp, Exchange, FREE, false, fails(RequestLost)), Provider::Deaf),
        at(row("exchange, nothing goes out", Tcp, Exchange, FREE, false, fails(ReplyLost)), Provider::Mute),
        by(row("name missing", Tcp, Connect, SILENT, false, fails(ByAddressOnly)), Name::Missing),
        by(row("name missing, exchange", Tcp, Exchange, FREE, false, fails(ByAddressOnly)), Name::Missing),
        by(row("name missing, dropped", Tcp, Connect, DROPPED, false, fails(NameNotResolved)), Name::Missing),
        by(
            row("name missing, nobody listens", Tcp, Auto, NOBODY, false, fails(ByAddressOnly)),
            Name::Missing,
        ),
        by(row("name missing, refused", Tcp, Connect, NOBODY, false, fails(NameNotResolved)), Name::Missing),
        by(row("udp, name missing", Udp, Exchange, FREE, false, fails(ByAddressOnly)), Name::Missing),
        by(row("udp, name wrong", Udp, Exchange, FREE, false, ELSEWHERE), Name::Wrong),
        by(row("name wrong, nobody listens", Tcp, Auto, NOBODY, false, ELSEWHERE), Name::Wrong),
        by(row("name wrong", Tcp, Auto, SILENT, false, ELSEWHERE), Name::Wrong),
        by(row("name wrong, exchange", Tcp, Exchange, FREE, false, ELSEWHERE), Name::Wrong),
        by(row("name wrong, closes", Tcp, Connect, CLOSES, false, ELSEWHERE), Name::Wrong),
        by(row("name wrong, resets", Tcp, Auto, RESETS, false, ELSEWHERE), Name::Wrong),
        by(row("name wrong, answers", Tcp, Connect, ANSWERS, true, ELSEWHERE), Name::Wrong),
        row("answers", Tcp, Connect, ANSWERS, true, LISTENING),
        row("answers at the end", Tcp, Auto, ANSWERS_AT_THE_END, true, LISTENING),
        row("answers slowly", Tcp, Connect, DRIBBLES, true, LISTENING),
        row("answers nothing", Tcp, Connect, SILENT, true, fails(NoReply)),
        row("answers something else", Tcp, Auto, ECHOES, true, fails(ReplyMismatch)),
        row("closes instead of answering", Tcp, Connect, CLOSES, true, fails(NoReply)),
        row("resets instead of answering", Tcp, Connect, RESETS, true, fails(NoReply)),
        row("half-closes instead of answering", Tcp, Connect, HALF_CLOSES, true, fails(NoReply)),
        row("udp exchange", Udp, Exchange, FREE, false, PROVEN),
        row("udp exchange, port taken", Udp, Exchange, SILENT, false, PROVEN),
        row("udp, somebody there", Udp, Auto, SILENT, false, LISTENING),
        row("udp, nobody there", Udp, Auto, NOBODY, false, NO_LISTENER),
        row("udp answers", Udp, Connect, ANSWERS, true, LISTENING),
        row("udp answers something else", Udp, Connect, ECHOES, true, fails(ReplyMismatch)),
        row("udp answers nothing", Udp, Auto, SILENT, true, fails(NoReply)),
        row("udp dropped", Udp, Connect, DROPPED, true, fails(NoReply)),
        row("udp, no way back", Udp, Connect, NO_WAY_BACK, true, fails(NoReply)),
        row("udp asked, nobody there", Udp, Auto, NOBODY, true, NO_LISTENER),
        at(row("udp, walled", Udp, Exchange, FREE, false, fails(Timeout)), Provider::Walled),
        socket("socket", Auto, SILENT, false, LISTENING),
        socket("socket, closes at once", Connect, CLOSES, false, LISTENING),
        socket("socket answers", Connect, ANSWERS, true, LISTENING),
        socket("socket answers at the end", Auto, ANSWERS_AT_THE_END, true, LISTENING),
        socket("socket answers slowly", Connect, DRIBBLES, true, LISTENING),
        socket("socket answers nothing", Auto, SILENT, true, fails(NoReply)),
        socket("socket answers something else", Connect, ECHOES, true, fails(ReplyMismatch)),
        socket("socket closes instead of answering", Connect, CLOSES, true, fails(NoReply)),
        socket("no socket", Auto, NOBODY, false, fails(SocketMissing)),
        socket("stale socket", Connect, STALE, false, fails(SocketStale)),
        socket("stale socket, asked", Connect, STALE, true, fails(SocketStale)),
        socket(
            "socket for datagrams",
            Auto,
            DATAGRAMS,
            false,
            Truth::Untold(InconclusiveReason::SocketNoStream),
        ),
        at(
            row("paused", Tcp, Connect, SILENT, false, Truth::Untold(InconclusiveReason::ContainerPaused)),
            Provider::Paused,
        ),
        at(
            row(
                "stopped",
                Tcp,
                Exchange,
                FREE,
                false,
                Truth::Untold(InconclusiveReason::ContainerNotRunning),
            ),
            Provider::Stopped,
        ),
        at(row("removed meanwhile", Tcp, Exchange, FREE, false, Truth::NotFailed), Provider::Fated(REMOVED)),
        at(row("killed meanwhile", Tcp, Exchange, FREE, false, Truth::NotFailed), Provider::Fated(KILLED)),
        at(
            row("restarted meanwhile", Tcp, Exchange, FREE, false, Truth::NotFailed),
            Provider::Fated(RESTARTED),
        ),
        at(row("paused meanwhile", Tcp, Exchange, FREE, false, Truth::NotFailed), Provider::Fated(PAUSED)),
    ]
}
