//! What goes wrong at chosen calls.

use std::time::Duration;

/// What becomes of a call.
#[derive(Clone, Debug)]
pub enum What {
    /// It is answered with this status and text, and has no effect.
    Answer(u16, String),
    /// It takes so much longer.
    Delay(Duration),
    /// It is not answered while the fault is there, and has no effect.
    Hang,
    /// The connection is closed instead of an answer, before the call had its effect.
    DropBefore,
    /// The connection is closed instead of an answer, after the call had its effect.
    DropAfter,
}

#[derive(Clone, Debug)]
pub struct Fault {
    /// Of which operation; `None`: of all.
    operation: Option<&'static str>,
    /// Only of calls that name this in their path or body.
    about: Option<String>,
    /// At every n-th such call.
    every: usize,
    what: What,
    calls: usize,
}

impl Fault {
    pub fn at(operation: &'static str, what: What) -> Self {
        Self { operation: Some(operation), about: None, every: 1, what, calls: 0 }
    }

    pub fn everywhere(what: What) -> Self {
        Self { operation: None, ..Self::at("", what) }
    }

    pub fn answer(operation: &'static str, status: u16, text: &str) -> Self {
        Self::at(operation, What::Answer(status, text.to_owned()))
    }

    pub fn every(self, every: usize) -> Self {
        Self { every, ..self }
    }

    pub fn about(self, about: &str) -> Self {
        Self { about: Some(about.to_owned()), ..self }
    }

    pub fn is_hang(&self) -> bool {
        matches!(self.what, What::Hang)
    }

    /// Whether this call goes wrong, and how.
    pub fn strikes(&mut self, operation: &str, path_and_body: &str) -> Option<What> {
        let meant = self.operation.is_none_or(|meant| meant == operation)
            && self.about.as_ref().is_none_or(|about| path_and_body.contains(about));
        if !meant {
            return None;
        }
        self.calls += 1;
        self.calls.is_multiple_of(self.every).then(|| self.what.clone())
    }
}
