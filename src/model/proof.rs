//! What is believed of one path, given the verdicts on it so far.

use super::handshake::{FailReason, InconclusiveReason, Verdict};

/// What is believed of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// No handshake has told anything yet.
    #[default]
    Unproven,
    /// Bytes went both ways, or the provider's listener took a connection.
    Proven {
        /// Whether something listens on the declared port, where the handshake tells.
        listening: Option<bool>,
        /// Whether the name led over another network than the link's.
        detour: bool,
    },
    /// Bytes could not pass.
    Failed(FailReason),
    /// It could not be tried.
    Unprobed(InconclusiveReason),
}

/// The verdicts on one path, smoothed: one bad attempt is doubt, two are a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// What is believed.
    pub standing: Standing,
    /// What the handshake that led to it said.
    pub message: String,
    /// Attempts that failed since the last good one. One that told nothing in between changes
    /// nothing about them.
    failed: u32,
    /// Attempts in a row that told nothing.
    untold: u32,
}

/// How many bad attempts of one kind make a finding.
const ENOUGH: u32 = 2;

impl Proof {
    /// Takes in the verdict of one more handshake.
    pub fn take(&mut self, verdict: Verdict, message: &str) {
        let told = match verdict {
            verdict if is_good(verdict) => {
                (self.failed, self.untold) = (0, 0);
                true
            }
            Verdict::Inconclusive(_) => {
                self.untold += 1;
                self.untold >= ENOUGH
            }
            Verdict::Pass { .. } | Verdict::Fail(_) => {
                (self.failed, self.untold) = (self.failed + 1, 0);
                self.failed >= ENOUGH
            }
        };
        if told {
            self.standing = verdict.into();
            message.clone_into(&mut self.message);
        }
    }
}

/// Whether `verdict` is all that the link wants: anything else is tried again at once.
pub fn is_good(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass { listening: None | Some(true), .. })
}

impl From<Verdict> for Standing {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass { listening, detour } => Self::Proven { listening, detour },
            Verdict::Fail(reason) => Self::Failed(reason),
            Verdict::Inconclusive(reason) => Self::Unprobed(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Verdict = Verdict::Pass { listening: None, detour: false };
    const PROVEN: Standing = Standing::Proven { listening: None, detour: false };
    const BAD: Verdict = Verdict::Fail(FailReason::Refused);

    fn after(verdicts: &[Verdict]) -> Standing {
        let mut proof = Proof::default();
        verdicts.iter().for_each(|verdict| proof.take(*verdict, ""));
        proof.standing
    }

    #[test]
    fn a_good_attempt_counts_at_once() {
        assert_eq!(after(&[GOOD]), PROVEN);
        assert_eq!(after(&[BAD, BAD, GOOD]), PROVEN);
    }

    #[test]
    fn a_first_failure_changes_nothing_and_a_second_one_does() {
        assert_eq!(after(&[BAD]), Standing::Unproven);
        assert_eq!(after(&[GOOD, BAD]), PROVEN);
        assert_eq!(after(&[GOOD, BAD, BAD]), Standing::Failed(FailReason::Refused));
        assert_eq!(after(&[GOOD, BAD, GOOD, BAD]), PROVEN);
    }

    #[test]
    fn what_tells_nothing_makes_no_failure_and_hides_none() {
        const UNTOLD: Verdict = Verdict::Inconclusive(InconclusiveReason::ExecFailed);
        assert_eq!(after(&[GOOD, UNTOLD, BAD]), PROVEN);
        assert_eq!(after(&[GOOD, BAD, UNTOLD]), PROVEN);
        assert_eq!(after(&[GOOD, BAD, UNTOLD, BAD]), Standing::Failed(FailReason::Refused));
        assert_eq!(after(&[GOOD, UNTOLD, UNTOLD]), Standing::Unprobed(InconclusiveReason::ExecFailed));
    }
}
