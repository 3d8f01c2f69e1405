//! Send and expect: the provider's own program is told what the link says, and has to answer as it says.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::answer::Answer;
use super::modes::{Making, Told};
use super::running::Running;
use super::{Means, Trouble, with_complaint};
use crate::model::handshake::role::{Medium, Role, Transport};
use crate::model::handshake::transcript::{Transcript, excerpt};
use crate::model::handshake::{FailReason, InconclusiveReason, Verdict, reading};
use crate::model::link::Payload;

/// How much longer than its bound a side may take to say how it ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl<M: Means> Making<'_, M> {
    /// Asks as `role`, which begins at the line `begin`; `place` is what a person calls it.
    pub(super) async fn ask(&self, role: &Role, begin: &str, place: &str) -> Result<Told, Trouble> {
        let Payload { send, expect } = &self.request.payload;
        let mut answer = Answer::expected(expect.as_deref()).await?;
        let mut client = self.start(&self.request.consumer, role).await?;
        client.hear_until(Transcript::up).await?;
        let start = Instant::now();
        client.say(begin.as_bytes()).await;
        // Who answers may hang up with the answer, and then nobody would have seen who that was.
        client.see_where_it_led().await;
        client.say(send.as_deref().unwrap_or_default()).await;
        self.hear_answer(&mut client, role.medium(), &mut answer).await?;
        let rtt = start.elapsed();
        let answered = answer.has_come(client.heard()).await;
        client.see_where_it_led().await;
        client.stop().await;
        let exit = client.exit_code().await;
        let verdict = match expect {
            Some(_) if answered => Verdict::Pass { listening: Some(true), detour: false },
            Some(_) => reading::asked(role.medium(), client.flavour(), client.heard(), exit),
            None => reading::knock(role.medium(), client.flavour(), client.heard(), exit),
        };
        match verdict {
            Verdict::Pass { .. } => {
                let what = if expect.is_some() { "answered as expected" } else { "took what was sent" };
                Ok(self.told(verdict, Some(rtt), format!("{place} {what} in {rtt:.1?}"), &client))
            }
            // The rest may have been what is expected.
            Verdict::Fail(FailReason::ReplyMismatch)
                if client.overflowed() || answer.is_cut(client.heard()) =>
            {
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
        answer: &mut Answer,
    ) -> Result<(), Trouble> {
        let half = self.left() / 2;
        if let Ok(heard) = timeout(half, answer.hear(client)).await {
            return heard;
        }
        // The end of what is said by datagrams is not heard, and the time is needed for what else can be tried.
        if medium == Medium::Network(Transport::Udp) {
            return Ok(());
        }
        client.close_stdin().await;
        let rest = self.left() + LAST_WORDS;
        timeout(rest, answer.hear(client)).await.unwrap_or(Ok(()))
    }
}
