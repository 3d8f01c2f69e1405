//! Processes in containers. The engine cannot kill what it executes: what runs has to end by itself.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;

use super::error::classify;
use super::process::{Output, Process};
use super::{CALL_TIMEOUT, Docker, Error, Operation};
use crate::model::container::ContainerId;

/// How often the engine is asked whether a process has ended whose output has.
const EXIT_POLL: Duration = Duration::from_millis(5);

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
            StartExecResults::Attached { output, input } => {
                let exit = Box::pin(exec_exit(self.clone(), id.clone()));
                Ok(Process::new(input, output.filter_map(async |piece| read(piece)).boxed(), exit))
            }
            StartExecResults::Detached => {
                Err(Error::Unavailable("the engine detached the process".to_owned()))
            }
        }
    }
}

/// Waits until a process has ended, and says its exit code.
async fn exec_exit(docker: Docker, id: String) -> Result<Option<i64>, Error> {
    loop {
        let inspect = async |client: &bollard::Docker| client.inspect_exec(&id).await;
        let state = docker.call(Operation::ExecInspect, inspect).await?;
        if state.running != Some(true) {
            return Ok(state.exit_code);
        }
        tokio::time::sleep(EXIT_POLL).await;
    }
}

/// A piece of output as the engine sends it.
pub(super) fn read(piece: Result<LogOutput, bollard::errors::Error>) -> Option<Result<Output, Error>> {
    match piece {
        Ok(LogOutput::StdErr { message }) => Some(Ok(Output::Stderr(message.to_vec()))),
        Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => {
            Some(Ok(Output::Stdout(message.to_vec())))
        }
        Ok(LogOutput::StdIn { .. }) => None,
        Err(error) => Some(Err(classify(error, CALL_TIMEOUT))),
    }
}
