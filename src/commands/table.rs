//! The table of links.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::style;
use crate::model::labels::some_of;
use crate::snapshot::LinkStatus;

const HEADERS: [&str; 8] = ["CONSUMER", "LINK", "PROVIDER", "STATE", "PATHS", "LAST PROOF", "RTT", "MESSAGE"];
/// Column of the state, which is coloured.
const STATE: usize = 3;

/// All links as a table, or a sentence where there is none.
pub fn render(links: &[LinkStatus], colours: bool) -> String {
    if links.is_empty() {
        return "no container declares a link\n".to_owned();
    }
    let rows: Vec<[String; 8]> = links.iter().map(row).collect();
    let widths: Vec<usize> = (0..HEADERS.len())
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(HEADERS[column].len())
        })
        .collect();
    let mut text = String::new();
    line(&mut text, &HEADERS.map(str::to_owned), &widths, |cell, _| cell);
    for row in &rows {
        line(&mut text, row, &widths, |cell, column| match column {
            STATE => style::paint_state(&row[STATE], &cell, colours),
            _ => cell,
        });
    }
    warnings(&mut text, links);
    text
}

/// Each warning once, with the links that have it: those of one container have the same.
fn warnings(text: &mut String, links: &[LinkStatus]) {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for link in links {
        for warning in &link.warnings {
            found.entry(warning).or_default().push(format!("{}/{}", link.consumer, link.name));
        }
    }
    for (warning, links) in found {
        let _ = writeln!(text, "warning: {}: {warning}", some_of(&links));
    }
}

fn line(text: &mut String, cells: &[String; 8], widths: &[usize], paint: impl Fn(String, usize) -> String) {
    let mut line = String::new();
    for (column, cell) in cells.iter().enumerate() {
        let padded = format!("{cell:<width$}", width = widths[column]);
        let _ = write!(line, "{}   ", paint(padded, column));
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

fn row(link: &LinkStatus) -> [String; 8] {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let proofs = link.paths.iter().map(|path| path.last_success);
    // A link is as freshly proven as its stalest path.
    let last_proof = proofs.min().flatten();
    let slowest = link.paths.iter().filter_map(|path| path.rtt_seconds).max_by(f64::total_cmp);
    [
        link.consumer.clone(),
        link.name.clone(),
        or_dash(&link.provider),
        link.state.clone(),
        format!("{}/{}", link.proven(), link.paths.len()),
        if link.paths.is_empty() { "-".to_owned() } else { style::ago(last_proof) },
        style::rtt(slowest),
        link.message.clone(),
    ]
}
