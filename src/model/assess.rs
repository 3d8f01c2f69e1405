//! From what a link declares, what is wired and what was proven to its conditions and its state.

mod resolution;

use super::carrier::{self, out_of_reach};
use super::condition::{Condition, Kind, Reason, State, Status};
use super::container::{Container, ContainerId, Network, NetworkMode, RunState, is_host_name};
use super::declaration::{DeclaredLink, Mistake, Path, has_run};
use super::handshake::{FailReason, InconclusiveReason};
use super::labels::{self, shown};
use super::link::{EdgeKey, Endpoint, Handshake, Link};
use super::namespace;
use super::proof::{Proof, Standing};
use super::workload::Workload;
use super::world::World;

pub use resolution::{LeftOut, left_out, not_found};

/// Why wiring an edge failed the last time it was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// For programs.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

impl Trouble {
    /// A trouble in words that may be the engine's.
    pub fn new(reason: Reason, words: &str) -> Self {
        Self { reason, message: labels::message(words) }
    }
}

/// What is known besides the world.
pub trait Findings {
    /// What is believed of the path between two containers.
    fn proof(&self, consumer: &ContainerId, provider: &ContainerId) -> Option<&Proof>;
    /// Why wiring `edge` failed the last time, unless it went well.
    fn trouble(&self, edge: &EdgeKey) -> Option<&Trouble>;
}

/// A link's conditions, in the order in which they build on each other, and their sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The one word.
    pub state: State,
    /// All six conditions.
    pub conditions: Vec<Condition>,
    /// What keeps the link from being ready; empty when it is.
    pub message: String,
}

type Ends = (ContainerId, ContainerId);

/// The paths of `link` whose two ends run (or are paused): those that can be proven.
pub fn live_paths<'a>(world: &World, link: &'a DeclaredLink) -> Vec<(&'a Ends, &'a Path)> {
    let alive = |id: &ContainerId| world.container(id).is_some_and(is_alive);
    link.paths.iter().filter(|((c, p), _)| alive(c) && alive(p)).collect()
}

/// Assesses a label that cannot be read.
pub fn assess_mistake(mistake: &Mistake) -> Assessment {
    let message = format!("{}: {}", labels::some_of(&mistake.containers), mistake.error);
    let reason = Reason::Label(mistake.error.problem);
    let accepted = condition(Kind::Accepted, Status::False, reason, message);
    finish(vec![accepted], true, "")
}

/// Assesses a link.
pub fn assess(world: &World, link: &DeclaredLink, findings: &impl Findings) -> Assessment {
    let assessor = Assessor { world, link, findings, live: live_paths(world, link) };
    let conditions = vec![
        assessor.accepted(),
        assessor.resolved(),
        assessor.wired(),
        assessor.reachable(),
        assessor.listening(),
    ];
    finish(conditions, assessor.wants_listener(), &disagreement(link))
}

/// The note on replicas that declare the link differently; empty where none does.
fn disagreement(link: &DeclaredLink) -> String {
    match &link.otherwise[..] {
        [] => String::new(),
        names => format!(
            "{} declares this link otherwise than it is shown here; the labels of each container decide about its paths",
            labels::some_of(names)
        ),
    }
}

struct Assessor<'a, F> {
    world: &'a World,
    link: &'a DeclaredLink,
    findings: &'a F,
    /// The paths that can be proven.
    live: Vec<(&'a Ends, &'a Path)>,
}

