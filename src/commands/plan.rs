//! `tieline plan`: what the controller would do now.

use serde_json::json;

use super::{Error, Exit, engine, output};
use crate::cli::{LookArgs, Output};
use crate::config;
use crate::model::link::EdgeKey;
use crate::model::plan::{Plan, plan};
use crate::model::world::World;

pub(super) async fn run(args: LookArgs) -> Result<Exit, Error> {
    let docker = engine::docker(&config::host(&args.engine)?);
    let world = engine::world(&docker, config::policy(&args.engine, &args.policy)).await?;
    let plans = plans(world);
    match args.output {
        Output::Text => print_text(&plans)?,
        Output::Json => print_json(&plans)?,
    }
    let stuck = plans.iter().any(|(_, plan)| plan.blocked.is_some());
    Ok(if stuck { Exit::No } else { Exit::Yes })
}

/// The plans of all edges. Each keeps the next from taking the same subnets and names.
fn plans(mut world: World) -> Vec<(EdgeKey, Plan)> {
    world
        .edges()
        .into_iter()
        .map(|edge| {
            let plan = plan(&edge, &world);
            world.obstacles_mut().claim(edge.clone(), plan.claim());
            (edge, plan)
        })
        .collect()
}

fn print_text(plans: &[(EdgeKey, Plan)]) -> Result<(), Error> {
    let text: String = plans.iter().map(|(_, plan)| plan.to_string()).collect();
    if text.is_empty() {
        output::println("nothing to do: the engine holds what the labels declare")
    } else {
        output::print(&text)
    }
}

fn print_json(plans: &[(EdgeKey, Plan)]) -> Result<(), Error> {
    let rows: Vec<serde_json::Value> = plans
        .iter()
        .flat_map(|(edge, plan)| {
            let row = |when: &'static str| {
                move |planned: &crate::model::plan::Planned| {
                    json!({
                        "edge": edge.to_string(),
                        "when": when,
                        "action": planned.action.to_string(),
                        "cause": planned.cause,
                    })
                }
            };
            let blocked = plan.blocked.map(|blocked| {
                json!({ "edge": edge.to_string(), "when": "blocked", "action": null, "cause": blocked.to_string() })
            });
            plan.actions
                .iter()
                .map(row("now"))
                .chain(plan.garbage.iter().map(row("after the grace period")))
                .chain(blocked)
                .collect::<Vec<_>>()
        })
        .collect();
    output::println(&serde_json::Value::from(rows).to_string())
}
