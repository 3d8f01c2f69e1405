//! Following the engine: subscribe, then list, then look again at whatever an event names.
//!
//! Events are hints. The daemon keeps the last 256 only and skips a subscriber that is late (moby,
//! `daemon/events`), so what an event says is never believed: it tells where to look. A list tells
//! everything, and comes after every new subscription and every resync interval.
//!
//! A stream that is quiet looks just like one that is dead, so the engine is asked every few seconds
//! what it told, and what the stream did not tell of it calls for a new stream and a list.

mod audit;
mod clock;
mod listing;
mod looks;
mod pause;
mod told;

use std::time::{Duration, Instant};

use bollard::models::EventMessage;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, OptionFuture};
use tokio::sync::mpsc;

use super::{Docker, Error, EventStream};
use crate::model::container::ContainerId;
use crate::model::world::{Observation, Stamp};
use audit::{Audit, Finding};
use clock::Clock;
use looks::{Looks, Subject};
use pause::Budget;
use told::{FILTERS, Told};

pub use listing::{Listing, list};
pub use told::{ACTIONS, TYPES};

/// After so long without an event the subscription is made anew, and a list taken: a stream that is
/// dead cannot be told by what the engine remembers once our own handshakes have flushed its ring.
const QUIET: Duration = Duration::from_secs(240);
/// The same where the engine does not say what it remembers.
const QUIET_BLIND: Duration = Duration::from_secs(60);
/// After a session that ended young, so long the next one's stream has time to be refused before a list
/// is spent on it: while it is not, it does not tell that it was taken.
const HEAD_START: Duration = Duration::from_millis(30);
/// A session that ended earlier ended young.
const YOUNG: Duration = Duration::from_secs(1);
/// Longest time without an engine at a mounted socket file that does not tell whether it was removed. The
/// watch then ends, so that a restart policy mounts the file that is there now. While the engine is away,
/// nothing is lost by that: it starts the container when it returns.
const MAX_OUTAGE: Duration = Duration::from_secs(60);

/// What the watch tells.
#[derive(Debug)]
pub enum Signal {
    /// Everything the engine holds.
    Listed(Listing),
    /// How one thing is now.
    Observed(Stamp, Observation),
    /// The engine told of something.
    Event(Event),
    /// The stream is being made anew. Unless the reason is one after which the engine is still there
    /// ([`Loss::is_harmless`]), nothing is known until the next list.
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
    /// It did not tell what the engine says it told.
    Silent,
    /// Nothing came for a while.
    Quiet,
}

impl Loss {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Ended, Self::Error, Self::List, Self::Silent, Self::Quiet];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Error => "error",
            Self::List => "list",
            Self::Silent => "silent",
            Self::Quiet => "quiet",
        }
    }

    /// Whether the engine answers all the same.
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::Silent | Self::Quiet)
    }
}

/// Follows the engine until nobody listens any more. Lists again after every loss of the stream and
/// every `resync`.
///
/// # Errors
/// If the engine's address is a mounted socket file that no engine listens at any more: at once where the
/// file has been removed, else after a minute. Only a restart of this process's container mounts the new
/// file.
pub async fn follow(docker: Docker, resync: Duration, signals: mpsc::Sender<Signal>) -> Result<(), Error> {
    let mut watch =
        Watch { docker, resync, signals, clock: Clock::default(), listed: None, head_start: Duration::ZERO };
    let mut away = None::<tokio::time::Instant>;
    let mut budget = Budget::default();
    loop {
        watch.listed = None;
        let began = Instant::now();
        let Ended::Lost(reason, error) = watch.session().await else { return Ok(()) };
        watch.head_start = if began.elapsed() < YOUNG { HEAD_START } else { Duration::ZERO };
        if watch.listed.is_some() {
            away = None;
        }
        let outage = away.get_or_insert_with(tokio::time::Instant::now).elapsed();
        if is_dead(&watch.docker, outage).await {
            return Err(stays_dead(&watch.docker, &error));
        }
        if watch.signals.send(Signal::Lost { reason, error }).await.is_err() {
            return Ok(());
        }
        pause::wait(&watch.docker, budget.pause(watch.listed, tokio::time::Instant::now())).await;
    }
}

/// Whether the engine's address is a mounted socket file that will not work again, or did not for long.
async fn is_dead(docker: &Docker, outage: Duration) -> bool {
    if docker.is_removed_file() {
        return !docker.is_listening().await;
    }
    outage > MAX_OUTAGE && docker.is_mounted_file()
}

