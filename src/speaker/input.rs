//! What a side is told on its stdin, kept until there is somebody to say it to.

use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of its stdin a side keeps; it reads on when that is said.
pub const MAX_INPUT_BYTES: usize = 64 * 1024;

/// The stdin of a side. Nothing is lost when a future of it is dropped.
pub struct Input<I> {
    stdin: I,
    kept: Vec<u8>,
    ended: bool,
}

impl<I: AsyncRead + Unpin> Input<I> {
    /// One of which nothing was read yet.
    pub fn new(stdin: I) -> Self {
        Self { stdin, kept: Vec::new(), ended: false }
    }

    /// The next line, without its end; `None` where there is none.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(length) = self.kept.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.kept.drain(..=length).collect();
                return Some(String::from_utf8_lossy(&line[..length]).into_owned());
            }
            if self.is_full() || !self.read().await {
                return None;
            }
        }
    }

    /// The next piece, `None` at the end.
    pub async fn piece(&mut self) -> Option<Vec<u8>> {
        if self.kept.is_empty() && !self.read().await {
            return None;
        }
        Some(std::mem::take(&mut self.kept))
    }

    /// Waits until no more is to come, and keeps what comes before that.
    pub async fn end(&mut self) {
        loop {
            if self.is_full() {
                std::future::pending::<()>().await;
            }
            if !self.read().await {
                return;
            }
        }
    }

    fn is_full(&self) -> bool {
        self.kept.len() >= MAX_INPUT_BYTES
    }

    /// Takes in more, if more is to come.
    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let length = if self.ended { 0 } else { self.stdin.read(&mut bytes).await.unwrap_or(0) };
        self.kept.extend_from_slice(&bytes[..length]);
        self.ended = length == 0;
        !self.ended
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn what_comes_after_the_first_line_is_said_later() {
        let mut input = Input::new(&b"80\ntoken\n"[..]);
        assert_eq!(input.line().await.as_deref(), Some("80"));
        input.end().await;
        assert_eq!(input.piece().await.as_deref(), Some(&b"token\n"[..]));
        assert_eq!(input.piece().await, None);
    }

    #[tokio::test]
    async fn a_flood_is_left_in_the_pipe_until_there_is_room() {
        let (mut theirs, ours) = tokio::io::duplex(64);
        let mut input = Input::new(ours);
        let flood = tokio::spawn(async move {
            theirs.write_all(&vec![b'x'; 2 * MAX_INPUT_BYTES]).await.unwrap();
        });
        let full = tokio::time::timeout(std::time::Duration::from_millis(200), input.end()).await;
        assert!(full.is_err(), "it never ends while it is full");
        let kept = input.piece().await.unwrap().len();
        assert!((MAX_INPUT_BYTES..MAX_INPUT_BYTES + 4096).contains(&kept), "{kept}");
        let mut rest = 0;
        while let Some(piece) = input.piece().await {
            rest += piece.len();
        }
        assert_eq!(kept + rest, 2 * MAX_INPUT_BYTES);
        flood.await.unwrap();
    }
}
