//! One side that speaks, and what it has said so far.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use crate::docker::Docker;
use crate::docker::process::{Output, Process};
use crate::model::handshake::script;
use crate::model::handshake::tool::Flavour;
use crate::model::handshake::transcript::Transcript;

use super::super::Side;
use super::Trouble;

/// How long a side may take to end by itself once its stdin is closed.
const GRACE: Duration = Duration::from_millis(250);

/// How long it may take to look where a connection led.
const LOOK: Duration = Duration::from_millis(250);

/// One side that speaks.
pub struct Running<'a> {
    side: &'a Side,
    process: Process,
    script: Option<Script>,
    heard: Transcript,
    ended: bool,
    record: Option<Record>,
}

/// Where what was said is kept for a person.
pub type Record = Arc<Mutex<Vec<Said>>>;

/// All that one side said.
#[derive(Clone, Debug)]
pub struct Said {
    /// The name of the container that it spoke for.
    pub container: String,
    /// What it received.
    pub stdout: Vec<u8>,
    /// How it fared.
    pub stderr: Vec<u8>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Some(record) = &self.record else { return };
        let (stdout, stderr) = (self.heard.stdout().to_vec(), self.heard.stderr().to_vec());
        let said = Said { container: self.side.name.clone(), stdout, stderr };
        record.lock().unwrap_or_else(PoisonError::into_inner).push(said);
    }
}

/// What is known of a side that is a script with an `nc`.
struct Script {
    docker: Docker,
    flavour: Option<Flavour>,
}

impl<'a> Running<'a> {
    /// What speaks for `side`, a program of ours.
    pub fn ours(side: &'a Side, process: Process) -> Self {
        Self { side, process, script: None, heard: Transcript::default(), ended: false, record: None }
    }

    /// A script that the container's own shell runs with an `nc` of this flavour.
    pub fn script(side: &'a Side, process: Process, docker: &Docker, flavour: Option<Flavour>) -> Self {
        let mut running = Self::ours(side, process);
        running.script = Some(Script { docker: docker.clone(), flavour });
        running
    }

    /// Keeps what it says in `record`, where there is one.
    pub(super) fn keep_in(&mut self, record: Option<&Record>) {
        self.record = record.cloned();
    }

    /// The flavour of its `nc`, where it has one.
    pub fn flavour(&self) -> Option<Flavour> {
        self.script.as_ref()?.flavour
    }

    /// Whose side it is.
    pub fn side(&self) -> &'a Side {
        self.side
    }

    /// What it has said so far.
    pub fn heard(&self) -> &Transcript {
        &self.heard
    }

    /// Whether it said more than is read, its own last words perhaps among the rest.
    pub fn overflowed(&self) -> bool {
        self.process.overflowed()
    }

    /// Whether it has said all it had to say.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Says something on its stdin. A side that cannot hear it any more tells by its output why.
    pub async fn say(&mut self, bytes: &[u8]) {
        let _ = self.process.write(bytes).await;
    }

    /// Says that there is no more to say.
    pub async fn close_stdin(&mut self) {
        self.process.close_stdin().await;
    }

    /// Takes the next piece of output; `false` when there is no more. Nothing is lost when the
    /// returned future is dropped.
    pub async fn hear(&mut self) -> Result<bool, Trouble> {
        match self.process.output().await {
            Some(Ok(Output::Stdout(bytes))) => self.heard.hear_stdout(&bytes),
            Some(Ok(Output::Stderr(bytes))) => self.heard.hear_stderr(&bytes),
            Some(Err(error)) => return Err(Trouble::of(&error, self.side)),
            None => self.ended = true,
        }
        Ok(!self.ended)
    }

    /// Takes output until it has said enough, or all.
    pub async fn hear_until(&mut self, enough: impl Fn(&Transcript) -> bool) -> Result<(), Trouble> {
        while !enough(&self.heard) && self.hear().await? {}
        Ok(())
    }

    /// Waits a moment until it has told where its connection led: that takes a look at its socket, and the
    /// answer may be quicker.
    pub(super) async fn see_where_it_led(&mut self) {
        if !self.heard.connected() && !self.ended {
            let told = self.hear_until(|heard| heard.connected() || heard.end().is_some());
            // Not a word more is needed for the proof.
            let _ = timeout(LOOK, told).await;
        }
    }

    /// Lets it end: closes its stdin and waits until it has gone.
    pub async fn finish(&mut self) {
        self.process.close_stdin().await;
        // Where the stream breaks there is nothing to wait for; the script ends by its own bound.
        while !self.ended && matches!(self.hear().await, Ok(true)) {}
    }

    /// Makes it end: an `nc` that is not connected does not notice that its stdin was closed, and
    /// would go on until its script's bound; so would a program of ours that stays for an answer.
    pub async fn stop(&mut self) {
        if timeout(GRACE, self.finish()).await.is_ok() {
            return;
        }
        let Some(Script { docker, .. }) = &self.script else {
            self.process.abandon();
            self.ended = true;
            return;
        };
        if let Some(pid) = self.heard.pid() {
            let stop = script::stop(pid);
            if let Ok(process) = docker.exec(&self.side.id, stop.argv, stop.env).await {
                Box::pin(Self::ours(self.side, process).finish()).await;
            }
        }
        self.finish().await;
    }

    /// Its exit code, asked for only where it did not say itself how it ended.
    pub async fn exit_code(&mut self) -> Option<i64> {
        match self.heard.end() {
            Some(_) => None,
            None => self.process.exit_code().await.ok().flatten(),
        }
    }
}