impl<F: Findings> Assessor<'_, F> {
    fn accepted(&self) -> Condition {
        let resolution = &self.link.resolution;
        let provider = &self.link.provider;
        if resolution.found > 0 && resolution.found == resolution.denied {
            let prefix = &self.world.policy().label_prefix;
            let message = format!(
                "{provider} does not accept this consumer: its label {prefix}accept does not name it"
            );
            return condition(Kind::Accepted, Status::False, Reason::NotAccepted, message);
        }
        let message = match resolution.denied {
            0 => String::new(),
            denied => {
                format!("{denied} of {} providers do not accept this consumer", resolution.found)
            }
        };
        condition(Kind::Accepted, Status::True, Reason::Accepted, message)
    }

    fn resolved(&self) -> Condition {
        let target = &self.link.link.target;
        let no = |reason, message| condition(Kind::Resolved, Status::False, reason, message);
        if self.link.resolution.found == 0 {
            return if self.link.resolution.ignored > 0 {
                no(Reason::ProviderIgnored, format!("{} is labelled to be ignored", target.selector))
            } else {
                no(Reason::ProviderNotFound, not_found(&target.selector, &self.link.resolution))
            };
        }
        if self.link.paths.is_empty() && self.link.resolution.left_out.is_some() {
            return condition(Kind::Resolved, Status::True, Reason::Found, String::new());
        }
        if !self.link.consumers.iter().any(|id| self.is_alive(id)) {
            return no(Reason::ConsumerNotRunning, "the consumer is not running".to_owned());
        }
        if !self.link.paths.keys().any(|(_, provider)| self.is_alive(provider)) {
            let message = format!("{} is not running", self.link.provider);
            return no(Reason::ProviderNotRunning, message);
        }
        condition(Kind::Resolved, Status::True, Reason::Found, self.nameless())
    }

    /// What to do about a provider whose own name no program can look up.
    fn nameless(&self) -> String {
        // Nobody looks a socket up.
        let named =
            self.link.paths.iter().filter(|(_, path)| path.edge.is_some() && path.link.alias.is_none());
        let mut providers = named.filter_map(|((_, provider), _)| self.world.container(provider));
        match providers.find(|provider| !is_host_name(Workload::of(provider).short_name())) {
            Some(provider) => format!(
                "{} is too long for a host name, or has an empty part: it is reached as {}, or by the NAME of a \
                 label {}link.NAME",
                shown(&provider.name),
                provider.host(),
                self.world.policy().label_prefix
            ),
            None => String::new(),
        }
    }

    fn wired(&self) -> Condition {
        let is = |status, reason, message| condition(Kind::Wired, status, reason, message);
        let prefix = &self.world.policy().label_prefix;
        if let Some(LeftOut { words, advice }) = left_out(&self.link.resolution, prefix) {
            return is(Status::False, Reason::TooManyEdges, format!("{words}: {advice}"));
        }
        if self.link.paths.is_empty() && !self.is_to_socket() {
            return is(Status::Unknown, Reason::NothingToWire, "there is nothing to wire yet".to_owned());
        }
        let paths = self.paths_that_count();
        let over_networks =
            || paths.iter().filter_map(|(ends, path)| Some((*ends, *path, path.edge.as_ref()?)));
        if over_networks().next().is_none() {
            return is(Status::True, Reason::NoNetworkNeeded, String::new());
        }
        for (ends, path, edge) in over_networks() {
            if let Some((reason, message)) = self.unwireable(ends) {
                return is(Status::False, reason, message);
            }
            let network = carrier::network(self.world, edge, ends);
            if let Some(message) = self.namespace_trouble((ends, path), edge, network) {
                return is(Status::False, Reason::NamespaceLost, message);
            }
            if network.is_none() {
                return match self.findings.trouble(edge) {
                    Some(trouble) => is(Status::False, trouble.reason, trouble.message.clone()),
                    None => is(Status::False, Reason::InProgress, "networks are being joined".to_owned()),
                };
            }
        }
        let lost = |((consumer, provider), ..): (&Ends, &Path, &EdgeKey)| {
            namespace::lost(self.world, [consumer, provider])
        };
        match over_networks().find_map(lost) {
            Some(message) => {
                let message = format!("the link works until another network is to be connected: {message}");
                is(Status::True, Reason::NamespaceLost, message)
            }
            None => is(Status::True, Reason::Wired, String::new()),
        }
    }

    /// The message about a lost namespace of an end, unless a handshake passed: the engine's own data about the
    /// network is then wrong.
    fn namespace_trouble(
        &self,
        (ends, path): (&Ends, &Path),
        edge: &EdgeKey,
        network: Option<&Network>,
    ) -> Option<String> {
        let both = [&ends.0, &ends.1];
        match (network, self.standing(ends, path)) {
            (Some(_), Standing::Proven { .. }) => None,
            // Observations of two containers are of two moments, and an address may have changed hands.
            (Some(network), Standing::Failed(_)) => namespace::lost(self.world, both)
                .or_else(|| namespace::doubled(self.world, edge, network, both)),
            _ => namespace::lost(self.world, both),
        }
    }

    /// The paths of the replicas that ever ran, if any did: what a container wants that was only created holds
    /// nothing back.
    fn paths_that_count(&self) -> Vec<(&Ends, &Path)> {
        let ran = |(consumer, _): &Ends| self.world.container(consumer).is_some_and(has_run);
        let counting: Vec<_> = self.link.paths.iter().filter(|(ends, _)| ran(ends)).collect();
        if counting.is_empty() { self.link.paths.iter().collect() } else { counting }
    }

    fn is_to_socket(&self) -> bool {
        matches!(self.link.link.target.endpoint, Endpoint::Unix(_))
    }

    fn unwireable(&self, (consumer, provider): &Ends) -> Option<(Reason, String)> {
        [consumer, provider].into_iter().find_map(|id| {
            let container = self.world.container(id)?;
            let (reason, mode) = match container.mode {
                NetworkMode::Own => return None,
                NetworkMode::Host => (Reason::HostNetworkMode, "the host's network (network_mode: host)"),
                NetworkMode::None => (Reason::NoneNetworkMode, "no network (network_mode: none)"),
                NetworkMode::Shared => {
                    (Reason::ContainerNetworkMode, "another container's network (network_mode: container)")
                }
            };
            Some((reason, format!("{} uses {mode} and cannot join others", container.name)))
        })
    }

    fn reachable(&self) -> Condition {
        let is = |status, reason, message| condition(Kind::Reachable, status, reason, message);
        let Some(((ends, path), others)) = self.live.split_first() else {
            return match unprovable(&self.link.link) {
                Some((reason, message)) => is(Status::Unknown, reason, message.to_owned()),
                None => is(Status::Unknown, Reason::NotYetProven, "no path runs at both ends".to_owned()),
            };
        };
        let mut verdict = self.path_reachable(ends, path);
        for (ends, path) in others {
            let found = self.path_reachable(ends, path);
            // A failure comes first. A reason that a person can act on comes before one that only asks for
            // patience. A path that is never proven says nothing about the others.
            let severity = |condition: &Condition| match (condition.status, condition.reason) {
                (Status::False, _) => 5,
                (Status::Unknown, Reason::NotYetProven) => 3,
                (Status::Unknown, Reason::HandshakeNone) => 0,
                (Status::Unknown, _) => 4,
                (Status::True, Reason::PassedOverAnotherNetwork) => 2,
                (Status::True, _) => 1,
            };
            if severity(&found) > severity(&verdict) {
                verdict = found;
            }
        }
        verdict
    }

    fn path_reachable(&self, ends: &Ends, path: &Path) -> Condition {
        let is = |status, reason, message| condition(Kind::Reachable, status, reason, message);
        if let Some((reason, message)) = unprovable(&path.link) {
            return is(Status::Unknown, reason, message.to_owned());
        }
        match self.standing(ends, path) {
            Standing::Proven { detour: false, .. } => {
                is(Status::True, Reason::HandshakePassed, String::new())
            }
            Standing::Proven { detour: true, .. } => {
                is(Status::True, Reason::PassedOverAnotherNetwork, self.message(ends, path))
            }
            Standing::Failed(reason) => {
                is(Status::False, Reason::Handshake(reason), self.message(ends, path))
            }
            Standing::Unprobed(reason) => {
                is(Status::Unknown, Reason::Probe(reason), self.message(ends, path))
            }
            Standing::Unproven => {
                is(Status::Unknown, Reason::NotYetProven, "no handshake has passed yet".to_owned())
            }
        }
    }

    /// The paths of which it is asked whether something listens: all, unless only some of the replicas ask.
    fn asked_paths(&self) -> Vec<(&Ends, &Path)> {
        let asked: Vec<_> =
            self.live.iter().copied().filter(|(_, path)| wants_listener(&path.link)).collect();
        if asked.is_empty() { self.live.clone() } else { asked }
    }

    fn wants_listener(&self) -> bool {
        let links = self.live.iter().map(|(_, path)| &path.link);
        if self.live.is_empty() {
            wants_listener(&self.link.link)
        } else {
            links.into_iter().any(|link| wants_listener(link))
        }
    }

    fn listening(&self) -> Condition {
        let is = |status, reason, message| condition(Kind::Listening, status, reason, message);
        let asked = self.asked_paths();
        let mut open = !asked.is_empty();
        for (ends, path) in asked {
            let reason = match self.standing(ends, path) {
                Standing::Proven { listening: Some(false), .. } => Reason::NoListener,
                Standing::Failed(reason @ (FailReason::SocketMissing | FailReason::SocketStale)) => {
                    Reason::Handshake(reason)
                }
                Standing::Proven { listening: Some(true), .. } => continue,
                _ => {
                    open = false;
                    continue;
                }
            };
            return is(Status::False, reason, self.message(ends, path));
        }
        let reason = match (open, self.is_to_socket(), self.wants_listener()) {
            (true, true, _) => Reason::SocketOpen,
            (true, false, _) => Reason::PortOpen,
            (false, _, true) => Reason::NotYetProven,
            (false, _, false) => Reason::NotChecked,
        };
        is(if open { Status::True } else { Status::Unknown }, reason, String::new())
    }

    fn standing(&self, ends @ (consumer, provider): &Ends, path: &Path) -> Standing {
        if let Some(found) = out_of_reach(self.world, &path.link, ends) {
            return Standing::Failed(found.reason);
        }
        let paused = [consumer, provider]
            .into_iter()
            .any(|id| self.world.container(id).is_some_and(|container| container.state == RunState::Paused));
        if paused {
            return Standing::Unprobed(InconclusiveReason::ContainerPaused);
        }
        self.findings.proof(consumer, provider).map_or(Standing::Unproven, |proof| proof.standing)
    }

    fn message(&self, ends @ (consumer, provider): &Ends, path: &Path) -> String {
        if let Some(found) = out_of_reach(self.world, &path.link, ends) {
            return found.message;
        }
        let name = |id| self.world.container(id).map_or("?", |container| container.name.as_str());
        let paused = [consumer, provider]
            .into_iter()
            .find(|id| self.world.container(id).is_some_and(|container| container.state == RunState::Paused));
        match (paused, self.findings.proof(consumer, provider)) {
            (Some(id), _) => format!("{} is paused", name(id)),
            (None, Some(proof)) => format!("{} -> {}: {}", name(consumer), name(provider), proof.message),
            (None, None) => String::new(),
        }
    }

    fn is_alive(&self, id: &ContainerId) -> bool {
        self.world.container(id).is_some_and(is_alive)
    }
}

