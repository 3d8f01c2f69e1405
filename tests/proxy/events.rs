//! The event stream, line by line, so that single events can be lost, held back or spoilt.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc};

use super::pipe::read_head;

/// Something that happens to an open stream once.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// It ends as a stream should.
    End,
    /// The connection is closed between two events.
    Cut,
    /// The connection is closed in the middle of an event.
    CutInFrame,
    /// A line that is no event.
    Garbage,
}

/// What becomes of each event.
#[derive(Clone, Copy, Debug, Default)]
pub enum Flow {
    #[default]
    Pass,
    /// None comes any more, and the connection stays open: all that a half-open connection shows.
    Freeze,
    /// Every n-th is lost.
    Drop(usize),
    /// Each comes twice.
    Duplicate,
    /// Each pair comes in the wrong order.
    Swap,
    Delay(Duration),
}

pub struct Streams {
    changes: broadcast::Sender<Change>,
    flow: Mutex<Flow>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { changes: broadcast::channel(16).0, flow: Mutex::default() }
    }
}

impl Streams {
    pub fn change(&self, change: Change) {
        // Where no stream is open, there is nothing to change.
        let _ = self.changes.send(change);
    }

    pub fn flow(&self, flow: Flow) {
        *self.flow.lock().unwrap() = flow;
    }

    fn now(&self) -> Flow {
        *self.flow.lock().unwrap()
    }
}

/// Passes an event stream on, whose request was sent already.
pub async fn pass_on(mut client: UnixStream, mut engine: UnixStream, streams: &Streams) -> io::Result<()> {
    let mut changes = streams.changes.subscribe();
    let Some(head) = read_head(&mut engine).await? else { return Ok(()) };
    client.write_all(&head.bytes[..head.end]).await?;
    let (mut gone, mut client) = client.into_split();
    let body = io::Cursor::new(head.bytes[head.end..].to_vec());
    let mut lines = lines(BufReader::new(body.chain(engine)));
    let mut held = None::<Vec<u8>>;
    let mut count = 0;
    let mut hung_up = [0];
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else { return client.write_all(b"0\r\n\r\n").await };
                count += 1;
                match streams.now() {
                    Flow::Pass => send(&mut client, &line).await?,
                    Flow::Freeze => {}
                    Flow::Drop(n) if count % n == 0 => {}
                    Flow::Drop(_) => send(&mut client, &line).await?,
                    Flow::Duplicate => {
                        send(&mut client, &line).await?;
                        send(&mut client, &line).await?;
                    }
                    Flow::Swap => match held.take() {
                        None => held = Some(line),
                        Some(earlier) => {
                            send(&mut client, &line).await?;
                            send(&mut client, &earlier).await?;
                        }
                    },
                    Flow::Delay(delay) => {
                        tokio::time::sleep(delay).await;
                        send(&mut client, &line).await?;
                    }
                }
            }
            Ok(change) = changes.recv() => match change {
                Change::End => return client.write_all(b"0\r\n\r\n").await,
                Change::Cut => return Ok(()),
                Change::CutInFrame => return client.write_all(b"40\r\n{\"Type\":\"container\",\"Act").await,
                Change::Garbage => send(&mut client, b"{\"Type\":: no event\n").await?,
            },
            _ = gone.read(&mut hung_up) => return Ok(()),
        }
    }
}

async fn send(client: &mut (impl AsyncWriteExt + Unpin), line: &[u8]) -> io::Result<()> {
    client.write_all(format!("{:x}\r\n", line.len()).as_bytes()).await?;
    client.write_all(line).await?;
    client.write_all(b"\r\n").await
}

/// The lines of a body that comes in chunks, each with its end. Read by a task of its own, since a
/// chunk must not be left half read.
fn lines(mut chunks: impl AsyncBufReadExt + Unpin + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, lines) = mpsc::channel(1024);
    tokio::spawn(async move {
        let mut pending = Vec::new();
        while let Ok(Some(chunk)) = next_chunk(&mut chunks).await {
            pending.extend(chunk);
            while let Some(at) = pending.iter().position(|byte| *byte == b'\n') {
                if sender.send(pending.drain(..=at).collect()).await.is_err() {
                    return;
                }
            }
        }
    });
    lines
}

/// The next chunk; `None` after the last.
async fn next_chunk(chunks: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut size = String::new();
    chunks.read_line(&mut size).await?;
    let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
    let mut chunk = vec![0; size + 2];
    chunks.read_exact(&mut chunk).await?;
    chunk.truncate(size);
    Ok((size > 0).then_some(chunk))
}
