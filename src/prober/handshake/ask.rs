//! Send and expect: the provider's own program is told what the link says, and has to answer as it says.

use std::time::Duration;

use regex::bytes::Regex;
use tokio::time::{Instant, timeout};

use super::modes::{Making, Told};
use super::running::Running;
use super::{Means, Trouble, with_complaint};
use crate::model::handshake::role::{Medium, Role, Transport};
use crate::model::handshake::transcript::{Transcript, excerpt};
use crate::model::handshake::{FailReason, InconclusiveReason, Verdict, reading};
use crate::model::labels::expectation;

/// How much longer than its bound a side may take to say how it ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl<M: Means> Making<'_, M> {
    /// Asks as `role`, which begins at the line `begin`; `place` is what a person calls it.
    pub(super) async fn ask(&self, role: &Role, begin: &str, place: &str) -> Result<Told, Trouble> {
        let expected = self.expected()?;
        let is_answer = |heard: &Transcript| match &expected {
            // What comes before it is up, the engine says.
            Some(expected) => heard.up() && expected.is_match(heard.stdout()),
            // Nothing has to be answered: it is enough that somebody took it.
            None => heard.connected() || heard.end().is_some(),
        };
        let mut client = self.start(&self.request.consumer, role).await?;
        client.hear_until(Transcript::up).await?;
        let start = Instant::now();
        let sent = self.request.payload.send.as_deref().unwrap_or_default();
        client.say(begin.as_bytes()).await;
        // Who answers may hang up with the answer, and then nobody would have seen who that was.
        client.see_where_it_led().await;
        client.say(sent).await;
        self.hear_answer(&mut client, role.medium(), is_answer).await?;
        let rtt = start.elapsed();
        let answered = is_answer(client.heard());
        client.see_where_it_led().await;
        client.stop().await;
        let exit = client.exit_code().await;
        let verdict = match &expected {
            Some(_) if answered => Verdict::Pass { listening: Some(true), detour: false },
            Some(_) => reading::asked(role.medium(), client.flavour(), client.heard(), exit),
            None => reading::knock(role.medium(), client.flavour(), client.heard(), exit),
        };
        match verdict {
            Verdict::Pass { .. } => {
                let what = if expected.is_some() { "answered as expected" } else { "took what was sent" };
                Ok(self.told(verdict, Some(rtt), format!("{place} {what} in {rtt:.1?}"), &client))
            }
            // The rest may have been what is expected.
            Verdict::Fail(FailReason::ReplyMismatch) if client.overflowed() => {
                Err(self.trouble(InconclusiveReason::ReplyTooLong, &client))
            }
            Verdict::Fail(reason) => {
                let mut what = format!("{place}: {}", reason.meaning());
                if !client.heard().stdout().is_empty() {
                    what += &format!(", but: {}", excerpt(client.heard().stdout()));
                }
                Ok(self.told(verdict, None, with_complaint(what, &client), &client))
            }
            Verdict::Inconclusive(reason) => Err(self.trouble(reason, &client)),
        }
    }

    /// Listens until the answer is there or nothing more is to come. Some programs answer only at the end of
    /// what they are told, so after half of the time that end comes.
    async fn hear_answer(
        &self,
        client: &mut Running<'_>,
        medium: Medium,
        is_answer: impl Fn(&Transcript) -> bool,
    ) -> Result<(), Trouble> {
        let half = self.left() / 2;
        if let Ok(heard) = timeout(half, client.hear_until(&is_answer)).await {
            return heard;
        }
        // The end of what is said by datagrams is not heard, and the time is needed for what else can be tried.
        if medium == Medium::Network(Transport::Udp) {
            return Ok(());
        }
        client.close_stdin().await;
        let rest = self.left() + LAST_WORDS;
        timeout(rest, client.hear_until(&is_answer)).await.unwrap_or(Ok(()))
    }

    fn expected(&self) -> Result<Option<Regex>, Trouble> {
        let Some(pattern) = &self.request.payload.expect else { return Ok(None) };
        // It was checked when the label was read.
        let compiled = expectation(pattern).map_err(|fault| {
            Trouble::new(InconclusiveReason::Unsupported, format!("expect: {}", fault.fix))
        })?;
        Ok(Some(compiled))
    }
}
