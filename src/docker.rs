//! The engine, one method a call. The only module that names bollard: its all-`Option` models become
//! our own complete types here, and its errors the few kinds that somebody can act on.

mod convert;
mod error;
mod exec;
pub mod helper;
mod namespace;
pub mod operation;
pub mod place;
pub mod process;
mod socket;
mod summary;
mod trial;
mod version;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bollard::models::{
    ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum, EndpointSettings, EventMessage,
    Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters::{
    EventsOptions, InspectContainerOptions, InspectNetworkOptions, ListContainersOptions, ListNetworksOptions,
};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};

use crate::model::container::{Attachments, ContainerId, Labels, NetworkId, RunState};
use crate::model::owner::HELPER;
use crate::model::plan::NewNetwork;
use crate::model::world::{Observation, Stamp};

pub use error::{Conflict, Error};
pub use operation::Operation;
pub use version::Version;

/// The usual place of the engine's socket.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// How long a call may take before the engine counts as not answering. A connect to a container on
/// 200 networks takes half a second on a healthy engine, and a start that it waits for some more.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the answer to a ping may take: nothing has to be done for it.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a call is tried that the engine fails at.
const LOOKS: usize = 3;
/// Delay before it is tried again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long the event stream may take to begin. Podman 4.3 sends no head before the first event, so that
/// is no sign of trouble: whether a quiet stream is a dead one, the watch finds out in another way.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3600);

/// One finished call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Which.
    pub operation: Operation,
    /// How long it took.
    pub took: Duration,
    /// Whether the engine said no, or nothing.
    pub failed: bool,
}

/// The engine's events.
type EventStream = BoxStream<'static, Result<EventMessage, Error>>;

/// Tries a call again that the engine answers with a failure of its own, and that does nothing when it
/// is made twice: a look, to join, to leave, to remove. One failure among many answers must not cost all
/// that was learnt, and where every n-th call fails it must not be the same one in every run.
///
/// # Errors
/// If it fails every time, or otherwise.
pub async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 1..LOOKS {
        match call().await {
            Err(Error::Failed(_)) => tokio::time::sleep(LOOK_AGAIN).await,
            other => return other,
        }
    }
    call().await
}

/// Told of every finished call.
pub type OnCall = Arc<dyn Fn(Call) + Send + Sync>;

/// A client of one engine. Cheap to clone; every call makes its own connection, by path, so it
/// survives an engine that comes back with a new socket file.
#[derive(Clone)]
pub struct Docker {
    inner: Arc<Inner>,
}

struct Inner {
    host: String,
    client: OnceLock<bollard::Docker>,
    on_call: OnCall,
    looks: AtomicU64,
}

impl Docker {
    /// A client of the engine at `host` (`unix://…`, `tcp://…`, `http://…`). Connects at the first
    /// call only, so the engine need not be there yet.
    pub fn new(host: &str, on_call: OnCall) -> Self {
        Self {
            inner: Arc::new(Inner {
                host: host.to_owned(),
                client: OnceLock::new(),
                on_call,
                looks: AtomicU64::new(0),
            }),
        }
    }

