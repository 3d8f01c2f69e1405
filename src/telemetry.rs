//! Log lines, for people or for programs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::LogFormat;

/// Sends log lines to standard error. `level` has been checked when it was parsed.
pub fn init(format: LogFormat, level: &str) {
    // A bare level is about tieline: at debug, the libraries' own lines would drown it.
    let directives = match level.parse::<LevelFilter>() {
        Ok(level) => format!("warn,tieline={level}"),
        Err(_) => level.to_owned(),
    };
    let filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(colours);
    match format {
        LogFormat::Plain => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
