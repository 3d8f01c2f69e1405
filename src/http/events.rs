//! The history of transitions: as a list, or followed as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;

use super::server::Follows;
use super::{Shared, problem};
use crate::metrics::HttpRefusal;
use crate::snapshot::{Snapshot, Transition};

/// After how many seconds one that found no place may come again.
const RETRY_AFTER: &str = "30";

pub(super) async fn events(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/event-stream") {
        let Ok(place) = Arc::clone(&shared.followers).try_acquire_owned() else {
            shared.metrics.refuse(HttpRefusal::Followers);
            let refusal = problem(StatusCode::SERVICE_UNAVAILABLE, "too many follow the events already");
            return ([(header::RETRY_AFTER, RETRY_AFTER)], refusal).into_response();
        };
        let mut response = Sse::new(follow(shared, place)).keep_alive(KeepAlive::default()).into_response();
        response.extensions_mut().insert(Follows);
        return response;
    }
    Json(shared.snapshot().events.iter().cloned().collect::<Vec<_>>()).into_response()
}

/// The history so far, then every transition as it comes, until the controller ends. The place is held
/// for as long.
fn follow(shared: Shared, place: OwnedSemaphorePermit) -> impl Stream<Item = Result<Event, Infallible>> {
    let shutdown = shared.shutdown.clone();
    let steps = stream::unfold((shared, None::<Transition>), async |(mut shared, last)| {
        loop {
            let snapshot = Arc::clone(&shared.snapshots.borrow_and_update());
            let news = after(&snapshot, last.as_ref());
            if let Some(newest) = news.last().cloned() {
                return Some((stream::iter(news), (shared, Some(newest))));
            }
            shared.snapshots.changed().await.ok()?;
        }
    });
    steps
        .flatten()
        .map(move |transition| {
            let _held = &place;
            Ok(Event::default().event("transition").json_data(&transition).unwrap_or_default())
        })
        .take_until(shutdown.cancelled_owned())
}

/// The transitions that came after `last`, or all.
fn after(snapshot: &Snapshot, last: Option<&Transition>) -> Vec<Transition> {
    let seen = last.and_then(|last| snapshot.events.iter().rposition(|event| event == last));
    snapshot.events.iter().skip(seen.map_or(0, |at| at + 1)).cloned().collect()
}
