//! Processes in containers.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::error::classify;
use super::{CALL_TIMEOUT, Docker, Error, Operation};
use crate::model::container::ContainerId;

/// How many bytes of each output stream of a process are handed on; the rest is read and dropped.
pub const MAX_OUTPUT_BYTES: usize = 32 * 1024;

/// How often the engine is asked whether a process has ended whose output has.
const EXIT_POLL: Duration = Duration::from_millis(5);

/// A piece of a process's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Of its stdout.
    Stdout(Vec<u8>),
    /// Of its stderr.
    Stderr(Vec<u8>),
}

/// A process in a container. Dropping it does not end the process, only closes its stdin: the
/// engine cannot kill what it executes. What runs has to end by itself.
pub struct Process {
    docker: Docker,
    id: String,
    stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>,
    stdout_left: usize,
    stderr_left: usize,
}

impl Docker {
    /// Starts a process in `container`, as the container's own user.
    pub async fn exec(
        &self,
        container: &ContainerId,
        argv: Vec<String>,
        env: Vec<String>,
    ) -> Result<Process, Error> {
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(argv),
            env: Some(env),
            ..CreateExecOptions::default()
        };
        let create = async |client: &bollard::Docker| client.create_exec(container.as_str(), options).await;
        let id = self.call(Operation::ExecCreate, create).await?.id;
        let start = async |client: &bollard::Docker| client.start_exec(&id, None).await;
        match self.call(Operation::ExecStart, start).await? {
            StartExecResults::Attached { output, input } => Ok(Process {
                docker: self.clone(),
                id,
                stdin: Some(input),
                output,
                stdout_left: MAX_OUTPUT_BYTES,
                stderr_left: MAX_OUTPUT_BYTES,
            }),
            StartExecResults::Detached => {
                Err(Error::Unavailable("the engine detached the process".to_owned()))
            }
        }
    }
}

impl Process {
    /// Writes to the process's stdin.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        stdin.write_all(bytes).await.map_err(stream_broke)?;
        stdin.flush().await.map_err(stream_broke)
    }

    /// Closes the process's stdin; its output stays open.
    pub async fn close_stdin(&mut self) {
        if let Some(mut stdin) = self.stdin.take() {
            // A process that is gone has no stdin to close.
            let _ = stdin.shutdown().await;
        }
    }

    /// The next piece of output, `None` once there is no more. Nothing is lost when the returned
    /// future is dropped.
    pub async fn output(&mut self) -> Option<Result<Output, Error>> {
        loop {
            let piece = match self.output.next().await? {
                Ok(LogOutput::StdErr { message }) => Output::Stderr(cap(&message, &mut self.stderr_left)),
                Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => {
                    Output::Stdout(cap(&message, &mut self.stdout_left))
                }
                Ok(LogOutput::StdIn { .. }) => continue,
                Err(error) => return Some(Err(classify(error, CALL_TIMEOUT))),
            };
            match &piece {
                Output::Stdout(bytes) | Output::Stderr(bytes) if bytes.is_empty() => {}
                _ => return Some(Ok(piece)),
            }
        }
    }

    /// Whether it said as much as is handed on, so that the rest is lost.
    pub fn overflowed(&self) -> bool {
        self.stdout_left == 0 || self.stderr_left == 0
    }

    /// The process's exit code; waits until it ended.
    pub async fn exit_code(&mut self) -> Result<Option<i64>, Error> {
        let (docker, id) = (self.docker.clone(), self.id.clone());
        loop {
            let inspect = async |client: &bollard::Docker| client.inspect_exec(&id).await;
            let state = docker.call(Operation::ExecInspect, inspect).await?;
            if state.running != Some(true) {
                return Ok(state.exit_code);
            }
            tokio::time::sleep(EXIT_POLL).await;
        }
    }
}

fn cap(message: &[u8], left: &mut usize) -> Vec<u8> {
    let taken = message.len().min(*left);
    *left -= taken;
    message[..taken].to_vec()
}

fn stream_broke(error: std::io::Error) -> Error {
    Error::Unavailable(format!("the stream to the process broke: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_beyond_the_limit_is_dropped() {
        let mut left = 5;
        assert_eq!(cap(b"abc", &mut left), b"abc");
        assert_eq!(cap(b"def", &mut left), b"de");
        assert_eq!(cap(b"ghi", &mut left), b"");
    }
}
