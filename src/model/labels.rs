//! What the labels of one container declare, and every mistake in them.
//!
//! Anybody who may start a container may write anything here, so nothing is trusted: a mistake
//! spoils its own link and no other, and what is shown of it is cut and escaped.

mod bounds;
mod draft;
mod error;
mod key;
mod option;
mod selector;
mod target;
mod text;
mod value;

#[cfg(test)]
mod tests;

pub use bounds::{MAX_CONTAINER_LABEL_BYTES, bounded};
pub use error::{Fault, LabelError, Problem};
pub use selector::{MAX_SELECTOR_BYTES, MAX_SELECTOR_LABELS, parse as parse_selector};
pub use target::{MAX_SOCKET_PATH_BYTES, parse as parse_target};
pub use text::{
    MAX_MESSAGE_CHARS, MAX_NAME_CHARS, MAX_SHORT_NAME_BYTES, MAX_SHOWN_CHARS, is_plain, message, short_name,
    shown, some_of,
};
pub use value::{INTERVAL_RANGE, MAX_REGEX_BYTES, TIMEOUT_RANGE, duration as parse_duration, expectation};

use std::sync::Arc;

use super::container::Labels;
use super::link::Link;
use super::workload::{MAX_COMPOSE_NAME_BYTES, Selector, unbelieved};
use draft::Drafts;
use key::Key;
use text::{example, split_scheme};

/// The prefix of every label, unless the controller is told another.
pub const DEFAULT_PREFIX: &str = "tieline.";
/// Longest key, and longest value, that is read.
pub const MAX_LABEL_BYTES: usize = 4096;
/// Links that one container may declare, broken ones included.
pub const MAX_LINKS: usize = 64;
/// Errors that are kept for one container; the last one then says how many more there are. Each is a
/// row of the table and a link of the metrics.
pub const MAX_ERRORS: usize = 64;
/// Consumers, or kinds of consumers, that one provider may accept by name: each is looked for whenever
/// a container changes.
pub const MAX_ACCEPTED: usize = 64;

/// What the labels of one container declare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The links that could be read: those from the plain label in its order, then the named ones,
    /// sorted.
    pub links: Vec<Arc<Link>>,
    /// Who may link here: nobody if empty, as the controller does by default if `None`. What could
    /// not be read admits nobody, and neither does a key that is nearly this one.
    pub accept: Option<Vec<Accept>>,
    /// The networks on which consumers reach this container.
    pub topology: Topology,
    /// The container asked to be left alone; nothing else was read.
    pub ignore: bool,
    /// Every mistake. What a link's own labels spoil is not in `links`. Two targets may have one
    /// name, though: then the good one, or the first of two good ones, is there, and the error is
    /// the other's alone.
    pub errors: Vec<LabelError>,
}

/// One consumer, or kind of consumer, that a provider accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Every consumer.
    Any,
    /// What the selector names.
    Selector(Selector),
}

/// How the networks of a provider are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Topology {
    /// One network for each consumer workload.
    #[default]
    Pair,
    /// One network for all consumers.
    Shared,
}

impl Topology {
    /// Every value that the label may have.
    pub const ALL: [Self; 2] = [Self::Pair, Self::Shared];

    /// The word in the label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Shared => "shared",
        }
    }
}

/// Reads the labels of one container. `prefix` ends with its dot.
pub fn read(prefix: &str, labels: &Labels) -> Declared {
    if bounds::exceeded(labels) {
        // One of the labels that were dropped may be `accept` or `ignore`.
        let errors = vec![bounds::too_many()];
        return Declared { accept: Some(Vec::new()), errors, ..Declared::default() };
    }
    let mut declared = Declared::default();
    let mut drafts = Drafts::new(prefix);
    let mut options = Vec::new();
    let mut errors = Errors::default();
    let mut takes_part = false;
    let mut misspelt_accept = false;
    for (label, value) in labels {
        let Some(key) = Key::of(prefix, label) else { continue };
        takes_part = true;
        let rest = if label.len() == prefix.len() { label } else { &label[prefix.len()..] };
        let result = match key {
            _ if label.len() > MAX_LABEL_BYTES => Err(key::too_long()),
            Key::Unknown => {
                misspelt_accept |= key::means_accept(prefix, label);
                Err(key::unknown(prefix, label))
            }
            Key::Ignore => boolean(value).map(|ignore| declared.ignore = ignore),
            Key::Topology => topology(value).map(|topology| declared.topology = topology),
            Key::Accept => {
                declared.accept = Some(accept(value, &mut |item, fault| {
                    errors.push(|| fault.of_no_link(rest, label, item));
                }));
                Ok(())
            }
            Key::Links => drafts.add_items(label, value),
            Key::Link(name) => {
                drafts.add_named(label, name, value);
                Ok(())
            }
            Key::Option { link, option } => {
                options.push(option::Written { link, option, label, value });
                Ok(())
            }
        };
        if let Err(fault) = result {
            errors.push(|| fault.of_no_link(rest, label, value));
        }
    }
    if declared.ignore {
        return Declared { ignore: true, ..Declared::default() };
    }
    // A slip in the key of `accept` must not admit every consumer.
    if misspelt_accept {
        declared.accept = Some(Vec::new());
    }
    // Whoever has nothing to do with links may be called whatever they like.
    for (label, value) in unbelieved(labels).filter(|_| takes_part) {
        errors.push(|| no_compose_name().of_no_link(label, label, value));
    }
    for option in options {
        drafts.add_option(option, &mut errors);
    }
    declared.links = drafts.finish(&mut errors).into_iter().map(Arc::new).collect();
    declared.errors = errors.finish(prefix);
    declared
}

