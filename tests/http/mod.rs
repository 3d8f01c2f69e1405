//! The HTTP API among clients that mean no good: it changes nothing, breaks at nothing, and serves the
//! others meanwhile.

mod hostile;
mod limits;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::engine::stage::{PATIENCE, tieline};
use crate::patience::patience;

/// How long an answer may take on a busy machine.
const SOON: Duration = Duration::from_secs(3);

/// A controller without an engine, which has its API none the less.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    pub fn start() -> Self {
        Self::with_host("unix:///nonexistent/docker.sock")
    }

    pub fn with_host(host: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut command = tieline();
        command.args(["run", "--host", host, "--listen", &address, "--log-level", "error"]);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, address };
        let end = Instant::now() + patience(PATIENCE);
        while TcpStream::connect(&server.address).is_err() {
            assert!(Instant::now() < end, "the controller does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(patience(PATIENCE))).unwrap();
        stream.set_write_timeout(Some(patience(PATIENCE))).unwrap();
        stream
    }

    /// What comes back for these bytes, until the server closes; empty when it just closes.
    pub fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // It may close before it has read everything, which is its right.
        let _ = stream.write_all(request);
        read_all(stream)
    }

    /// The answer to a request with these further headers.
    pub fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let host = if headers.to_lowercase().contains("host:") { "" } else { "Host: localhost\r\n" };
        let text = self
            .raw(format!("{method} {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n").as_bytes());
        Answer { status: status(&text), text }
    }

    /// Whether an ordinary client is served, at once.
    pub fn serves(&self) {
        let start = Instant::now();
        let answer = self.ask("GET", "/healthz", &[]);
        assert!(answer.status == 200 && answer.text.ends_with("ok\n"), "{}", answer.text);
        assert!(start.elapsed() < patience(SOON), "an ordinary client waited for {:?}", start.elapsed());
    }

    pub fn refusals(&self, reason: &str) -> u64 {
        let series = format!("tieline_http_refusals_total{{reason=\"{reason}\"}} ");
        let metrics = self.ask("GET", "/metrics", &[]).text;
        metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap();
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }

    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

/// The status line's code, 0 where there is no answer.
pub fn status(text: &str) -> u16 {
    text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
}

/// Reads until the server closes, in whichever way.
pub fn read_all(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => bytes.extend(&piece[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("it neither answers nor closes: {error}"),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
