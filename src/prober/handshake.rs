//! One handshake between two containers: two sides that speak, and what was heard of them decides. The same
//! for every way in which they come to speak.
//!
//! Every side bounds itself and ends when its stdin does, so a handshake that is abandoned at any point
//! leaves nothing behind.

mod answer;
mod ask;
mod exchange;
mod knock;
mod modes;
mod names;
mod running;
mod socket;

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Attempt, Prober, Request, Side};
use crate::docker::process::MAX_OUTPUT_BYTES;
use crate::docker::{Conflict, Docker, Error};
use crate::model::handshake::role::Role;
use crate::model::handshake::transcript::excerpt;
use crate::model::handshake::{InconclusiveReason, Verdict};
use modes::Making;

pub use running::{Record, Said};

pub(super) use running::Running;

/// How much longer than its sides' own bound a handshake may take before it is abandoned: time for the
/// engine to start and to end them.
const MARGIN: Duration = Duration::from_secs(2);

/// A way to speak for containers.
pub trait Means: Send + Sync + 'static {
    /// The metric label.
    const NAME: &'static str;

    /// Has `role` played for `side`, for at most `bound`.
    ///
    /// # Errors
    /// If that cannot be done in this way.
    fn start<'a>(
        &'a self,
        side: &'a Side,
        role: &Role,
        bound: Duration,
    ) -> impl Future<Output = Result<Running<'a>, Trouble>> + Send;

    /// Learns that a side played its role to no end for this reason.
    fn hear_of(&self, _side: &Side, _reason: InconclusiveReason) {}
}

/// The prober that speaks by `M`.
pub struct By<M> {
    docker: Docker,
    means: M,
    record: Option<Record>,
}

impl<M> By<M> {
    /// Speaks by `means`; asks `docker` whether the containers run.
    pub fn new(docker: Docker, means: M) -> Self {
        Self { docker, means, record: None }
    }

    /// Keeps besides what the sides say, where somebody wants to read it.
    pub fn recording(self, record: Option<&Record>) -> Self {
        Self { record: record.cloned(), ..self }
    }
}

impl<M: Means> Prober for By<M> {
    /// It ends within the request's timeout and twice a margin, whatever the engine or the containers do.
    async fn handshake(&self, request: &Request) -> Attempt {
        let deadline = Instant::now() + request.timeout;
        let record = self.record.as_ref();
        let making = Making { docker: &self.docker, means: &self.means, request, deadline, record };
        let made = match timeout(request.timeout + MARGIN, making.attempt()).await {
            Ok(made) => made,
            Err(_) => Err(overdue(&making).await),
        };
        made.unwrap_or_else(|trouble| Attempt {
            verdict: Verdict::Inconclusive(trouble.reason),
            rtt: None,
            message: trouble.message,
            prober: M::NAME,
        })
    }
}

/// Why a handshake did not end in time: its sides bound themselves, so something stopped them.
async fn overdue<M: Means>(making: &Making<'_, M>) -> Trouble {
    match timeout(MARGIN, making.both_run()).await {
        Ok(Err(trouble)) => trouble,
        _ => {
            let message =
                format!("the engine did not end the handshake, due after {:?}", making.request.timeout);
            Trouble::new(InconclusiveReason::EngineUnavailable, message)
        }
    }
}

/// Why a handshake could not be made.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// For programs.
    pub reason: InconclusiveReason,
    /// For people.
    pub message: String,
}

impl Trouble {
    /// A trouble in these words.
    pub fn new(reason: InconclusiveReason, message: String) -> Self {
        Self { reason, message }
    }

    /// What a side told that came to no good end.
    pub(super) fn told(reason: InconclusiveReason, side: &Running) -> Self {
        let mut what = format!("{}: {}", side.side().name, reason.meaning());
        if side.overflowed() {
            what += &format!("; only {MAX_OUTPUT_BYTES} bytes of what it said were read");
        }
        Self::new(reason, with_complaint(what, side))
    }

    /// What an error of the engine means for a handshake with `side`.
    pub(super) fn of(error: &Error, side: &Side) -> Self {
        let text = error.to_string();
        let reason = match error {
            Error::Conflict { what: Conflict::Paused, .. } => InconclusiveReason::ContainerPaused,
            Error::NotFound(_) | Error::Conflict { .. } => InconclusiveReason::ContainerNotRunning,
            Error::Unavailable(_) | Error::Failed(_) => InconclusiveReason::EngineUnavailable,
            Error::Rejected(_) | Error::Forbidden(_) => InconclusiveReason::ExecFailed,
        };
        Self::new(reason, format!("{}: {}", side.name, excerpt(text.as_bytes())))
    }
}

/// `what`, and in the words of whoever spoke why, where that was said.
fn with_complaint(what: String, side: &Running) -> String {
    let complaint = side.heard().complaint();
    if complaint.is_empty() { what } else { format!("{what} ({complaint})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::container::ContainerId;

    fn reason(error: Error) -> InconclusiveReason {
        let id = ContainerId("1".into());
        let side = Side { id, name: "db".into(), address: None };
        Trouble::of(&error, &side).reason
    }

    #[test]
    fn the_engine_s_refusals_tell_the_state_of_the_container() {
        let conflict = |what, message: &str| Error::Conflict { what, message: message.into() };
        let paused = conflict(Conflict::Paused, "Container 1 is paused, unpause the container before exec");
        assert_eq!(reason(paused), InconclusiveReason::ContainerPaused);
        let stopped = conflict(Conflict::NotRunning, "Container 1 is not running");
        assert_eq!(reason(stopped), InconclusiveReason::ContainerNotRunning);
        let gone = Error::NotFound("No such container: 1".into());
        assert_eq!(reason(gone), InconclusiveReason::ContainerNotRunning);
        assert_eq!(reason(Error::Unavailable("broken pipe".into())), InconclusiveReason::EngineUnavailable);
        assert_eq!(reason(Error::Rejected("exec is not allowed".into())), InconclusiveReason::ExecFailed);
    }
}