    /// The address that was given.
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// The stamp of a look that starts now.
    pub fn stamp(&self) -> Stamp {
        Stamp(self.inner.looks.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Asks whether the engine answers at all.
    pub async fn ping(&self) -> Result<(), Error> {
        let answer = self.call(Operation::Ping, async |client| client.ping().await.map(drop));
        tokio::time::timeout(PING_TIMEOUT, answer).await.map_err(|_| Error::unanswered(PING_TIMEOUT))?
    }

    /// All containers but helpers, in whichever state, and the networks that each is attached to.
    pub async fn list_containers(&self) -> Result<BTreeMap<ContainerId, Attachments>, Error> {
        let list = self.summaries(None).await?;
        let listed = |summary: ContainerSummary| {
            let attachments = summary::attachments(&summary);
            Some((ContainerId(summary.id?), attachments))
        };
        Ok(list.into_iter().filter_map(listed).collect())
    }

    /// Who is attached to a network and could still be started, though not without it, in whichever state. Of
    /// what was never started on it, the engine knows the network's name alone.
    pub async fn containers_on(&self, id: &NetworkId, name: &str) -> Result<BTreeSet<ContainerId>, Error> {
        let networks = vec![id.0.clone(), name.to_owned()];
        let list = self.summaries(Some(HashMap::from([("network".to_owned(), networks)]))).await?;
        let leaving = [Some(ContainerSummaryStateEnum::REMOVING), Some(ContainerSummaryStateEnum::DEAD)];
        let attached = list.into_iter().filter(|summary| {
            !leaving.contains(&summary.state)
                && !summary::is_unhindered(summary, name)
                && !summary::is_elsewhere(summary, id, name)
        });
        Ok(attached.filter_map(|summary| summary.id.map(ContainerId)).collect())
    }

    /// The list's short accounts of containers in whichever state, without those of helpers: to all but
    /// who speaks by them there are none.
    async fn summaries(
        &self,
        filters: Option<HashMap<String, Vec<String>>>,
    ) -> Result<Vec<ContainerSummary>, Error> {
        let mut list = self.all_summaries(filters).await?;
        list.retain(|summary| !summary::is_helper(summary));
        Ok(list)
    }

    async fn all_summaries(
        &self,
        filters: Option<HashMap<String, Vec<String>>>,
    ) -> Result<Vec<ContainerSummary>, Error> {
        let options = ListContainersOptions { all: true, filters, ..Default::default() };
        self.call(Operation::ContainerList, async |client| client.list_containers(Some(options)).await).await
    }

    /// How one container is now.
    pub async fn look_at_container(&self, id: &ContainerId) -> Result<(Stamp, Observation), Error> {
        let stamp = self.stamp();
        match self.inspect(id).await {
            Ok(response) => {
                let sandbox = namespace::file(&response);
                let mut container = convert::container(id.clone(), response);
                container.namespace_lost = self.has_lost(&container, &sandbox).await;
                Ok((
                    stamp,
                    match helper::is_one(container.labels.get(HELPER), &container.name, container.mode) {
                        // Nothing may ever come to be declared, wired or told about one.
                        true => Observation::ContainerGone(container.id),
                        false => Observation::Container(Box::new(container)),
                    },
                ))
            }
            Err(Error::NotFound(_)) => Ok((stamp, Observation::ContainerGone(id.clone()))),
            Err(error) => Err(error),
        }
    }

    /// What the program of one container does now, and when it was last started, in the engine's words.
    pub async fn run_state(&self, id: &ContainerId) -> Result<(RunState, String), Error> {
        match self.inspect(id).await {
            Ok(response) => {
                let container = convert::container(id.clone(), response);
                Ok((container.state, container.started))
            }
            Err(Error::NotFound(_)) => Err(Error::NotFound(format!("there is no container {id}"))),
            Err(error) => Err(error),
        }
    }

    /// The engine's account of one container.
    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInspectResponse, Error> {
        let options = None::<InspectContainerOptions>;
        let inspect = async |client: &bollard::Docker| client.inspect_container(id.as_str(), options).await;
        self.call(Operation::ContainerInspect, inspect).await
    }

    /// All networks, ours and others.
    pub async fn list_networks(&self) -> Result<Vec<crate::model::container::Network>, Error> {
        let options = None::<ListNetworksOptions>;
        let list =
            self.call(Operation::NetworkList, async |client| client.list_networks(options).await).await?;
        Ok(list.into_iter().filter_map(convert::network).collect())
    }

    /// How one network is now.
    pub async fn look_at_network(&self, id: &NetworkId) -> Result<(Stamp, Observation), Error> {
        let stamp = self.stamp();
        let options = None::<InspectNetworkOptions>;
        let found = self
            .call(Operation::NetworkInspect, async |client| {
                client.inspect_network(id.as_str(), options).await
            })
            .await;
        match found {
            Ok(response) => {
                Ok((stamp, Observation::Network(convert::inspected_network(id.clone(), response))))
            }
            Err(Error::NotFound(_)) => Ok((stamp, Observation::NetworkGone(id.clone()))),
            Err(error) => Err(error),
        }
    }

    /// Makes an internal bridge network and says its id. Everything that a link relies on is in the
    /// request: the engine fills in the rest from the daemon's `default-network-opts`.
    pub async fn create_network(&self, new: &NewNetwork) -> Result<NetworkId, Error> {
        let subnet = IpamConfig { subnet: Some(new.subnet.to_string()), ..Default::default() };
        let request = NetworkCreateRequest {
            name: new.name.clone(),
            driver: Some("bridge".to_owned()),
            internal: Some(true),
            options: Some(HashMap::from([(convert::ICC.to_owned(), "true".to_owned())])),
            // Engines before 28 do not know this one, and ignore it.
            enable_ipv4: Some(true),
            enable_ipv6: Some(false),
            ipam: Some(Ipam { config: Some(vec![subnet]), ..Default::default() }),
            labels: Some(new.labels.clone().into_iter().collect()),
            ..Default::default()
        };
        let made =
            self.call(Operation::NetworkCreate, async |client| client.create_network(request).await).await?;
        Ok(NetworkId(made.id))
    }

    /// Attaches a container, in whichever state it is. One that is attached already is a
    /// [`Conflict::AlreadyConnected`] when it runs, and no error when it does not.
    ///
    /// The endpoint is told the network's id: Engine 20.10 would look for it by name when the container
    /// starts, and not start it where somebody has made another network of that name (measured).
    pub async fn connect(
        &self,
        network: &NetworkId,
        container: &ContainerId,
        aliases: &BTreeSet<String>,
        options: &Labels,
    ) -> Result<(), Error> {
        let endpoint = EndpointSettings {
            aliases: Some(aliases.iter().cloned().collect()),
            driver_opts: Some(options.clone().into_iter().collect()),
            network_id: Some(network.0.clone()),
            ..Default::default()
        };
        let request =
            NetworkConnectRequest { container: container.0.clone(), endpoint_config: Some(endpoint) };
        self.call(Operation::NetworkConnect, async |client| {
            client.connect_network(network.as_str(), request).await
        })
        .await
    }

    /// Detaches a container, in whichever state it is, from the network with this id or, where that
    /// is gone, name.
    pub async fn disconnect(&self, network: &str, container: &ContainerId) -> Result<(), Error> {
        let request = NetworkDisconnectRequest { container: container.0.clone(), force: Some(true) };
        let network = segment(network);
        self.call(Operation::NetworkDisconnect, async |client| {
            client.disconnect_network(&network, request).await
        })
        .await
    }

    /// Removes a network.
    pub async fn remove_network(&self, network: &NetworkId) -> Result<(), Error> {
        self.call(Operation::NetworkRemove, async |client| client.remove_network(network.as_str()).await)
            .await
    }

    /// Whether something takes connections at the engine's address, without asking it anything.
    /// Only a unix socket can be tried so cheaply; elsewhere the answer is yes.
    async fn is_listening(&self) -> bool {
        match self.socket() {
            Some(path) => tokio::net::UnixStream::connect(path).await.is_ok(),
            None => true,
        }
    }

    /// Whether the engine's address is a mount of a socket file. It does not become the file of an engine
    /// that starts later.
    fn is_mounted_file(&self) -> bool {
        self.socket().is_some_and(socket::is_mount)
    }

    /// Whether the engine's address is a mount of a socket file that has been removed. Once it refuses
    /// connections, it does so for ever.
    fn is_removed_file(&self) -> bool {
        self.socket().is_some_and(socket::is_removed)
    }

    fn socket(&self) -> Option<&Path> {
        self.inner.host.strip_prefix("unix://").map(Path::new)
    }

    /// The engine's events of the given types and actions, from `since` (Unix nanoseconds) on. The
    /// connection is made when the stream is first polled.
    fn events(&self, since: i64, filters: &[(&str, &[&str])]) -> Result<EventStream, Error> {
        let client = self.client()?.clone().with_timeout(HEAD_TIMEOUT);
        let stream = client.events(Some(events_options(since, None, filters)));
        let docker = self.clone();
        Ok(Box::pin(stream.map(move |item| item.map_err(|error| docker.explain(error)))))
    }

    /// The events from `since` to `until` (Unix nanoseconds by the engine's clock) that the engine
    /// still remembers. Where `until` is yet to come, the engine answers only then.
    async fn past_events(
        &self,
        since: i64,
        until: i64,
        filters: &[(&str, &[&str])],
    ) -> Result<Vec<EventMessage>, Error> {
        let options = events_options(since, Some(until), filters);
        let list = async |client: &bollard::Docker| client.events(Some(options)).try_collect().await;
        self.call(Operation::Events, list).await
    }

    /// What an error means, with what the socket's file tells of it.
    fn explain(&self, error: bollard::errors::Error) -> Error {
        let classified = |error| error::classify(error, CALL_TIMEOUT);
        match (self.socket(), error) {
            (Some(path), error) if error::is_permission_denied(&error) => {
                Error::Unavailable(socket::refusal(path))
            }
            (Some(path), error) => {
                socket::impostor(path).map_or_else(|| classified(error), Error::Unavailable)
            }
            (None, error) => classified(error),
        }
    }

    fn client(&self) -> Result<&bollard::Docker, Error> {
        if let Some(client) = self.inner.client.get() {
            return Ok(client);
        }
        let client = bollard::Docker::connect_with_host(&self.inner.host)
            .map_err(|error| error::classify(error, CALL_TIMEOUT))?
            .with_timeout(CALL_TIMEOUT);
        Ok(self.inner.client.get_or_init(|| client))
    }

    async fn call<T>(
        &self,
        operation: Operation,
        request: impl AsyncFnOnce(&bollard::Docker) -> Result<T, bollard::errors::Error>,
    ) -> Result<T, Error> {
        let client = self.client()?;
        let start = Instant::now();
        let result = match tokio::time::timeout(CALL_TIMEOUT, request(client)).await {
            Ok(result) => result.map_err(|error| self.explain(error)),
            Err(_) => Err(Error::unanswered(CALL_TIMEOUT)),
        };
        // "There is none" is an answer, not a failure.
        let failed = matches!(&result, Err(error) if !matches!(error, Error::NotFound(_)));
        (self.inner.on_call)(Call { operation, took: start.elapsed(), failed });
        result
    }
}

/// A name as one segment of a path. Whoever made the network may have called it `../containers/x`, and
/// the client takes what it is given for a path.
fn segment(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let encoded = |b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    name.bytes().map(encoded).collect()
}

fn events_options(since: i64, until: Option<i64>, filters: &[(&str, &[&str])]) -> EventsOptions {
    let filters: HashMap<String, Vec<String>> = filters
        .iter()
        .map(|(key, values)| ((*key).to_owned(), values.iter().map(|v| (*v).to_owned()).collect()))
        .collect();
    let time = |nanos: i64| format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    EventsOptions { since: Some(time(since)), until: until.map(time), filters: Some(filters) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_to_another_path() {
        assert_eq!(segment("zzzz_tieline_shop.web_db-1_10.213.0.0"), "zzzz_tieline_shop.web_db-1_10.213.0.0");
        assert_eq!(
            segment("../containers/x/kill?a#b%2f é"),
            "..%2Fcontainers%2Fx%2Fkill%3Fa%23b%252f%20%C3%A9"
        );
    }
}
