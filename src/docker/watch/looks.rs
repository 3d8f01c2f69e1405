//! Looks at single containers and networks, at most one under way for each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;

use super::super::{Docker, Error};
use super::listing::in_time;
use crate::model::container::{ContainerId, NetworkId};
use crate::model::world::{Observation, Stamp};

/// Looks that ask the engine at once; further ones wait. Each is a connection of its own, and a burst of
/// events can name a thousand containers.
pub const AT_ONCE: usize = 32;
/// Delay before a look that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Container(ContainerId),
    Network(NetworkId),
}

type Look = (Subject, Result<(Stamp, Observation), Error>);

/// The looks under way. Several events about one thing while a look at it is under way lead to one
/// more look, not to several.
pub(super) struct Looks {
    docker: Docker,
    turns: Arc<Semaphore>,
    under_way: FuturesUnordered<BoxFuture<'static, Look>>,
    /// What is being looked at, and whether something happened to it since that look began.
    again: HashMap<Subject, bool>,
}

impl Looks {
    pub(super) fn new(docker: Docker) -> Self {
        Self {
            docker,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            under_way: FuturesUnordered::new(),
            again: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, subject: Subject) {
        match self.again.get_mut(&subject) {
            Some(again) => *again = true,
            None => self.begin(subject, Duration::ZERO),
        }
    }

    /// Looks at what could not be looked at, after a while.
    pub(super) fn retry(&mut self, subjects: impl IntoIterator<Item = Subject>) {
        for subject in subjects {
            if !self.again.contains_key(&subject) {
                self.begin(subject, RETRY);
            }
        }
    }

    /// The next finished look; `None` while nothing is under way.
    pub(super) async fn next(&mut self) -> Option<(Stamp, Observation)> {
        loop {
            let (subject, look) = self.under_way.next().await?;
            let again = self.again.remove(&subject).unwrap_or(false);
            if again {
                self.begin(subject.clone(), Duration::ZERO);
            }
            match look {
                Ok(observation) => return Some(observation),
                Err(error) => {
                    tracing::debug!(?subject, %error, "cannot look");
                    self.retry([subject]);
                }
            }
        }
    }

    fn begin(&mut self, subject: Subject, delay: Duration) {
        self.again.insert(subject.clone(), false);
        let (docker, turns) = (self.docker.clone(), Arc::clone(&self.turns));
        self.under_way.push(Box::pin(async move {
            // Even a sleep of nothing waits for the timer's next tick, a millisecond.
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let _turn = turns.acquire().await;
            let look = match &subject {
                Subject::Container(id) => in_time(docker.look_at_container(id)).await,
                Subject::Network(id) => in_time(docker.look_at_network(id)).await,
            };
            (subject, look)
        }));
    }
}
