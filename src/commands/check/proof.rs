//! One handshake with the provider's own program, and one with a listener of ours beside it; what they told as
//! the steps of a connection.

use std::sync::PoisonError;
use std::time::Instant;

use super::{Outcome, Step, advice};
use crate::model::handshake::role::Transport;
use crate::model::handshake::{FailReason, Verdict};
use crate::model::link::Handshake;
use crate::prober::{Attempt, Prober, Record, Request, Route, Said};

/// Which step a failure belongs to.
fn step_of(reason: FailReason) -> usize {
    match reason {
        FailReason::NameNotResolved | FailReason::ByAddressOnly | FailReason::NameLeadsElsewhere => 0,
        FailReason::NoRoute | FailReason::Timeout => 1,
        FailReason::Refused
        | FailReason::Reset
        | FailReason::SocketMissing
        | FailReason::SocketStale
        | FailReason::SocketDenied
        | FailReason::SocketPathTooLong
        | FailReason::MountMissing => 2,
        FailReason::RequestLost
        | FailReason::ReplyLost
        | FailReason::TokenMismatch
        | FailReason::NoReply
        | FailReason::ReplyMismatch => 3,
    }
}

/// The steps of a handshake, in their order.
const NAMES: [&str; 4] = ["name", "route", "connect", "tokens"];
/// The last step of a connection to the provider's own program.
const CONNECT: usize = 2;
/// The last step of an exchange.
const TOKENS: usize = 3;

pub async fn steps(prober: &impl Prober, record: &Record, request: Request) -> Vec<Step> {
    if request.mode == Handshake::None {
        return vec![Step::new(NAMES[TOKENS], Outcome::Skipped, "the link is declared never to be proven")];
    }
    // Nobody answers a datagram that says nothing.
    let is_udp = matches!(&request.route, Route::Port(route) if route.transport == Transport::Udp);
    let silent = is_udp && request.payload.is_empty();
    let mut steps = Vec::new();
    // A link that is proven by exchange never connects to a listener that is not ours.
    if !silent && request.mode != Handshake::Exchange {
        steps = told(
            &make(prober, record, Request { mode: Handshake::Connect, ..request.clone() }).await,
            CONNECT,
        );
    }
    let stuck = steps.iter().take(2).any(|step| step.outcome != Outcome::Good);
    if let (Route::Port(_), false) = (&request.route, stuck) {
        let exchange =
            told(&make(prober, record, Request { mode: Handshake::Exchange, ..request }).await, TOKENS);
        join(&mut steps, exchange);
    }
    steps
}

struct Made {
    is_socket: bool,
    attempt: Attempt,
    took: std::time::Duration,
    said: Vec<Said>,
}

async fn make(prober: &impl Prober, record: &Record, request: Request) -> Made {
    let (start, is_socket) = (Instant::now(), matches!(request.route, Route::Socket(_)));
    let attempt = prober.handshake(&request).await;
    let said = std::mem::take(&mut *record.lock().unwrap_or_else(PoisonError::into_inner));
    Made { is_socket, attempt, took: start.elapsed(), said }
}

/// What one handshake tells of each step up to `last`: those before the one that it failed at went well.
fn told(made: &Made, last: usize) -> Vec<Step> {
    let Made { attempt, took, said, .. } = made;
    let (at, outcome, advice) = match attempt.verdict {
        Verdict::Pass { .. } => (last, Outcome::Good, ""),
        Verdict::Fail(reason) => (step_of(reason), Outcome::Bad, advice::on_failure(reason)),
        Verdict::Inconclusive(reason) if made.is_socket => {
            (CONNECT, Outcome::Unknown, advice::on_doubt(reason))
        }
        Verdict::Inconclusive(reason) => (0, Outcome::Unknown, advice::on_doubt(reason)),
    };
    // A socket has neither a name nor a way.
    let first = if made.is_socket { CONNECT.min(at) } else { 0 };
    let mut steps: Vec<Step> =
        NAMES[first..at].iter().map(|name| Step::new(name, Outcome::Good, "")).collect();
    steps.push(Step {
        advice: advice.to_owned(),
        took: Some(*took),
        said: said.clone(),
        ..Step::new(NAMES[at], outcome, attempt.message.clone())
    });
    steps
}

/// Adds what the exchange told: the step of the tokens, and whatever it failed at before.
fn join(steps: &mut Vec<Step>, exchange: Vec<Step>) {
    let last = exchange.last().cloned();
    for step in exchange {
        if steps.iter().all(|known| known.name != step.name) {
            steps.push(step);
        }
    }
    // It got less far than the connection to the provider's own program: that is what there is to say of it.
    if let Some(last) =
        last.filter(|last| last.outcome != Outcome::Good && steps.iter().all(|s| s.words != last.words))
    {
        steps.push(Step { name: "tokens", ..last });
    }
}
