//! What became of each link: one log line, one history entry and one row of the snapshot for a
//! change, nothing for what stays as it is.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use super::lines::Lines;
use super::paths::{PathRecord, Paths};
use super::ring::Ring;
use crate::model::assess::{Assessment, Findings, Trouble, assess, assess_mistake, live_paths};
use crate::model::carrier::{self, out_of_reach};
use crate::model::condition::{Condition, Kind, Reason, State, Status};
use crate::model::container::{ContainerId, Network};
use crate::model::declaration::{DeclaredLink, Mistake, Path};
use crate::model::labels::{self, short_name};
use crate::model::link::{EdgeKey, LinkKey, PathKey};
use crate::model::proof::{Proof, Standing};
use crate::model::proxies;
use crate::model::subnet;
use crate::model::world::World;
use crate::queue::Queue;
use crate::snapshot::{
    ConditionStatus, HISTORY, LinkStatus, NetworkStatus, Numbered, PathStatus, Totals, Transition,
};

/// What was last reported of each link, and the history.
#[derive(Debug, Default)]
pub struct Report {
    records: BTreeMap<LinkKey, Record>,
    ring: Ring,
}

#[derive(Debug)]
struct Record {
    since: SystemTime,
    state: State,
    reason: Reason,
    conditions: Vec<(Status, SystemTime)>,
    warnings: Vec<String>,
    history: Arc<VecDeque<Arc<Transition>>>,
    lines: Lines,
    warning_lines: Lines,
}

impl Report {
    /// Transitions of all links.
    pub fn events(&mut self) -> Arc<VecDeque<Numbered>> {
        self.ring.events()
    }

    /// Assesses every link, reports what changed, and gives the rows.
    pub fn update(&mut self, world: &World, known: &Known<'_>, now: SystemTime) -> Vec<LinkStatus> {
        let declaration = world.declaration();
        let mut rows = Vec::new();
        for (key, link) in &declaration.links {
            let assessment = assess(world, link, &LinkFindings { known, link: key });
            let conditions = self.record(key, &link.provider, &assessment, now);
            self.warn(key, proxies::warnings(world, link), now);
            rows.push(self.row(key, link, world, known, assessment, conditions));
        }
        let mut names = Names::of(declaration.links.keys());
        for mistake in &declaration.errors {
            let key = names.unused(&mistake.link);
            let assessment = assess_mistake(mistake);
            let conditions = self.record(&key, "", &assessment, now);
            rows.push(self.mistake_row(&key, mistake, assessment, conditions));
        }
        self.forget_all_but(&names.taken, now);
        rows.sort_by(|a, b| (&a.consumer, &a.name).cmp(&(&b.consumer, &b.name)));
        rows
    }

    /// Notes the assessment; says since when each condition has been what it is.
    fn record(
        &mut self,
        key: &LinkKey,
        provider: &str,
        assessment: &Assessment,
        now: SystemTime,
    ) -> Vec<SystemTime> {
        let reason = ready(assessment).map_or(Reason::NotReady, |condition| condition.reason);
        let known = self.records.get(key);
        let from = known.map(|record| record.state);
        let news = known
            .is_none_or(|r| r.state != assessment.state || (r.reason != reason && is_bad(r.state, reason)));
        let since: Vec<SystemTime> = assessment
            .conditions
            .iter()
            .enumerate()
            .map(|(at, condition)| match known.and_then(|record| record.conditions.get(at)) {
                Some((status, since)) if *status == condition.status => *since,
                _ => now,
            })
            .collect();
        let conditions =
            assessment.conditions.iter().zip(&since).map(|(c, since)| (c.status, *since)).collect();
        let record = self.records.entry(key.clone()).or_insert_with(|| Record {
            since: now,
            state: assessment.state,
            reason,
            conditions: Vec::new(),
            warnings: Vec::new(),
            history: Arc::default(),
            lines: Lines::new(now),
            warning_lines: Lines::new(now),
        });
        record.state = assessment.state;
        record.reason = reason;
        record.conditions = conditions;
        let line = if news { record.lines.change(now) } else { record.lines.overdue(now) };
        if let Some(untold) = line {
            log(key, provider, from, (assessment, reason), untold);
        }
        if news {
            let first = record.history.front();
            let transition = Arc::new(Transition {
                time: now,
                // Long names are kept once for all transitions of a link.
                consumer: first.map_or_else(|| key.consumer.to_string().into(), |t| Arc::clone(&t.consumer)),
                name: first.map_or_else(|| key.name.as_str().into(), |t| Arc::clone(&t.name)),
                from: from.map_or(String::new(), |state| state.to_string()),
                to: assessment.state.to_string(),
                reason: reason.as_str().to_owned(),
                message: assessment.message.clone(),
            });
            push(Arc::make_mut(&mut record.history), Arc::clone(&transition), HISTORY);
            self.ring.push(transition);
        }
        since
    }

