//! The history of transitions: as a list, or followed as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;

use super::server::Follows;
use super::{Shared, problem};
use crate::metrics::HttpRefusal;
use crate::snapshot::{Numbered, Snapshot};

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
    shared.answer(&shared.answers.events, super::JSON).await
}

/// The history so far, then every transition as it comes, until the controller ends. The place is held
/// for as long.
fn follow(shared: Shared, place: OwnedSemaphorePermit) -> impl Stream<Item = Result<Event, Infallible>> {
    let shutdown = shared.shutdown.clone();
    let steps = stream::unfold((shared, None), async |(mut shared, last)| {
        loop {
            let snapshot = Arc::clone(&shared.snapshots.borrow_and_update());
            let news = after(&snapshot, last);
            if let Some(newest) = news.last() {
                let last = Some(newest.number);
                return Some((stream::iter(news), (shared, last)));
            }
            shared.snapshots.changed().await.ok()?;
        }
    });
    steps
        .flatten()
        .map(move |event| {
            let _held = &place;
            Ok(Event::default().event("transition").json_data(&event).unwrap_or_default())
        })
        .take_until(shutdown.cancelled_owned())
}

/// The transitions that came after the one with this number, or all. Older ones may have gone meanwhile,
/// the one with this number too.
fn after(snapshot: &Snapshot, last: Option<u64>) -> Vec<Numbered> {
    let is_new = |event: &&Numbered| last.is_none_or(|last| event.number > last);
    snapshot.events.iter().filter(is_new).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::snapshot::Transition;

    fn snapshot(numbers: impl IntoIterator<Item = u64>) -> Snapshot {
        let transition = Arc::new(Transition {
            time: SystemTime::UNIX_EPOCH,
            consumer: "web".into(),
            name: "db".into(),
            from: String::new(),
            to: String::new(),
            reason: String::new(),
            message: String::new(),
        });
        let event = |number| Numbered { number, transition: Arc::clone(&transition) };
        Snapshot { events: Arc::new(numbers.into_iter().map(event).collect()), ..Snapshot::default() }
    }

    #[test]
    fn a_follower_whose_last_event_was_pushed_out_gets_only_newer_ones() {
        let numbers = |snapshot: &Snapshot, last| -> Vec<u64> {
            after(snapshot, last).iter().map(|event| event.number).collect()
        };
        // Transitions that are alike are told apart too.
        let now = snapshot([3, 4, 6, 8, 9]);
        assert_eq!(numbers(&now, None), [3, 4, 6, 8, 9]);
        assert_eq!(numbers(&now, Some(7)), [8, 9]);
        assert_eq!(numbers(&now, Some(8)), [9]);
        assert!(numbers(&now, Some(9)).is_empty());
    }
}
