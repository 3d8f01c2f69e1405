//! A connection that waits for its client, but not for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::metrics::{HttpRefusal, Metrics};

/// A stream whose writes fail when the other side takes nothing for a while.
pub(super) struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Until when it waits, while it waits.
    until: Option<Pin<Box<Sleep>>>,
    metrics: Arc<Metrics>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Patient<S> {
    pub(super) fn new(stream: S, patience: Duration, metrics: Arc<Metrics>) -> Self {
        Self { stream, patience, until: None, metrics }
    }

    /// What the stream said, or that it said nothing for too long.
    fn bound<T>(&mut self, cx: &mut Context<'_>, said: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if said.is_ready() {
            self.until = None;
            return said;
        }
        let patience = self.patience;
        let sleep = || Box::pin(tokio::time::sleep_until(Instant::now() + patience));
        let over = self.until.get_or_insert_with(sleep).as_mut().poll(cx).is_ready();
        if !over {
            return Poll::Pending;
        }
        self.metrics.refuse(HttpRefusal::Stalled);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bound(cx, said)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bound(cx, said)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::LabelValues;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const PATIENCE: Duration = Duration::from_secs(5);

    fn metrics() -> Arc<Metrics> {
        Arc::new(Metrics::new(&LabelValues::default()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (here, _there) = tokio::io::duplex(8);
        let mut stream = Patient::new(here, PATIENCE, metrics());
        let start = Instant::now();
        let error = stream.write_all(b"more than eight bytes").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((PATIENCE..PATIENCE * 2).contains(&start.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_slow_is_waited_for() {
        let (here, mut there) = tokio::io::duplex(8);
        let mut stream = Patient::new(here, PATIENCE, metrics());
        let writing = tokio::spawn(async move { stream.write_all(&[0; 64]).await });
        let mut taken = [0; 8];
        for _ in 0..8 {
            tokio::time::sleep(PATIENCE - Duration::from_millis(10)).await;
            there.read_exact(&mut taken).await.unwrap();
        }
        writing.await.unwrap().unwrap();
    }
}
