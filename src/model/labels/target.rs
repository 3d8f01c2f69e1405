//! What a link points at: `[SCHEME://]SELECTOR:PORT` or `unix://SELECTOR/PATH`.
//!
//! The selector of a `unix` target is `NAME` or `[KEY=VALUE,…]`, and its path begins at the first
//! slash behind it: `unix://shop/db/run/x.sock` is the socket `/db/run/x.sock` of `shop`. The service
//! of another project is named there by its labels.

use super::error::{Fault, Problem};
use super::selector;
use super::text::{character, example, is_dns_label, is_plain, nearest, split_scheme, to_dns_label};
use crate::model::link::{Endpoint, Target};

/// Longest path of a unix socket: what the kernel's `sun_path` holds, without its final NUL.
pub const MAX_SOCKET_PATH_BYTES: usize = 107;
/// The schemes there are.
const SCHEMES: [&str; 3] = ["tcp", "udp", "unix"];

/// Reads one target. `prefix` is the labels' prefix, for the words of an error.
pub fn parse(prefix: &str, text: &str) -> Result<Target, Fault> {
    let (scheme, rest) = split_scheme(text);
    let head = &text[..text.len() - rest.len()];
    match scheme.unwrap_or("tcp") {
        "tcp" => with_port(prefix, head, rest, Endpoint::Tcp),
        "udp" => with_port(prefix, head, rest, Endpoint::Udp),
        "unix" => with_path(rest),
        other => Err(bad_scheme(other, rest)),
    }
}

fn bad_scheme(scheme: &str, rest: &str) -> Fault {
    let rest = example(rest);
    let fix = match nearest(scheme, SCHEMES) {
        Some(known) => format!("did you mean \"{known}://{rest}\"? Known schemes are tcp, udp and unix"),
        None => format!("write \"{rest}\" for tcp; known schemes are tcp, udp and unix"),
    };
    Fault::new(Problem::InvalidScheme, fix)
}

fn with_port(prefix: &str, head: &str, text: &str, endpoint: fn(u16) -> Endpoint) -> Result<Target, Fault> {
    let (named, tail) = selector::split(text, ':')?;
    if named.is_empty() {
        let fix = format!("write whose port it is before the colon, e.g. \"{head}app1{}\"", example(tail));
        return Err(selector::invalid(fix));
    }
    let written = Written { prefix, head, selector: example(named) };
    let selector = selector::parse(named)?;
    let port = match tail.strip_prefix(':') {
        Some(port) => written.port(port)?,
        None if tail.is_empty() => return Err(written.no_port()),
        None => {
            let fix =
                format!("after the bracket comes only a colon and the port, e.g. {}", written.with(5432));
            return Err(selector::invalid(fix));
        }
    };
    Ok(Target { selector, endpoint: endpoint(port) })
}

/// What stands before the port, to show the target as it would be right.
struct Written<'a> {
    prefix: &'a str,
    head: &'a str,
    selector: String,
}

