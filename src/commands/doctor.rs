//! `tieline doctor`: whether the engine is there and lets us do what the controller does. Changes nothing.

use serde_json::json;

use super::{Error, Exit, engine, output};
use crate::cli::{LookArgs, Output};
use crate::config;
use crate::docker::operation::Purpose;
use crate::docker::{Docker, Operation};
use crate::model::labels::message;
use crate::model::owner::Difference;
use crate::model::subnet;
use crate::model::world::World;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// It works, but not in every way.
    Doubtful,
    Bad,
    /// Nothing is wrong, and it is good to know.
    Note,
    /// It cannot be tried without changing something.
    Untried,
}

impl Health {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Doubtful => "warning",
            Self::Bad => "bad",
            Self::Note => "note",
            Self::Untried => "untried",
        }
    }
}

/// What was looked at, how it is, and in words.
type Finding = (String, Health, String);

pub(super) async fn run(args: LookArgs) -> Result<Exit, Error> {
    let docker = engine::docker(&config::host(&args.engine)?);
    // Who does not answer this, does not answer anything.
    docker.ping().await.map_err(|error| engine::unreachable(docker.host(), &error))?;
    let mut findings = vec![("engine".to_owned(), Health::Good, format!("{} answers", docker.host()))];
    findings.extend(product(&docker).await);
    for operation in Operation::ALL {
        findings.push(call(&docker, operation).await);
    }
    if let Ok(world) = engine::world(&docker, config::policy(&args.engine, &args.policy)).await {
        findings.push(pool(&world));
        findings.extend(networks(&world));
        findings.extend(updaters(&world));
    }
    match args.output {
        Output::Text => {
            let lines = findings.iter().map(|(what, health, words)| {
                format!("{:<9}{what:<20}{words}\n", health.as_str()).trim_end().to_owned() + "\n"
            });
            output::print(&lines.collect::<String>())?;
        }
        Output::Json => {
            let rows: Vec<_> = findings
                .iter()
                .map(|(what, health, words)| json!({ "what": what, "health": health.as_str(), "message": words }))
                .collect();
            output::println(&json!(rows).to_string())?;
        }
    }
    let bad = findings.iter().any(|(_, health, _)| *health == Health::Bad);
    Ok(if bad { Exit::No } else { Exit::Yes })
}

async fn product(docker: &Docker) -> Vec<Finding> {
    // A refusal is among the calls.
    let Ok(version) = docker.version().await else { return Vec::new() };
    let words = format!("{} {}, API {}", version.product, version.version, version.api);
    let warning = version.warning().map(|text| ("product".to_owned(), Health::Doubtful, text));
    [("product".to_owned(), Health::Good, words)].into_iter().chain(warning).collect()
}

async fn call(docker: &Docker, operation: Operation) -> Finding {
    let (health, words) = match docker.try_out(operation).await {
        None => (Health::Untried, "to try it would change something".to_owned()),
        Some(Ok(())) => (Health::Good, String::new()),
        Some(Err(error)) => match operation.purpose() {
            Purpose::Job => (Health::Bad, error.to_string()),
            Purpose::Helper => (Health::Doubtful, format!("{error}; no handshakes by helpers")),
        },
    };
    (operation.as_str().to_owned(), health, words)
}

fn pool(world: &World) -> Finding {
    let pool = world.policy().pool;
    let free = subnet::count_free(pool, &world.taken_subnets());
    let health = if free == 0 { Health::Bad } else { Health::Good };
    ("subnets".to_owned(), health, format!("{free} of the pool {pool} are free for further networks"))
}

/// Networks that have our labels and are not as the controller makes them.
fn networks(world: &World) -> Vec<Finding> {
    let finding = |name: &str, words: String| {
        ("network".to_owned(), Health::Doubtful, format!("{}: {words}", message(name)))
    };
    let foreign = world.pretenders().map(|(network, difference)| {
        let words = format!("left alone, although its labels say that it is a link network: {difference}");
        finding(&network.name, words)
    });
    let changed = world.owned().filter_map(|(network, _)| {
        let difference = Difference::of(network.shape)?;
        Some(finding(&network.name, format!("replaced as soon as nobody is cut off by it: {difference}")))
    });
    foreign.chain(changed).collect()
}

/// Advice for tools that recreate containers; none where no container is on a link network.
fn updaters(world: &World) -> Option<Finding> {
    const WORDS: &str = "a tool that recreates linked containers (an updater) has to connect them network by network, \
                         or to speak API 1.44 or later: in one call below that the engine does not make a \
                         container with several networks, and the old one is gone";
    world.owned().next().map(|_| ("updaters".to_owned(), Health::Note, WORDS.to_owned()))
}