    /// Notes the warnings of a link that was recorded. Each is logged when it comes.
    fn warn(&mut self, key: &LinkKey, warnings: Vec<String>, now: SystemTime) {
        let Some(record) = self.records.get_mut(key) else { return };
        let link = short(key);
        for warning in warnings.iter().filter(|warning| !record.warnings.contains(warning)) {
            if record.warning_lines.change(now).is_some() {
                tracing::warn!(%link, "{link}: {warning}");
            }
        }
        record.warnings = warnings;
    }

    fn forget_all_but(&mut self, names: &BTreeSet<LinkKey>, now: SystemTime) {
        let gone: Vec<LinkKey> = self.records.keys().filter(|key| !names.contains(*key)).cloned().collect();
        for key in gone {
            let Some(record) = self.records.remove(&key) else { continue };
            let link = short(&key);
            tracing::info!(link, was = %record.state, "{link} is gone");
            self.ring.push(Arc::new(Transition {
                time: now,
                consumer: key.consumer.to_string().into(),
                name: key.name.into(),
                from: record.state.to_string(),
                to: String::new(),
                reason: "NotDeclared".to_owned(),
                message: "no container declares it any more".to_owned(),
            }));
        }
    }

    fn row(
        &self,
        key: &LinkKey,
        link: &DeclaredLink,
        world: &World,
        known: &Known<'_>,
        assessment: Assessment,
        since: Vec<SystemTime>,
    ) -> LinkStatus {
        let target = &link.link.target;
        let tally = known.paths.tally(key);
        LinkStatus {
            provider: link.provider.clone(),
            target: target.to_string(),
            protocol: target.endpoint.protocol().to_owned(),
            port: target.endpoint.port(),
            handshake: link.link.handshake.as_str().to_owned(),
            networks: networks(world, link),
            paths: live_paths(world, link)
                .into_iter()
                .map(|(ends, path)| path_status(world, known, key, ends, path))
                .collect(),
            last_handshake: tally.last,
            last_handshake_seconds: tally.last_duration.map(|duration| duration.as_secs_f64()),
            handshakes: tally.handshakes,
            handshake_failures: tally.failures,
            ..self.bare_row(key, assessment, since)
        }
    }

    fn mistake_row(
        &self,
        key: &LinkKey,
        mistake: &Mistake,
        assessment: Assessment,
        since: Vec<SystemTime>,
    ) -> LinkStatus {
        LinkStatus { target: labels::shown(&mistake.error.value), ..self.bare_row(key, assessment, since) }
    }

    fn bare_row(&self, key: &LinkKey, assessment: Assessment, since: Vec<SystemTime>) -> LinkStatus {
        let record = self.records.get(key);
        LinkStatus {
            consumer: key.consumer.to_string(),
            name: key.name.clone(),
            provider: String::new(),
            target: String::new(),
            protocol: String::new(),
            port: None,
            handshake: String::new(),
            state: assessment.state.to_string(),
            conditions: assessment.conditions.into_iter().zip(since).map(condition).collect(),
            networks: Vec::new(),
            paths: Vec::new(),
            message: assessment.message,
            warnings: record.map_or(Vec::new(), |record| record.warnings.clone()),
            since: record.map_or(SystemTime::UNIX_EPOCH, |record| record.since),
            last_handshake: None,
            last_handshake_seconds: None,
            handshakes: 0,
            handshake_failures: 0,
            history: record.map_or(Arc::default(), |record| Arc::clone(&record.history)),
        }
    }
}

