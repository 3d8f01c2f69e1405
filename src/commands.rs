//! The commands, one file each, and what they share: exit codes, the way to an engine and the way to
//! a running controller.

mod check;
mod client;
mod describe;
mod doctor;
mod engine;
mod healthcheck;
mod output;
mod plan;
mod run;
mod speak;
mod status;
mod style;
mod table;
mod teardown;

use crate::cli::Command;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Yes, or fine.
    Yes,
    /// No, or not fine.
    No,
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine cannot be reached.
    #[error("{0}")]
    Engine(String),
    /// The controller cannot be reached.
    #[error("{0}")]
    Controller(String),
    /// It was called with something that it cannot use.
    #[error("{0}")]
    Usage(String),
    /// Nobody reads what is printed any more.
    #[error("nobody reads the output any more")]
    Closed,
    /// Something else went wrong.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Engine(_) | Self::Controller(_) => 3,
            Self::Usage(_) => 2,
            // As the shell counts a program that SIGPIPE ended.
            Self::Closed => 141,
            Self::Other(_) => 1,
        }
    }
}

/// Runs a command.
///
/// # Errors
/// If the command could not do its work; what it found is in [`Exit`].
pub async fn run(command: Command) -> Result<Exit, Error> {
    match command {
        Command::Run(args) => run::run(*args).await,
        Command::Status(args) => status::run(args).await,
        Command::Describe(args) => describe::run(args).await,
        Command::Plan(args) => plan::run(args).await,
        Command::Check(args) => check::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Teardown(args) => teardown::run(args).await,
        Command::Healthcheck(args) => healthcheck::run(args).await,
        Command::Speak(args) => Ok(speak::run(args).await),
    }
}
