//! A knock: a connection to the provider's own listener. Nothing is said, and it ends once it is made.

use tokio::time::Instant;

use super::modes::{Making, Told};
use super::{Means, Trouble, with_complaint};
use crate::model::handshake::Verdict;
use crate::model::handshake::reading;
use crate::model::handshake::role::Role;
use crate::model::handshake::transcript::Transcript;

impl<M: Means> Making<'_, M> {
    /// Knocks as `role`, which begins at the line `begin`; `place` is what a person calls it.
    pub(super) async fn knock(&self, role: &Role, begin: &str, place: &str) -> Result<Told, Trouble> {
        let mut client = self.start(&self.request.consumer, role).await?;
        client.hear_until(Transcript::up).await?;
        let start = Instant::now();
        client.say(begin.as_bytes()).await;
        client.hear_until(|heard| heard.end().is_some()).await?;
        let rtt = start.elapsed();
        client.finish().await;
        let exit = client.exit_code().await;
        let verdict = reading::knock(role.medium(), client.flavour(), client.heard(), exit);
        match verdict {
            Verdict::Pass { .. } => {
                Ok(self.told(verdict, Some(rtt), format!("connected to {place} in {rtt:.1?}"), &client))
            }
            Verdict::Fail(reason) => {
                let what = format!("{place}: {}", reason.meaning());
                Ok(self.told(verdict, None, with_complaint(what, &client), &client))
            }
            Verdict::Inconclusive(reason) => Err(self.trouble(reason, &client)),
        }
    }
}
