//! Speaks by the containers' own `nc`, which their own shell runs, executed in them.

mod tools;

use std::time::Duration;

use super::Side;
use super::handshake::{Means, Running, Trouble};
use crate::docker::Docker;
use crate::model::handshake::InconclusiveReason;
use crate::model::handshake::role::Role;
use crate::model::handshake::script::{self, Command};
use crate::model::handshake::tool::{Flavour, Tool};
use tools::ToolCache;

/// Executes the containers' own `nc`.
pub struct Exec {
    docker: Docker,
    tools: ToolCache,
}

impl Exec {
    /// One that has not looked into any container yet.
    pub fn new(docker: Docker) -> Self {
        Self { docker, tools: ToolCache::default() }
    }
}

impl Means for Exec {
    const NAME: &'static str = "exec";

    async fn start<'a>(
        &'a self,
        side: &'a Side,
        role: &Role,
        bound: Duration,
    ) -> Result<Running<'a>, Trouble> {
        let tools = self.tools.tools(&self.docker, side).await?;
        let able = tools.iter().find_map(|tool| Some((tool.flavour, script::play(tool, role, bound)?)));
        let (flavour, command) = able.ok_or_else(|| cannot(side, &tools, role))?;
        execute(&self.docker, side, command, Some(flavour)).await
    }

    /// An `nc` that is not there any more is looked for anew.
    fn hear_of(&self, side: &Side, reason: InconclusiveReason) {
        if matches!(reason, InconclusiveReason::NoNetcat | InconclusiveReason::NoShell) {
            self.tools.forget(&side.id);
        }
    }
}

async fn execute<'a>(
    docker: &Docker,
    side: &'a Side,
    command: Command,
    flavour: Option<Flavour>,
) -> Result<Running<'a>, Trouble> {
    let started = docker.exec(&side.id, command.argv, command.env).await;
    let process = started.map_err(|error| Trouble::of(&error, side))?;
    Ok(Running::script(side, process, docker, flavour))
}

/// Why none of the tools can play a role.
fn cannot(side: &Side, tools: &[Tool], role: &Role) -> Trouble {
    let what = match role {
        Role::Listener { transport, .. } => format!("cannot listen on {}", transport.as_str()),
        Role::Client { transport, .. } => format!("cannot connect by {}", transport.as_str()),
        Role::SocketClient { .. } => {
            "cannot connect to unix sockets, as those of netcat-openbsd, ncat and toybox can".to_owned()
        }
    };
    let tools: Vec<String> = tools.iter().map(|tool| tool.program.join(" ")).collect();
    let message = format!("{}: its {} {what}", side.name, tools.join(", "));
    Trouble::new(InconclusiveReason::Unsupported, message)
}
