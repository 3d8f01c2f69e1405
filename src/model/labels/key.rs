//! The keys: which label is which.

use super::MAX_LABEL_BYTES;
use super::error::{Fault, Problem};
use super::text::{example, listed, nearest};

/// Keys that stand alone behind the prefix.
const KNOWN: [&str; 4] = ["link", "accept", "topology", "ignore"];
/// What the controller writes on its own networks behind the same prefix.
const OF_NETWORKS: [&str; 3] = ["managed-by", "consumer", "provider"];

/// What one label under the prefix is about.
pub(super) enum Key<'a> {
    Ignore,
    Accept,
    Topology,
    Links,
    Link(&'a str),
    /// A name made from a target may hold dots, an option never does.
    Option {
        link: &'a str,
        option: &'a str,
    },
    Unknown,
}

impl<'a> Key<'a> {
    /// The key of a label, if it is under the prefix. One that misses it by case alone was meant to
    /// be, and is unknown.
    pub(super) fn of(prefix: &str, label: &'a str) -> Option<Self> {
        let start = label.get(..prefix.len())?;
        if start == prefix {
            Some(Self::behind_prefix(&label[prefix.len()..]))
        } else {
            start.eq_ignore_ascii_case(prefix).then_some(Self::Unknown)
        }
    }

    fn behind_prefix(rest: &'a str) -> Self {
        match rest {
            "ignore" => Self::Ignore,
            "accept" => Self::Accept,
            "topology" => Self::Topology,
            "link" => Self::Links,
            _ => match rest.strip_prefix("link.").map(|name| (name, name.rsplit_once('.'))) {
                Some((_, Some((link, option)))) => Self::Option { link, option },
                Some((name, None)) => Self::Link(name),
                None => Self::Unknown,
            },
        }
    }
}

/// Whether an unknown key was most likely meant to be `accept`.
pub(super) fn means_accept(prefix: &str, label: &str) -> bool {
    nearest(head(prefix, label).0, KNOWN) == Some("accept")
}

/// The key behind the prefix up to its first dot, and the rest.
fn head<'a>(prefix: &str, label: &'a str) -> (&'a str, &'a str) {
    let rest = &label[prefix.len()..];
    rest.split_at(rest.find('.').unwrap_or(rest.len()))
}

/// The words for a key that is none of these.
pub(super) fn unknown(prefix: &str, label: &str) -> Fault {
    let rest = &label[prefix.len()..];
    if OF_NETWORKS.contains(&rest) {
        return Fault::new(
            Problem::UnknownKey,
            "it is for the controller's own networks and says nothing on a container: remove it",
        );
    }
    let (head, tail) = head(prefix, label);
    let known = ["link", "link.NAME", "accept", "topology", "ignore"].map(|key| format!("{prefix}{key}"));
    let known = format!("known keys are {}", listed(&known, "and"));
    let fix = match nearest(head, KNOWN) {
        Some("link") => format!("did you mean {prefix}link{}? The {known}", example(tail)),
        Some("accept") => {
            format!("did you mean {prefix}accept? Until this is corrected nobody may link here; the {known}")
        }
        Some(near) => format!("did you mean {prefix}{near}? The {known}"),
        None => format!("the {known}"),
    };
    Fault::new(Problem::UnknownKey, fix)
}

pub(super) fn too_long() -> Fault {
    Fault::new(Problem::KeyTooLong, format!("a label's key has at most {MAX_LABEL_BYTES} bytes"))
}
