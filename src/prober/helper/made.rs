//! A helper from its creation to its end.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use crate::docker::process::Outputs;
use crate::docker::{Docker, Error, patiently};
use crate::model::container::ContainerId;

use super::super::overdue::{Interest, Speaking};

/// After how long the engine is asked again to remove a helper that it did not remove.
const RETRY: Duration = Duration::from_secs(30);

/// A helper that was made. Whoever drops it before it has ended removes it.
pub(super) struct Made {
    id: ContainerId,
    docker: Docker,
    ended: bool,
    /// Until it is removed.
    speaking: Option<Speaking>,
    _interest: Interest,
}

impl Made {
    pub fn new(id: ContainerId, docker: Docker, (speaking, interest): (Speaking, Interest)) -> Self {
        Self { id, docker, ended: false, speaking: Some(speaking), _interest: interest }
    }

    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// What it says, until it has ended: the engine removes it then.
    pub fn watch(self, outputs: Outputs) -> Outputs {
        let next = async |(mut outputs, mut made): (Outputs, Self)| {
            let piece = outputs.next().await;
            made.ended = piece.is_none();
            Some((piece?, (outputs, made)))
        };
        stream::unfold((outputs, self), next).boxed()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // Without a runtime this process is ending; whoever comes after it sweeps.
        if let (false, Ok(runtime)) = (self.ended, tokio::runtime::Handle::try_current()) {
            let (docker, id, speaking) = (self.docker.clone(), self.id.clone(), self.speaking.take());
            runtime.spawn(async move {
                while !remove(docker.clone(), id.clone()).await {
                    tokio::time::sleep(RETRY).await;
                }
                drop(speaking);
            });
        }
    }
}

/// Removes a helper, unless somebody does already. Whether it is or will be gone.
pub(super) async fn remove(docker: Docker, id: ContainerId) -> bool {
    match patiently(|| docker.remove_container(&id)).await {
        Ok(()) | Err(Error::NotFound(_) | Error::Conflict { .. }) => true,
        Err(error) => {
            tracing::debug!(helper = %id, %error, "cannot remove the helper yet");
            false
        }
    }
}
