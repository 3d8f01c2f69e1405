//! A helper from its creation to its end.

use futures_util::{StreamExt, stream};

use crate::docker::process::Outputs;
use crate::docker::{Docker, Error, patiently};
use crate::model::container::ContainerId;

/// A helper that was made. Whoever drops it before it has ended removes it.
pub(super) struct Made {
    id: ContainerId,
    docker: Docker,
    ended: bool,
}

impl Made {
    pub fn new(id: ContainerId, docker: Docker) -> Self {
        Self { id, docker, ended: false }
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
            runtime.spawn(remove(self.docker.clone(), self.id.clone()));
        }
    }
}

/// Removes a helper, unless somebody does already.
pub(super) async fn remove(docker: Docker, id: ContainerId) {
    match patiently(|| docker.remove_container(&id)).await {
        Ok(()) | Err(Error::NotFound(_) | Error::Conflict { .. }) => {}
        Err(error) => tracing::debug!(helper = %id, %error, "cannot remove the helper yet"),
    }
}
