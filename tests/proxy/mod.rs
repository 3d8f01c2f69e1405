//! A proxy in front of the engine's socket, for what a real engine does only by accident: calls that
//! fail, hang or lose their reply, event streams that freeze, break or stutter.
//!
//! One connection carries one request, since that is how the program connects; what follows the head
//! is passed on byte by byte, so that an upgraded exec works.

mod events;
mod pipe;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;

use events::Streams;
pub use events::{Change, Flow};

/// What a request asks for, without its query and the API's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
}

impl Request {
    /// Whether it changes what the engine holds. An exec does not.
    pub fn changes(&self) -> bool {
        matches!(self.method.as_str(), "POST" | "DELETE") && !self.path.contains("/exec")
    }
}

/// What is done with one request.
pub enum Fate {
    Pass,
    /// It reaches the engine late.
    Delay(Duration),
    /// It never reaches the engine, which answers this instead.
    Answer(u16, &'static str),
    /// It never reaches the engine, and the connection is closed.
    Drop,
    /// It never reaches the engine, and the connection stays open.
    Hang,
    /// The engine does it, and the connection is closed without the reply.
    LoseReply,
    /// The engine does it, and then this is run before the reply is passed on.
    Then(Box<dyn FnOnce() + Send>),
}

type Judge = Box<dyn FnMut(&Request) -> Fate + Send>;

pub struct Proxy {
    shared: Arc<Shared>,
    dir: tempfile::TempDir,
    listener: Mutex<Option<tokio::task::JoinHandle<()>>>,
    runtime: Option<Runtime>,
}

struct Shared {
    upstream: PathBuf,
    judge: Mutex<Judge>,
    requests: Mutex<Vec<Request>>,
    streams: Streams,
}

impl Proxy {
    /// A proxy in front of the engine that the `docker` command uses, or of the one at `upstream`.
    pub fn start(upstream: Option<&Path>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Shared {
            upstream: upstream.map_or_else(engine_socket, Path::to_path_buf),
            judge: Mutex::new(Box::new(|_| Fate::Pass)),
            requests: Mutex::default(),
            streams: Streams::default(),
        };
        let proxy = Self {
            shared: Arc::new(shared),
            dir: tempfile::tempdir().unwrap(),
            listener: Mutex::default(),
            runtime: Some(runtime),
        };
        proxy.open();
        proxy
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Takes connections, at a new socket file under the same name.
    pub fn open(&self) {
        let _ = std::fs::remove_file(self.socket());
        let runtime = self.runtime.as_ref().unwrap();
        let _inside = runtime.enter();
        let listener = UnixListener::bind(self.socket()).unwrap();
        let shared = Arc::clone(&self.shared);
        *self.listener.lock().unwrap() = Some(runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pipe::serve(client, Arc::clone(&shared)));
            }
        }));
    }

    /// Takes no connections any more, removes the socket file and ends the event streams.
    pub fn close(&self) {
        if let Some(listener) = self.listener.lock().unwrap().take() {
            listener.abort();
        }
        let _ = std::fs::remove_file(self.socket());
        self.events(Change::End);
    }

    /// From now on, requests are judged by this. (The event stream's request too.)
    pub fn judge(&self, judge: impl FnMut(&Request) -> Fate + Send + 'static) {
        *self.shared.judge.lock().unwrap() = Box::new(judge);
    }

    /// From now on, all requests pass.
    pub fn be_honest(&self) {
        self.judge(|_| Fate::Pass);
    }

    /// Does something to the event streams that are open now.
    pub fn events(&self, change: Change) {
        self.shared.streams.change(change);
    }

    /// How events flow from now on, in streams that are open and those to come.
    pub fn flow(&self, flow: Flow) {
        self.shared.streams.flow(flow);
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // A runtime that is dropped waits for its tasks, and some hang on purpose.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn judge(&self, request: &Request) -> Fate {
        self.requests.lock().unwrap().push(request.clone());
        (self.judge.lock().unwrap())(request)
    }

    async fn upstream(&self) -> std::io::Result<UnixStream> {
        UnixStream::connect(&self.upstream).await
    }
}

fn engine_socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let path = host
        .strip_prefix("unix://")
        .unwrap_or_else(|| panic!("these tests need an engine at a unix socket, not at {host}"));
    PathBuf::from(path)
}
