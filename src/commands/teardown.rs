//! `tieline teardown`: removes every network that the controller owns and what a killed one left of its
//! helpers, and nothing else.

use serde_json::json;

use super::{Error, Exit, engine, output};
use crate::cli::{Output, TeardownArgs};
use crate::config;
use crate::controller;
use crate::docker::{self, Docker};
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
    let helpers = remove_helpers(&docker, &args.engine.instance).await?;
    match args.output {
        Output::Json => output::println(
            &json!({ "removed": removed, "left": left, "removed_helpers": helpers }).to_string(),
        )?,
        Output::Text if removed.is_empty() && left.is_empty() && helpers.is_empty() => {
            output::println(&format!("nothing to remove: instance {} owns no network", args.engine.instance))?
        }
        Output::Text => {
            let networks = removed.iter().map(|name| format!("removed network {name}\n"));
            let helpers = helpers.iter().map(|id| format!("removed helper {id}\n"));
            output::print(&networks.chain(helpers).collect::<String>())?;
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

/// Removes helpers, and says which. One that goes by itself meanwhile is none of them.
async fn remove_helpers(docker: &Docker, instance: &str) -> Result<Vec<String>, Error> {
    let failed =
        |error: docker::Error| Error::Engine(format!("cannot remove what is left of helpers: {error}"));
    let mut removed = Vec::new();
    for helper in docker.list_helpers(instance).await.map_err(failed)? {
        match docker.remove_container(&helper.id).await {
            Ok(()) => removed.push(helper.id.to_string()),
            Err(docker::Error::NotFound(_) | docker::Error::Conflict { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(removed)
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
