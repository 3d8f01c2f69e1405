//! The modes of a handshake: which attempts make it up, and what they tell together.

use std::time::Duration;

use tokio::time::Instant;

use crate::docker::Docker;
use crate::model::container::RunState;
use crate::model::handshake::script::{self, Manner};
use crate::model::handshake::transcript::Transcript;
use crate::model::handshake::{FailReason, InconclusiveReason, Verdict, reading};
use crate::model::link;

use super::super::{Attempt, Request, Side};
use super::running::Running;
use super::{ToolCache, Trouble, with_complaint};

/// Where a listener goes whose port is taken: above what Linux gives to clients by itself.
const HIGH_PORTS: std::ops::RangeInclusive<u16> = 61001..=65535;

/// How many high ports a listener tries.
const CANDIDATES: usize = 4;

/// A handshake in the making.
pub(super) struct Making<'a> {
    pub docker: &'a Docker,
    pub tools: &'a ToolCache,
    pub request: &'a Request,
    pub deadline: Instant,
}

impl Making<'_> {
    pub async fn attempt(&self) -> Result<Attempt, Trouble> {
        self.both_run().await?;
        let attempt = match self.request.mode {
            link::Handshake::Connect => self.connect().await?,
            link::Handshake::Exchange => self.exchange().await?,
            link::Handshake::Auto => self.auto().await?,
            link::Handshake::None => {
                return Err(Trouble::new(InconclusiveReason::Unsupported, "never proven".to_owned()));
            }
        };
        // A container that stops meanwhile makes the handshake fail, which tells nothing of the path.
        if let Verdict::Fail(_) = attempt.verdict {
            self.both_run().await?;
        }
        Ok(attempt)
    }

    /// What is left of the time for all.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The kernel accepts connections for a paused provider, and the name of a stopped one takes ten
    /// seconds to be unknown: look first.
    pub async fn both_run(&self) -> Result<(), Trouble> {
        tokio::try_join!(self.runs(&self.request.consumer), self.runs(&self.request.provider))?;
        Ok(())
    }

    async fn runs(&self, side: &Side) -> Result<(), Trouble> {
        let state = self.docker.run_state(&side.id).await.map_err(|error| Trouble::of(&error, side))?;
        let (reason, what) = match state {
            RunState::Running => return Ok(()),
            RunState::Paused => (InconclusiveReason::ContainerPaused, "is paused"),
            _ => (InconclusiveReason::ContainerNotRunning, "is not running"),
        };
        Err(Trouble::new(reason, format!("{} {what}", side.name)))
    }

    /// A connection; where the port is refused, an exchange beside it tells whether the path works.
    async fn auto(&self) -> Result<Attempt, Trouble> {
        let connect = self.connect().await?;
        if connect.verdict != Verdict::Fail(FailReason::Refused) {
            return Ok(connect);
        }
        let exchange = self.exchange_on(&high_ports()).await.map_err(|trouble| {
            let message =
                format!("{}; whether the path works is unknown: {}", connect.message, trouble.message);
            Trouble::new(trouble.reason, message)
        })?;
        if !matches!(exchange.verdict, Verdict::Pass { .. }) {
            return Ok(exchange);
        }
        let message =
            format!("nothing listens on port {}; the path works: {}", self.request.port, exchange.message);
        Ok(Attempt { verdict: Verdict::Pass { listening: Some(false) }, message, ..exchange })
    }

    /// A connection to the provider's own listener. Nothing is said, and it ends once it is made.
    async fn connect(&self) -> Result<Attempt, Trouble> {
        let Request { consumer, host, port, .. } = self.request;
        let tool = self.tools.tool(self.docker, consumer).await?;
        let command = script::client(&tool, host, &[*port], Manner::Knock, self.left());
        let mut client = Running::start(self.docker, consumer, command).await?;
        client.hear_until(Transcript::up).await?;
        let start = Instant::now();
        client.say(&script::port_line(*port)).await;
        client.hear_until(|heard| heard.end().is_some()).await?;
        let rtt = start.elapsed();
        client.finish().await;
        let exit = client.exit_code().await;
        let verdict = reading::knock(tool.flavour, client.heard(), exit);
        match verdict {
            Verdict::Pass { .. } => {
                let message = format!("connected to {host}:{port} in {rtt:.1?}");
                Ok(Attempt { verdict, rtt: Some(rtt), message })
            }
            Verdict::Fail(reason) => {
                let what = format!("{host}:{port}: {}", reason.meaning());
                Ok(Attempt { verdict, rtt: None, message: with_complaint(what, &client) })
            }
            Verdict::Inconclusive(reason) => Err(self.trouble(reason, &client)),
        }
    }

    /// Tokens both ways, on the declared port if nobody else listens there.
    async fn exchange(&self) -> Result<Attempt, Trouble> {
        let ports = [vec![self.request.port], high_ports()].concat();
        match self.exchange_on(&ports).await {
            Err(trouble) if trouble.reason == InconclusiveReason::ListenerTaken && !self.left().is_zero() => {
                self.exchange_on(&high_ports()).await
            }
            attempt => attempt,
        }
    }

    /// Tokens both ways. Where one got lost, once more: under load an `nc` may end too early.
    async fn exchange_on(&self, ports: &[u16]) -> Result<Attempt, Trouble> {
        let first = self.exchange_once(ports).await?;
        let lost =
            [FailReason::RequestLost, FailReason::ReplyLost].map(Verdict::Fail).contains(&first.verdict);
        if lost && !self.left().is_zero() { self.exchange_once(ports).await } else { Ok(first) }
    }

    /// Why a script tells nothing of the path. An `nc` that is not there any more is looked for anew.
    pub fn trouble(&self, reason: InconclusiveReason, script: &Running) -> Trouble {
        if reason == InconclusiveReason::NoNetcat {
            self.tools.forget(&script.side().image);
        }
        Trouble::told(reason, script)
    }
}

/// High ports at random: two handshakes in one provider should not try the same.
fn high_ports() -> Vec<u16> {
    (0..CANDIDATES).map(|_| fastrand::u16(HIGH_PORTS)).collect()
}
