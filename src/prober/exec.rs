//! One handshake between two containers by `exec`: `nc` of each container, run by its own shell.
//!
//! Both scripts bound themselves and end when their stdin does, so a handshake that is abandoned
//! at any point leaves nothing behind in a container.

mod exchange;
mod modes;
mod running;
mod tools;

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Attempt, Prober, Request, Side};
use crate::docker::exec::MAX_OUTPUT_BYTES;
use crate::docker::{Conflict, Docker, Error};
use crate::model::handshake::transcript::excerpt;
use crate::model::handshake::{InconclusiveReason, Verdict};
use modes::Making;
use running::Running;
use tools::ToolCache;

/// How much longer than its scripts' own bound a handshake may take before it is abandoned: time
/// for the engine to start and to end what it executes.
const MARGIN: Duration = Duration::from_secs(2);

/// The prober that executes the containers' own `nc`.
pub struct ExecProber {
    docker: Docker,
    tools: ToolCache,
}

impl ExecProber {
    /// A prober that has not looked into any image yet.
    pub fn new(docker: Docker) -> Self {
        Self { docker, tools: ToolCache::default() }
    }
}

impl Prober for ExecProber {
    const NAME: &'static str = "exec";

    async fn handshake(&self, request: &Request) -> Attempt {
        handshake(&self.docker, &self.tools, request).await
    }
}

/// Makes one handshake. It ends within the request's timeout and twice a margin, whatever the engine
/// or the containers do.
async fn handshake(docker: &Docker, tools: &ToolCache, request: &Request) -> Attempt {
    let making = Making { docker, tools, request, deadline: Instant::now() + request.timeout };
    let made = match timeout(request.timeout + MARGIN, making.attempt()).await {
        Ok(made) => made,
        Err(_) => Err(overdue(&making).await),
    };
    made.unwrap_or_else(|trouble| Attempt {
        verdict: Verdict::Inconclusive(trouble.reason),
        rtt: None,
        message: trouble.message,
    })
}

/// Why a handshake did not end in time: its scripts bound themselves, so something stopped them.
async fn overdue(making: &Making<'_>) -> Trouble {
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
struct Trouble {
    reason: InconclusiveReason,
    message: String,
}

impl Trouble {
    fn new(reason: InconclusiveReason, message: String) -> Self {
        Self { reason, message }
    }

    /// What a script told that came to no good end.
    fn told(reason: InconclusiveReason, script: &Running) -> Self {
        let mut what = format!("{}: {}", script.side().name, reason.meaning());
        if script.overflowed() {
            what += &format!("; only {MAX_OUTPUT_BYTES} bytes of what it said were read");
        }
        Self::new(reason, with_complaint(what, script))
    }

    /// What an error of the engine means for a handshake with `side`.
    fn of(error: &Error, side: &Side) -> Self {
        let text = error.to_string();
        let reason = match error {
            Error::Conflict { what: Conflict::Paused, .. } => InconclusiveReason::ContainerPaused,
            Error::NotFound(_) | Error::Conflict { .. } => InconclusiveReason::ContainerNotRunning,
            Error::Unavailable(_) | Error::Failed(_) => InconclusiveReason::EngineUnavailable,
            Error::Rejected(_) => InconclusiveReason::ExecFailed,
        };
        Self::new(reason, format!("{}: {}", side.name, excerpt(text.as_bytes())))
    }
}

/// `what`, and in the words of `nc` why, where it said so.
fn with_complaint(what: String, script: &Running) -> String {
    let complaint = script.heard().complaint();
    if complaint.is_empty() { what } else { format!("{what} ({complaint})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::container::{ContainerId, ImageId};

    fn reason(error: Error) -> InconclusiveReason {
        let side = Side { id: ContainerId("1".into()), name: "db".into(), image: ImageId("sha256:1".into()) };
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
