//! `tieline teardown`: removes every network that the controller owns, and nothing else.

use serde_json::json;

use super::{Error, Exit, engine, output};
use crate::cli::{Output, TeardownArgs};
use crate::config;
use crate::controller;
use crate::model::labels::{DEFAULT_PREFIX, message};
use crate::model::owner::Owner;
use crate::model::plan;
use crate::model::world::{Policy, World};

pub(super) async fn run(args: TeardownArgs) -> Result<Exit, Error> {
    let docker = engine::docker(&config::host(&args.engine)?);
    let before = engine::world(&docker, policy(&args)).await?;
    let actions = plan::teardown(&before);
    let applied = controller::apply(&docker, actions).await;
    let after = engine::world(&docker, policy(&args)).await?;
    let left = names(&after);
    let removed: Vec<String> = names(&before).into_iter().filter(|name| !left.contains(name)).collect();
    match args.output {
        Output::Json => output::println(&json!({ "removed": removed, "left": left }).to_string())?,
        Output::Text if removed.is_empty() && left.is_empty() => {
            output::println(&format!("nothing to remove: instance {} owns no network", args.engine.instance))?
        }
        Output::Text => {
            let lines: String = removed.iter().map(|name| format!("removed network {name}\n")).collect();
            output::print(&lines)?;
        }
    }
    if left.is_empty() {
        return Ok(Exit::Yes);
    }
    let why = applied.failure.map_or(String::new(), |failure| format!(" ({})", failure.trouble.message));
    eprintln!(
        "still there: {}{why}; a controller that runs makes its networks anew: stop it first",
        left.join(", ")
    );
    Ok(Exit::No)
}

/// Labels do not matter here: every network that is ours goes.
fn policy(args: &TeardownArgs) -> Policy {
    Policy {
        owner: Owner::new(&args.engine.instance),
        label_prefix: DEFAULT_PREFIX.to_owned(),
        default_deny: false,
        pool: ipnet::Ipv4Net::default(),
    }
}

fn names(world: &World) -> Vec<String> {
    world.owned().map(|(network, _)| message(&network.name)).collect()
}
