//! A script that runs in a container, and what it has said so far.

use crate::docker::Docker;
use crate::docker::exec::{Output, Process};
use crate::model::handshake::script::Command;
use crate::model::handshake::transcript::Transcript;

use super::super::Side;
use super::Trouble;

/// A script in a container.
pub(super) struct Running<'a> {
    side: &'a Side,
    process: Process,
    heard: Transcript,
    ended: bool,
}

impl<'a> Running<'a> {
    pub async fn start(docker: &Docker, side: &'a Side, command: Command) -> Result<Self, Trouble> {
        let started = docker.exec(&side.id, command.argv, command.env).await;
        let process = started.map_err(|error| Trouble::of(&error, side))?;
        Ok(Self { side, process, heard: Transcript::default(), ended: false })
    }

    pub fn side(&self) -> &'a Side {
        self.side
    }

    pub fn heard(&self) -> &Transcript {
        &self.heard
    }

    /// Whether it has said all it had to say.
    pub fn ended(&self) -> bool {
        self.ended
    }

    pub async fn say(&mut self, text: &str) -> Result<(), Trouble> {
        self.process.write(text.as_bytes()).await.map_err(|error| Trouble::of(&error, self.side))
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

    /// Lets it end: closes its stdin and waits until it has gone.
    pub async fn finish(&mut self) {
        self.process.close_stdin().await;
        // Where the stream breaks there is nothing to wait for; the script ends by its own bound.
        while !self.ended && matches!(self.hear().await, Ok(true)) {}
    }

    /// The exit code of the script, asked for only where the script itself did not say how it ended.
    pub async fn exit_code(&mut self) -> Option<i64> {
        match self.heard.end() {
            Some(_) => None,
            None => self.process.exit_code().await.ok().flatten(),
        }
    }
}