/// What is known besides the world.
pub struct Known<'a> {
    /// What handshakes have told.
    pub paths: &'a Paths,
    /// Why wiring failed, by edge.
    pub troubles: &'a HashMap<EdgeKey, Trouble>,
}

/// The findings on one link.
struct LinkFindings<'a> {
    known: &'a Known<'a>,
    link: &'a LinkKey,
}

impl Known<'_> {
    fn path(&self, link: &LinkKey, consumer: &ContainerId, provider: &ContainerId) -> Option<&PathRecord> {
        self.paths.record(&PathKey {
            link: link.clone(),
            consumer: consumer.clone(),
            provider: provider.clone(),
        })
    }
}

impl Findings for LinkFindings<'_> {
    fn proof(&self, consumer: &ContainerId, provider: &ContainerId) -> Option<&Proof> {
        self.known.path(self.link, consumer, provider).map(|record| &record.proof)
    }

    fn trouble(&self, edge: &EdgeKey) -> Option<&Trouble> {
        self.known.troubles.get(edge)
    }
}

/// Numbers that are not about one link.
pub fn totals(world: &World, queue: &Queue<EdgeKey>) -> Totals {
    Totals {
        label_errors: world.declaration().errors.len(),
        networks: world.owned().count(),
        subnets_free: subnet::count_free(world.policy().pool, &world.taken_subnets()),
        containers: world.participants().count(),
        queue_depth: queue.depth(),
        longest_running_since: queue.oldest_running().map(tokio::time::Instant::into_std),
    }
}

/// The names of all rows.
struct Names {
    taken: BTreeSet<LinkKey>,
    /// The number at which the next search starts, for each name that was wanted and taken.
    numbers: HashMap<LinkKey, usize>,
}

impl Names {
    fn of<'a>(links: impl Iterator<Item = &'a LinkKey>) -> Self {
        Self { taken: links.cloned().collect(), numbers: HashMap::new() }
    }

    /// A mistake may have the name of a good link, or of another mistake, of the same consumer: the
    /// second target of one name is an error of that target alone.
    fn unused(&mut self, wanted: &LinkKey) -> LinkKey {
        let mut key = wanted.clone();
        while self.taken.contains(&key) {
            let number = self.numbers.entry(wanted.clone()).or_insert(2);
            key.name = format!("{}#{number}", wanted.name);
            *number += 1;
        }
        self.taken.insert(key.clone());
        key
    }
}

fn networks(world: &World, link: &DeclaredLink) -> Vec<NetworkStatus> {
    let carriers: BTreeMap<&str, &Network> = link
        .paths
        .iter()
        .filter_map(|(ends, path)| carrier::network(world, path.edge.as_ref()?, ends))
        .map(|network| (network.name.as_str(), network))
        .collect();
    carriers
        .into_values()
        .map(|network| NetworkStatus {
            id: network.id.0.clone(),
            name: labels::message(&network.name),
            subnet: network.subnets.first().map_or(String::new(), ToString::to_string),
        })
        .collect()
}

