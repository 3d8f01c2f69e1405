//! From what a link declares, what is wired and what was proven to its conditions and its state.

use super::carrier::{self, out_of_reach};
use super::condition::{Condition, Kind, Reason, State, Status};
use super::container::{Container, ContainerId, NetworkMode, RunState, is_host_name};
use super::declaration::{DeclaredLink, Mistake};
use super::handshake::{FailReason, InconclusiveReason};
use super::labels::{self, shown};
use super::link::{EdgeKey, Endpoint, Handshake};
use super::proof::{Proof, Standing};
use super::workload::Workload;
use super::world::World;

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
pub fn live_paths<'a>(world: &World, link: &'a DeclaredLink) -> Vec<(&'a Ends, Option<&'a EdgeKey>)> {
    let alive = |id: &ContainerId| world.container(id).is_some_and(is_alive);
    let live = link.paths.iter().filter(|((c, p), _)| alive(c) && alive(p));
    live.map(|(ends, edge)| (ends, edge.as_ref())).collect()
}

/// Assesses a label that cannot be read.
pub fn assess_mistake(mistake: &Mistake) -> Assessment {
    let message = format!("{}: {}", labels::some_of(&mistake.containers), mistake.error);
    let reason = Reason::Label(mistake.error.problem);
    let accepted = condition(Kind::Accepted, Status::False, reason, message);
    finish(vec![accepted], Handshake::Auto)
}

/// Assesses a link.
pub fn assess(world: &World, link: &DeclaredLink, findings: &impl Findings) -> Assessment {
    let assessor = Assessor { world, link, findings };
    let conditions = vec![
        assessor.accepted(),
        assessor.resolved(),
        assessor.wired(),
        assessor.reachable(),
        assessor.listening(),
    ];
    finish(conditions, link.link.handshake)
}

struct Assessor<'a, F> {
    world: &'a World,
    link: &'a DeclaredLink,
    findings: &'a F,
}

impl<F: Findings> Assessor<'_, F> {
    fn accepted(&self) -> Condition {
        let resolution = self.link.resolution;
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
                no(Reason::ProviderNotFound, format!("no container or service fits {}", target.selector))
            };
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
        let named = self.link.paths.iter().filter(|(_, edge)| edge.is_some());
        let mut providers = named.filter_map(|((_, provider), _)| self.world.container(provider));
        let found = providers.find(|provider| !is_host_name(Workload::of(provider).short_name()));
        match found.filter(|_| self.link.link.alias.is_none()) {
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
        if let Endpoint::Unix(_) = self.link.link.target.endpoint {
            return is(Status::True, Reason::NoNetworkNeeded, String::new());
        }
        if self.link.paths.is_empty() {
            return is(Status::Unknown, Reason::NothingToWire, "there is nothing to wire yet".to_owned());
        }
        for (ends, edge) in self.link.paths.iter().filter_map(|(ends, edge)| Some((ends, edge.as_ref()?))) {
            if let Some((reason, message)) = self.unwireable(ends) {
                return is(Status::False, reason, message);
            }
            if carrier::network(self.world, edge, ends).is_none() {
                return match self.findings.trouble(edge) {
                    Some(trouble) => is(Status::False, trouble.reason, trouble.message.clone()),
                    None => is(Status::False, Reason::InProgress, "networks are being joined".to_owned()),
                };
            }
        }
        is(Status::True, Reason::Wired, String::new())
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
        if let Some((reason, message)) = unprovable(self.link) {
            return is(Status::Unknown, reason, message.to_owned());
        }
        let paths = live_paths(self.world, self.link);
        let mut verdict = is(Status::True, Reason::HandshakePassed, String::new());
        if paths.is_empty() {
            return is(Status::Unknown, Reason::NotYetProven, "no path runs at both ends".to_owned());
        }
        for (ends, _) in paths {
            let found = match self.standing(ends) {
                Standing::Proven { detour: false, .. } => continue,
                Standing::Proven { detour: true, .. } => {
                    if verdict.status == Status::True {
                        verdict = is(Status::True, Reason::PassedOverAnotherNetwork, self.message(ends));
                    }
                    continue;
                }
                Standing::Failed(reason) => {
                    return is(Status::False, Reason::Handshake(reason), self.message(ends));
                }
                Standing::Unprobed(reason) => (Reason::Probe(reason), self.message(ends)),
                Standing::Unproven => (Reason::NotYetProven, "no handshake has passed yet".to_owned()),
            };
            // A reason that somebody can act on is told before one that only asks for patience.
            if verdict.status == Status::True || verdict.reason == Reason::NotYetProven {
                verdict = is(Status::Unknown, found.0, found.1);
            }
        }
        verdict
    }

    fn listening(&self) -> Condition {
        let is = |status, reason, message| condition(Kind::Listening, status, reason, message);
        let paths = live_paths(self.world, self.link);
        let standings: Vec<(&Ends, Standing)> =
            paths.iter().map(|(ends, _)| (*ends, self.standing(ends))).collect();
        for (ends, standing) in &standings {
            let reason = match standing {
                Standing::Proven { listening: Some(false), .. } => Reason::NoListener,
                Standing::Failed(reason @ (FailReason::SocketMissing | FailReason::SocketStale)) => {
                    Reason::Handshake(*reason)
                }
                _ => continue,
            };
            return is(Status::False, reason, self.message(ends));
        }
        if !standings.is_empty()
            && standings.iter().all(|(_, s)| matches!(s, Standing::Proven { listening: Some(true), .. }))
        {
            let open = match self.link.link.target.endpoint {
                Endpoint::Unix(_) => Reason::SocketOpen,
                Endpoint::Tcp(_) | Endpoint::Udp(_) => Reason::PortOpen,
            };
            return is(Status::True, open, String::new());
        }
        let reason = match self.link.link.handshake {
            Handshake::Auto | Handshake::Connect => Reason::NotYetProven,
            Handshake::Exchange | Handshake::None => Reason::NotChecked,
        };
        is(Status::Unknown, reason, String::new())
    }

    fn standing(&self, ends @ (consumer, provider): &Ends) -> Standing {
        if let Some(found) = out_of_reach(self.world, self.link, ends) {
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

    fn message(&self, ends @ (consumer, provider): &Ends) -> String {
        if let Some(found) = out_of_reach(self.world, self.link, ends) {
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

/// Why no handshake is made for this link at all.
pub fn unprovable(link: &DeclaredLink) -> Option<(Reason, &'static str)> {
    let link = &link.link;
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

/// Adds the conditions that are missing and the summary.
fn finish(mut conditions: Vec<Condition>, handshake: Handshake) -> Assessment {
    for kind in [Kind::Accepted, Kind::Resolved, Kind::Wired, Kind::Reachable, Kind::Listening] {
        if !conditions.iter().any(|condition| condition.kind == kind) {
            conditions.push(condition(kind, Status::Unknown, Reason::NotReady, String::new()));
        }
    }
    let wants_listener = matches!(handshake, Handshake::Auto | Handshake::Connect);
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
    let message = hurdle.map_or(String::new(), |hurdle| hurdle.message);
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
