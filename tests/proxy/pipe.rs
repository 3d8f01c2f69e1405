//! One connection: the request's head is read and judged, the rest is passed on.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::UnixStream;

use super::{Fate, Request, Shared, events};

const LARGEST_HEAD: usize = 64 << 10;

pub async fn serve(client: UnixStream, shared: Arc<Shared>) {
    // Either side may hang up at any time, and a fault is that it does.
    let _ = try_serve(client, shared).await;
}

async fn try_serve(mut client: UnixStream, shared: Arc<Shared>) -> io::Result<()> {
    let Some(head) = read_head(&mut client).await? else { return Ok(()) };
    let request = Request::read(&head.text);
    let mut then = None;
    match shared.judge(&request) {
        Fate::Pass => {}
        Fate::Delay(delay) => tokio::time::sleep(delay).await,
        Fate::Answer(status, message) => return answer(&mut client, status, message).await,
        Fate::Drop => return Ok(()),
        Fate::Hang => std::future::pending().await,
        Fate::LoseReply => {
            let mut engine = shared.upstream().await?;
            engine.write_all(&head.bytes).await?;
            return lose_reply(&mut client, &mut engine).await;
        }
        Fate::Then(run) => then = Some(run),
    }
    let mut engine = shared.upstream().await?;
    engine.write_all(&head.bytes).await?;
    // A list of past events is a call like any other.
    if request.path == "/events" && !head.text.contains("until=") {
        return events::pass_on(client, engine, &shared.streams).await;
    }
    if let Some(run) = then {
        let reply = reply(&mut client, &mut engine).await?;
        tokio::task::spawn_blocking(run).await?;
        client.write_all(&reply).await?;
    }
    copy_bidirectional(&mut client, &mut engine).await.map(drop)
}

pub struct Head {
    pub text: String,
    /// The head, and what came with it.
    pub bytes: Vec<u8>,
    /// Where the body begins.
    pub end: usize,
}

/// Reads until the empty line that ends a head; `None` where the other side hangs up before.
pub async fn read_head(from: &mut UnixStream) -> io::Result<Option<Head>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..at]).into_owned();
            return Ok(Some(Head { text, bytes, end: at + 4 }));
        }
        if bytes.len() > LARGEST_HEAD || from.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// Passes the request's body on until the engine answers, and gives what it answered so far: by then
/// it has done what it was asked for.
async fn reply(client: &mut UnixStream, engine: &mut UnixStream) -> io::Result<Vec<u8>> {
    let (mut body, mut reply) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            _ = engine.read_buf(&mut reply) => return Ok(reply),
            count = client.read_buf(&mut body) => {
                if count? == 0 {
                    engine.shutdown().await?;
                    engine.read_buf(&mut reply).await?;
                    return Ok(reply);
                }
                engine.write_all(&body).await?;
                body.clear();
            }
        }
    }
}

async fn lose_reply(client: &mut UnixStream, engine: &mut UnixStream) -> io::Result<()> {
    reply(client, engine).await.map(drop)
}

async fn answer(client: &mut UnixStream, status: u16, message: &str) -> io::Result<()> {
    let body = serde_json::json!({ "message": message }).to_string();
    let head = format!(
        "HTTP/1.1 {status} Because\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).await?;
    client.write_all(body.as_bytes()).await?;
    // What is left unread of the request would make the kernel reset the connection.
    let mut rest = Vec::new();
    client.shutdown().await?;
    client.read_to_end(&mut rest).await.map(drop)
}

impl Request {
    fn read(head: &str) -> Self {
        let mut words = head.lines().next().unwrap_or_default().split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let versioned = path.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|at| &rest[at..]));
        Self { method, path: versioned.unwrap_or(path).to_owned() }
    }
}
