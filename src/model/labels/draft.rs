//! The links of one container while their labels are read: a target comes from one label, each
//! option from another, and a mistake in any of them spoils the one link.

use std::collections::BTreeMap;

use super::error::{Fault, LabelError, Problem};
use super::option::{OPTIONS, Options, Written};
use super::text::{
    MAX_LISTED, MAX_NAME_CHARS, broken_name, example, is_dns_label, link_name, listed, nearest, to_dns_label,
};
use super::{Errors, MAX_LINKS, option, selector, target, within_limit};
use crate::model::link::{Endpoint, Link, Target};

/// One link, not yet known to be good.
struct Draft<'a> {
    name: String,
    alias: Option<String>,
    target: Option<Target>,
    options: Vec<Written<'a>>,
    errors: Vec<LabelError>,
}

impl Draft<'_> {
    fn named(name: String, alias: Option<String>) -> Self {
        Self { name, alias, target: None, options: Vec::new(), errors: Vec::new() }
    }
}

/// All links of one container.
pub(super) struct Drafts<'a> {
    prefix: &'a str,
    drafts: Vec<Draft<'a>>,
    /// Which draft an option is for, by the name in its key.
    by_name: BTreeMap<String, usize>,
}

impl<'a> Drafts<'a> {
    pub(super) fn new(prefix: &'a str) -> Self {
        Self { prefix, drafts: Vec::new(), by_name: BTreeMap::new() }
    }

    /// The targets of the plain label, each a link named after itself.
    pub(super) fn add_items(&mut self, label: &str, value: &str) -> Result<(), Fault> {
        let items = selector::items(within_limit(value)?);
        if items.is_empty() {
            let fix = "write one target or more, with commas between them, e.g. \"app1:12345, app2:80\", or remove \
                       this label";
            return Err(Fault::new(Problem::Empty, fix));
        }
        for item in items {
            let target = self.room().and_then(|()| target::parse(self.prefix, item));
            let name = if target.is_ok() { link_name(item) } else { broken_name(item) };
            self.add(Draft::named(name.clone(), None), &name, label, item, target);
        }
        Ok(())
    }

    /// The target of a label that gives its link a name.
    pub(super) fn add_named(&mut self, label: &str, name: &str, value: &str) {
        let target = self.room().and_then(|()| self.one_target(name, value));
        let good = is_dns_label(name);
        let called = if good { name.to_owned() } else { broken_name(name) };
        let mut draft = Draft::named(called, Some(name.to_owned()));
        if !good {
            draft.errors.push(self.bad_name(name).of(&draft.name, label, value));
        }
        self.add(draft, name, label, value, target);
    }

    fn room(&self) -> Result<(), Fault> {
        if self.drafts.len() < MAX_LINKS { Ok(()) } else { Err(Fault::too_many_links()) }
    }

    fn one_target(&self, name: &str, value: &str) -> Result<Target, Fault> {
        match selector::items(within_limit(value)?)[..] {
            [] => {
                let fix = "write one target, e.g. \"app1:12345\", or remove this label";
                Err(Fault::new(Problem::Empty, fix))
            }
            [item] => target::parse(self.prefix, item).map_err(|fault| self.or_an_option(name, fault)),
            [..] => {
                let prefix = self.prefix;
                let fix = format!(
                    "a name stands for one target: write a label {prefix}link.NAME for each, or list them in \
                     {prefix}link"
                );
                Err(Fault::new(Problem::SeveralTargets, fix))
            }
        }
    }

    /// `link.timeout: 5s` is no target, and was not meant to be one.
    fn or_an_option(&self, name: &str, fault: Fault) -> Fault {
        if !OPTIONS.contains(&name) {
            return fault;
        }
        let fix = format!(
            "{name} is read as the link's name here, and its value as a target; as an option it follows the name of \
             its link: {}link.NAME.{name}",
            self.prefix
        );
        Fault { fix, ..fault }
    }

    fn bad_name(&self, name: &str) -> Fault {
        let fix = format!(
            "write {}link.{}: a-z, 0-9 and '-', at most {MAX_NAME_CHARS} characters, with no '-' first or last",
            self.prefix,
            to_dns_label(name)
        );
        Fault::new(Problem::InvalidName, fix)
    }

    /// `key` is the name by which options know it.
    fn add(
        &mut self,
        mut draft: Draft<'a>,
        key: &str,
        label: &str,
        value: &str,
        target: Result<Target, Fault>,
    ) {
        let known = self.by_name.get(key).map(|at| &self.drafts[*at]);
        let taken = known.and_then(|first| first.target.as_ref());
        let target = match (target, taken) {
            (Ok(target), Some(first)) => Err(self.duplicate(&draft.name, first, &target)),
            (target, _) => target,
        };
        let at = self.drafts.len();
        match target {
            Ok(target) if draft.errors.is_empty() => {
                self.by_name.insert(key.to_owned(), at);
                draft.target = Some(target);
            }
            Ok(_) => {
                self.by_name.entry(key.to_owned()).or_insert(at);
            }
            Err(fault) => {
                self.by_name.entry(key.to_owned()).or_insert(at);
                draft.errors.push(fault.of(&draft.name, label, value));
            }
        }
        self.drafts.push(draft);
    }

