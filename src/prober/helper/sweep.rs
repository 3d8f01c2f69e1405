//! What is left of helpers whose controller was killed.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::made::remove;
use crate::docker::Docker;
use crate::docker::helper::Found;
use crate::model::container::ContainerId;
use crate::model::labels::TIMEOUT_RANGE;

/// How often is looked.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long a helper may be there that does not run: it may be about to be started, and the engine takes its
/// time.
const MOST_IDLE: Duration = Duration::from_secs(30);
/// How long one may run: no handshake is longer.
const MOST_RUNNING: Duration = MOST_IDLE.saturating_add(*TIMEOUT_RANGE.end());

/// Removes the helpers of `instance` that nobody will remove, for ever.
pub async fn sweep(docker: Docker, instance: String) {
    let mut since = Since::default();
    let mut rounds = tokio::time::interval(INTERVAL);
    loop {
        rounds.tick().await;
        match docker.list_helpers(&instance).await {
            Ok(found) => {
                for id in since.overdue(&found) {
                    tracing::debug!(helper = %id, "a helper was left behind");
                    remove(docker.clone(), id).await;
                }
            }
            Err(error) => tracing::debug!(%error, "cannot look for helpers that were left behind"),
        }
    }
}

/// Since when each helper has been seen. By our own clock: the engine's may be another's.
#[derive(Default)]
struct Since(HashMap<ContainerId, Instant>);

impl Since {
    /// Which of the helpers that are there now have been there for too long.
    fn overdue(&mut self, found: &[Found]) -> Vec<ContainerId> {
        let now = Instant::now();
        self.0.retain(|id, _| found.iter().any(|helper| helper.id == *id));
        let is_overdue = |helper: &&Found| {
            let since = *self.0.entry(helper.id.clone()).or_insert(now);
            now - since >= if helper.runs { MOST_RUNNING } else { MOST_IDLE }
        };
        found.iter().filter(is_overdue).map(|helper| helper.id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, runs: bool) -> Found {
        Found { id: ContainerId(name.to_owned()), runs }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_nobody_can_be_waiting_for_is_swept() {
        let mut since = Since::default();
        let names = |ids: Vec<ContainerId>| ids.into_iter().map(|id| id.0).collect::<Vec<_>>();
        let left = [found("made", false), found("hangs", true)];
        assert!(since.overdue(&left).is_empty());
        tokio::time::advance(MOST_IDLE).await;
        let all = [left.as_slice(), &[found("new", false)]].concat();
        assert_eq!(names(since.overdue(&all)), ["made"]);
        // One that could not be removed is tried again.
        tokio::time::advance(*TIMEOUT_RANGE.end()).await;
        assert_eq!(names(since.overdue(&left)), ["made", "hangs"]);
        // One that is back is another.
        assert!(since.overdue(&[]).is_empty());
        assert!(since.overdue(&left).is_empty());
    }
}
