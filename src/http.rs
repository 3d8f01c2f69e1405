//! The HTTP API: what a snapshot holds, as JSON, and the metrics. Reads only; changes nothing.
//!
//! It trusts no client: `server` bounds what connections cost, `guard` what requests may ask.

mod events;
mod guard;
mod page;
mod patient;
mod server;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use guard::Audience;

use crate::metrics::Metrics;
use crate::snapshot::{Readiness, Snapshot};

/// Prometheus' text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Clients that may follow the events at once; others are told to come again.
const MAX_FOLLOWERS: usize = 32;

#[derive(Clone)]
struct Shared {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    followers: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl Shared {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }
}

/// Serves until `shutdown`.
///
/// # Errors
/// If the listener has no address.
pub async fn serve(
    listener: TcpListener,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let audience = Audience::of(listener.local_addr()?);
    let shared = Shared {
        snapshots,
        metrics: Arc::clone(&metrics),
        followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
        shutdown: shutdown.clone(),
    };
    let app = Router::new()
        .route("/", get(async |State(shared): State<Shared>| Html(page::render(&shared.snapshot()))))
        .route("/style.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE)))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .route(
            "/api/v1/links",
            get(async |State(shared): State<Shared>| Json(shared.snapshot().links.clone())),
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
    match &shared.snapshot().ready {
        Readiness::Ready => "ok\n".into_response(),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics_text(State(shared): State<Shared>) -> Response {
    match shared.metrics.render(&shared.snapshot()) {
        Ok(text) => ([(header::CONTENT_TYPE, EXPOSITION)], text).into_response(),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
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
