//! Words about hostile text: how a label's text is shown, named and compared.

use std::borrow::Cow;

/// Longest piece of a label that is shown to a person, in characters.
pub const MAX_SHOWN_CHARS: usize = 120;
/// Longest message about one link, in characters: what a condition, the history and a log line hold.
pub const MAX_MESSAGE_CHARS: usize = 2000;
/// Longest name in a series, a log line and a table, in bytes.
pub const MAX_SHORT_NAME_BYTES: usize = 128;
/// Longest name that is made from a text which cannot be read; also the limit of a DNS label.
pub const MAX_NAME_CHARS: usize = 63;
/// Name of a link whose target has no character that a name may have.
const NAMELESS: &str = "link";

/// `text` as a terminal, a log line or a page may show it: cut, and without a character that moves
/// the cursor, hides or turns the text round.
pub fn shown(text: &str) -> String {
    cut(text, MAX_SHOWN_CHARS)
}

/// A key as the name of what it spoils: like [`shown`], and every character one column wide in a table.
pub(super) fn key_name(key: &str) -> String {
    let columns = |c: char| if c.is_ascii() { String::from(c) } else { c.escape_unicode().to_string() };
    shown(key).chars().map(columns).collect()
}

/// A whole message, like [`shown`]: it may have in it what a container or the engine said.
pub fn message(text: &str) -> String {
    cut(text, MAX_MESSAGE_CHARS)
}

/// Like [`shown`], for an example inside a sentence, which several of them must not make endless.
pub(super) fn example(text: &str) -> String {
    cut(text, MAX_SHOWN_CHARS / 2)
}

/// `name` as a series, a log line or a table holds it: a longer one is its start and the hash of the whole,
/// so that two long names stay two. The same name gives the same text in every run and version.
pub fn short_name(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX_SHORT_NAME_BYTES {
        return Cow::Borrowed(name);
    }
    let hash = format!("~{:016x}", fnv_1a(name.as_bytes()));
    let end = (0..=MAX_SHORT_NAME_BYTES - hash.len()).rev().find(|end| name.is_char_boundary(*end));
    Cow::Owned(format!("{}{hash}", &name[..end.unwrap_or(0)]))
}

/// FNV-1a, 64 bits.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn cut(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == limit {
            out.push_str("...");
            break;
        }
        if is_plain(c) { out.push(c) } else { out.extend(c.escape_unicode()) }
    }
    out
}

/// Whether `c` shows as itself: it is no control character, turns nothing round and hides nothing.
pub fn is_plain(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().count() == 1
}

/// `c` in a sentence. Beyond ASCII with its code point: a look-alike cannot be told by its looks.
pub(super) fn character(c: char) -> String {
    match c {
        ' ' => "a space".to_owned(),
        _ if c.is_ascii_graphic() => format!("'{c}'"),
        _ if is_plain(c) => format!("'{c}' (U+{:04X})", u32::from(c)),
        _ => format!("U+{:04X}", u32::from(c)),
    }
}

/// The name of a link that is written as `target`: its selector and port, joined by `-`.
pub(super) fn link_name(target: &str) -> String {
    let (_, text) = split_scheme(target);
    let keeps = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let name: Vec<&str> = text.split(|c| !keeps(c)).filter(|run| !run.is_empty()).collect();
    match name.join("-").trim_matches('-') {
        "" => NAMELESS.to_owned(),
        name => name.to_owned(),
    }
}

/// The name under which a link is shown whose label cannot be read.
pub(super) fn broken_name(text: &str) -> String {
    let name = link_name(text);
    // ASCII only, so every index is a character's.
    name[..name.len().min(MAX_NAME_CHARS)].trim_end_matches('-').to_owned()
}

/// `SCHEME` and the rest of `SCHEME://…`. Label selectors may hold a URL, so a scheme ends before
/// the first bracket.
pub(super) fn split_scheme(text: &str) -> (Option<&str>, &str) {
    match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('[') => (Some(scheme), rest),
        _ => (None, text),
    }
}

/// Whether `name` is a DNS label (RFC 1123).
pub(super) fn is_dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=MAX_NAME_CHARS).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The DNS label nearest to `text`, to be shown as an example.
pub(super) fn to_dns_label(text: &str) -> String {
    if !text.contains(|c: char| c.is_ascii_alphanumeric()) {
        return "NAME".to_owned();
    }
    let name = broken_name(text).to_ascii_lowercase().replace(['_', '.'], "-");
    name.trim_matches('-').to_owned()
}

/// The one of `known` that `word` was most likely meant to be, if any is near.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().take(MAX_NAME_CHARS + 1).collect();
    let near = known.into_iter().filter_map(|known| {
        let other: Vec<char> = known.to_lowercase().chars().take(MAX_NAME_CHARS + 1).collect();
        let distance = edit_distance(&word, &other);
        (2 * distance < word.len().max(other.len())).then_some((distance, known))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// Levenshtein's distance, one row at a time.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// How many things a message lists by name.
pub(super) const MAX_LISTED: usize = 8;

/// Names that may be many, and long.
pub fn some_of(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(MAX_LISTED).map(|name| shown(name)).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `words` as a sentence lists them, the last one after `joint`.
pub(super) fn listed(words: &[String], joint: &str) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {joint} {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_becomes_a_short_one_of_its_own() {
        let longest = "a".repeat(MAX_SHORT_NAME_BYTES);
        assert_eq!(short_name(&longest), longest);
        let (one, two) = (format!("{longest}1"), format!("{longest}2"));
        assert_eq!(short_name(&one), format!("{}~ba20a66a82fd627c", "a".repeat(111)));
        assert_ne!(short_name(&one), short_name(&two));
        let crabs = "\u{1f980}".repeat(1000);
        assert!(short_name(&crabs).len() <= MAX_SHORT_NAME_BYTES);
    }
}
