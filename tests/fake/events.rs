//! The fake engine's events: the ring that the daemon keeps, who listens, and what goes wrong on the
//! way.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::broadcast;

/// The daemon keeps that many events (moby, `daemon/events`).
const RING: usize = 256;
/// Lines that may wait for a listener.
const WAITING: usize = 1024;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    #[default]
    Sent,
    /// Neither kept nor sent.
    Lost,
    /// The stream stays open, and nothing comes: kept, but not sent.
    Frozen,
    Twice,
    /// Of two events the second comes first.
    Swapped,
    /// Each comes after the next three.
    Late,
}

/// What a listener gets.
#[derive(Clone, Debug)]
pub enum Piece {
    Bytes(String),
    /// The stream ends.
    End,
}

pub struct Events {
    pub flow: Flow,
    /// With the time of each.
    ring: VecDeque<(u64, String)>,
    held: VecDeque<String>,
    live: broadcast::Sender<Piece>,
}

impl Events {
    pub fn new() -> Self {
        let (live, _) = broadcast::channel(WAITING);
        Self { flow: Flow::Sent, ring: VecDeque::new(), held: VecDeque::new(), live }
    }

    /// The events of that time (Unix nanoseconds, both inclusive), and those to come.
    pub fn subscribe(&self, since: u64, until: u64) -> (Vec<String>, broadcast::Receiver<Piece>) {
        let told = |(time, line): &(u64, String)| (since..=until).contains(time).then(|| line.clone());
        (self.ring.iter().filter_map(told).collect(), self.live.subscribe())
    }

    pub fn emit(&mut self, kind: &str, action: &str, id: &str, attributes: Value) {
        if self.flow == Flow::Lost {
            return;
        }
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let nanos = u64::try_from(nanos).unwrap();
        let event = json!({
            "Type": kind, "Action": action, "scope": "local",
            "Actor": { "ID": id, "Attributes": attributes },
            "time": nanos / 1_000_000_000, "timeNano": nanos,
        });
        let line = format!("{event}\n");
        self.ring.push_back((nanos, line.clone()));
        if self.ring.len() > RING {
            self.ring.pop_front();
        }
        self.pass_on(line);
    }

    fn pass_on(&mut self, line: String) {
        let held = match self.flow {
            Flow::Frozen | Flow::Lost => return,
            Flow::Sent => 0,
            Flow::Twice => {
                self.send(line.clone());
                0
            }
            Flow::Swapped => 1,
            Flow::Late => 3,
        };
        if held == 0 {
            self.release();
            return self.send(line);
        }
        match self.flow {
            Flow::Swapped if !self.held.is_empty() => {
                self.send(line);
                self.release();
            }
            _ => self.held.push_back(line),
        }
        while self.held.len() > held {
            let line = self.held.pop_front().unwrap();
            self.send(line);
        }
    }

    /// Sends what was held back.
    pub fn release(&mut self) {
        for line in std::mem::take(&mut self.held) {
            self.send(line);
        }
    }

    /// Sends bytes that need not be an event.
    pub fn send(&self, bytes: String) {
        // Nobody may be listening.
        let _ = self.live.send(Piece::Bytes(bytes));
    }

    /// Ends all streams.
    pub fn cut(&self) {
        let _ = self.live.send(Piece::End);
    }

    /// Ends all streams in the middle of an event.
    pub fn cut_in_frame(&self) {
        self.send("{\"Type\":\"container\",\"Acti".to_owned());
        self.cut();
    }
}
