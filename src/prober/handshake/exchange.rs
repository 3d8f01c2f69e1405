//! An exchange: a listener of ours in the provider, a client in the consumer, a fresh token of each.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::model::handshake::reading::{self, Arrived};
use crate::model::handshake::role::{Manner, Role, Transport, port_line};
use crate::model::handshake::token::Token;
use crate::model::handshake::{FailReason, InconclusiveReason, Verdict};

use super::super::{PortRoute, Request};
use super::modes::{Making, Told, high_ports};
use super::running::Running;
use super::{Means, Trouble, with_complaint};

/// How long one side may take to hear what was said before the other ended.
const LATE: Duration = Duration::from_millis(250);

/// How long a listener may stay in a provider once it has its port. The link's timeout may be a minute, and is the
/// consumer's label.
const STAY: Duration = Duration::from_secs(5);

impl<M: Means> Making<'_, M> {
    /// One exchange, on a high port that is free in the provider; says besides whether somebody has the port
    /// `asked` there.
    pub(super) async fn exchange_once(
        &self,
        host: &str,
        route: &PortRoute,
        asked: Option<u16>,
    ) -> Result<Told, Trouble> {
        let Request { consumer, provider, .. } = self.request;
        let (transport, ports) = (route.transport, high_ports(route.port));
        let ipv6 = route.ipv6().next().is_some();
        let listen = Role::Listener { transport, ports: ports.clone(), asked, ipv6 };
        let talk = Role::Client { transport, host: host.to_owned(), ports, manner: Manner::Talk };
        // Starting a process is most of the cost, so both start at once; the client waits for its port.
        // A client that started first may wait for a listener that takes as long to start as it may stay.
        let client = self.start_for(self.left().min(2 * STAY), consumer, &talk);
        let mut pair = Pair::start(self.start(provider, &listen), client).await?;
        let told = self.exchange_between(&mut pair, host, transport).await;
        pair.stop().await;
        told
    }

    /// The client is told its port once the listener has it: it never talks to anybody else's.
    async fn exchange_between(
        &self,
        pair: &mut Pair<'_>,
        host: &str,
        transport: Transport,
    ) -> Result<Told, Trouble> {
        let (request, reply) = (Token::new(fastrand::u128(..)), Token::new(fastrand::u128(..)));
        let (port, until) = self.ready(pair).await?;
        // Not earlier: an nc that lost the race for a port would take the token along.
        pair.listener.say(reply.line().as_bytes()).await;
        let start = Instant::now();
        pair.client.say(format!("{}{}", port_line(port), request.line()).as_bytes()).await;
        let arrived = pair.listen(&request, &reply, until).await?;
        let rtt = start.elapsed();
        if arrived.both() {
            pair.client.see_where_it_led().await;
        }
        let listened = pair.listener.heard().clone();
        pair.stop().await;
        let exit = pair.client.exit_code().await;
        let client = &pair.client;
        let verdict =
            reading::exchange(arrived, transport, client.flavour(), client.heard(), exit, &listened);
        let told = match verdict {
            Verdict::Pass { .. } => {
                let message = format!("tokens exchanged over {host}:{port} in {rtt:.1?}");
                self.told(verdict, Some(rtt), message, client)
            }
            Verdict::Fail(reason) => {
                let message = with_complaint(self.failure(reason, host, port), client);
                self.told(verdict, None, message, client)
            }
            Verdict::Inconclusive(reason) => return Err(self.trouble(reason, client)),
        };
        Ok(Told { held: listened.held(), proven: true, ..told })
    }

    /// Waits until the listener has a port and the client is there to be told. Says which port, and until when the
    /// listener may have it.
    async fn ready(&self, pair: &mut Pair<'_>) -> Result<(u16, Instant), Trouble> {
        let mut stay = None;
        loop {
            match pair.listener.heard().ready() {
                Some(port) => {
                    let until = *stay.get_or_insert_with(|| Instant::now() + STAY);
                    if pair.client.heard().up() {
                        return Ok((port, until));
                    }
                    let Ok(heard) = timeout_at(until, pair.hear()).await else {
                        return Err(self.trouble(InconclusiveReason::NotInTime, &pair.client));
                    };
                    heard?;
                }
                None => pair.hear().await?,
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

    fn failure(&self, reason: FailReason, host: &str, port: u16) -> String {
        let provider = &self.request.provider;
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

    /// Listens to both until both tokens arrived or nothing more is to come, and no longer than `until`.
    async fn listen(&mut self, request: &Token, reply: &Token, until: Instant) -> Result<Arrived, Trouble> {
        let (mut request, mut reply) = (request.search(), reply.search());
        loop {
            let arrived = Arrived {
                request: request.found_in(self.listener.heard().stdout()),
                reply: reply.found_in(self.client.heard().stdout()),
            };
            let never_came = self.client.ended() && !self.client.heard().was_connected();
            if arrived.both() || never_came || (self.client.ended() && self.listener.ended()) {
                return Ok(arrived);
            }
            let one_ended = self.client.ended() || self.listener.ended();
            tokio::select! {
                heard = self.hear() => heard?,
                () = sleep(LATE), if one_ended => return Ok(arrived),
                () = sleep_until(until) => return Ok(arrived),
            }
        }
    }

    /// Makes both end, so that nothing of ours is left in either container.
    async fn stop(&mut self) {
        tokio::join!(self.listener.stop(), self.client.stop());
    }
}
