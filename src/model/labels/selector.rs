//! Which containers: `NAME`, `PROJECT/SERVICE` or `[KEY=VALUE,…]`; and lists of such items.

use super::error::{Fault, Problem};
use super::text::{character, example};
use crate::model::workload::Selector;

/// Longest selector: the names of links and of series are made from it.
pub const MAX_SELECTOR_BYTES: usize = 1024;
/// Labels that one selector may name.
pub const MAX_SELECTOR_LABELS: usize = 16;

/// The items of a list, separated by commas and white space. Inside a pair of brackets both belong
/// to the item; a bracket that is never closed spoils its own item alone.
pub(super) fn items(list: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut start, mut closed) = (0, 0);
    for (at, c) in list.char_indices() {
        if at < closed {
            continue;
        }
        if c == '[' {
            closed = at + closing(&list[at..]).unwrap_or(0);
        } else if c == ',' || c.is_ascii_whitespace() {
            items.push(&list[start..at]);
            start = at + 1;
        }
    }
    items.push(&list[start..]);
    items.retain(|item| !item.is_empty());
    items
}

/// Where the bracket that `text` starts with is closed, if no other is opened before.
fn closing(text: &str) -> Option<usize> {
    let at = 1 + text[1..].find(['[', ']'])?;
    text[at..].starts_with(']').then_some(at)
}

/// Splits `text` behind its selector: at the closing bracket, else before `stop`.
pub(super) fn split(text: &str, stop: char) -> Result<(&str, &str), Fault> {
    let end = if text.starts_with('[') {
        1 + closing(text).ok_or_else(|| invalid("close the bracket, e.g. \"[role=db]\""))?
    } else {
        text.find(stop).unwrap_or(text.len())
    };
    Ok(text.split_at(end))
}

/// Reads one selector.
pub fn parse(text: &str) -> Result<Selector, Fault> {
    if text.len() > MAX_SELECTOR_BYTES {
        let fix = format!("what says which containers are meant has at most {MAX_SELECTOR_BYTES} bytes");
        return Err(Fault::new(Problem::TooLong, fix));
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return pairs(inner).map(Selector::Labels);
    }
    match text.split_once('/') {
        None => name(text, text).map(Selector::Name),
        Some((_, service)) if service.contains('/') => {
            Err(invalid("write PROJECT/SERVICE with exactly one slash, or a container's name alone"))
        }
        Some(("", service)) => Err(invalid(format!("write \"{}\" without the slash", example(service)))),
        Some((project, service)) => {
            Ok(Selector::Service { project: name(project, text)?, service: name(service, text)? })
        }
    }
}

pub(super) fn invalid(fix: impl Into<String>) -> Fault {
    Fault::new(Problem::InvalidSelector, fix)
}

/// A name as Docker and Compose allow it, out of the selector `whole`.
fn name(text: &str, whole: &str) -> Result<String, Fault> {
    let first = text.chars().next().ok_or_else(|| {
        invalid("write NAME for a service or container, or PROJECT/SERVICE for another project's")
    })?;
    let wrong = text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.' | '-'));
    match wrong {
        Some(c) => Err(bad_character(c, whole)),
        None if !first.is_ascii_alphanumeric() => {
            Err(invalid(format!("begin the name with a letter or a digit, not with {}", character(first))))
        }
        None => Ok(text.to_owned()),
    }
}

fn bad_character(c: char, whole: &str) -> Fault {
    match c {
        '*' => {
            invalid("name one service or container; several at once are named by a label, e.g. \"[role=db]\"")
        }
        '=' => invalid(format!("put labels in brackets: \"[{}]\"", example(whole))),
        '[' | ']' => invalid("brackets hold labels and stand alone, e.g. \"[role=db]\""),
        _ => invalid(format!("a name has only a-z, A-Z, 0-9, '_', '.' and '-', and not {}", character(c))),
    }
}

/// The pairs between the brackets.
fn pairs(inner: &str) -> Result<Vec<(String, String)>, Fault> {
    if inner.trim_ascii().is_empty() {
        return Err(invalid("put at least one label between the brackets, e.g. \"[role=db]\""));
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for text in inner.split(',') {
        if pairs.len() == MAX_SELECTOR_LABELS {
            return Err(invalid(format!("name at most {MAX_SELECTOR_LABELS} labels between the brackets")));
        }
        let (key, value) = pair(text.trim_ascii())?;
        if pairs.iter().any(|(known, _)| *known == key) {
            return Err(invalid(format!(
                "name the label {} only once: a container has one value of it",
                example(&key)
            )));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// One pair. Docker lets labels hold anything; what is refused here is far more often a slip.
fn pair(text: &str) -> Result<(String, String), Fault> {
    if let Some(c) = text.chars().find(|c| !matches!(c, ' '..='~') || matches!(c, '[' | ']')) {
        return Err(invalid(format!(
            "a label's key and value in brackets are plain ASCII without brackets, and not {}",
            character(c)
        )));
    }
    let (key, value) =
        text.split_once('=').map(|(key, value)| (key.trim_ascii(), value.trim_ascii())).ok_or_else(|| {
            invalid("write labels as KEY=VALUE with commas between them, e.g. \"[role=db,tier=1]\"")
        })?;
    if key.is_empty() {
        return Err(invalid("write the label's key before the '=', e.g. \"[role=db]\""));
    }
    if key.contains(' ') || (value.contains(' ') && value.contains('=')) {
        return Err(invalid("put commas between labels, e.g. \"[role=db,tier=1]\""));
    }
    Ok((key.to_owned(), value.to_owned()))
}
