//! Containers that come and go at random.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::engine::stage::Stage;
use crate::turns;

/// Providers that are always there.
const PROVIDERS: usize = 3;
/// Consumers that may be there; with two links each, as many networks as a stage's pool has.
const CONSUMERS: usize = 5;

pub struct Churn<'a> {
    stage: &'a Stage,
    random: fastrand::Rng,
    consumers: [State; CONSUMERS],
    /// Names are not used again: what is kept for one that is gone would hide.
    made: usize,
    pub steps: usize,
    /// Looks at which a link of the churn was Ready.
    pub proven: usize,
}

#[derive(Clone, Default, PartialEq)]
enum State {
    #[default]
    Absent,
    Running(String),
    Stopped(String),
}

impl<'a> Churn<'a> {
    /// The stage is set: providers, and one link that stays.
    pub fn new(stage: &'a Stage, seed: u64) -> Self {
        for n in 0..PROVIDERS {
            stage.run(&format!("db{n}"), &[]);
        }
        let churn = Self {
            stage,
            random: fastrand::Rng::with_seed(seed),
            consumers: Default::default(),
            made: 0,
            steps: 0,
            proven: 0,
        };
        let target = churn.target(0);
        let labels = [("link.x", &*target), ("link.x.handshake", "exchange"), ("link.x.interval", "1s")];
        stage.run("stays", &labels);
        stage.await_state("stays", "x", "Ready");
        churn
    }

    fn target(&self, provider: usize) -> String {
        format!("{}:80", self.stage.name(&format!("db{provider}")))
    }

    pub fn for_a_while(&mut self, length: Duration) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            self.step();
            if self.steps.is_multiple_of(3) {
                self.look();
            }
        }
    }

    /// Everything that this made is removed; waits until the controller knows.
    pub fn rest(&mut self) {
        let present: Vec<String> =
            self.consumers.iter().filter_map(State::name).map(|n| self.stage.name(n)).collect();
        assert!(turns::remove(|| self.stage.docker_command(), present.iter().map(String::as_str)));
        self.consumers = Default::default();
        self.stage.eventually("only what stays is left", || {
            self.stage.links().len() == 1 && self.stage.networks().len() == 1
        });
        self.stage.await_state("stays", "x", "Ready");
    }

    fn step(&mut self) {
        self.steps += 1;
        let at = self.random.usize(..CONSUMERS);
        let (stage, dice) = (self.stage, self.random.u8(..6));
        let next = match (self.consumers[at].clone(), dice) {
            (State::Absent, _) => self.create(dice < 4),
            (State::Running(name), 0..=2) => {
                stage.docker(&["stop", "-t", "0", &stage.name(&name)]);
                State::Stopped(name)
            }
            (State::Running(name), 3) => {
                stage.docker(&["restart", "-t", "0", &stage.name(&name)]);
                State::Running(name)
            }
            // Whatever the controller does meanwhile, a container has to start.
            (State::Stopped(name), 0..=3) => {
                stage.docker(&["start", &stage.name(&name)]);
                State::Running(name)
            }
            (State::Running(name) | State::Stopped(name), _) => {
                stage.docker(&["rm", "-f", &stage.name(&name)]);
                State::Absent
            }
        };
        self.consumers[at] = next;
    }

    fn create(&mut self, started: bool) -> State {
        self.made += 1;
        let name = format!("c{}", self.made);
        let (good, other) = (self.random.usize(..PROVIDERS), self.random.usize(..PROVIDERS));
        let (good, other) = (self.target(good), self.target(other));
        let mistake = ["app1", "app1:db", "\u{1b}[31m:80", "[=]:80", ""][self.random.usize(..5)];
        let labels = [
            ("link.good", &*good),
            ("link.good.handshake", "exchange"),
            ("link.good.interval", "1s"),
            ("link.other", &*other),
            ("link.other.timeout", "500ms"),
            ("link.bad", mistake),
            (&*format!("x{}", self.made), "an unknown key of its own"),
        ];
        let labels = &labels[..if self.random.bool() { 3 } else { labels.len() }];
        if started {
            self.stage.run(&name, labels);
            State::Running(name)
        } else {
            self.stage.create(&name, labels, &["sleep", "100000"]);
            State::Stopped(name)
        }
    }

    /// Somebody looks at all there is to see.
    fn look(&mut self) {
        let good = |link: &&serde_json::Value| link["name"] == "good" && link["state"] == "Ready";
        self.proven += self.stage.links().iter().filter(good).count();
        for path in ["/", "/metrics", "/api/v1/events", "/api/v1/links/nobody/nothing", "/nowhere"] {
            assert!(self.stage.get(path).0 < 500, "{path}");
        }
        // One that follows the events and hangs up.
        let url = format!("{}/api/v1/events", self.stage.server);
        let _ = Command::new("curl")
            .args(["-sN", "-m", "0.05", "-H", "Accept: text/event-stream", &url])
            .output();
    }
}

impl State {
    fn name(&self) -> Option<&String> {
        match self {
            Self::Absent => None,
            Self::Running(name) | Self::Stopped(name) => Some(name),
        }
    }
}
