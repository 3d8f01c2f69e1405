//! Whether the stream tells what the engine tells.
//!
//! A stream that is quiet looks just like one that is dead, and one that lost events like any other.
//! The engine knows: asked for its past events it answers at once, and what it names there the stream
//! must have told.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bollard::models::{EventMessage, EventMessageTypeEnum};
use futures_util::future::BoxFuture;
use tokio::time::{Sleep, sleep, timeout};

use super::super::{Docker, Error};
use super::clock::{Clock, nanos};
use super::told::FILTERS;

/// How often the engine is asked.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long its answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How long an event that it names may still be under way in the stream.
const GRACE: Duration = Duration::from_secs(1);
/// How far one audit goes back into the last one's time: an event that had its time already may have
/// been put into the engine's ring only then.
const OVERLAP: Duration = Duration::from_secs(1);
/// After so many audits in a row without an answer there are no more of them: the engine's clock may
/// have been set back, or something between us and it waits for the end of what does not end.
const MAX_UNANSWERED: u32 = 3;
/// How many events of the stream are remembered. The engine's ring holds 256.
const REMEMBERED: usize = 1024;

/// What came of an audit, where something did.
#[derive(Debug)]
pub(super) enum Finding {
    /// So many events were not told.
    Missed(usize),
    /// The engine did not answer, or not this.
    Unanswered(Error),
}

/// The audits of one stream.
pub(super) struct Audit {
    docker: Docker,
    /// From when on events have not been compared yet.
    from: i64,
    told: VecDeque<Mark>,
    /// How many audits in a row had no answer.
    unanswered: u32,
    stage: Stage,
}

enum Stage {
    Resting(Pin<Box<Sleep>>),
    Asking { until: i64, answer: BoxFuture<'static, Result<Vec<Mark>, Error>> },
    Doubting { until: i64, missing: Vec<Mark>, grace: Pin<Box<Sleep>> },
}

/// What tells one event from others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    time: i64,
    kind: Option<EventMessageTypeEnum>,
    action: Option<String>,
    actor: Option<String>,
}

impl Audit {
    /// The audits of a stream that begins at `from` by the engine's clock.
    pub(super) fn new(docker: Docker, from: i64) -> Self {
        Self { docker, from, told: VecDeque::new(), unanswered: 0, stage: rest() }
    }

    /// Takes note of an event of the stream.
    pub(super) fn hear(&mut self, message: &EventMessage) {
        if self.told.len() == REMEMBERED {
            self.told.pop_front();
        }
        self.told.push_back(mark(message));
    }

    /// Whether the engine does not answer audits.
    pub(super) fn is_blind(&self) -> bool {
        self.unanswered >= MAX_UNANSWERED
    }

    /// Audits until one finds something. Cancel safe.
    pub(super) async fn next(&mut self, clock: &Clock) -> Finding {
        loop {
            match &mut self.stage {
                Stage::Resting(sleep) => {
                    sleep.await;
                    let until = clock.now().max(self.from);
                    let answer = Box::pin(ask(self.docker.clone(), self.from, until));
                    self.stage = Stage::Asking { until, answer };
                }
                Stage::Asking { until, answer } => {
                    let (until, answer) = (*until, answer.await);
                    match answer {
                        Err(error) => {
                            self.unanswered += 1;
                            self.stage = rest();
                            return Finding::Unanswered(error);
                        }
                        Ok(events) => {
                            self.unanswered = 0;
                            match self.untold(events) {
                                missing if missing.is_empty() => self.settle(until),
                                missing => {
                                    let grace = Box::pin(sleep(GRACE));
                                    self.stage = Stage::Doubting { until, missing, grace };
                                }
                            }
                        }
                    }
                }
                Stage::Doubting { until, missing, grace } => {
                    grace.await;
                    let (until, missing) = (*until, std::mem::take(missing));
                    let missing = self.untold(missing);
                    self.settle(until);
                    if !missing.is_empty() {
                        return Finding::Missed(missing.len());
                    }
                }
            }
        }
    }

    fn untold(&self, events: Vec<Mark>) -> Vec<Mark> {
        events.into_iter().filter(|event| !self.told.contains(event)).collect()
    }

    fn settle(&mut self, until: i64) {
        self.from = self.from.max(until - nanos(OVERLAP));
        self.told.retain(|event| event.time >= self.from);
        self.stage = rest();
    }
}

fn rest() -> Stage {
    Stage::Resting(Box::pin(sleep(INTERVAL)))
}

async fn ask(docker: Docker, from: i64, until: i64) -> Result<Vec<Mark>, Error> {
    let answer = timeout(ANSWER, docker.past_events(from, until, &FILTERS)).await;
    let events = answer.map_err(|_| Error::unanswered(ANSWER))??;
    Ok(events.iter().map(mark).collect())
}

fn mark(message: &EventMessage) -> Mark {
    Mark {
        time: message.time_nano.unwrap_or(0),
        kind: message.typ,
        action: message.action.clone(),
        actor: message.actor.as_ref().and_then(|actor| actor.id.clone()),
    }
}