/// Whether the state of a link depends on whether something listens.
fn wants_listener(link: &Link) -> bool {
    matches!(link.handshake, Handshake::Auto | Handshake::Connect)
}

/// Why no handshake is made for this link at all.
pub fn unprovable(link: &Link) -> Option<(Reason, &'static str)> {
    if link.handshake == Handshake::None {
        return Some((Reason::HandshakeNone, "never proven: its handshake is none"));
    }
    match (&link.target.endpoint, link.handshake) {
        (Endpoint::Udp(_), Handshake::Connect) if link.payload.expect.is_none() => {
            let message = "a datagram that nobody answers proves nothing: give it send and expect, or auto";
            Some((Reason::PayloadNeeded, message))
        }
        (Endpoint::Unix(_), Handshake::Exchange) => {
            let message = "an exchange would have to listen on a path that a label names, which is never done, \
                since it would take the path from whoever has it: make its handshake connect";
            Some((Reason::ExchangeNotPossible, message))
        }
        _ => None,
    }
}

fn is_alive(container: &Container) -> bool {
    matches!(container.state, RunState::Running | RunState::Paused)
}

fn condition(kind: Kind, status: Status, reason: Reason, message: String) -> Condition {
    Condition { kind, status, reason, message: labels::message(&message) }
}