fn path_status(
    world: &World,
    known: &Known<'_>,
    key: &LinkKey,
    ends: &(ContainerId, ContainerId),
    path: &Path,
) -> PathStatus {
    let (consumer, provider) = ends;
    let network = path.edge.as_ref().and_then(|edge| carrier::network(world, edge, ends));
    let name = |id| world.container(id).map_or(String::new(), |container| container.name.clone());
    let address = |id| {
        let attachment = world.container(id)?.attachment(network?)?;
        attachment.address.map(|address| address.to_string())
    };
    let record = known.path(key, consumer, provider);
    let (standing, message) = match (out_of_reach(world, &path.link, ends), record) {
        (Some(found), _) => (Standing::Failed(found.reason), found.message),
        (None, Some(record)) => (record.proof.standing, record.proof.message.clone()),
        (None, None) => (Standing::Unproven, String::new()),
    };
    PathStatus {
        consumer_container: name(consumer),
        provider_container: name(provider),
        consumer_address: address(consumer),
        provider_address: address(provider),
        verdict: verdict(standing).to_owned(),
        message: labels::message(&message),
        proven: matches!(standing, Standing::Proven { .. }),
        rtt_seconds: record.and_then(|record| record.rtt).map(|rtt| rtt.as_secs_f64()),
        last_success: record.and_then(|record| record.last_success),
        last_attempt: record.and_then(|record| record.last_attempt),
    }
}

fn verdict(standing: Standing) -> &'static str {
    match standing {
        Standing::Unproven => "Unproven",
        Standing::Proven { listening: Some(false), .. } => "NoListener",
        Standing::Proven { .. } => "Proven",
        Standing::Failed(reason) => reason.as_str(),
        Standing::Unprobed(reason) => reason.as_str(),
    }
}

fn ready(assessment: &Assessment) -> Option<&Condition> {
    assessment.conditions.iter().find(|condition| condition.kind == Kind::Ready)
}

fn condition((condition, since): (Condition, SystemTime)) -> ConditionStatus {
    ConditionStatus {
        kind: condition.kind.as_str().to_owned(),
        status: condition.status.as_str().to_owned(),
        reason: condition.reason.as_str().to_owned(),
        message: condition.message,
        last_transition_time: since,
    }
}

fn push(history: &mut VecDeque<Arc<Transition>>, transition: Arc<Transition>, limit: usize) {
    if history.len() == limit {
        history.pop_front();
    }
    history.push_back(transition);
}

/// Whether a person should do something about it.
fn is_bad(state: State, reason: Reason) -> bool {
    match state {
        State::Invalid | State::Denied | State::NoListener | State::Unreachable => true,
        State::Wiring => reason != Reason::InProgress,
        State::Unknown => reason != Reason::HandshakeNone,
        State::Ready | State::Pending | State::Verifying => false,
    }
}

/// A link as a log line names it.
fn short(key: &LinkKey) -> String {
    format!("{}/{}", short_name(&key.consumer.to_string()), short_name(&key.name))
}

fn log(
    key: &LinkKey,
    provider: &str,
    was: Option<State>,
    (assessment, reason): (&Assessment, Reason),
    untold: u32,
) {
    let (link, provider) = (short(key), short_name(provider));
    let (state, was) = (assessment.state, was.map_or(String::new(), |state| state.to_string()));
    let mut text = format!("{link} is {state}");
    if !assessment.message.is_empty() {
        text.push_str(": ");
        text.push_str(&assessment.message);
    }
    if untold > 0 {
        text.push_str(&format!(" (more changes since the last line about it: {untold})"));
    }
    let bad = is_bad(state, reason);
    let reason = reason.as_str();
    if bad {
        tracing::warn!(link, provider = &*provider, %state, was, reason, "{text}");
    } else {
        tracing::info!(link, provider = &*provider, %state, was, reason, "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::workload::Workload;

    fn key(name: &str) -> LinkKey {
        LinkKey { consumer: Workload::Container("app".to_owned()), name: name.to_owned() }
    }

    #[test]
    fn mistakes_of_one_name_are_numbered_and_each_search_starts_where_the_last_one_ended() {
        let mut names = Names::of([key("db"), key("db#3")].iter());
        let given: Vec<String> = (0..4).map(|_| names.unused(&key("db")).name).collect();
        assert_eq!(given, ["db#2", "db#4", "db#5", "db#6"]);
        assert_eq!(names.unused(&key("web")), key("web"));
        assert_eq!(names.numbers, HashMap::from([(key("db"), 7)]));
    }
}
