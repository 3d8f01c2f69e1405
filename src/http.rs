//! The HTTP API: what a snapshot holds, as JSON, and the metrics. Reads only; changes nothing.
//!
//! It trusts no client: `server` bounds what connections cost, `guard` what requests may ask.

mod answer;
mod events;
mod guard;
mod lists;
mod page;
mod patient;
mod server;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;

use answer::{Answer, Content, respond};
use guard::Audience;

use crate::metrics::{self, Metrics};
use crate::snapshot::{Readiness, Snapshot};

/// Prometheus' text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How long the controller may take for one turn before it counts as standing still. With thousands of links one
/// takes less than a second.
const STANDS_STILL: Duration = Duration::from_secs(30);
/// Threads that serve.
const THREADS: usize = 2;
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
/// Clients that may follow the events at once; others are told to come again.
const MAX_FOLLOWERS: usize = 32;

/// The answers that depend on the snapshot alone.
#[derive(Clone)]
struct Answers {
    page: Answer,
    links: Answer,
    events: Answer,
    /// The series of single links.
    series: Answer,
}

#[derive(Clone)]
struct Shared {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    answers: Answers,
    followers: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl Shared {
    /// Not ready where the controller has begun no turn for long: what it tells is old, and nothing is wired.
    fn stands_still(&self) -> Readiness {
        let age = self.metrics.controller_turn_age_seconds.seconds();
        if age < STANDS_STILL.as_secs_f64() {
            return Readiness::Ready;
        }
        Readiness::NotReady(format!("the controller has stood still for {age:.0} s"))
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// An answer of one kind, of the present snapshot.
    async fn answer(&self, answer: &Answer, content_type: &'static str) -> Response {
        respond(content_type, Vec::new(), answer.of(self.snapshot()).await, &self.metrics)
    }
}

/// Serves until `shutdown`, on threads of its own: whatever keeps all others busy, `/healthz` is answered.
///
/// # Errors
/// If the threads cannot be had, or the listener has no address.
pub async fn serve(
    listener: TcpListener,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let listener = listener.into_std()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("tieline-http")
        .enable_all()
        .build()?;
    let (done, served) = oneshot::channel();
    let serving = move || {
        let serving = async {
            // Waited for by the threads that serve.
            serve_here(TcpListener::from_std(listener)?, snapshots, metrics, shutdown).await
        };
        // The receiver is gone only while the process ends.
        let _ = done.send(runtime.block_on(serving));
    };
    thread::Builder::new().name("tieline-http".to_owned()).spawn(serving)?;
    served.await.map_err(io::Error::other)?
}

async fn serve_here(
    listener: TcpListener,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let audience = Audience::of(listener.local_addr()?);
    let shared = Shared {
        snapshots,
        metrics: Arc::clone(&metrics),
        answers: Answers {
            page: Answer::new(page::render),
            links: Answer::new(lists::links),
            events: Answer::new(lists::events),
            series: Answer::new(series),
        },
        followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
        shutdown: shutdown.clone(),
    };
    let app = Router::new()
        .route("/", get(async |State(shared): State<Shared>| shared.answer(&shared.answers.page, HTML).await))
        .route("/style.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE)))
        .route("/healthz", get(async |State(shared): State<Shared>| readiness(shared.stands_still())))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .route(
            "/api/v1/links",
            get(async |State(shared): State<Shared>| shared.answer(&shared.answers.links, JSON).await),
        )
        .route("/api/v1/links/{consumer}/{name}", get(link))
        .route("/api/v1/events", get(events::events))
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .layer(middleware::from_fn_with_state(audience, guard::guard))
        .with_state(shared);
    server::serve(listener, app, metrics, shutdown).await;
    Ok(())
}

async fn readyz(State(shared): State<Shared>) -> Response {
    match shared.stands_still() {
        Readiness::Ready => readiness(shared.snapshot().ready.clone()),
        not_ready => readiness(not_ready),
    }
}

fn readiness(ready: Readiness) -> Response {
    match ready {
        Readiness::Ready => "ok\n".into_response(),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics_text(State(shared): State<Shared>) -> Response {
    let snapshot = shared.snapshot();
    match shared.metrics.render(&snapshot) {
        Ok(sums) => respond(EXPOSITION, sums, shared.answers.series.of(snapshot).await, &shared.metrics),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn series(snapshot: &Snapshot) -> Result<Content, String> {
    let body = metrics::render_links(snapshot).map_err(|error| error.to_string())?;
    Ok(Content { body, left_out: 0 })
}

async fn link(State(shared): State<Shared>, path: Result<Path<(String, String)>, PathRejection>) -> Response {
    let (consumer, name) = match path {
        Ok(Path(names)) => names,
        Err(rejection) => return problem(rejection.status(), &rejection.body_text()),
    };
    let snapshot = shared.snapshot();
    match snapshot.links.iter().find(|link| link.consumer == consumer && link.name == name) {
        Some(link) => Json(link).into_response(),
        None => problem(StatusCode::NOT_FOUND, &format!("there is no link {consumer}/{name}")),
    }
}

fn problem(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::runtime::Runtime;
    use tokio::time::Instant;

    use super::*;
    use crate::metrics::LabelValues;

    /// A server whose controller began its last turn so long ago, and the only worker of all others.
    fn stand(age: Duration) -> (SocketAddr, Runtime) {
        let metrics = Arc::new(Metrics::new(&LabelValues::default()).unwrap());
        metrics.controller_turn_age_seconds.set(Instant::now().checked_sub(age));
        let snapshot = Arc::new(Snapshot { ready: Readiness::Ready, ..Snapshot::default() });
        let workers = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = workers.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (snapshots, receiver) = watch::channel(snapshot);
        workers.spawn(async move {
            let _snapshots = snapshots;
            serve(listener, receiver, metrics, CancellationToken::new()).await
        });
        (address, workers)
    }

    fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_controller_that_stands_still_is_not_healthy() {
        for path in ["/healthz", "/readyz"] {
            let (works, _workers) = stand(Duration::from_secs(20));
            let answer = ask(works, path);
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"), "{path}: {answer}");
            let (stands, _workers) = stand(Duration::from_secs(31));
            let answer = ask(stands, path);
            assert!(answer.starts_with("HTTP/1.1 503 "), "{path}: {answer}");
            assert!(answer.contains("the controller has stood still for 3"), "{path}: {answer}");
        }
    }

    #[test]
    fn it_answers_while_nothing_else_does() {
        let (address, workers) = stand(Duration::ZERO);
        ask(address, "/healthz");
        let (busy, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_busy, is_over) = (Arc::clone(&busy), Arc::clone(&over));
        workers.spawn(async move {
            is_busy.store(true, Ordering::SeqCst);
            while !is_over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        while !busy.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(ask(address, "/metrics").starts_with("HTTP/1.1 200 "));
        over.store(true, Ordering::SeqCst);
    }
}
