//! The program: parses the command line, runs the command, gives the exit code.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tieline::cli::Cli;
use tieline::commands::{self, Exit};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(Ok(Exit::Yes)) => ExitCode::SUCCESS,
        Ok(Ok(Exit::No)) => ExitCode::from(1),
        Ok(Err(error)) => {
            if !matches!(error, commands::Error::Closed) {
                eprintln!("tieline: {error}");
            }
            ExitCode::from(error.code())
        }
        Err(error) => {
            eprintln!("tieline: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<Result<Exit, commands::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(commands::run(cli.command));
    // A read of stdin cannot be taken back, and nothing is worth waiting for any more.
    runtime.shutdown_background();
    Ok(ended)
}
