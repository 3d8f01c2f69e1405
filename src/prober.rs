//! Proves paths: when is the scheduler's matter, what is said and what it tells is the handshake's, and how
//! the two sides come to speak is the matter of one file for each way.

pub mod exec;
mod handshake;
pub mod helper;
pub mod namespace;
pub mod order;
mod overdue;
mod request;
mod scheduler;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::model::handshake::Verdict;
use crate::model::link::{Generation, PathKey};

pub use handshake::{By, Means, Record, Said};
pub use request::{PortRoute, Request, Route, Side};
pub use scheduler::run;

/// The metric label of a handshake that found the path good and nobody listening.
pub const NO_LISTENER: &str = "NoListener";

/// What came of one handshake.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What it told.
    pub verdict: Verdict,
    /// From the consumer's start to the proof, if it passed.
    pub rtt: Option<Duration>,
    /// One line for people.
    pub message: String,
    /// The way in which it was made, as metrics name it.
    pub prober: &'static str,
}

/// Makes handshakes.
pub trait Prober: Send + Sync + 'static {
    /// Makes one handshake. Ends within the request's timeout and a margin; dropped earlier, leaves
    /// nothing behind.
    fn handshake(&self, request: &Request) -> impl Future<Output = Attempt> + Send;
}

/// How many handshakes there may be; one of each at least.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Under way at once.
    pub at_once: usize,
    /// Begun in a second.
    pub a_second: u16,
}

/// A path to be proven, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What a verdict will be about.
    pub generation: Generation,
    /// What to do.
    pub request: Request,
    /// How often, while it is good.
    pub interval: Duration,
}

/// All paths that are to be proven.
pub type Jobs = BTreeMap<PathKey, Job>;

/// A finished handshake.
#[derive(Debug)]
pub struct Finished {
    /// The path.
    pub path: PathKey,
    /// What the path was when it began.
    pub generation: Generation,
    /// What came of it.
    pub attempt: Attempt,
    /// When it ended.
    pub at: SystemTime,
}
