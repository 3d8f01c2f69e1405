//! The modes of a handshake: which attempts make it up, and what they tell together.

use std::time::Duration;

use tokio::time::Instant;

use super::super::{Attempt, PortRoute, Request, Route, Side};
use super::running::{Record, Running};
use super::{Means, Trouble};
use crate::docker::Docker;
use crate::model::container::RunState;
use crate::model::handshake::role::{Manner, Role, Transport, port_line};
use crate::model::handshake::{FailReason, InconclusiveReason, Verdict};
use crate::model::link::Handshake;

/// Where listeners of ours go: above what Linux gives to clients by itself, and never on a declared port. That is
/// the provider's, which may start to listen at any time.
const HIGH_PORTS: std::ops::RangeInclusive<u16> = 61001..=65535;

/// How many high ports a listener tries.
const CANDIDATES: usize = 4;

/// A handshake in the making.
pub(super) struct Making<'a, M> {
    pub docker: &'a Docker,
    pub means: &'a M,
    pub request: &'a Request,
    pub deadline: Instant,
    pub record: Option<&'a Record>,
}

impl<M: Means> Making<'_, M> {
    pub async fn attempt(&self) -> Result<Attempt, Trouble> {
        let before = self.both_run().await?;
        let made = match &self.request.route {
            Route::Port(route) => self.by_name_or_address(route).await,
            Route::Socket(path) => self.at_socket(path).await.map(|told| told.attempt),
        };
        // A container that stops or starts meanwhile makes the handshake fail in odd ways, which tells nothing of the
        // path, nor of the means.
        let odd = match &made {
            Ok(attempt) => matches!(attempt.verdict, Verdict::Fail(_)),
            Err(trouble) => {
                use InconclusiveReason::{EngineUnavailable, ExecFailed};
                matches!(trouble.reason, ExecFailed | EngineUnavailable)
            }
        };
        if odd {
            let now = self.both_run().await?;
            if now != before {
                let side = if now.0 == before.0 { &self.request.provider } else { &self.request.consumer };
                let message = format!("{} was started anew meanwhile", side.name);
                return Err(Trouble::new(InconclusiveReason::ContainerNotRunning, message));
            }
        }
        made
    }

    /// What is left of the time for all.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The kernel accepts connections for a paused provider, and the name of a stopped one takes ten
    /// seconds to be unknown: look first. Says when each was started.
    pub async fn both_run(&self) -> Result<(String, String), Trouble> {
        tokio::try_join!(self.runs(&self.request.consumer), self.runs(&self.request.provider))
    }

    async fn runs(&self, side: &Side) -> Result<String, Trouble> {
        let seen = self.docker.run_state(&side.id).await.map_err(|error| Trouble::of(&error, side))?;
        let (reason, what) = match seen {
            (RunState::Running, started) => return Ok(started),
            (RunState::Paused, _) => (InconclusiveReason::ContainerPaused, "is paused"),
            _ => (InconclusiveReason::ContainerNotRunning, "is not running"),
        };
        Err(Trouble::new(reason, format!("{} {what}", side.name)))
    }

    /// Has `role` played for `side`, for what is left of the time.
    pub async fn start<'b>(&'b self, side: &'b Side, role: &Role) -> Result<Running<'b>, Trouble> {
        self.start_for(self.left(), side, role).await
    }

    /// Has `role` played for `side`, for at most `bound`.
    pub async fn start_for<'b>(
        &'b self,
        bound: Duration,
        side: &'b Side,
        role: &Role,
    ) -> Result<Running<'b>, Trouble> {
        let mut running = self.means.start(side, role, bound).await?;
        running.keep_in(self.record);
        Ok(running)
    }

    /// The handshake with the provider at `host`, which is its name or its address.
    pub(super) async fn with(&self, host: &str, route: &PortRoute) -> Result<Told, Trouble> {
        let udp = route.transport == Transport::Udp;
        match self.request.mode {
            Handshake::Connect => self.connect(host, route).await,
            Handshake::Exchange => self.exchange(host, route, None).await,
            Handshake::Auto if udp => self.auto_udp(host, route).await,
            Handshake::Auto => self.auto_tcp(host, route).await,
            Handshake::None => Err(Trouble::new(InconclusiveReason::Unsupported, "never proven".to_owned())),
        }
    }

    /// A connection to the provider's own listener; what is said there is what the link declares.
    pub(super) async fn connect(&self, host: &str, route: &PortRoute) -> Result<Told, Trouble> {
        let PortRoute { transport, port, .. } = *route;
        let (host, ports, manner) = (host.to_owned(), vec![port], self.manner());
        let place = format!("{host}:{port}");
        self.visit(&Role::Client { transport, host, ports, manner }, &port_line(port), &place).await
    }

    /// How the provider's own listener is visited.
    pub(super) fn manner(&self) -> Manner {
        if self.request.payload.is_empty() { Manner::Knock } else { Manner::Ask }
    }

    /// Visits it as `role`, which begins at the line `begin`; `place` is what a person calls it.
    pub(super) async fn visit(&self, role: &Role, begin: &str, place: &str) -> Result<Told, Trouble> {
        match self.manner() {
            Manner::Ask => self.ask(role, begin, place).await,
            Manner::Knock | Manner::Talk => self.knock(role, begin, place).await,
        }
    }

    /// A connection; where the port is refused, an exchange beside it tells whether the path works.
    async fn auto_tcp(&self, host: &str, route: &PortRoute) -> Result<Told, Trouble> {
        let connect = self.connect(host, route).await?;
        if connect.attempt.verdict != Verdict::Fail(FailReason::Refused) {
            return Ok(connect);
        }
        let exchange = match self.exchange(host, route, None).await {
            Ok(exchange) => exchange,
            // The provider may have no nc and listen on IPv4 only.
            Err(trouble) => {
                let at_ipv4 = self.connected_at_ipv4(&connect, route).await;
                return at_ipv4.ok_or_else(|| unknown_beside(&connect, &trouble));
            }
        };
        if !matches!(exchange.attempt.verdict, Verdict::Pass { .. }) {
            return Ok(exchange);
        }
        Ok(exchange.beside(false, &format!("nothing listens on port {}", route.port)))
    }

    /// A datagram that nobody answers tells nothing: an exchange beside the declared port tells whether the
    /// path works, and the kernel's table whether somebody has the port.
    async fn auto_udp(&self, host: &str, route: &PortRoute) -> Result<Told, Trouble> {
        let asks = self.request.payload.expect.is_some();
        let asked = if asks { Some(self.connect(host, route).await?) } else { None };
        if let Some(asked) =
            asked.as_ref().filter(|asked| matches!(asked.attempt.verdict, Verdict::Pass { .. }))
        {
            return Ok(asked.clone());
        }
        let exchange = self.exchange(host, route, Some(route.port)).await;
        let exchange = match (exchange, &asked) {
            (Ok(exchange), _) => exchange,
            (Err(trouble), Some(asked)) => return Err(unknown_beside(asked, &trouble)),
            (Err(trouble), None) => return Err(trouble),
        };
        match (exchange.attempt.verdict, exchange.held, asked) {
            (Verdict::Pass { .. }, false, _) => {
                Ok(exchange.beside(false, &format!("nothing has port {}", route.port)))
            }
            (Verdict::Pass { .. }, true, Some(asked)) => Ok(asked),
            (Verdict::Pass { .. }, true, None) => {
                Ok(exchange.beside(true, &format!("somebody has port {}", route.port)))
            }
            _ => Ok(exchange),
        }
    }

    /// Tokens both ways; says besides whether somebody has the port `asked`. Where one got lost, once more: under load
    /// an `nc` may end too early. So where somebody else took the listener's only connection.
    pub(super) async fn exchange(
        &self,
        host: &str,
        route: &PortRoute,
        asked: Option<u16>,
    ) -> Result<Told, Trouble> {
        let first = self.exchange_once(host, route, asked).await;
        let again = match &first {
            Ok(told) => [FailReason::RequestLost, FailReason::ReplyLost]
                .map(Verdict::Fail)
                .contains(&told.attempt.verdict),
            Err(trouble) => trouble.reason == InconclusiveReason::ListenerTaken,
        };
        if again && !self.left().is_zero() { self.exchange_once(host, route, asked).await } else { first }
    }

    /// Why a side tells nothing of the path.
    pub fn trouble(&self, reason: InconclusiveReason, side: &Running) -> Trouble {
        self.means.hear_of(side.side(), reason);
        Trouble::told(reason, side)
    }

    /// An attempt by these means.
    pub fn told(&self, verdict: Verdict, rtt: Option<Duration>, message: String, side: &Running) -> Told {
        let attempt = Attempt { verdict, rtt, message, prober: M::NAME };
        Told { attempt, peer: side.heard().peer(), held: false, proven: false }
    }
}