/// The errors of one container, which hostile labels must not make endless.
#[derive(Default)]
struct Errors {
    kept: Vec<LabelError>,
    dropped: usize,
}

impl Errors {
    /// Keeps one error, or only counts it: then it costs nothing.
    fn push(&mut self, error: impl FnOnce() -> LabelError) {
        if self.kept.len() + 1 < MAX_ERRORS { self.kept.push(error()) } else { self.dropped += 1 }
    }

    fn finish(mut self, prefix: &str) -> Vec<LabelError> {
        if self.dropped > 0 {
            self.kept.push(LabelError::too_many(prefix, self.dropped));
        }
        self.kept
    }
}

/// Refuses a value that is too long to mean anything.
fn within_limit(value: &str) -> Result<&str, Fault> {
    if value.len() > MAX_LABEL_BYTES { Err(Fault::too_long()) } else { Ok(value) }
}

fn no_compose_name() -> Fault {
    let fix = format!(
        "such a name has letters, digits, '_', '.' and '-', at most {MAX_COMPOSE_NAME_BYTES} of them, and a \
         project's begins with a letter or digit; until then this container goes by its own name"
    );
    Fault::new(Problem::InvalidComposeName, fix)
}

fn boolean(value: &str) -> Result<bool, Fault> {
    match within_limit(value)? {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Fault::new(
            Problem::InvalidBoolean,
            "write \"true\" to have this container left alone; until then its labels count",
        )),
    }
}

fn topology(value: &str) -> Result<Topology, Fault> {
    let value = within_limit(value)?;
    Topology::ALL.into_iter().find(|known| known.as_str() == value).ok_or_else(|| {
        Fault::new(Problem::InvalidTopology, value::one_of(value, &Topology::ALL.map(Topology::as_str)))
    })
}

/// Who may link here. Mistakes are told to `fail` and let nobody in.
fn accept(value: &str, fail: &mut dyn FnMut(&str, Fault)) -> Vec<Accept> {
    let items = match within_limit(value) {
        Ok(value) => selector::items(value),
        Err(fault) => {
            fail(value, fault);
            return Vec::new();
        }
    };
    if items.is_empty() {
        let fix = "write \"none\" to accept nobody, \"*\" to accept any consumer, or names; until then nobody may \
                   link here";
        fail(value, Fault::new(Problem::Empty, fix));
    }
    if items.contains(&"none") {
        if items.len() > 1 {
            let fix = "write \"none\" alone, or remove it; until then nobody may link here";
            fail("none", Fault::new(Problem::NoneAmongOthers, fix));
        }
        return Vec::new();
    }
    let mut accepted = Vec::new();
    for item in items {
        if accepted.len() == MAX_ACCEPTED {
            fail(item, too_many_accepted());
            break;
        }
        match consumer(item) {
            Ok(consumer) => accepted.push(consumer),
            Err(fault) => fail(item, fault),
        }
    }
    accepted
}

fn too_many_accepted() -> Fault {
    let fix = format!(
        "one provider accepts at most {MAX_ACCEPTED} by name, and this one and those behind it are left out; a \
         selector such as \"[tier=front]\" can stand for many containers, and \"*\" for all"
    );
    Fault::new(Problem::TooManyAccepted, fix)
}

fn consumer(item: &str) -> Result<Accept, Fault> {
    if item == "*" {
        return Ok(Accept::Any);
    }
    let (scheme, rest) = split_scheme(item);
    let (named, tail) = selector::split(rest, ':')?;
    if scheme.is_some() || tail.starts_with(':') {
        let fix = format!("ports and schemes do not belong here: write \"{}\"", example(named));
        return Err(Fault::new(Problem::PortInAccept, fix));
    }
    if !tail.is_empty() {
        return Err(selector::invalid("put nothing after the bracket, and a comma before the next consumer"));
    }
    parse_selector(named).map(Accept::Selector)
}
