//! An exchange: a listener of ours in the provider, a client in the consumer, a fresh token of each.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::model::handshake::reading::{self, Arrived};
use crate::model::handshake::script::{self, Manner};
use crate::model::handshake::token::Token;
use crate::model::handshake::tool::Tool;
use crate::model::handshake::{FailReason, Verdict};

use super::super::{Attempt, Request};
use super::modes::Making;
use super::running::Running;
use super::{Trouble, with_complaint};

/// How long one side may take to hear what was said before the other ended.
const LATE: Duration = Duration::from_millis(250);

/// What both sides say.
struct Tokens {
    request: Token,
    reply: Token,
}

impl Making<'_> {
    /// One exchange, on the first of `ports` that is free in the provider.
    pub async fn exchange_once(&self, ports: &[u16]) -> Result<Attempt, Trouble> {
        let Request { consumer, provider, .. } = self.request;
        let (here, there) =
            tokio::try_join!(self.tools.tool(self.docker, consumer), self.tools.tool(self.docker, provider))?;
        let command = script::listener(&there, ports, self.left());
        let mut listener = Running::start(self.docker, provider, command).await?;
        let attempt = self.exchange_with(&mut listener, &here).await;
        // Whatever happened: nothing of ours is left in the provider when this returns.
        listener.stop().await;
        attempt
    }

    /// The client starts once the listener has its port: it never talks to anybody else's listener.
    async fn exchange_with(&self, listener: &mut Running<'_>, tool: &Tool) -> Result<Attempt, Trouble> {
        let Request { consumer, host, .. } = self.request;
        let tokens =
            Tokens { request: Token::new(fastrand::u128(..)), reply: Token::new(fastrand::u128(..)) };
        listener.say(&tokens.reply.line()).await?;
        let port = self.ready(listener).await?;
        let start = Instant::now();
        let command = script::client(tool, host, port, Manner::Talk, self.left());
        let mut client = Running::start(self.docker, consumer, command).await?;
        client.say(&tokens.request.line()).await?;
        let arrived = listen(listener, &mut client, &tokens).await?;
        let rtt = start.elapsed();
        listener.close().await;
        client.stop().await;
        let exit = client.exit_code().await;
        let verdict = reading::exchange(arrived, tool.flavour, client.heard(), exit, listener.heard());
        match verdict {
            Verdict::Pass { .. } => {
                let message = format!("tokens exchanged over {host}:{port} in {} ms", rtt.as_millis());
                Ok(Attempt { verdict, rtt: Some(rtt), message })
            }
            Verdict::Fail(reason) => {
                let message = with_complaint(self.failure(reason, port), &client);
                Ok(Attempt { verdict, rtt: None, message })
            }
            Verdict::Inconclusive(reason) => Err(self.trouble(reason, &client)),
        }
    }

    /// Waits until the listener has a port.
    async fn ready(&self, listener: &mut Running<'_>) -> Result<u16, Trouble> {
        loop {
            if let Some(port) = listener.heard().ready() {
                return Ok(port);
            }
            if !listener.hear().await? {
                let exit = listener.exit_code().await;
                let reason = reading::no_listener(listener.heard(), exit);
                return Err(self.trouble(reason, listener));
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

/// Listens to both sides until both tokens arrived or there is nothing more to come.
async fn listen(
    listener: &mut Running<'_>,
    client: &mut Running<'_>,
    tokens: &Tokens,
) -> Result<Arrived, Trouble> {
    loop {
        let arrived = Arrived {
            request: tokens.request.is_in(listener.heard().stdout()),
            reply: tokens.reply.is_in(client.heard().stdout()),
        };
        if arrived.both() || (client.ended() && listener.ended()) {
            return Ok(arrived);
        }
        tokio::select! {
            more = listener.hear(), if !listener.ended() => { more?; }
            more = client.hear(), if !client.ended() => { more?; }
            () = sleep(LATE), if client.ended() || listener.ended() => return Ok(arrived),
        }
    }
}
