//! What everybody else may see: a finished picture of all links, made by the controller and read by
//! the HTTP API, the metrics and, over HTTP, the commands.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// How many transitions of one link are kept.
pub const HISTORY: usize = 50;
/// How many transitions of all links together are kept.
pub const EVENTS: usize = 1000;

/// Header of a list of links that says how many links it leaves out.
pub const LEFT_OUT: &str = "tieline-left-out";

/// The picture at one time.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Whether the first list is done and the event stream live; if not, why.
    pub ready: Readiness,
    /// Every link, by consumer and name. Labels that cannot be read are links in state `Invalid`.
    pub links: Vec<LinkStatus>,
    /// Transitions of all links, the oldest first.
    pub events: Arc<VecDeque<Numbered>>,
    /// Facts that are not about one link.
    pub totals: Totals,
}

/// Whether the controller knows the engine's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does not, for this reason.
    NotReady(String),
}

impl Default for Readiness {
    fn default() -> Self {
        Self::NotReady("the first list of the engine's containers is not done yet".to_owned())
    }
}

/// Numbers that are not about one link.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Labels that cannot be read.
    pub label_errors: usize,
    /// Networks that we own.
    pub networks: usize,
    /// Networks of topology `pair` that still fit into the pool.
    pub subnets_free: usize,
    /// Containers that are watched.
    pub containers: usize,
    /// Keys that wait in the work queue.
    pub queue_depth: usize,
    /// Since when the oldest running reconcile has been running.
    pub longest_running_since: Option<std::time::Instant>,
}

/// One link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinkStatus {
    /// The workload that declares it.
    pub consumer: String,
    /// Its name there.
    pub name: String,
    /// The workload that it points at, or the selector.
    pub provider: String,
    /// The target as written, in its normal form.
    pub target: String,
    /// `tcp`, `udp` or `unix`.
    pub protocol: String,
    /// The port, where the protocol has one.
    pub port: Option<u16>,
    /// `auto`, `connect`, `exchange` or `none`.
    pub handshake: String,
    /// The one word that sums it up.
    pub state: String,
    /// All six conditions.
    pub conditions: Vec<ConditionStatus>,
    /// The networks that carry it.
    pub networks: Vec<NetworkStatus>,
    /// Its paths.
    pub paths: Vec<PathStatus>,
    /// What keeps it from being ready; empty when it is.
    pub message: String,
    /// Warnings of faults elsewhere that the link may cause, with what to do. They do not change its state.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// When it was first seen.
    #[serde(with = "timestamp")]
    pub since: SystemTime,
    /// When a handshake last told something, whatever it told.
    #[serde(with = "optional_timestamp")]
    pub last_handshake: Option<SystemTime>,
    /// How long that handshake took, seconds.
    pub last_handshake_seconds: Option<f64>,
    /// Conclusive handshakes so far.
    pub handshakes: u64,
    /// How many of them failed.
    pub handshake_failures: u64,
    /// Its transitions, the oldest first.
    pub history: Arc<VecDeque<Arc<Transition>>>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionStatus {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, for programs: CamelCase, from a closed list.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// When the status last changed.
    #[serde(rename = "lastTransitionTime", with = "timestamp")]
    pub last_transition_time: SystemTime,
}

/// One network of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// The engine's id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The subnet.
    pub subnet: String,
}

/// One consumer container to one provider container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathStatus {
    /// The consumer container's name.
    pub consumer_container: String,
    /// The provider container's name.
    pub provider_container: String,
    /// The consumer's address on the link network, while it runs.
    pub consumer_address: Option<String>,
    /// The provider's address on the link network, while it runs.
    pub provider_address: Option<String>,
    /// What is believed: `Unproven`, `Proven`, `NoListener`, or the reason why not.
    pub verdict: String,
    /// What the last handshake said.
    pub message: String,
    /// Whether bytes are known to go through.
    pub proven: bool,
    /// How long the last handshake that passed took, seconds.
    pub rtt_seconds: Option<f64>,
    /// When a handshake last passed.
    #[serde(with = "optional_timestamp")]
    pub last_success: Option<SystemTime>,
    /// When a handshake was last made.
    #[serde(with = "optional_timestamp")]
    pub last_attempt: Option<SystemTime>,
}

/// A change of a link's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    #[serde(with = "timestamp")]
    pub time: SystemTime,
    /// The link's consumer.
    pub consumer: Arc<str>,
    /// The link's name.
    pub name: Arc<str>,
    /// The state before; empty for a new link.
    pub from: String,
    /// The state after; empty for a link that is gone.
    pub to: String,
    /// Why, for programs.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

/// A transition and its number: each newer one has a greater number.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Numbered {
    /// The number, which is not shown.
    #[serde(skip)]
    pub number: u64,
    /// The transition.
    pub transition: Arc<Transition>,
}

impl LinkStatus {
    /// How many of its paths are proven.
    pub fn proven(&self) -> usize {
        self.paths.iter().filter(|path| path.proven).count()
    }

    /// One of its conditions.
    pub fn condition(&self, kind: &str) -> Option<&ConditionStatus> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }
}

/// The indices of `links`, in the order in which they are left out where not all have room, the last one
/// first: the first link of each consumer stands before the second of any. A consumer with many links
/// therefore takes no room from one with few.
pub fn by_turns(links: &[LinkStatus]) -> Vec<usize> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut turns: Vec<(usize, usize)> = Vec::with_capacity(links.len());
    for (index, link) in links.iter().enumerate() {
        let turn = seen.entry(&link.consumer).or_default();
        turns.push((*turn, index));
        *turn += 1;
    }
    turns.sort_unstable();
    turns.into_iter().map(|(_, index)| index).collect()
}

/// At most `limit` of the links, in their order, and how many are left out.
pub fn at_most(links: &[LinkStatus], limit: usize) -> (Vec<&LinkStatus>, usize) {
    let mut kept = by_turns(links);
    kept.truncate(limit);
    kept.sort_unstable();
    let left_out = links.len() - kept.len();
    (kept.into_iter().map(|index| &links[index]).collect(), left_out)
}

/// RFC 3339 in UTC, milliseconds.
pub mod timestamp {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes a time.
    pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_millis(*time))
    }

    /// Reads a time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

/// RFC 3339 in UTC, milliseconds, or null.
pub mod optional_timestamp {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes a time, or null.
    pub fn serialize<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::timestamp::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a time, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| humantime::parse_rfc3339(&text).map_err(D::Error::custom)).transpose()
    }
}
