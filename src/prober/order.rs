//! Which way of making a handshake comes first, and which then.

use tokio::time::Instant;

use super::exec::Exec;
use super::helper::Helper;
use super::namespace::Namespace;
use super::{Attempt, By, Means, Prober, Record, Request};
use crate::docker::Docker;
use crate::model::handshake::Verdict;
use crate::model::handshake::transcript::excerpt;

/// The ways to make a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the containers' own `nc`, executed in them.
    Exec,
    /// From inside the containers' network namespaces.
    Namespace,
    /// By containers of our own in these.
    Helper,
}

impl Way {
    /// Every way there is, in the order in which they are tried unless told otherwise: what the containers
    /// can do themselves proves the most, and what costs least comes before what costs more.
    pub const ALL: [Self; 3] = [Self::Exec, Self::Namespace, Self::Helper];

    /// The word for it, which is also its metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exec => Exec::NAME,
            Self::Namespace => Namespace::NAME,
            Self::Helper => Helper::NAME,
        }
    }
}

/// Ways, the first one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The one that is tried first.
    pub first: Way,
    /// Those that are tried where it cannot do it.
    pub others: Vec<Way>,
}

impl Order {
    /// Whether `way` is among them.
    pub fn has(&self, way: Way) -> bool {
        self.first == way || self.others.contains(&way)
    }
}

/// What speaks in one way.
enum Speaker {
    Exec(By<Exec>),
    Namespace(By<Namespace>),
    Helper(By<Helper>),
}

impl Speaker {
    fn new(way: Way, docker: &Docker, helper: &impl Fn() -> Helper, record: Option<&Record>) -> Self {
        let own = docker.clone();
        match way {
            Way::Exec => Self::Exec(By::new(own, Exec::new(docker.clone())).recording(record)),
            Way::Namespace => Self::Namespace(By::new(own, Namespace::new(docker.clone())).recording(record)),
            Way::Helper => Self::Helper(By::new(own, helper()).recording(record)),
        }
    }
}

impl Prober for Speaker {
    async fn handshake(&self, request: &Request) -> Attempt {
        match self {
            Self::Exec(exec) => exec.handshake(request).await,
            Self::Namespace(namespace) => namespace.handshake(request).await,
            Self::Helper(helper) => helper.handshake(request).await,
        }
    }
}

/// The prober that tries one way after the other, until one can do it.
pub struct Ordered<P> {
    first: P,
    others: Vec<P>,
}

/// The prober that goes the ways of `order`; where one is by helpers, `helper` makes what speaks by them. What
/// is said is kept in `record`, where somebody wants to read it.
pub fn ordered<H: Fn() -> Helper>(
    order: &Order,
    docker: &Docker,
    helper: H,
    record: Option<&Record>,
) -> Ordered<impl Prober + use<H>> {
    let speaker = |way: &Way| Speaker::new(*way, docker, &helper, record);
    Ordered { first: speaker(&order.first), others: order.others.iter().map(speaker).collect() }
}

impl<P: Prober> Prober for Ordered<P> {
    /// Each way has what time is left. Where none can do it, the first one's reason counts: what people chose
    /// first is what they expect to work.
    async fn handshake(&self, request: &Request) -> Attempt {
        let deadline = Instant::now() + request.timeout;
        let mut first = self.first.handshake(request).await;
        if told(&first) {
            return first;
        }
        for prober in &self.others {
            let timeout = deadline.saturating_duration_since(Instant::now());
            if timeout.is_zero() {
                break;
            }
            let attempt = prober.handshake(&Request { timeout, ..request.clone() }).await;
            if told(&attempt) {
                return attempt;
            }
            first.message += &format!("; {}: {}", attempt.prober, excerpt(attempt.message.as_bytes()));
        }
        first
    }
}

/// Whether another way would tell no more.
fn told(attempt: &Attempt) -> bool {
    !matches!(attempt.verdict, Verdict::Inconclusive(reason) if reason.is_of_the_way())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Mutex;
    use std::time::Duration;

    use super::super::{PortRoute, Route, Side};
    use super::*;
    use crate::model::container::ContainerId;
    use crate::model::handshake::role::Transport;
    use crate::model::handshake::{FailReason, InconclusiveReason};
    use crate::model::link::{Handshake, Payload};

    const TIMEOUT: Duration = Duration::from_secs(3);

    /// Takes a second for its answer.
    struct Says {
        verdict: Verdict,
        prober: &'static str,
        given: Mutex<Vec<Duration>>,
    }

    impl Prober for Says {
        async fn handshake(&self, request: &Request) -> Attempt {
            self.given.lock().unwrap().push(request.timeout);
            tokio::time::sleep(Duration::from_secs(1)).await;
            let message = format!("{} said so", self.prober);
            Attempt { verdict: self.verdict, rtt: None, message, prober: self.prober }
        }
    }

    fn request() -> Request {
        let id = ContainerId("1".into());
        let side = Side { id, name: "db".into(), address: None };
        let route = Route::Port(PortRoute {
            transport: Transport::Tcp,
            host: "db".into(),
            address: Ipv4Addr::LOCALHOST,
            address6: None,
            others: vec![],
            port: 80,
        });
        let (mode, payload) = (Handshake::Auto, Payload::default());
        Request { consumer: side.clone(), provider: side, route, mode, payload, timeout: TIMEOUT }
    }

    fn all(verdicts: &[Verdict]) -> Ordered<Says> {
        let prober =
            |(verdict, prober): (&Verdict, _)| Says { verdict: *verdict, prober, given: Mutex::default() };
        let mut probers = verdicts.iter().zip(["a", "b", "c", "d", "e"]).map(prober);
        Ordered { first: probers.next().unwrap(), others: probers.collect() }
    }

    const NO_NETCAT: Verdict = Verdict::Inconclusive(InconclusiveReason::NoNetcat);
    const NO_RIGHTS: Verdict = Verdict::Inconclusive(InconclusiveReason::NoRights);
    const PASS: Verdict = Verdict::Pass { listening: None, detour: false };

    #[tokio::test(start_paused = true)]
    async fn the_first_way_that_can_do_it_has_the_word_with_the_time_that_is_left() {
        for told in
            [PASS, Verdict::Fail(FailReason::Refused), Verdict::Inconclusive(InconclusiveReason::PortBusy)]
        {
            let ordered = all(&[NO_NETCAT, told, PASS]);
            let attempt = ordered.handshake(&request()).await;
            assert_eq!((attempt.verdict, attempt.prober), (told, "b"));
            let given = |says: &Says| says.given.lock().unwrap().clone();
            assert_eq!(given(&ordered.first), [TIMEOUT]);
            assert_eq!(given(&ordered.others[0]), [Duration::from_secs(2)]);
            assert!(given(&ordered.others[1]).is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_none_can_do_it_the_first_one_s_reason_counts_and_all_are_heard() {
        let attempt = all(&[NO_NETCAT, NO_RIGHTS]).handshake(&request()).await;
        assert_eq!((attempt.verdict, attempt.prober), (NO_NETCAT, "a"));
        assert_eq!(attempt.message, "a said so; b: b said so");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_for_one_handshake_is_the_time_for_all_ways_of_it() {
        let start = Instant::now();
        let attempt = all(&[NO_NETCAT, NO_NETCAT, NO_NETCAT, PASS]).handshake(&request()).await;
        assert_eq!(attempt.verdict, NO_NETCAT);
        assert_eq!(start.elapsed(), TIMEOUT);
    }
}
