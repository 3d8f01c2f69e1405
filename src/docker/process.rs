//! A process somewhere else, of which we have the three standard streams.

use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until};

use super::Error;

/// How many bytes of each output stream of a process are handed on; the rest is read and dropped.
pub const MAX_OUTPUT_BYTES: usize = 32 * 1024;

/// How much of what is dropped is read at once; then there is a pause. The process waits meanwhile, where it would
/// otherwise keep the engine and us as busy as it wants.
const DROPPED_AT_ONCE: usize = 64 * 1024;
/// How long the pause is: what is dropped is read at some 3 MB a second.
const PAUSE: Duration = Duration::from_millis(20);

/// A piece of a process's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Of its stdout.
    Stdout(Vec<u8>),
    /// Of its stderr.
    Stderr(Vec<u8>),
}

/// Where a process's stdin is written to.
pub type Input = Pin<Box<dyn AsyncWrite + Send>>;
/// What a process says, as it comes.
pub type Outputs = BoxStream<'static, Result<Output, Error>>;

/// A process. Dropping it does not end the process, only closes its stdin: what runs has to end by itself.
pub struct Process {
    stdin: Option<Input>,
    output: Outputs,
    exit: Option<BoxFuture<'static, Result<Option<i64>, Error>>>,
    stdout_left: usize,
    stderr_left: usize,
    /// How many bytes were dropped since the last pause.
    dropped: usize,
    /// Until when nothing is read.
    pause: Option<Instant>,
}

impl Process {
    /// A process with these streams. `exit` waits for its end and says its exit code.
    pub fn new(stdin: Input, output: Outputs, exit: BoxFuture<'static, Result<Option<i64>, Error>>) -> Self {
        Self {
            stdin: Some(stdin),
            // A stream may panic when it is read beyond its end, as those made by `unfold` do.
            output: output.fuse().boxed(),
            exit: Some(exit),
            stdout_left: MAX_OUTPUT_BYTES,
            stderr_left: MAX_OUTPUT_BYTES,
            dropped: 0,
            pause: None,
        }
    }

    /// Writes to the process's stdin.
    ///
    /// # Errors
    /// If it takes no more.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        stdin.write_all(bytes).await.map_err(stream_broke)?;
        stdin.flush().await.map_err(stream_broke)
    }

    /// Closes the process's stdin; its output stays open.
    pub async fn close_stdin(&mut self) {
        if let Some(mut stdin) = self.stdin.take() {
            // A process that is gone has no stdin to close.
            let _ = stdin.shutdown().await;
        }
    }

    /// The next piece of output, `None` once there is no more. Nothing is lost when the returned
    /// future is dropped.
    pub async fn output(&mut self) -> Option<Result<Output, Error>> {
        loop {
            // A process that always has something to say must not keep whoever listens from anything else.
            consume_budget().await;
            if let Some(pause) = self.pause {
                sleep_until(pause).await;
                self.pause = None;
            }
            let (piece, length) = match self.output.next().await? {
                Ok(Output::Stderr(bytes)) => {
                    let length = bytes.len();
                    (Output::Stderr(cap(bytes, &mut self.stderr_left)), length)
                }
                Ok(Output::Stdout(bytes)) => {
                    let length = bytes.len();
                    (Output::Stdout(cap(bytes, &mut self.stdout_left)), length)
                }
                Err(error) => return Some(Err(error)),
            };
            let (Output::Stdout(kept) | Output::Stderr(kept)) = &piece;
            self.dropped += length - kept.len();
            if self.dropped > DROPPED_AT_ONCE {
                self.dropped = 0;
                self.pause = Some(Instant::now() + PAUSE);
            }
            match &piece {
                Output::Stdout(bytes) | Output::Stderr(bytes) if bytes.is_empty() => {}
                _ => return Some(Ok(piece)),
            }
        }
    }

    /// Takes no more of its output, whatever it has to say. A program of ours ends at that.
    pub fn abandon(&mut self) {
        self.stdin = None;
        self.output = Box::pin(futures_util::stream::empty());
    }

    /// Whether it said as much as is handed on, so that the rest is lost.
    pub fn overflowed(&self) -> bool {
        self.stdout_left == 0 || self.stderr_left == 0
    }

    /// The process's exit code; waits until it ended. It is told once.
    ///
    /// # Errors
    /// If whoever knows does not tell.
    pub async fn exit_code(&mut self) -> Result<Option<i64>, Error> {
        match self.exit.take() {
            Some(exit) => exit.await,
            None => Ok(None),
        }
    }
}

fn cap(mut bytes: Vec<u8>, left: &mut usize) -> Vec<u8> {
    bytes.truncate(*left);
    *left -= bytes.len();
    bytes
}

fn stream_broke(error: std::io::Error) -> Error {
    Error::Unavailable(format!("the stream to the process broke: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_read_at_a_bounded_rate_and_what_comes_beside_it_is_heard() {
        let flood = futures_util::stream::repeat_with(|| Ok(Output::Stdout(vec![b'y'; 16 * 1024])));
        let flood =
            flood.take(1024).chain(futures_util::stream::iter([Ok(Output::Stderr(b"mark".to_vec()))]));
        let input: Input = Box::pin(tokio::io::sink());
        let mut process = Process::new(input, flood.boxed(), Box::pin(async { Ok(None) }));
        let (start, mut heard) = (Instant::now(), Vec::new());
        while let Some(piece) = process.output().await {
            match piece.unwrap() {
                Output::Stdout(bytes) => heard.extend(bytes),
                Output::Stderr(bytes) => assert_eq!(bytes, b"mark"),
            }
        }
        assert_eq!(heard.len(), MAX_OUTPUT_BYTES);
        assert!(process.overflowed());
        // 16 MB in all.
        assert!(start.elapsed() > Duration::from_secs(3), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn output_that_ended_may_be_asked_for_again() {
        let once = futures_util::stream::unfold(true, |first| async move {
            first.then(|| (Ok(Output::Stdout(b"last".to_vec())), false))
        });
        let mut process =
            Process::new(Box::pin(tokio::io::sink()), once.boxed(), Box::pin(async { Ok(None) }));
        assert_eq!(process.output().await.unwrap().unwrap(), Output::Stdout(b"last".to_vec()));
        assert!(process.output().await.is_none());
        assert!(process.output().await.is_none());
    }

    #[test]
    fn output_beyond_the_limit_is_dropped() {
        let mut left = 5;
        assert_eq!(cap(b"abc".to_vec(), &mut left), b"abc");
        assert_eq!(cap(b"def".to_vec(), &mut left), b"de");
        assert_eq!(cap(b"ghi".to_vec(), &mut left), b"");
    }
}
