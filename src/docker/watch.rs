//! Following the engine: subscribe, then list, then look again at whatever an event names.
//!
//! Events are hints. The daemon keeps the last 256 only and skips a subscriber that is late (moby,
//! `daemon/events`), so what an event says is never believed: it tells where to look. A list tells
//! everything, and comes after every new subscription and every resync interval.
//!
//! A stream that is quiet looks just like one that is dead, so after a while of quiet the engine is
//! pinged, and all is done anew.

mod listing;
mod looks;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bollard::models::{EventMessage, EventMessageTypeEnum};
use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use tokio::sync::mpsc;

use super::{Docker, Error};
use crate::model::container::{ContainerId, NetworkId};
use crate::model::world::{Observation, Stamp};
use looks::{Looks, Subject};

pub use listing::{Listing, list};

/// The events that are asked for. Our own handshakes would wake us by their `exec_…` events, and
/// flush the daemon's ring.
const FILTERS: [(&str, &[&str]); 2] = [("type", &["container", "network"]), ("event", &ACTIONS)];

/// Event actions that tell of a change which matters here; others are counted as `other`.
pub const ACTIONS: [&str; 11] = [
    "create",
    "start",
    "die",
    "stop",
    "destroy",
    "rename",
    "pause",
    "unpause",
    "connect",
    "disconnect",
    "remove",
];

/// Types of events that are asked for; others are counted as `other`.
pub const TYPES: [&str; 2] = ["container", "network"];

/// After so long without an event the engine is pinged and the subscription made anew.
const QUIET: Duration = Duration::from_secs(60);
/// How long the answer to a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Delay before the second attempt to get the stream back; it doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(800);
/// The longest delay between two attempts to get the stream back.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// How often an engine that is away is looked for at its socket, which costs next to nothing.
const KNOCK: Duration = Duration::from_millis(200);

/// What the watch tells.
#[derive(Debug)]
pub enum Signal {
    /// Everything the engine holds.
    Listed(Listing),
    /// How one thing is now.
    Observed(Stamp, Observation),
    /// The engine told of something.
    Event(Event),
    /// The stream is being made anew. Unless the reason is [`Loss::Quiet`], nothing is known until the
    /// next list.
    Lost {
        /// Why.
        reason: Loss,
        /// The error's words.
        error: String,
    },
}

/// One event, as far as it is counted and timed.
#[derive(Clone, Debug)]
pub struct Event {
    /// One of [`TYPES`], or `other`.
    pub kind: &'static str,
    /// One of [`ACTIONS`], or `other`.
    pub action: &'static str,
    /// The container that it is about.
    pub container: Option<ContainerId>,
    /// When it reached us.
    pub received: Instant,
}

/// Why a stream is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The engine closed it.
    Ended,
    /// It broke, or could not be opened.
    Error,
    /// The list failed.
    List,
    /// Nothing came for a while.
    Quiet,
}

impl Loss {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Ended, Self::Error, Self::List, Self::Quiet];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Error => "error",
            Self::List => "list",
            Self::Quiet => "quiet",
        }
    }
}

/// Follows the engine until nobody listens any more. Lists again after every loss of the stream and
/// every `resync`.
pub async fn follow(docker: Docker, resync: Duration, signals: mpsc::Sender<Signal>) {
    let mut watch = Watch { docker, resync, signals, since: now() - 1_000_000_000, listed: None };
    let mut backoff = Duration::ZERO;
    loop {
        watch.listed = None;
        let Ended::Lost(reason, error) = watch.session().await else { return };
        if watch.signals.send(Signal::Lost { reason, error }).await.is_err() {
            return;
        }
        // A stream that had been good for a while is tried again at once.
        let good = watch.listed.is_some_and(|listed| listed.elapsed() > MIN_BACKOFF);
        backoff = match (good, backoff) {
            (true, _) => Duration::ZERO,
            (false, Duration::ZERO) => MIN_BACKOFF,
            (false, backoff) => (backoff * 2).min(MAX_BACKOFF),
        };
        wait(&watch.docker, backoff.mul_f64(1.0 - 0.3 * fastrand::f64())).await;
    }
}

/// Waits for `delay`, or until an engine that was away takes connections again.
async fn wait(docker: &Docker, delay: Duration) {
    let end = Instant::now() + delay;
    let mut away = !docker.is_listening().await;
    while Instant::now() < end {
        tokio::time::sleep(KNOCK.min(end - Instant::now())).await;
        let listening = docker.is_listening().await;
        if away && listening {
            return;
        }
        away = !listening;
    }
}

enum Ended {
    Lost(Loss, String),
    NobodyListens,
}

impl From<mpsc::error::SendError<Signal>> for Ended {
    fn from(_: mpsc::error::SendError<Signal>) -> Self {
        Self::NobodyListens
    }
}

struct Watch {
    docker: Docker,
    resync: Duration,
    signals: mpsc::Sender<Signal>,
    /// The time of the last event by the engine's clock, Unix nanoseconds.
    since: i64,
    /// When this session had its first list.
    listed: Option<Instant>,
}

