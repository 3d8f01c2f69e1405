//! Handshakes on this machine's loopback, whose addresses of both families are the provider's. The consumer's
//! `nc` knows one address of the name, as one that tries the first alone.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::docker::process::{Output, Process};
use crate::docker::{Docker, Error};
use crate::model::container::ContainerId;
use crate::model::handshake::role::Role;
use crate::model::link::{Handshake, Payload};
use crate::prober::handshake::Running;
use crate::prober::{Request, Route, Side};
use crate::speaker::names::Names;
use crate::speaker::{Streams, play};

const HERE_4: Ipv4Addr = Ipv4Addr::LOCALHOST;
const HERE_6: Ipv6Addr = Ipv6Addr::LOCALHOST;

/// Our own `nc`, for which the name `db` leads to one address.
struct Loopback {
    db: IpAddr,
    /// Whether it is seen where a connection leads.
    sees: bool,
    /// Whether the provider has an `nc`.
    listens: bool,
}

impl Means for Loopback {
    const NAME: &'static str = "loopback";

    async fn start<'a>(
        &'a self,
        side: &'a Side,
        role: &Role,
        bound: Duration,
    ) -> Result<Running<'a>, Trouble> {
        if !self.listens && matches!(role, Role::Listener { .. }) {
            return Err(Trouble::new(InconclusiveReason::NoNetcat, "has none".to_owned()));
        }
        let (stdin, their_stdin) = duplex(1024);
        let (stdout, their_stdout) = duplex(1024);
        let (stderr, their_stderr) = duplex(1024);
        let (role, names) = (role.clone(), Names::new(&format!("{} db\n", self.db), ""));
        tokio::spawn(async move {
            let streams = Streams { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr };
            play(&role, bound, streams, &names).await;
        });
        let sees = self.sees;
        let stderr = pieces(stderr).map(move |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            Output::Stderr(if sees { text } else { text.replace("tieline: peer ", "peer ") }.into_bytes())
        });
        let output = stream::select(pieces(stdout).map(Output::Stdout), stderr).map(Ok::<_, Error>);
        Ok(Running::ours(side, Process::new(Box::pin(stdin), Box::pin(output), Box::pin(async { Ok(None) }))))
    }
}

fn pieces(stream: DuplexStream) -> BoxStream<'static, Vec<u8>> {
    Box::pin(stream::unfold(stream, |mut stream| async {
        let mut bytes = vec![0; 1024];
        let length = stream.read(&mut bytes).await.unwrap_or(0);
        bytes.truncate(length);
        (length > 0).then_some((bytes, stream))
    }))
}

/// A port of the provider, and who listens on it.
async fn port(at: Option<IpAddr>) -> (u16, Option<TcpListener>) {
    let listener = TcpListener::bind((at.unwrap_or(HERE_4.into()), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, at.map(|_| listener))
}

/// The handshake with a provider that has IPv6 on another network.
async fn handshake(means: &Loopback, mode: Handshake, port: u16, change: fn(&mut PortRoute)) -> Attempt {
    let mut route = PortRoute {
        transport: Transport::Tcp,
        host: "db".into(),
        address: HERE_4,
        address6: None,
        others: vec![HERE_6.into()],
        port,
    };
    change(&mut route);
    let side = |name: &str| Side { id: ContainerId(name.into()), name: name.into(), address: None };
    let request = Request {
        consumer: side("web-1"),
        provider: side("db-1"),
        route: Route::Port(route.clone()),
        mode,
        payload: Payload::default(),
        timeout: Duration::from_secs(10),
    };
    let docker = Docker::new("unix:///nowhere", Arc::new(|_| ()));
    let deadline = Instant::now() + request.timeout;
    let making = Making { docker: &docker, means, request: &request, deadline, record: None };
    made(making.by_name_or_address(&route).await)
}

fn made(attempt: Result<Attempt, Trouble>) -> Attempt {
    attempt.unwrap_or_else(|Trouble { reason, message }| Attempt {
        verdict: Verdict::Inconclusive(reason),
        rtt: None,
        message,
        prober: Loopback::NAME,
    })
}

fn pass(listening: Option<bool>, detour: bool) -> Verdict {
    Verdict::Pass { listening, detour }
}

#[tokio::test]
async fn the_provider_s_own_ipv6_address_is_not_elsewhere() {
    let means = Loopback { db: HERE_6.into(), sees: true, listens: true };
    let (port, _listener) = port(Some(HERE_6.into())).await;
    for (mode, listening) in [(Handshake::Connect, Some(true)), (Handshake::Exchange, None)] {
        let attempt = handshake(&means, mode, port, |_| ()).await;
        assert_eq!(attempt.verdict, pass(listening, true), "{}", attempt.message);
        let here = |route: &mut PortRoute| route.address6 = Some(HERE_6);
        let attempt = handshake(&means, mode, port, here).await;
        assert_eq!(attempt.verdict, pass(listening, false), "on the link's network: {}", attempt.message);
        let attempt = handshake(&means, mode, port, |route| route.others.clear()).await;
        assert_eq!(attempt.verdict, Verdict::Fail(FailReason::NameLeadsElsewhere), "{}", attempt.message);
    }
}

#[tokio::test]
async fn a_provider_that_listens_on_ipv4_alone_listens_though_its_name_leads_to_ipv6_first() {
    let (port, _listener) = port(Some(HERE_4.into())).await;
    for sees in [true, false] {
        let means = Loopback { db: HERE_6.into(), sees, listens: true };
        for mode in [Handshake::Connect, Handshake::Auto] {
            let attempt = handshake(&means, mode, port, |_| ()).await;
            let Verdict::Pass { listening: Some(true), .. } = attempt.verdict else {
                panic!("{mode:?}, sees {sees}: {attempt:?}");
            };
        }
    }
    let means = Loopback { db: HERE_6.into(), sees: true, listens: true };
    let attempt = handshake(&means, Handshake::Auto, port, |_| ()).await;
    assert_eq!(attempt.verdict, pass(Some(true), true));
    let parts =
        ["connected to 127.0.0.1:", "db leads first to ::1, which is db-1 too: nothing listens on port"];
    assert!(parts.iter().all(|part| attempt.message.contains(part)), "{}", attempt.message);
}

#[tokio::test]
async fn a_provider_without_nc_that_listens_on_ipv4_alone_listens() {
    let means = Loopback { db: HERE_6.into(), sees: true, listens: false };
    let (taken, _listener) = port(Some(HERE_4.into())).await;
    let attempt = handshake(&means, Handshake::Auto, taken, |_| ()).await;
    assert_eq!(attempt.verdict, pass(Some(true), true), "{}", attempt.message);
    assert!(attempt.message.contains("db leads first to ::1"), "{}", attempt.message);
    let (free, _) = port(None).await;
    let attempt = handshake(&means, Handshake::Auto, free, |_| ()).await;
    assert_eq!(attempt.verdict, Verdict::Inconclusive(InconclusiveReason::NoNetcat), "{}", attempt.message);
}

#[tokio::test]
async fn where_nobody_listens_on_either_family_nobody_does() {
    let (port, _) = port(None).await;
    let means = Loopback { db: HERE_6.into(), sees: true, listens: true };
    let attempt = handshake(&means, Handshake::Auto, port, |_| ()).await;
    assert_eq!(attempt.verdict, pass(Some(false), true), "{}", attempt.message);
    let attempt = handshake(&means, Handshake::Connect, port, |_| ()).await;
    assert_eq!(attempt.verdict, Verdict::Fail(FailReason::Refused), "{}", attempt.message);
}
