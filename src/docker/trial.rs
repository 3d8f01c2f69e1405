//! Whether a call is let through, tried in a way that changes nothing: about things that are not there.

use std::collections::BTreeSet;

use bollard::exec::{CreateExecOptions, StartExecOptions};
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptions;

use super::{Conflict, Docker, Error, Operation};
use crate::model::container::{ContainerId, Labels, NetworkId};

/// An id that nothing has, in the form that all have.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Docker {
    /// Tries `operation`: `None` where that cannot be done without changing something.
    ///
    /// # Errors
    /// If the call is refused, by the engine or by a proxy before it, or not answered. That what it is
    /// about does not exist is no refusal.
    pub async fn try_out(&self, operation: Operation) -> Option<Result<(), Error>> {
        let (container, network) = (ContainerId(NOTHING.to_owned()), NetworkId(NOTHING.to_owned()));
        let tried = match operation {
            Operation::ContainerList => self.list_containers().await.map(drop),
            Operation::NetworkList => self.list_networks().await.map(drop),
            Operation::ContainerInspect => self.look_at_container(&container).await.map(drop),
            Operation::NetworkInspect => self.look_at_network(&network).await.map(drop),
            Operation::NetworkConnect => {
                self.connect(&network, &container, &BTreeSet::new(), &Labels::new()).await
            }
            Operation::NetworkDisconnect => self.disconnect(NOTHING, &container).await,
            Operation::NetworkRemove => self.remove_network(&network).await,
            Operation::Ping => self.ping().await,
            Operation::Version => self.version().await.map(drop),
            // What is asked of the past has the path of the stream.
            Operation::Events => self.past_events(0, 1, &[]).await.map(drop),
            Operation::NetworkCreate => return None,
            Operation::ContainerCreate => {
                // Of an image that is not there, none is made.
                let body = ContainerCreateBody {
                    image: Some(format!("sha256:{NOTHING}")),
                    ..ContainerCreateBody::default()
                };
                let create = async |client: &bollard::Docker| {
                    client.create_container(None::<CreateContainerOptions>, body).await
                };
                self.call(operation, create).await.map(drop)
            }
            Operation::ContainerAttach => self.attach(&container).await.map(drop),
            Operation::ContainerStart => self.start_container(&container).await,
            Operation::ContainerRemove => self.remove_container(&container).await,
            Operation::ExecCreate => {
                let options = CreateExecOptions { cmd: Some(vec!["true"]), ..CreateExecOptions::default() };
                let create = async |client: &bollard::Docker| client.create_exec(NOTHING, options).await;
                self.call(operation, create).await.map(drop)
            }
            Operation::ExecStart => {
                let start = async |client: &bollard::Docker| {
                    client.start_exec(NOTHING, None::<StartExecOptions>).await
                };
                self.call(operation, start).await.map(drop)
            }
            Operation::ExecInspect => {
                self.call(operation, async |client| client.inspect_exec(NOTHING).await).await.map(drop)
            }
        };
        Some(match tried {
            Err(Error::NotFound(_) | Error::Conflict { what: Conflict::NoImage, .. }) => Ok(()),
            other => other,
        })
    }
}
