//! What is wrong with a label, in words that a person can act on.

use std::fmt;

use super::text::{key_name, shown};
use super::{MAX_LABEL_BYTES, MAX_LINKS};
use crate::model::link::Link;

/// One mistake in one label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelError {
    /// Name of the link that it spoils; for a label that belongs to no link, the label's key
    /// without the prefix. Safe to show.
    pub link: String,
    /// The label's key, as written; at most [`MAX_LABEL_BYTES`] of it.
    pub label: String,
    /// What was read: of a list, the one item that is wrong. At most [`MAX_LABEL_BYTES`] of it.
    pub value: String,
    /// What is wrong.
    pub problem: Problem,
    /// What would be right. Safe to show.
    pub fix: String,
}

/// What a parser found, before it is known which label and link it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub problem: Problem,
    /// What would be right. Safe to show.
    pub fix: String,
}

impl Fault {
    pub(super) fn new(problem: Problem, fix: impl Into<String>) -> Self {
        Self { problem, fix: fix.into() }
    }

    /// The same mistake, in its place.
    pub(super) fn of(self, link: &str, label: &str, value: &str) -> LabelError {
        LabelError {
            link: link.to_owned(),
            label: bounded(label).to_owned(),
            value: bounded(value).to_owned(),
            problem: self.problem,
            fix: self.fix,
        }
    }

    /// The same mistake in a label that belongs to no link.
    pub(super) fn of_no_link(self, key: &str, label: &str, value: &str) -> LabelError {
        self.of(&key_name(key), label, value)
    }

    /// A value longer than any label that means something.
    pub(super) fn too_long() -> Self {
        Self::new(Problem::TooLong, format!("the value of a label has at most {MAX_LABEL_BYTES} bytes"))
    }

    /// A link beyond the limit.
    pub(super) fn too_many_links() -> Self {
        let fix = format!(
            "one container declares at most {MAX_LINKS} links; a selector such as \"[role=db]:5432\" can stand \
             for many containers"
        );
        Self::new(Problem::TooManyLinks, fix)
    }
}

/// The start of `text` that is kept: an error must not be longer than a good label.
fn bounded(text: &str) -> &str {
    let end = (0..=MAX_LABEL_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

impl LabelError {
    /// `link` points back at the workload that declares it, which only shows once the containers
    /// are known.
    pub fn self_link(prefix: &str, link: &Link) -> Self {
        let label = match &link.alias {
            Some(name) => format!("{prefix}link.{name}"),
            None => format!("{prefix}link"),
        };
        let fix =
            "name another workload, or remove this link: what runs in one workload reaches itself already";
        Fault::new(Problem::SelfLink, fix).of(&link.name, &label, &link.target.to_string())
    }

    /// Stands for the errors beyond the limit.
    pub(super) fn too_many(prefix: &str, dropped: usize) -> Self {
        let fix = format!("correct those first (more that are not listed: {dropped})");
        Fault::new(Problem::TooManyErrors, fix).of("*", &format!("{prefix}*"), "")
    }
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = shown(&self.label);
        if self.problem.is_about_key() {
            write!(f, "{label}: {}; {}", self.problem, self.fix)
        } else {
            write!(f, "{label}: \"{}\" {}; {}", shown(&self.value), self.problem, self.fix)
        }
    }
}

impl std::error::Error for LabelError {}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $words:literal,)*) => {
        /// What can be wrong with a label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Problem {
            $($(#[$doc])* $name,)*
        }

        impl Problem {
            /// Every problem there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The reason, in one word, for conditions and metrics.
            pub fn reason(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }

        /// The words that follow what was read.
        impl fmt::Display for Problem {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $words,)*
                })
            }
        }
    };
}

problems! {
    /// A key under the prefix, or an option, that does not exist.
    UnknownKey = "there is no such key",
    /// A key beyond any length that means something.
    KeyTooLong = "this key is too long",
    /// The NAME in the key is no DNS label.
    InvalidName = "the link's name in this key cannot be a host name",
    /// An option of a link that is not declared.
    OptionWithoutLink = "the link of this option is not declared",
    /// More errors than are worth listing.
    TooManyErrors = "there are more errors than these",
    /// Labels of one container beyond the limit of all together.
    TooManyLabels = "the labels of this container are too many or too long",
    /// A value beyond any length that means something.
    TooLong = "is too long",
    /// Nothing where something must be said.
    Empty = "is empty",
    /// A second link of the same name.
    DuplicateLink = "gets the name of another link of this container",
    /// A link beyond the limit.
    TooManyLinks = "is one link too many",
    /// A consumer beyond the limit.
    TooManyAccepted = "is one consumer too many",
    /// More than one target where a name stands for one.
    SeveralTargets = "is more than one target",
    /// A link to the workload that declares it.
    SelfLink = "is the workload that declares this link",
    /// A scheme other than tcp, udp and unix.
    InvalidScheme = "has an unknown scheme",
    /// No way to tell which containers are meant.
    InvalidSelector = "does not say which container",
    /// No port.
    MissingPort = "has no port",
    /// A port that is no number, or out of range.
    InvalidPort = "has no valid port",
    /// No socket in a unix target.
    MissingPath = "has no path of a socket",
    /// A path that cannot be a socket's.
    InvalidPath = "has a path that cannot be a socket's",
    /// Not one of the handshakes.
    InvalidHandshake = "is not a handshake",
    /// Not a length of time.
    InvalidDuration = "is not a length of time",
    /// Shorter or longer than makes sense.
    DurationOutOfRange = "is out of range",
    /// A backslash with something unknown after it.
    InvalidEscape = "has an unknown escape",
    /// Not a regular expression, or too large a one.
    InvalidRegex = "is not a regular expression that can be used",
    /// udp payload without an answer to wait for.
    SendWithoutExpect = "is sent over udp, with no answer to wait for",
    /// A scheme or a port where only containers are named.
    PortInAccept = "says more than which consumer",
    /// `none` beside others.
    NoneAmongOthers = "stands beside other consumers",
    /// Not one of the topologies.
    InvalidTopology = "is not a topology",
    /// A compose label that holds what Compose could not have written.
    InvalidComposeName = "cannot be the name of a compose project or service",
    /// Neither true nor false.
    InvalidBoolean = "is neither \"true\" nor \"false\"",
}

impl Problem {
    /// Whether the key is wrong, whatever the value says.
    fn is_about_key(self) -> bool {
        use Problem::{InvalidName, KeyTooLong, OptionWithoutLink, TooManyErrors, TooManyLabels, UnknownKey};
        matches!(
            self,
            UnknownKey | KeyTooLong | InvalidName | OptionWithoutLink | TooManyErrors | TooManyLabels
        )
    }
}
