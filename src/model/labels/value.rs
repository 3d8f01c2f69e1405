//! The values of a link's options: handshakes, lengths of time, payloads.

use std::ops::RangeInclusive;
use std::time::Duration;

use regex::bytes::{Regex, RegexBuilder};

use super::error::{Fault, Problem};
use super::text::{character, example, listed, nearest};
use crate::model::link::Handshake;

/// How often a proven path may be proven again.
pub const INTERVAL_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
/// How long one handshake may take.
pub const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
/// Length of a regular expression. A longer one could take tens of milliseconds to compile, a container may have
/// 64 of them, and the controller waits meanwhile.
pub const MAX_EXPECT_BYTES: usize = 1024;
/// Memory that one compiled regular expression may take: enough for `.{0,200}`. Time to match a reply grows with
/// it, up to some 50 ms for the 4 KiB that are read of one.
pub const MAX_REGEX_BYTES: usize = 32 * 1024;
/// Memory for what is remembered while a reply is matched. Without it, matches take longer.
const REGEX_CACHE_BYTES: usize = 256 * 1024;
/// Longest text of a duration that is handed to the parser, which panics on some sums beyond
/// `u64::MAX` seconds; those need more than this.
const MAX_DURATION_BYTES: usize = 20;

/// Reads a handshake's word.
pub fn handshake(text: &str) -> Result<Handshake, Fault> {
    Handshake::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| {
        Fault::new(Problem::InvalidHandshake, one_of(text, &Handshake::ALL.map(Handshake::as_str)))
    })
}

/// The fix where one of few words was expected.
pub(super) fn one_of(text: &str, known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|word| format!("\"{word}\"")).collect();
    let all = listed(&quoted, "or");
    match nearest(text, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"? It must be {all}"),
        None => format!("write {all}"),
    }
}

/// Reads a length of time within `range`.
pub fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, Fault> {
    let read = if text.len() > MAX_DURATION_BYTES { None } else { humantime::parse_duration(text).ok() };
    // The parser takes a lone zero, which has no unit either.
    let read = read.filter(|_| text.bytes().any(|b| b.is_ascii_alphabetic()));
    match read {
        Some(duration) if range.contains(&duration) => Ok(duration),
        Some(_) => Err(Fault::new(Problem::DurationOutOfRange, format!("write {}", bounds(range)))),
        None => Err(Fault::new(Problem::InvalidDuration, with_unit(text, range))),
    }
}

fn bounds(range: &RangeInclusive<Duration>) -> String {
    format!("a time from {} to {}", in_one_unit(*range.start()), in_one_unit(*range.end()))
}

/// A time as people write bounds: in one unit.
fn in_one_unit(time: Duration) -> String {
    match (time.as_millis(), time.as_secs()) {
        (millis, 0) => format!("{millis}ms"),
        (_, seconds) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (_, seconds) => format!("{seconds}s"),
    }
}

fn with_unit(text: &str, range: &RangeInclusive<Duration>) -> String {
    let seconds = text.parse().ok().map(Duration::from_secs).filter(|seconds| range.contains(seconds));
    match seconds {
        Some(seconds) => format!("write the unit too: \"{}s\"", seconds.as_secs()),
        None => format!("write {} with its unit, e.g. \"3s\"", bounds(range)),
    }
}

/// Decodes the escapes of a payload.
pub fn payload(text: &str) -> Result<Vec<u8>, Fault> {
    if text.is_empty() {
        let fix = "write what to send, e.g. \"PING\\r\\n\", or remove this label";
        return Err(Fault::new(Problem::Empty, fix));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let (byte, length) = unescape(escape)?;
        bytes.push(byte);
        rest = &escape[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// The byte that `escape`, the text behind a backslash, begins with, and the length of what says so.
fn unescape(escape: &str) -> Result<(u8, usize), Fault> {
    match escape.chars().next() {
        Some('r') => Ok((b'\r', 1)),
        Some('n') => Ok((b'\n', 1)),
        Some('t') => Ok((b'\t', 1)),
        Some('\\') => Ok((b'\\', 1)),
        Some('x') => {
            let digits = escape.get(1..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            byte.map(|byte| (byte, 3))
                .ok_or_else(|| bad_escape("write two hexadecimal digits after \\x, e.g. \\x00"))
        }
        Some('0') => Err(bad_escape("write \\x00 for a zero byte")),
        Some(other) => Err(bad_escape(&format!("a backslash is not followed by {}", character(other)))),
        None => Err(bad_escape("write \\\\ for a backslash at the end")),
    }
}

fn bad_escape(what: &str) -> Fault {
    Fault::new(Problem::InvalidEscape, format!("{what} (known escapes are \\r, \\n, \\t, \\\\ and \\xNN)"))
}

/// Compiles what a reply must match, byte by byte: `.` is any byte but a line's end, and `\w` and `(?i)` know
/// ASCII alone. Tables of Unicode would take half a second to compile. Every user of a link's `expect` compiles it
/// here, so that what was accepted in a label is what is run.
pub fn expectation(text: &str) -> Result<Regex, Fault> {
    if text.is_empty() {
        let fix = "write what the reply must match, e.g. \"^OK\", or remove this label";
        return Err(Fault::new(Problem::Empty, fix));
    }
    let wrong = |fix: String| Fault::new(Problem::InvalidRegex, fix);
    if text.len() > MAX_EXPECT_BYTES {
        return Err(wrong(format!("write one of at most {MAX_EXPECT_BYTES} bytes")));
    }
    if wants_unicode(text) {
        return Err(wrong("leave out the flag u: replies are matched byte by byte".to_owned()));
    }
    let mut builder = RegexBuilder::new(text);
    builder.unicode(false).size_limit(MAX_REGEX_BYTES).dfa_size_limit(REGEX_CACHE_BYTES);
    builder.build().map_err(|error| {
        wrong(match error {
            regex::Error::CompiledTooBig(_) => "write a smaller one, with less repetition".to_owned(),
            other => format!("correct this: {}", example(&cause(&other.to_string()))),
        })
    })
}

/// Whether a regular expression turns Unicode on, as `(?u)` and `(?iu:…)` do.
fn wants_unicode(text: &str) -> bool {
    let mut plain = text.to_owned();
    // An escaped character begins no group.
    while let Some(at) = plain.find('\\') {
        let escaped = plain[at + 1..].chars().next().map_or(0, char::len_utf8);
        plain.replace_range(at..=at + escaped, " ");
    }
    let flags = |group: &str| group.chars().take_while(char::is_ascii_alphabetic).any(|flag| flag == 'u');
    plain.split("(?").skip(1).any(flags)
}

/// The last line of the regex crate's drawing, which says what is wrong.
fn cause(error: &str) -> String {
    let last = error.lines().next_back().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}
