//! `tieline check`: may it, is it, does it? The steps of one link one by one, each with what it told, and at
//! the first that fails what to do.

mod advice;
mod before;
mod proof;
mod show;

use std::time::Duration;

use super::{Error, Exit, engine, output};
use crate::cli::{CheckArgs, Output};
use crate::config;
use crate::prober::helper::Helper;
use crate::prober::order::ordered;
use crate::prober::{Record, Said};

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Good,
    Bad,
    /// It could not be found out.
    Unknown,
    /// Nothing to be done, or an earlier step stands before it.
    Skipped,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Bad => "FAILED",
            Self::Unknown => "unknown",
            Self::Skipped => "-",
        }
    }
}

/// One step.
#[derive(Clone, Debug)]
pub(super) struct Step {
    name: &'static str,
    outcome: Outcome,
    /// What it told.
    words: String,
    /// What to do about it.
    advice: String,
    took: Option<Duration>,
    /// What the two sides said, where it was a matter of speaking.
    said: Vec<Said>,
}

impl Step {
    fn new(name: &'static str, outcome: Outcome, words: impl Into<String>) -> Self {
        Self { name, outcome, words: words.into(), advice: String::new(), took: None, said: Vec::new() }
    }

    fn bad(name: &'static str, words: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), ..Self::new(name, Outcome::Bad, words) }
    }
}

/// The steps in their order.
const STEPS: [&str; 7] = ["containers", "consent", "network", "name", "route", "connect", "tokens"];

pub(super) async fn run(args: CheckArgs) -> Result<Exit, Error> {
    let docker = engine::docker(&config::host(&args.look.engine)?);
    let world = engine::world(&docker, config::policy(&args.look.engine, &args.look.policy)).await?;
    let mut steps = Vec::new();
    if let Some(request) = before::steps(&world, &args, &mut steps) {
        let record = Record::default();
        let helper =
            || Helper::new(docker.clone(), &args.look.engine.instance, args.proof.helper_image.clone());
        let prober = ordered(&args.proof.prober, &docker, helper, Some(&record));
        steps.extend(proof::steps(&prober, &record, request).await);
    }
    let missing: Vec<_> =
        STEPS.into_iter().filter(|name| steps.iter().all(|step| step.name != *name)).collect();
    steps.extend(missing.into_iter().map(|name| Step::new(name, Outcome::Skipped, "")));
    steps.sort_by_key(|step| STEPS.iter().position(|name| *name == step.name));
    match args.look.output {
        Output::Text => output::print(&show::text(&steps))?,
        Output::Json => output::println(&show::json(&steps))?,
    }
    let fine = steps.iter().all(|step| matches!(step.outcome, Outcome::Good | Outcome::Skipped));
    Ok(if fine { Exit::Yes } else { Exit::No })
}
