//! The HTTP API: what a snapshot holds, as JSON, and the metrics. Reads only; changes nothing.

mod events;
mod page;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::snapshot::{Readiness, Snapshot};

/// Prometheus' text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone)]
struct Shared {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
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
/// If the listener breaks.
pub async fn serve(
    listener: TcpListener,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let shared = Shared { snapshots, metrics, shutdown: shutdown.clone() };
    let app = Router::new()
        .route("/", get(async |State(shared): State<Shared>| Html(page::render(&shared.snapshot()))))
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
        .with_state(shared);
    axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned()).await
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

async fn link(State(shared): State<Shared>, Path((consumer, name)): Path<(String, String)>) -> Response {
    let snapshot = shared.snapshot();
    match snapshot.links.iter().find(|link| link.consumer == consumer && link.name == name) {
        Some(link) => Json(link).into_response(),
        None => problem(StatusCode::NOT_FOUND, &format!("there is no link {consumer}/{name}")),
    }
}

fn problem(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
