//! A script that runs in a container, and what it has said so far.

use std::time::Duration;

use tokio::time::timeout;

use crate::docker::Docker;
use crate::docker::exec::{Output, Process};
use crate::model::handshake::script::{self, Command};
use crate::model::handshake::transcript::Transcript;

use super::super::Side;
use super::Trouble;

/// How long a script may take to end by itself once its stdin is closed.
const GRACE: Duration = Duration::from_millis(250);

/// A script in a container.
pub(super) struct Running<'a> {
    docker: Docker,
    side: &'a Side,
    process: Process,
    heard: Transcript,
    ended: bool,
}

impl<'a> Running<'a> {
    pub async fn start(docker: &Docker, side: &'a Side, command: Command) -> Result<Self, Trouble> {
        let started = docker.exec(&side.id, command.argv, command.env).await;
        let process = started.map_err(|error| Trouble::of(&error, side))?;
        Ok(Self { docker: docker.clone(), side, process, heard: Transcript::default(), ended: false })
    }

    pub fn side(&self) -> &'a Side {
        self.side
    }

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

    /// Says something on its stdin. A script that cannot hear it any more tells by its output why.
    pub async fn say(&mut self, text: &str) {
        let _ = self.process.write(text.as_bytes()).await;
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

    /// Lets it end: closes its stdin and waits until it has gone.
    pub async fn finish(&mut self) {
        self.process.close_stdin().await;
        // Where the stream breaks there is nothing to wait for; the script ends by its own bound.
        while !self.ended && matches!(self.hear().await, Ok(true)) {}
    }

    /// Makes it end: an `nc` that is not connected does not notice that its stdin was closed, and
    /// would go on until its script's bound.
    pub async fn stop(&mut self) {
        if timeout(GRACE, self.finish()).await.is_ok() {
            return;
        }
        if let Some(pid) = self.heard.pid()
            && let Ok(mut stopper) = Self::start(&self.docker, self.side, script::stop(pid)).await
        {
            Box::pin(stopper.finish()).await;
        }
        self.finish().await;
    }

    /// The exit code of the script, asked for only where the script itself did not say how it ended.
    pub async fn exit_code(&mut self) -> Option<i64> {
        match self.heard.end() {
            Some(_) => None,
            None => self.process.exit_code().await.ok().flatten(),
        }
    }
}
