//! A fake engine that listens, and a real controller that works on it.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::api::Api;
use super::faults::Fault;
use super::state::State;
use super::wire;
use crate::call;
use crate::engine::stage::{PATIENCE, tieline};
use crate::patience::patience;

pub struct FakeEngine {
    api: Api,
    dir: tempfile::TempDir,
    server: Option<JoinHandle<()>>,
}

impl FakeEngine {
    pub fn start() -> Self {
        Self::holding(State::new())
    }

    pub fn holding(state: State) -> Self {
        let api = Arc::new(Mutex::new(state));
        let mut engine = Self { api, dir: tempfile::tempdir().unwrap(), server: None };
        engine.listen();
        engine
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.api.lock().unwrap()
    }

    /// Takes connections, at a new socket file under the same name.
    pub fn listen(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        let listener = UnixListener::bind(self.socket()).unwrap();
        self.server = Some(tokio::spawn(wire::serve(listener, Arc::clone(&self.api))));
    }

    /// Takes no connections any more, and closes those that there are.
    pub fn go_away(&mut self) {
        self.server.take().unwrap().abort();
        let _ = std::fs::remove_file(self.socket());
    }

    pub fn cut_events(&self) {
        self.state().events.cut();
    }

    pub fn fault(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    pub fn no_faults(&self) {
        self.state().faults.clear();
    }

    pub fn run(&self, name: &str, labels: &[(&str, &str)]) -> String {
        let mut state = self.state();
        let id = state.create_container(name, labels);
        state.start_container(&id).unwrap();
        id
    }

    /// Who is on which of our networks, by name.
    pub fn wiring(&self) -> Vec<(String, Vec<String>)> {
        let state = self.state();
        let ours =
            state.networks.values().filter(|network| network.labels.contains_key("tieline.managed-by"));
        ours.map(|network| {
            let on = state.containers.values().filter(|c| c.attachments.contains_key(&network.name));
            (network.name.clone(), on.map(|container| container.name.clone()).collect())
        })
        .collect()
    }

    pub fn calls_of(&self, operation: &str) -> usize {
        self.state().calls.iter().filter(|call| **call == operation).count()
    }

    /// Whether exactly this edge is wired, by one network.
    pub fn has_only(&self, consumer: &str, provider: &str) -> bool {
        let mut members = vec![consumer.to_owned(), provider.to_owned()];
        members.sort();
        match self.wiring().as_slice() {
            [(_, on)] => {
                let mut on = on.clone();
                on.sort();
                on == members
            }
            _ => false,
        }
    }
}

/// A controller on a fake engine.
pub struct Controller {
    child: Child,
    server: String,
    log: tempfile::NamedTempFile,
}

impl Controller {
    pub fn start(engine: &FakeEngine, flags: &[&str]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_at(port, engine, flags)
    }

    /// One that nobody asks for anything: it takes a port that no other program can take before it.
    pub fn start_unasked(engine: &FakeEngine, flags: &[&str]) -> Self {
        Self::start_at(0, engine, flags)
    }

    fn start_at(port: u16, engine: &FakeEngine, flags: &[&str]) -> Self {
        let listen = format!("127.0.0.1:{port}");
        let mut command = tieline();
        command.args(["run", "--host", &engine.host(), "--listen", &listen, "--gc-grace", "0s"]);
        let log = tempfile::NamedTempFile::new().unwrap();
        let stderr = log.reopen().unwrap();
        // What the fake engine runs is nowhere to be entered.
        command.env("TIELINE_PROBER", "exec");
        command.args(["--log-level", "debug"]).args(flags).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(stderr).spawn().unwrap();
        Self { child, server: format!("http://{listen}"), log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub async fn ready(&self) {
        self.eventually("it is ready", || self.get("/readyz") == "ok\n").await;
    }

    pub fn get(&self, path: &str) -> String {
        call::get(&self.server, path).1
    }

    pub fn metric(&self, series: &str) -> f64 {
        let text = self.get("/metrics");
        let line =
            text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_else(|| panic!("no {series}"))
    }

    pub fn link(&self, name: &str) -> Value {
        let links: Vec<Value> = serde_json::from_str(&self.get("/api/v1/links")).unwrap_or_default();
        links.into_iter().find(|link| link["name"] == name).unwrap_or_default()
    }

    pub async fn eventually(&self, what: &str, fact: impl Fn() -> bool) {
        let end = Instant::now() + patience(PATIENCE);
        while !fact() {
            assert!(Instant::now() < end, "it never came that {what}: {}", self.get("/api/v1/links"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