/// An attempt, and what else was learned by it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub attempt: Attempt,
    /// The address to which the consumer was connected, or tried to be.
    pub peer: Option<std::net::IpAddr>,
    /// Whether somebody has the port that was asked about.
    pub held: bool,
    /// Whether it was the provider for sure, since it knew a token.
    pub proven: bool,
}

impl Told {
    /// An exchange beside the declared port, on which it was found whether somebody listens.
    fn beside(self, listening: bool, found: &str) -> Self {
        let message = format!("{found}; the path works: {}", self.attempt.message);
        let verdict = Verdict::Pass { listening: Some(listening), detour: false };
        Self { attempt: Attempt { verdict, message, ..self.attempt }, ..self }
    }
}

/// The port is refused or silent, and the exchange that would tell whether the path works was none.
fn unknown_beside(connect: &Told, trouble: &Trouble) -> Trouble {
    let message =
        format!("{}; whether the path works is unknown: {}", connect.attempt.message, trouble.message);
    Trouble::new(trouble.reason, message)
}

/// High ports at random, without the declared one: two handshakes in one provider should not try the same.
pub(super) fn high_ports(declared: u16) -> Vec<u16> {
    let ports = std::iter::repeat_with(|| fastrand::u16(HIGH_PORTS));
    ports.filter(|port| *port != declared).take(CANDIDATES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_listener_of_ours_takes_the_declared_port() {
        for declared in [80, 61001, 62345, 65535] {
            for _ in 0..20_000 {
                let ports = high_ports(declared);
                assert!(ports.len() == CANDIDATES && !ports.contains(&declared), "{ports:?}");
            }
        }
    }
}
