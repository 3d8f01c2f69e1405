//! Whether a call is let through, tried in a way that changes nothing: about things that are not there.

use bollard::exec::{CreateExecOptions, StartExecOptions};
use bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest};
use bollard::query_parameters::{InspectContainerOptions, InspectNetworkOptions};

use super::{Docker, Error, Operation};

/// An id that nothing has, in the form that all have.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Docker {
    /// Tries `operation`: `None` where that cannot be done without changing something.
    ///
    /// # Errors
    /// If the call is refused, by the engine or by a proxy before it, or not answered. That what it is
    /// about does not exist is no refusal.
    pub async fn try_out(&self, operation: Operation) -> Option<Result<(), Error>> {
        let tried = match operation {
            Operation::ContainerList => self.list_containers().await.map(drop),
            Operation::NetworkList => self.list_networks().await.map(drop),
            Operation::Ping => self.ping().await,
            Operation::Version => self.version().await.map(drop),
            // What is asked of the past has the path of the stream.
            Operation::Events => self.past_events(0, 1, &[]).await.map(drop),
            Operation::NetworkCreate => return None,
            other => self.call(other, async |client| about_nothing(client, other).await).await,
        };
        Some(match tried {
            Err(Error::NotFound(_)) => Ok(()),
            other => other,
        })
    }
}

async fn about_nothing(client: &bollard::Docker, operation: Operation) -> Result<(), bollard::errors::Error> {
    match operation {
        Operation::ContainerInspect => {
            client.inspect_container(NOTHING, None::<InspectContainerOptions>).await.map(drop)
        }
        Operation::NetworkInspect => {
            client.inspect_network(NOTHING, None::<InspectNetworkOptions>).await.map(drop)
        }
        Operation::NetworkConnect => {
            let request = NetworkConnectRequest { container: NOTHING.to_owned(), endpoint_config: None };
            client.connect_network(NOTHING, request).await
        }
        Operation::NetworkDisconnect => {
            let request = NetworkDisconnectRequest { container: NOTHING.to_owned(), force: None };
            client.disconnect_network(NOTHING, request).await
        }
        Operation::NetworkRemove => client.remove_network(NOTHING).await,
        Operation::ExecCreate => {
            let options = CreateExecOptions { cmd: Some(vec!["true"]), ..CreateExecOptions::default() };
            client.create_exec(NOTHING, options).await.map(drop)
        }
        Operation::ExecStart => client.start_exec(NOTHING, None::<StartExecOptions>).await.map(drop),
        Operation::ExecInspect => client.inspect_exec(NOTHING).await.map(drop),
        _ => Ok(()),
    }
}
