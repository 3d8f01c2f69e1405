//! The options of one link: `link.NAME.OPTION`.

use std::time::Duration;

use super::error::{Fault, Problem};
use super::text::{example, listed, nearest};
use super::{INTERVAL_RANGE, TIMEOUT_RANGE, value, within_limit};
use crate::model::link::{Handshake, Link, Payload, Target};

/// The options there are.
pub(super) const OPTIONS: [&str; 5] = ["handshake", "interval", "timeout", "send", "expect"];

/// An option as it is written.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    pub(super) link: &'a str,
    pub(super) option: &'a str,
    pub(super) label: &'a str,
    pub(super) value: &'a str,
}

/// The options of one link, as far as they were given.
#[derive(Default)]
pub(super) struct Options {
    handshake: Handshake,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    payload: Payload,
}

impl Options {
    pub(super) fn read(&mut self, prefix: &str, written: &Written<'_>) -> Result<(), Fault> {
        let text = within_limit(written.value)?;
        match written.option {
            "handshake" => self.handshake = value::handshake(text)?,
            "interval" => self.interval = Some(value::duration(text, &INTERVAL_RANGE)?),
            "timeout" => self.timeout = Some(value::duration(text, &TIMEOUT_RANGE)?),
            "send" => self.payload.send = Some(value::payload(text)?),
            "expect" => {
                value::expectation(text)?;
                self.payload.expect = Some(text.to_owned());
            }
            _ => return Err(unknown(prefix, written)),
        }
        Ok(())
    }

    /// The link that has these options.
    pub(super) fn link(self, name: String, alias: Option<String>, target: Target) -> Link {
        let Self { handshake, interval, timeout, payload } = self;
        Link { name, alias, target, handshake, interval, timeout, payload }
    }
}

/// The words for an option that is none of these.
pub(super) fn unknown(prefix: &str, written: &Written<'_>) -> Fault {
    let known = listed(&OPTIONS.map(str::to_owned), "and");
    let fix = match nearest(written.option, OPTIONS) {
        Some(near) => {
            let link = example(written.link);
            format!("did you mean {prefix}link.{link}.{near}? The options of a link are {known}")
        }
        None => format!("the options of a link are {known}"),
    };
    Fault::new(Problem::UnknownKey, fix)
}