    fn duplicate(&self, name: &str, first: &Target, second: &Target) -> Fault {
        let name = example(name);
        let fix = if first == second {
            format!("the same target is already there as {name}: remove one of the two")
        } else {
            format!(
                "{name} is \"{}\" already: remove one of the two, or name this one by a label {}link.NAME: \"{}\"",
                example(&first.to_string()),
                self.prefix,
                example(&second.to_string())
            )
        };
        Fault::new(Problem::DuplicateLink, fix)
    }

    /// Hands an option to its link. One beyond the limit is spoiled whatever its options say.
    pub(super) fn add_option(&mut self, written: Written<'a>, errors: &mut Errors) {
        match self.by_name.get(written.link) {
            Some(at) if *at >= MAX_LINKS => {}
            Some(at) => self.drafts[*at].options.push(written),
            None => errors.push(|| {
                let key = &written.label[self.prefix.len()..];
                self.no_such_link(&written).of_no_link(key, written.label, written.value)
            }),
        }
    }

    fn no_such_link(&self, written: &Written<'_>) -> Fault {
        if OPTIONS.contains(&written.option) {
            return Fault::new(Problem::OptionWithoutLink, self.declared_links(written));
        }
        let name = format!("{}.{}", written.link, written.option);
        if target::parse(self.prefix, written.value).is_ok() {
            self.bad_name(&name)
        } else {
            option::unknown(self.prefix, written)
        }
    }

    fn declared_links(&self, written: &Written<'_>) -> String {
        let names = || self.drafts.iter().take(MAX_LINKS).map(|draft| draft.name.as_str());
        let shown: Vec<String> = names().take(MAX_LISTED).map(example).collect();
        let more = self.drafts.len() - shown.len();
        let all = match more {
            0 => listed(&shown, "and"),
            _ => format!("{} and {more} more", shown.join(", ")),
        };
        let (prefix, link, option) = (self.prefix, example(written.link), written.option);
        // `link.db.timeout` beside `link: db:5432` means the link `db-5432`.
        let target_of =
            |name: &&str| name.strip_prefix(written.link).is_some_and(|rest| rest.starts_with('-'));
        match names().find(target_of).or_else(|| nearest(written.link, names())) {
            Some(near) => {
                format!(
                    "did you mean {prefix}link.{}.{option}? The links of this container are {all}",
                    example(near)
                )
            }
            None if self.drafts.is_empty() => {
                format!("this container declares no link: add the label {prefix}link.{link}: \"app1:12345\"")
            }
            None => format!(
                "the links of this container are {all}: name one of them, or add the label {prefix}link.{link}: \
                 \"app1:12345\""
            ),
        }
    }

    /// The good links; the mistakes of the others go to `errors`.
    pub(super) fn finish(mut self, errors: &mut Errors) -> Vec<Link> {
        let drafts = std::mem::take(&mut self.drafts);
        drafts.into_iter().filter_map(|draft| self.link(draft, errors)).collect()
    }

    fn link(&self, mut draft: Draft<'a>, errors: &mut Errors) -> Option<Link> {
        let mut options = Options::default();
        for written in &draft.options {
            if let Err(fault) = options.read(self.prefix, written) {
                draft.errors.push(fault.of(&draft.name, written.label, written.value));
            }
        }
        draft.errors.extend(self.unanswered(&draft));
        match draft.target {
            Some(target) if draft.errors.is_empty() => Some(options.link(draft.name, draft.alias, target)),
            _ => {
                draft.errors.into_iter().for_each(|error| errors.push(|| error));
                None
            }
        }
    }

    /// Over udp a sent payload proves nothing unless something comes back. An `expect` that cannot
    /// be read is one error, not two.
    fn unanswered(&self, draft: &Draft<'_>) -> Option<LabelError> {
        let is_udp = matches!(draft.target.as_ref()?.endpoint, Endpoint::Udp(_));
        let option = |name| draft.options.iter().find(|written| written.option == name);
        let send = option("send").filter(|_| is_udp && option("expect").is_none())?;
        let fix = format!(
            "say which reply proves the link, a regular expression, in {}link.{}.expect",
            self.prefix,
            example(send.link)
        );
        Some(Fault::new(Problem::SendWithoutExpect, fix).of(&draft.name, send.label, send.value))
    }
}