fn stays_dead(docker: &Docker, error: &str) -> Error {
    Error::Unavailable(format!(
        "no engine listens at {} ({error}): this socket file is a mount of the file that an earlier engine made, \
         and an engine that starts makes a new file; restart this container to mount it, which a restart \
         policy (--restart unless-stopped) does",
        docker.host()
    ))
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
    clock: Clock,
    /// How long the first list of this session took.
    listed: Option<Duration>,
    /// How long the first list of the next session waits.
    head_start: Duration,
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
        let (mut stream, mut audit) = self.subscribe()?;
        let mut looks = Looks::new(self.docker.clone());
        let began = Instant::now() + self.head_start;
        let mut list = OptionFuture::from(Some(self.list(self.head_start)));
        let mut listing = true;
        let mut resync = tokio::time::interval(self.resync);
        let mut quiet = Box::pin(tokio::time::sleep(QUIET));
        loop {
            let renewed = tokio::select! {
                // The stream is polled first, and so is subscribed before the list is asked for.
                biased;
                event = stream.next() => {
                    quiet.as_mut().reset(soon(if audit.is_blind() { QUIET_BLIND } else { QUIET }));
                    match event {
                        Some(Ok(event)) => {
                            audit.hear(&event);
                            self.take(event, &mut looks).await?;
                        }
                        Some(Err(error)) => return Err(lost(Loss::Error)(error)),
                        None => return Err(Ended::Lost(Loss::Ended, "the engine closed the event stream".into())),
                    }
                    None
                }
                Some((stamp, observation)) = looks.next() => {
                    self.signals.send(Signal::Observed(stamp, observation)).await?;
                    None
                }
                Some(listed) = &mut list => {
                    list = None.into();
                    let found = listed.map_err(lost(Loss::List))?;
                    looks.retry(found.unseen.iter().map(|(id, _)| Subject::Container(id.clone())));
                    self.listed.get_or_insert(began.elapsed());
                    listing = false;
                    resync.reset();
                    self.signals.send(Signal::Listed(found)).await?;
                    None
                }
                _ = resync.tick(), if !listing => {
                    list = Some(self.list(Duration::ZERO)).into();
                    listing = true;
                    None
                }
                finding = audit.next(&self.clock), if !listing && !audit.is_blind() => match finding {
                    Finding::Missed(events) => {
                        Some((Loss::Silent, format!("{events} events of the engine did not come")))
                    }
                    Finding::Unanswered(error) => {
                        tracing::debug!(%error, "the engine does not say what it told");
                        self.docker.ping().await.map_err(lost(Loss::Error))?;
                        // Its clock may have been set.
                        self.clock = Clock::default();
                        if audit.is_blind() {
                            quiet.as_mut().reset(soon(QUIET_BLIND));
                        }
                        None
                    }
                },
                () = &mut quiet, if !listing => {
                    self.docker.ping().await.map_err(lost(Loss::Error))?;
                    Some((Loss::Quiet, "no event for minutes".to_owned()))
                }
            };
            if let Some((reason, error)) = renewed {
                tracing::debug!(reason = reason.as_str(), error, "the event stream is made anew");
                self.signals.send(Signal::Lost { reason, error }).await?;
                (stream, audit) = self.subscribe()?;
                list = Some(self.list(Duration::ZERO)).into();
                listing = true;
                quiet.as_mut().reset(soon(QUIET));
            }
        }
    }

    /// A stream from now on, by the engine's clock. What happened before it, the list tells.
    fn subscribe(&self) -> Result<(EventStream, Audit), Ended> {
        let since = self.clock.now();
        let stream = self.docker.events(since, &FILTERS).map_err(lost(Loss::Error))?;
        Ok((stream, Audit::new(self.docker.clone(), since)))
    }

    fn list(&self, after: Duration) -> BoxFuture<'static, Result<Listing, Error>> {
        let docker = self.docker.clone();
        Box::pin(async move {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            listing::list(docker).await
        })
    }

    async fn take(&mut self, message: EventMessage, looks: &mut Looks) -> Result<(), Ended> {
        let received = Instant::now();
        if let Some(time) = message.time_nano {
            self.clock.hear(time);
        }
        if told::is_about_a_helper(&message) {
            return Ok(());
        }
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

fn lost(reason: Loss) -> impl Fn(Error) -> Ended {
    move |error| Ended::Lost(reason, error.to_string())
}

fn soon(delay: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + delay
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Follows an engine that is never there, for an hour.
    async fn follow_nobody(host: &str) -> Option<Result<(), Error>> {
        let (sender, _receiver) = mpsc::channel(1024);
        let docker = Docker::new(host, Arc::new(|_| ()));
        let following = follow(docker, Duration::from_secs(300), sender);
        tokio::time::timeout(Duration::from_secs(3600), following).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_is_away_is_awaited_for_ever() {
        assert!(follow_nobody("unix:///nowhere/docker.sock").await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_mounted_socket_file_is_given_up_after_a_while() {
        // A mount at which nothing listens, and that has not been removed.
        let start = tokio::time::Instant::now();
        let error = follow_nobody("unix:///proc").await.unwrap().unwrap_err().to_string();
        assert!(error.contains("restart policy"), "{error}");
        assert!((MAX_OUTAGE..MAX_OUTAGE * 2).contains(&start.elapsed()), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_removed_socket_file_is_given_up_when_it_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let file = rustix::fs::open(&path, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        std::fs::remove_file(&path).unwrap();
        let host = format!("unix:///proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let docker = Docker::new(&host, Arc::new(|_| ()));
        assert!(!is_dead(&docker, Duration::from_secs(3600)).await, "it listens");
        drop(listener);
        let start = tokio::time::Instant::now();
        let error = follow_nobody(&host).await.unwrap().unwrap_err().to_string();
        assert!(error.contains("restart policy"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
}
