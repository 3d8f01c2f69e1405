//! What happens in a random history, at the wire.

use std::time::Duration;

use fastrand::Rng;

use super::engine::{Controller, FakeEngine};
use super::events::Flow;
use super::faults::{Fault, What};
use super::state::{Attachment, Network, State};

pub const FLAGS: [&str; 2] = ["--resync", "1s"];

const NAMES: [&str; 6] = ["n0", "n1", "n2", "n3", "n4", "n5"];
const OPERATIONS: [&str; 10] = [
    "events",
    "container_list",
    "container_inspect",
    "network_list",
    "network_inspect",
    "network_create",
    "network_connect",
    "network_disconnect",
    "network_remove",
    "exec_create",
];

/// One history, as it goes.
pub struct Story {
    rng: Rng,
    pub engine: FakeEngine,
    pub controller: Option<Controller>,
    /// Whether somebody removed a network of ours, or attached a container to one.
    tampered: bool,
    /// What was done, for whoever has to find out why it went wrong.
    pub told: Vec<String>,
}

impl Story {
    pub fn new(seed: u64) -> Self {
        let engine = FakeEngine::start();
        let foreign = network("foreign", "192.168.7.0/24");
        engine.state().create_network(foreign).unwrap();
        let controller = Some(Controller::start_unasked(&engine, &FLAGS));
        Self { rng: Rng::with_seed(seed), engine, controller, tampered: false, told: Vec::new() }
    }

    /// # Errors
    /// If a container does not start, and it is not people who are to blame.
    pub async fn step(&mut self) -> Result<(), String> {
        match self.rng.u32(0..22) {
            0..14 => self.people()?,
            14..17 => self.go_wrong(),
            17 => self.engine.no_faults(),
            18..20 => self.disturb_events(),
            20 => {
                self.told.push("the engine restarts".to_owned());
                self.engine.go_away();
                self.pause().await;
                self.engine.listen();
            }
            _ => {
                self.told.push("the controller is killed and started".to_owned());
                self.controller = None;
                self.controller = Some(Controller::start_unasked(&self.engine, &FLAGS));
            }
        }
        self.pause().await;
        Ok(())
    }

    async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.rng.u64(0..60))).await;
    }

    fn go_wrong(&mut self) {
        let operation = *self.rng.choice(&OPERATIONS).unwrap();
        let what = match self.rng.u32(0..9) {
            0..3 => What::Answer(500, "something is wrong".to_owned()),
            3 => What::Answer(400, "no".to_owned()),
            4 if operation == "network_create" => {
                What::Answer(403, "Pool overlaps with other one".to_owned())
            }
            4 | 5 => What::Delay(Duration::from_millis(300)),
            6 => What::DropBefore,
            7 => What::DropAfter,
            _ => What::Hang,
        };
        self.told.push(format!("{operation} goes wrong: {what:?}"));
        let fault =
            if self.rng.u32(0..6) == 0 { Fault::everywhere(what) } else { Fault::at(operation, what) };
        self.engine.fault(fault.every(self.rng.usize(1..4)));
    }

    fn disturb_events(&mut self) {
        let flows = [Flow::Sent, Flow::Lost, Flow::Frozen, Flow::Twice, Flow::Swapped, Flow::Late];
        let flow = *self.rng.choice(&flows).unwrap();
        self.told.push(format!("events are {flow:?}, after a disturbance"));
        let mut state = self.engine.state();
        match self.rng.u32(0..4) {
            0 => state.events.cut(),
            1 => state.events.cut_in_frame(),
            2 => state.events.send("no event at all\n".to_owned()),
            _ => {}
        }
        state.events.flow = flow;
    }

    fn labels(&mut self) -> Vec<(&'static str, String)> {
        let mut labels = Vec::new();
        if self.rng.u32(0..3) == 0 {
            labels.push(("com.docker.compose.project", "p".to_owned()));
            labels.push(("com.docker.compose.service", format!("s{}", self.rng.u32(0..2))));
            labels.push(("com.docker.compose.container-number", format!("{}", self.rng.u32(1..4))));
        }
        for label in ["tieline.link", "tieline.link.db"] {
            if self.rng.bool() {
                let target = match self.rng.u32(0..4) {
                    0 => format!("p/s{}", self.rng.u32(0..2)),
                    _ => (*self.rng.choice(&NAMES).unwrap()).to_owned(),
                };
                labels.push((label, format!("{target}:80")));
            }
        }
        match self.rng.u32(0..8) {
            0 => labels.push(("tieline.topology", "shared".to_owned())),
            1 => labels.push(("tieline.accept", (*self.rng.choice(&NAMES).unwrap()).to_owned())),
            _ => {}
        }
        labels
    }

    fn people(&mut self) -> Result<(), String> {
        let labels = self.labels();
        let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let name = *self.rng.choice(&NAMES).unwrap();
        let deed = self.rng.u32(0..16);
        let pick = self.rng.u64(..);
        let mut state = self.engine.state();
        let id = state.named(name);
        self.told.push(format!("deed {deed} to {name} ({labels:?})"));
        match (deed, id) {
            (0..6, None) => {
                let id = state.create_container(name, &labels);
                if deed > 1 {
                    drop(state);
                    self.start(&id)?;
                }
            }
            (0..3, Some(id)) if !state.containers[&id].running => {
                drop(state);
                self.start(&id)?;
            }
            (3..6, Some(id)) if state.containers[&id].running => state.stop_container(&id),
            (6..8, Some(id)) => state.remove_container(&id),
            (8..10, Some(id)) => {
                let running = state.containers[&id].running;
                state.remove_container(&id);
                let id = state.create_container(name, &labels);
                drop(state);
                if running {
                    self.start(&id)?;
                }
            }
            (10, Some(id)) if state.containers[&id].running => {
                let paused = state.containers[&id].paused;
                state.pause_container(&id, !paused);
            }
            (11, Some(id)) => {
                let free = NAMES.into_iter().find(|name| state.named(name).is_none());
                if let Some(free) = free {
                    state.rename_container(&id, free);
                }
            }
            (12, Some(id)) => {
                let names: Vec<String> = state.containers[&id].attachments.keys().cloned().collect();
                if let Some(network) = choose(&names, pick) {
                    let _ = state.disconnect(network, &id);
                }
            }
            (13, Some(id)) => {
                if let Some(network) = choose(&ours(&state), pick) {
                    let _ = state.connect(network, &id, Attachment::default());
                    self.tampered = true;
                }
            }
            (14, _) => {
                if let Some(network) = choose(&ours(&state), pick) {
                    let up = state.containers.iter().filter(|(_, container)| container.running);
                    let members: Vec<String> = up.map(|(id, _)| id.clone()).collect();
                    for member in &members {
                        let _ = state.disconnect(network, member);
                    }
                    let _ = state.remove_network(network);
                    self.tampered = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, id: &str) -> Result<(), String> {
        match self.engine.state().start_container(id) {
            Err((_, text)) if !self.tampered => Err(format!("{id} did not start because of us: {text}")),
            _ => Ok(()),
        }
    }
}

fn choose(all: &[String], pick: u64) -> Option<&String> {
    let at = pick.checked_rem(all.len() as u64)?;
    all.get(usize::try_from(at).unwrap())
}

fn ours(state: &State) -> Vec<String> {
    let ours = state.networks.iter().filter(|(_, network)| network.labels.contains_key("tieline.managed-by"));
    ours.map(|(id, _)| id.clone()).collect()
}

fn network(name: &str, subnet: &str) -> Network {
    let (name, subnet) = (name.to_owned(), subnet.to_owned());
    Network { name, subnet, ..Network::default() }
}