/// Adds the conditions that are missing and the summary, which says `note` too.
fn finish(mut conditions: Vec<Condition>, wants_listener: bool, note: &str) -> Assessment {
    for kind in [Kind::Accepted, Kind::Resolved, Kind::Wired, Kind::Reachable, Kind::Listening] {
        if !conditions.iter().any(|condition| condition.kind == kind) {
            conditions.push(condition(kind, Status::Unknown, Reason::NotReady, String::new()));
        }
    }
    let hurdle = conditions
        .iter()
        .filter(|condition| condition.kind != Kind::Listening || wants_listener)
        .find(|condition| condition.status != Status::True)
        .cloned();
    let state = hurdle.as_ref().map_or(State::Ready, state_at);
    let (status, reason) = match &hurdle {
        None => (Status::True, Reason::Ready),
        Some(hurdle) => (hurdle.status, hurdle.reason),
    };
    let parts = [hurdle.map_or(String::new(), |hurdle| hurdle.message), note.to_owned()];
    let message =
        labels::message(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "));
    conditions.push(condition(Kind::Ready, status, reason, message.clone()));
    Assessment { state, conditions, message }
}

/// The state of a link whose first condition that is not true is `hurdle`.
fn state_at(hurdle: &Condition) -> State {
    match (hurdle.kind, hurdle.reason) {
        (Kind::Accepted, Reason::NotAccepted) => State::Denied,
        (Kind::Accepted, _) => State::Invalid,
        (Kind::Resolved, _) => State::Pending,
        (Kind::Wired, _) => State::Wiring,
        (Kind::Reachable | Kind::Listening, Reason::NotYetProven) => State::Verifying,
        (Kind::Reachable, _) if hurdle.status == Status::False => State::Unreachable,
        (Kind::Listening, _) if hurdle.status == Status::False => State::NoListener,
        (Kind::Reachable | Kind::Listening, _) => State::Unknown,
        (Kind::Ready, _) => State::Ready,
    }
}

#[cfg(test)]
mod tests;
