//! Takes connections, and bounds what each of them and all together may cost: how long a request's
//! head may be and may take, how long a client may leave an answer unread, how many there are.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::patient::Patient;
use crate::metrics::{HttpRefusal, Metrics};

/// Connections at once. One more takes the place of the oldest that follows nothing.
const MAX_CONNECTIONS: usize = 128;
/// How long a request's head may be, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// How many headers a request may have.
const MAX_HEADERS: usize = 64;
/// How long a head may take from the connection's start, or from the answer before it: a client that
/// sends it drop by drop is cut off, and one that keeps its connection for later as well.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may read nothing of an answer.
const STALL: Duration = Duration::from_secs(5);
/// How long answers under way may take after a shutdown was asked for.
const FAREWELL: Duration = Duration::from_secs(2);
/// Delay before connections are taken again after none could be, for want of file descriptors, say.
const RETRY: Duration = Duration::from_millis(100);

/// Marks an answer that goes on for as long as the client likes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Follows;

/// Serves until `shutdown`.
pub(super) async fn serve(
    listener: TcpListener,
    app: Router,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let mut tasks = JoinSet::new();
    let mut open = Open { connections: VecDeque::new(), metrics: Arc::clone(&metrics) };
    loop {
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "cannot take a connection");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            },
        };
        let connection = open.add();
        let (app, metrics, shutdown) = (app.clone(), Arc::clone(&metrics), shutdown.clone());
        tasks.spawn(async move {
            let _place = connection.evicted.clone().drop_guard();
            tokio::select! {
                () = connection.evicted.cancelled() => {}
                () = converse(stream, app, &connection, metrics, shutdown) => {}
            }
        });
    }
    drop(listener);
    let all = async { while tasks.join_next().await.is_some() {} };
    // What is not done by then ends with its task.
    let _ = tokio::time::timeout(FAREWELL, all).await;
}

/// The requests of one connection, one after the other.
async fn converse(
    stream: TcpStream,
    app: Router,
    connection: &Connection,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let follows = Arc::clone(&connection.follows);
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |request: Request<Incoming>| {
        let (answer, follows) = (app.call(request), Arc::clone(&follows));
        async move {
            let response = answer.await?;
            // The answer to a HEAD has the mark too, and ends at once.
            let goes_on =
                response.extensions().get::<Follows>().is_some() && !response.body().is_end_stream();
            follows.store(goes_on, Ordering::Relaxed);
            Ok::<_, Infallible>(response)
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    server.max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
    let io = TokioIo::new(Patient::new(stream, STALL, metrics));
    let mut served = std::pin::pin!(server.serve_connection(io, service));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The connections that are open, the oldest first.
struct Open {
    connections: VecDeque<Connection>,
    metrics: Arc<Metrics>,
}

#[derive(Clone)]
struct Connection {
    /// Whether its client follows the events: it is there to stay, and counted elsewhere.
    follows: Arc<AtomicBool>,
    /// Cancelled when its place is needed, or when it has ended.
    evicted: CancellationToken,
}

impl Open {
    /// Makes room for one more, and notes it.
    fn add(&mut self) -> Connection {
        self.connections.retain(|connection| !connection.evicted.is_cancelled());
        let mut others = self.connections.iter().filter(|c| !c.follows.load(Ordering::Relaxed));
        if others.clone().count() >= MAX_CONNECTIONS
            && let Some(oldest) = others.next()
        {
            oldest.evicted.cancel();
            self.metrics.refuse(HttpRefusal::Connections);
        }
        let connection =
            Connection { follows: Arc::new(AtomicBool::new(false)), evicted: CancellationToken::new() };
        self.connections.push_back(connection.clone());
        connection
    }
}
