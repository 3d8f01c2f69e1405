//! Answers that are made from a snapshot. Each is rendered once for a snapshot, off the runtime's workers,
//! and all requests share its bytes.
//!
//! Sizes are up to label writers, and readers may be slow. Therefore one kind of answer is rendered by one
//! request at a time, older bytes that clients still read are limited, and the time to read an answer is.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::problem;
use crate::metrics::{HttpRefusal, Metrics};
use crate::snapshot::{LEFT_OUT, Snapshot};

/// Bytes of earlier answers of one kind that clients still read. Beyond them no new answer is rendered:
/// clients get the last one, until the others have read theirs or [`LONGEST`] is over.
const MAX_UNREAD_BYTES: usize = 64 << 20;
/// How long a client may take to read an answer.
const LONGEST: Duration = Duration::from_secs(60);
/// Bytes that are handed over to the connection at a time.
const PIECE: usize = 64 << 10;

/// The content of an answer.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The body.
    pub(super) body: Vec<u8>,
    /// Links that are left out of it.
    pub(super) left_out: usize,
}

/// Makes an answer, or says why there is none.
type Render = fn(&Snapshot) -> Result<Content, String>;

/// One kind of answer.
#[derive(Clone)]
pub(super) struct Answer {
    render: Render,
    rendered: Arc<Mutex<Rendered>>,
}

/// The answers of one kind that were rendered.
#[derive(Default)]
struct Rendered {
    /// The last answer, and the snapshot that it was made from.
    last: Option<(Weak<Snapshot>, Arc<Content>)>,
    /// Earlier ones.
    earlier: Vec<Weak<Content>>,
}

impl Answer {
    pub(super) fn new(render: Render) -> Self {
        Self { render, rendered: Arc::default() }
    }

    /// The answer of this snapshot. A second request waits for the first one's rendering.
    pub(super) async fn of(&self, snapshot: Arc<Snapshot>) -> Result<Arc<Content>, String> {
        let mut rendered = Arc::clone(&self.rendered).lock_owned().await;
        if let Some(content) = rendered.reusable(&snapshot) {
            return Ok(content);
        }
        let render = self.render;
        // The lock goes along: it is held until the end even if the client has left.
        let task = tokio::task::spawn_blocking(move || {
            let content = Arc::new(render(&snapshot)?);
            rendered.replace(&snapshot, &content);
            Ok(content)
        });
        task.await.map_err(|error| error.to_string())?
    }
}

impl Rendered {
    fn reusable(&mut self, snapshot: &Arc<Snapshot>) -> Option<Arc<Content>> {
        let (of, content) = self.last.as_ref()?;
        // A weak reference keeps the address from being used again.
        let is_same = of.as_ptr() == Arc::as_ptr(snapshot);
        self.earlier.retain(|earlier| earlier.strong_count() > 0);
        let unread: usize =
            self.earlier.iter().filter_map(Weak::upgrade).map(|content| content.body.len()).sum();
        (is_same || unread > MAX_UNREAD_BYTES).then(|| Arc::clone(content))
    }

    fn replace(&mut self, snapshot: &Arc<Snapshot>, content: &Arc<Content>) {
        if let Some((_, last)) = self.last.replace((Arc::downgrade(snapshot), Arc::clone(content))) {
            self.earlier.push(Arc::downgrade(&last));
        }
    }
}

/// A body that is shared, behind one that is not.
struct Shared(Arc<Content>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0.body
    }
}

/// An answer of this type: `head`, then what is shared.
pub(super) fn respond(
    content_type: &'static str,
    head: Vec<u8>,
    shared: Result<Arc<Content>, String>,
    metrics: &Arc<Metrics>,
) -> Response {
    let content = match shared {
        Ok(content) => content,
        Err(error) => return problem(StatusCode::INTERNAL_SERVER_ERROR, &error),
    };
    let (length, left_out) = (head.len() + content.body.len(), content.left_out);
    let parts = [Bytes::from(head), Bytes::from_owner(Shared(content))];
    let (until, metrics) = (Instant::now() + LONGEST, Arc::clone(metrics));
    let pieces = parts.into_iter().flat_map(pieces).map(move |piece| {
        if Instant::now() < until {
            return Ok(piece);
        }
        metrics.refuse(HttpRefusal::Stalled);
        Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly"))
    });
    let mut response = Body::from_stream(stream::iter(pieces)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if left_out > 0 {
        headers.insert(HeaderName::from_static(LEFT_OUT), HeaderValue::from(left_out));
    }
    response
}

fn pieces(bytes: Bytes) -> impl Iterator<Item = Bytes> {
    (0..bytes.len()).step_by(PIECE).map(move |at| bytes.slice(at..bytes.len().min(at + PIECE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::metrics::LabelValues;
    use http_body_util::BodyExt;

    fn large(_: &Snapshot) -> Result<Content, String> {
        Ok(Content { body: vec![b'x'; 1 + MAX_UNREAD_BYTES / 2], left_out: 0 })
    }

    #[tokio::test]
    async fn requests_for_one_snapshot_share_one_rendering() {
        static RENDERED: AtomicUsize = AtomicUsize::new(0);
        let answer = Answer::new(|_| {
            RENDERED.fetch_add(1, Ordering::Relaxed);
            Ok(Content::default())
        });
        let snapshot = Arc::<Snapshot>::default();
        let asked = (0..50).map(|_| answer.of(Arc::clone(&snapshot)));
        futures_util::future::join_all(asked).await;
        assert_eq!(RENDERED.load(Ordering::Relaxed), 1);
        drop(snapshot);
        answer.of(Arc::default()).await.unwrap();
        assert_eq!(RENDERED.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn answers_that_nobody_reads_to_the_end_stop_new_ones() {
        let answer = Answer::new(large);
        let mut unread = Vec::new();
        for _ in 0..20 {
            unread.push(answer.of(Arc::default()).await.unwrap());
        }
        let mut distinct: Vec<_> = unread.iter().map(Arc::as_ptr).collect();
        distinct.dedup();
        assert_eq!(distinct.len(), 3);
        unread.clear();
        answer.of(Arc::default()).await.unwrap();
        assert_eq!(answer.rendered.lock().await.earlier.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_for_too_long_is_cut_off() {
        let metrics = Arc::new(Metrics::new(&LabelValues::default()).unwrap());
        let content = Arc::new(Content { body: vec![b'x'; 3 * PIECE], left_out: 0 });
        let weak = Arc::downgrade(&content);
        let mut body = respond("text/plain", b"head".to_vec(), Ok(content), &metrics).into_body();
        for expected in [4, PIECE, PIECE] {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap().len(), expected);
            tokio::time::sleep(LONGEST / 3).await;
        }
        assert!(body.frame().await.unwrap().is_err());
        drop(body);
        assert_eq!(weak.strong_count(), 0, "the bytes are free again");
    }
}