impl Written<'_> {
    fn with(&self, port: u16) -> String {
        format!("\"{}{}:{port}\"", self.head, self.selector)
    }

    fn port(&self, text: &str) -> Result<u16, Fault> {
        let port = number(text);
        match port {
            Some(port) if !text.starts_with('0') => Ok(port),
            _ if text.is_empty() => Err(self.no_port()),
            _ => Err(Fault::new(Problem::InvalidPort, self.right_port(text))),
        }
    }

    fn no_port(&self) -> Fault {
        let named = &self.selector;
        let fix = if named.bytes().all(|b| b.is_ascii_digit()) {
            format!("write whose port it is before it, e.g. \"{}app1:{named}\"", self.head)
        } else {
            format!("write the port that {named} listens on after a colon, e.g. {}", self.with(5432))
        };
        Fault::new(Problem::MissingPort, fix)
    }

    fn right_port(&self, text: &str) -> String {
        if text.contains([':', '/']) {
            return self.more_than_a_port(text);
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return match number(text.trim_start_matches('0')) {
                Some(port) => format!("write the port without leading zeros: {}", self.with(port)),
                None => format!("write a port from 1 to 65535, e.g. {}", self.with(5432)),
            };
        }
        if let Some((first, last)) = text.split_once('-').and_then(|(a, b)| number(a).zip(number(b))) {
            return format!(
                "a target has one port: write {} and {} as two links",
                self.with(first),
                self.with(last)
            );
        }
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return self.alias(text);
        }
        format!("write the port in the digits 0-9 alone, from 1 to 65535, e.g. {}", self.with(5432))
    }

    /// The habit from Compose: a second name after the colon.
    fn alias(&self, word: &str) -> String {
        format!(
            "the part after the colon is a port here, from 1 to 65535, whereas Compose's `links` puts an alias \
             there: to reach {} under the name {name} write {}link.{name}: {}, with its own port for 5432",
            self.selector,
            self.prefix,
            self.with(5432),
            name = to_dns_label(word),
        )
    }

    /// Something follows the port, or stands before it, by the habits of other tools.
    fn more_than_a_port(&self, text: &str) -> String {
        let pieces = || text.split([':', '/']);
        let word = pieces().find(|piece| is_dns_label(piece) && number(piece).is_none());
        // Of two ports (`8080:80`, published and own) the last is the container's own.
        let port = pieces().filter_map(number).next_back();
        match (port, word) {
            (Some(port), Some(protocol @ ("tcp" | "udp"))) => {
                format!("the protocol goes in front: write \"{protocol}://{}:{port}\"", self.selector)
            }
            (Some(port), Some(name)) if !text.contains('/') => {
                let right = self.with(port);
                format!("a name for the link goes into the key: write {}link.{name}: {right}", self.prefix)
            }
            (Some(port), _) => {
                format!("only one port, the container's own, follows the colon: write {}", self.with(port))
            }
            (None, _) => format!("only a port from 1 to 65535 follows the colon, e.g. {}", self.with(5432)),
        }
    }
}

/// A port, written in digits alone.
fn number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // `parse` alone would take a leading '+'.
    if digits { text.parse().ok().filter(|port| *port != 0) } else { None }
}

fn with_path(text: &str) -> Result<Target, Fault> {
    let (named, path) = selector::split(text, '/')?;
    if named.is_empty() {
        let fix = format!("write whose socket it is, e.g. \"unix://app1{}\"", example(path));
        return Err(selector::invalid(fix));
    }
    if let Some((name, _)) = named.split_once(':').filter(|_| !named.starts_with('[')) {
        let fix = format!("a unix target has no port: write \"unix://{}/run/x.sock\"", example(name));
        return Err(selector::invalid(fix));
    }
    let selector = selector::parse(named)?;
    if path.trim_matches('/').is_empty() {
        let fix = format!("write the socket's whole path, e.g. \"unix://{}/run/x.sock\"", example(named));
        return Err(Fault::new(Problem::MissingPath, fix));
    }
    match wrong_path(path) {
        Some(fix) => Err(Fault::new(Problem::InvalidPath, fix)),
        None => Ok(Target { selector, endpoint: Endpoint::Unix(path.to_owned()) }),
    }
}

/// What would be right, where `path` is not.
fn wrong_path(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return Some(
            "write a whole path, with a slash first, e.g. \"unix://[role=db]/run/x.sock\"".to_owned(),
        );
    }
    if path.len() > MAX_SOCKET_PATH_BYTES {
        let length = path.len();
        return Some(format!(
            "the kernel takes at most {MAX_SOCKET_PATH_BYTES} bytes, and these are {length}"
        ));
    }
    if path.split('/').any(|part| part == "..") {
        return Some("write the path without \"..\"".to_owned());
    }
    if path.ends_with('/') {
        return Some("end it with the socket's name, not with a slash".to_owned());
    }
    let hidden = path.chars().find(|c| !is_plain(*c))?;
    Some(format!("write the path without {}", character(hidden)))
}
