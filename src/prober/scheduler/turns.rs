//! Turns on a provider's port: a knock must not meet the listener of an exchange, nor one exchange
//! another's.

use std::collections::{HashMap, HashSet};

use super::super::{Request, Route};
use crate::model::container::ContainerId;
use crate::model::handshake::role::Transport;
use crate::model::link::Handshake;

/// A port of a provider.
type Port = (ContainerId, Transport, u16);

/// Providers' ports that handshakes are using.
#[derive(Debug, Default)]
pub struct Turns(HashMap<Port, Use>);

/// A port in use by one exchange, or by any number of knocks at the provider's own listener.
#[derive(Debug)]
struct Use {
    alone: bool,
    users: usize,
}

/// Those who wait for ports, seen in the order in which they were due: who waits for a port is
/// overtaken by nobody there, or knocks without end would keep an exchange out for ever.
pub struct Line<'a> {
    turns: &'a Turns,
    claimed: HashSet<Port>,
}

impl Turns {
    /// Nobody has been seen yet.
    pub fn line(&self) -> Line<'_> {
        Line { turns: self, claimed: HashSet::new() }
    }

    /// Begins to use the request's port.
    pub fn enter(&mut self, request: &Request) {
        if let Some(port) = port(request) {
            let alone = is_alone(request);
            self.0.entry(port).or_insert(Use { alone, users: 0 }).users += 1;
        }
    }

    /// Ends that.
    pub fn leave(&mut self, request: &Request) {
        let Some(port) = port(request) else { return };
        let Some(in_use) = self.0.get_mut(&port) else { return };
        in_use.users -= 1;
        if in_use.users == 0 {
            self.0.remove(&port);
        }
    }
}

impl Line<'_> {
    /// Whether the next in line may use its port now.
    pub fn admits(&mut self, request: &Request) -> bool {
        let Some(port) = port(request) else { return true };
        let is_free = self.turns.0.get(&port).is_none_or(|in_use| !in_use.alone && !is_alone(request));
        let admitted = is_free && !self.claimed.contains(&port);
        if !admitted {
            self.claimed.insert(port);
        }
        admitted
    }
}

fn is_alone(request: &Request) -> bool {
    request.mode == Handshake::Exchange
}

fn port(request: &Request) -> Option<Port> {
    match &request.route {
        Route::Port(route) => Some((request.provider.id.clone(), route.transport, route.port)),
        // Nothing of ours ever listens there.
        Route::Socket(_) => None,
    }
}