impl Watch {
    /// Subscribes, lists and follows, until something breaks.
    async fn session(&mut self) -> Ended {
        match self.try_session().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn try_session(&mut self) -> Result<std::convert::Infallible, Ended> {
        let lost = |reason| move |error: Error| Ended::Lost(reason, error.to_string());
        let mut stream = self.subscribe().map_err(lost(Loss::Error))?;
        let mut looks = Looks::new(self.docker.clone());
        let mut list = OptionFuture::from(Some(Box::pin(listing::list(self.docker.clone()))));
        let mut listing = true;
        let mut resync = tokio::time::interval(self.resync);
        let mut quiet = Box::pin(tokio::time::sleep(QUIET));
        loop {
            // The stream is polled first, and so is subscribed before the list is asked for.
            tokio::select! {
                biased;
                event = stream.next() => {
                    quiet.as_mut().reset(tokio::time::Instant::now() + QUIET);
                    match event {
                        Some(Ok(event)) => self.take(event, &mut looks).await?,
                        Some(Err(error)) => return Err(lost(Loss::Error)(error)),
                        None => return Err(Ended::Lost(Loss::Ended, "the engine closed the event stream".into())),
                    }
                }
                Some((stamp, observation)) = looks.next() => {
                    self.signals.send(Signal::Observed(stamp, observation)).await?;
                }
                Some(listed) = &mut list => {
                    list = None.into();
                    let found = listed.map_err(lost(Loss::List))?;
                    looks.retry(found.unseen.iter().cloned().map(Subject::Container));
                    self.listed.get_or_insert_with(Instant::now);
                    listing = false;
                    resync.reset();
                    self.signals.send(Signal::Listed(found)).await?;
                }
                _ = resync.tick(), if !listing => {
                    list = Some(Box::pin(listing::list(self.docker.clone()))).into();
                    listing = true;
                }
                () = &mut quiet, if !listing => {
                    self.ping().await.map_err(lost(Loss::Error))?;
                    let error = format!("no event for {} s", QUIET.as_secs());
                    self.signals.send(Signal::Lost { reason: Loss::Quiet, error }).await?;
                    stream = self.subscribe().map_err(lost(Loss::Error))?;
                    list = Some(Box::pin(listing::list(self.docker.clone()))).into();
                    listing = true;
                    quiet.as_mut().reset(tokio::time::Instant::now() + QUIET);
                }
            }
        }
    }

    fn subscribe(
        &self,
    ) -> Result<impl futures_util::Stream<Item = Result<EventMessage, Error>> + Unpin + use<>, Error> {
        // The engine's `since` includes the time itself, and that event has been heard.
        self.docker.events(self.since + 1, &FILTERS)
    }

    async fn ping(&self) -> Result<(), Error> {
        let unanswered = || Error::Unavailable("the engine does not answer a ping".to_owned());
        tokio::time::timeout(PING_TIMEOUT, self.docker.ping()).await.map_err(|_| unanswered())?
    }

    async fn take(&mut self, message: EventMessage, looks: &mut Looks) -> Result<(), Ended> {
        let received = Instant::now();
        self.since = self.since.max(message.time_nano.unwrap_or(0));
        let told = Told::read(&message);
        let event =
            Event { kind: told.kind, action: told.action, container: told.container.clone(), received };
        self.signals.send(Signal::Event(event)).await?;
        let gone = matches!(told.action, "destroy" | "remove");
        match (told.kind, told.container, told.network) {
            ("container", Some(id), _) if gone => self.tell(Observation::ContainerGone(id)).await?,
            ("network", _, Some(id)) if gone => self.tell(Observation::NetworkGone(id)).await?,
            ("network", Some(container), _) => looks.add(Subject::Container(container)),
            ("network", None, Some(network)) => looks.add(Subject::Network(network)),
            ("container", Some(container), _) => looks.add(Subject::Container(container)),
            _ => {}
        }
        Ok(())
    }

    async fn tell(&self, observation: Observation) -> Result<(), Ended> {
        Ok(self.signals.send(Signal::Observed(self.docker.stamp(), observation)).await?)
    }
}

/// The parts of an event that are used.
struct Told {
    kind: &'static str,
    action: &'static str,
    container: Option<ContainerId>,
    network: Option<NetworkId>,
}

impl Told {
    fn read(message: &EventMessage) -> Self {
        let action = message.action.as_deref().unwrap_or_default();
        let action = ACTIONS.into_iter().find(|known| *known == action).unwrap_or("other");
        let actor = message.actor.as_ref();
        let subject = actor.and_then(|actor| actor.id.clone());
        match message.typ {
            Some(EventMessageTypeEnum::CONTAINER) => {
                Self { kind: "container", action, container: subject.map(ContainerId), network: None }
            }
            Some(EventMessageTypeEnum::NETWORK) => {
                let attributes = actor.and_then(|actor| actor.attributes.as_ref());
                let container = attributes.and_then(|attributes| attributes.get("container"));
                Self {
                    kind: "network",
                    action,
                    container: container.filter(|id| !id.is_empty()).cloned().map(ContainerId),
                    network: subject.map(NetworkId),
                }
            }
            _ => Self { kind: "other", action, container: None, network: None },
        }
    }
}

fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}
