//! The steps as a person reads them, and as a program does.

use std::fmt::Write;

use serde_json::json;

use super::super::style;
use super::{Outcome, Step};
use crate::model::labels::message;

/// For people: a line for each step, below it what both sides said, and at the end which one fails.
pub fn text(steps: &[Step]) -> String {
    let mut text = String::new();
    let colours = style::colours();
    for step in steps {
        let outcome = format!("{:<8}", step.outcome.as_str());
        let outcome = match (step.outcome, colours) {
            (Outcome::Good, true) => format!("\x1b[32m{outcome}\x1b[0m"),
            (Outcome::Bad, true) => format!("\x1b[31m{outcome}\x1b[0m"),
            (Outcome::Unknown, true) => format!("\x1b[33m{outcome}\x1b[0m"),
            _ => outcome,
        };
        let took = step.took.map_or(String::new(), |took| style::rtt(Some(took.as_secs_f64())));
        let line = format!("{:<11} {outcome} {took:>8}  {}", step.name, message(&step.words));
        let _ = writeln!(text, "{}", line.trim_end());
        for (container, stream, line) in said(step) {
            let _ = writeln!(text, "    {container} {stream} {}", message(&line));
        }
    }
    let failed = steps.iter().find(|step| matches!(step.outcome, Outcome::Bad | Outcome::Unknown));
    let _ = match failed {
        Some(step) if step.outcome == Outcome::Unknown => {
            writeln!(text, "\nunknown: {} could not be tried; {}", step.name, step.advice)
        }
        Some(step) => writeln!(text, "\nno: the first step that fails is {}; {}", step.name, step.advice),
        None => writeln!(text, "\nyes: every step is fine"),
    };
    text
}

/// Everything that was said: the container, where (`>` what it received, `:` how it fared), and the line.
fn said(step: &Step) -> Vec<(&str, &'static str, String)> {
    let lines = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
    };
    let mut all = Vec::new();
    for side in &step.said {
        all.extend(lines(&side.stderr).into_iter().map(|line| (side.container.as_str(), ":", line)));
        all.extend(lines(&side.stdout).into_iter().map(|line| (side.container.as_str(), ">", line)));
    }
    all
}

/// For programs.
pub fn json(steps: &[Step]) -> String {
    let rows: Vec<_> = steps
        .iter()
        .map(|step| {
            let said: Vec<_> = step
                .said
                .iter()
                .map(|side| {
                    json!({
                        "container": side.container,
                        "stdout": String::from_utf8_lossy(&side.stdout),
                        "stderr": String::from_utf8_lossy(&side.stderr),
                    })
                })
                .collect();
            let outcome = match step.outcome {
                Outcome::Good => "ok",
                Outcome::Bad => "failed",
                Outcome::Unknown => "unknown",
                Outcome::Skipped => "skipped",
            };
            json!({
                "step": step.name,
                "outcome": outcome,
                "message": step.words,
                "advice": step.advice,
                "seconds": step.took.map(|took| took.as_secs_f64()),
                "said": said,
            })
        })
        .collect();
    json!(rows).to_string()
}
