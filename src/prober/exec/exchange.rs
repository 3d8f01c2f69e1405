//! An exchange: a listener of ours in the provider, a client in the consumer, a fresh token of each.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::model::handshake::reading::{self, Arrived};
use crate::model::handshake::script::{self, Manner};
use crate::model::handshake::token::Token;
use crate::model::handshake::tool::Flavour;
use crate::model::handshake::{FailReason, Verdict};

use super::super::{Attempt, Request};
use super::modes::Making;
use super::running::Running;
use super::{Trouble, with_complaint};

/// How long one side may take to hear what was said before the other ended.
const LATE: Duration = Duration::from_millis(250);

impl Making<'_> {
    /// One exchange, on the first of `ports` that is free in the provider.
    pub async fn exchange_once(&self, ports: &[u16]) -> Result<Attempt, Trouble> {
        let Request { consumer, provider, host, .. } = self.request;
        let (here, there) =
            tokio::try_join!(self.tools.tool(self.docker, consumer), self.tools.tool(self.docker, provider))?;
        // Starting a process is most of the cost, so both start at once; the client waits for its port.
        let listen = script::listener(&there, ports, self.left());
        let talk = script::client(&here, host, ports, Manner::Talk, self.left());
        let pair = Pair::start(
            Running::start(self.docker, provider, listen),
            Running::start(self.docker, consumer, talk),
        );
        let mut pair = pair.await?;
        let attempt = self.exchange_between(&mut pair, here.flavour).await;
        pair.stop().await;
        attempt
    }

    /// The client is told its port once the listener has it: it never talks to anybody else's.
    async fn exchange_between(&self, pair: &mut Pair<'_>, flavour: Flavour) -> Result<Attempt, Trouble> {
        let host = &self.request.host;
        let (request, reply) = (Token::new(fastrand::u128(..)), Token::new(fastrand::u128(..)));
        let port = self.ready(pair).await?;
        // Not earlier: an nc that lost the race for a port would take the token along.
        pair.listener.say(&reply.line()).await;
        let start = Instant::now();
        pair.client.say(&format!("{}{}", script::port_line(port), request.line())).await;
        let arrived = pair.listen(&request, &reply).await?;
        let rtt = start.elapsed();
        let listened = pair.listener.heard().clone();
        pair.stop().await;
        let exit = pair.client.exit_code().await;
        let client = &pair.client;
        let verdict = reading::exchange(arrived, flavour, client.heard(), exit, &listened);
        match verdict {
            Verdict::Pass { .. } => {
                let message = format!("tokens exchanged over {host}:{port} in {rtt:.1?}");
                Ok(Attempt { verdict, rtt: Some(rtt), message })
            }
            Verdict::Fail(reason) => {
                let message = with_complaint(self.failure(reason, port), client);
                Ok(Attempt { verdict, rtt: None, message })
            }
            Verdict::Inconclusive(reason) => Err(self.trouble(reason, client)),
        }
    }

    /// Waits until the listener has a port and the client is there to be told.
    async fn ready(&self, pair: &mut Pair<'_>) -> Result<u16, Trouble> {
        loop {
            match pair.listener.heard().ready() {
                Some(port) if pair.client.heard().up() => return Ok(port),
                _ => pair.hear().await?,
            }
            if pair.listener.ended() {
                let exit = pair.listener.exit_code().await;
                let reason = reading::no_listener(pair.listener.heard(), exit);
                return Err(self.trouble(reason, &pair.listener));
            }
            if pair.client.ended() {
                let exit = pair.client.exit_code().await;
                let reason = reading::not_told(pair.client.heard(), exit);
                return Err(self.trouble(reason, &pair.client));
            }
        }
    }

    fn failure(&self, reason: FailReason, port: u16) -> String {
        let Request { provider, host, .. } = self.request;
        let what = format!("{host}:{port}: {}", reason.meaning());
        match reason {
            // The listener was seen to be there, so it is the name or the way that is wrong.
            FailReason::Refused => format!("{what}, though a listener was ready in {}", provider.name),
            _ => what,
        }
    }
}

/// Both ends of an exchange.
struct Pair<'a> {
    listener: Running<'a>,
    client: Running<'a>,
}

impl<'a> Pair<'a> {
    /// Starts both. Where one does not start, the other is seen to its end.
    async fn start(
        listener: impl Future<Output = Result<Running<'a>, Trouble>>,
        client: impl Future<Output = Result<Running<'a>, Trouble>>,
    ) -> Result<Self, Trouble> {
        match tokio::join!(listener, client) {
            (Ok(listener), Ok(client)) => Ok(Self { listener, client }),
            (Ok(mut one), Err(trouble)) | (Err(trouble), Ok(mut one)) => {
                one.stop().await;
                Err(trouble)
            }
            (Err(trouble), Err(_)) => Err(trouble),
        }
    }

    /// Takes the next piece of output of either.
    async fn hear(&mut self) -> Result<(), Trouble> {
        tokio::select! {
            more = self.listener.hear(), if !self.listener.ended() => more?,
            more = self.client.hear(), if !self.client.ended() => more?,
            else => false,
        };
        Ok(())
    }

    /// Listens to both until both tokens arrived or nothing more is to come.
    async fn listen(&mut self, request: &Token, reply: &Token) -> Result<Arrived, Trouble> {
        loop {
            let arrived = Arrived {
                request: request.is_in(self.listener.heard().stdout()),
                reply: reply.is_in(self.client.heard().stdout()),
            };
            if arrived.both() || (self.client.ended() && self.listener.ended()) {
                return Ok(arrived);
            }
            let one_ended = self.client.ended() || self.listener.ended();
            tokio::select! {
                heard = self.hear() => heard?,
                () = sleep(LATE), if one_ended => return Ok(arrived),
            }
        }
    }

    /// Makes both end, so that nothing of ours is left in either container.
    async fn stop(&mut self) {
        tokio::join!(self.listener.stop(), self.client.stop());
    }
}
