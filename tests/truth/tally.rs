//! What was told, counted against the truth.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tieline::model::handshake::Verdict;

use super::situations::Truth;
use super::stand::Told;

/// How many of the wrong ones are shown.
const SHOWN: usize = 20;

#[derive(Default)]
pub struct Tally {
    rows: BTreeMap<(&'static str, &'static str), Row>,
    wrong: Vec<String>,
    pub took: Duration,
    pub left_behind: Vec<String>,
}

#[derive(Default)]
struct Row {
    handshakes: usize,
    false_positives: usize,
    false_negatives: usize,
    other_reasons: usize,
    untold: usize,
    times: Vec<Duration>,
}

impl Tally {
    pub fn count(&mut self, told: &Told) {
        let row = self.rows.entry((told.situation, told.prober)).or_default();
        row.handshakes += 1;
        row.times.push(told.took);
        if told.truth.allows(told.verdict) || told.may_lack && Truth::Lacking.allows(told.verdict) {
            return;
        }
        match (told.verdict, told.truth) {
            // That something was not found out is no lie, but it is shown.
            (Verdict::Inconclusive(_), Truth::Is(_)) => row.untold += 1,
            (
                Verdict::Fail(_),
                Truth::Is(Verdict::Pass { .. }) | Truth::NotFailed | Truth::Untold(_) | Truth::Lacking,
            ) => {
                row.false_negatives += 1;
            }
            (Verdict::Pass { .. }, Truth::Is(Verdict::Fail(_)) | Truth::Untold(_) | Truth::Lacking) => {
                row.false_positives += 1;
            }
            _ => row.other_reasons += 1,
        }
        if self.wrong.len() < SHOWN {
            let Told { situation, prober, between, truth, verdict, message, .. } = told;
            self.wrong
                .push(format!("{situation} ({prober}, {between}): {verdict:?}, not {truth:?}: {message}"));
        }
    }

    /// Whether nothing false was told, and nothing was left behind.
    pub fn is_clean(&self) -> bool {
        let lies = |row: &Row| row.false_positives + row.false_negatives + row.other_reasons;
        self.left_behind.is_empty()
            && self.rows.values().map(lies).sum::<usize>() == 0
            && !self.rows.is_empty()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<36} {:<10} {:>7} {:>9} {:>9} {:>9} {:>7} {:>9}",
            "SITUATION", "PROBER", "N", "FALSE +", "FALSE -", "REASON", "UNTOLD", "MEDIAN"
        )?;
        let mut sum = [0; 5];
        for ((situation, prober), row) in &self.rows {
            let counts =
                [row.handshakes, row.false_positives, row.false_negatives, row.other_reasons, row.untold];
            sum = std::array::from_fn(|at| sum[at] + counts[at]);
            let mut times = row.times.clone();
            times.sort();
            let median = format!("{:.0?}", times[times.len() / 2]);
            let [n, positives, negatives, reasons, untold] = counts;
            writeln!(
                f,
                "{situation:<36} {prober:<10} {n:>7} {positives:>9} {negatives:>9} {reasons:>9} {untold:>7} {median:>9}"
            )?;
        }
        let [n, positives, negatives, reasons, untold] = sum;
        writeln!(
            f,
            "{:<36} {:<10} {n:>7} {positives:>9} {negatives:>9} {reasons:>9} {untold:>7} {:>8.0}s",
            "ALL",
            "",
            self.took.as_secs_f64()
        )?;
        self.wrong.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        writeln!(f, "left behind: {}", self.left_behind.len())?;
        self.left_behind.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        writeln!(f, "{}", if self.is_clean() { "truth: ok" } else { "truth: FAILED" })
    }
}
