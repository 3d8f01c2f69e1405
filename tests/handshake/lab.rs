//! Containers and networks of a test, gone when it ends.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use tieline::docker::{DEFAULT_HOST, Docker};
use tieline::model::container::{ContainerId, ImageId};
use tieline::model::link::Handshake;
use tieline::prober::exec::ExecProber;
use tieline::prober::{Attempt, Prober, Request, Side};

/// Images with a shell and an `nc`, of every flavour.
pub const FLAVOURS: [&str; 7] =
    ["busybox", "busybox-full", "openbsd", "traditional", "ncat", "toybox", "minimal"];

/// Longer than any handshake that passes on a slow machine.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// A network and the containers on it.
pub struct Lab {
    name: String,
    prober: ExecProber,
}

impl Lab {
    pub fn new(name: &str) -> Self {
        static IMAGES: Once = Once::new();
        IMAGES.call_once(|| {
            let made =
                Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/images")).status().unwrap();
            assert!(made.success(), "the lab's images cannot be made; tests/run installs what they need");
        });
        let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| DEFAULT_HOST.to_owned());
        let prober = ExecProber::new(Docker::new(&host, Arc::new(|_| ())));
        let lab = Self { name: format!("tieline-lab-{}-{name}", std::process::id()), prober };
        lab.clear();
        cli(&["network", "create", "--internal", &lab.name]);
        lab
    }

    /// A container of a lab image that sleeps, on the lab's network.
    pub fn run(&self, name: &str, image: &str) -> Side {
        self.run_with(name, image, &[])
    }

    /// The same with more options of `docker run`.
    pub fn run_with(&self, name: &str, image: &str, options: &[&str]) -> Side {
        let name = format!("{}-{name}", self.name);
        let image = format!("tieline-lab/{image}");
        let run = ["run", "-d", "--network", &self.name, "--name", &name];
        let id = cli(&[&run, options, &[&image, "sleep", "100000"]].concat());
        let image = cli(&["inspect", "-f", "{{.Image}}", &id]);
        Side { id: ContainerId(id), name, image: ImageId(image) }
    }

    /// Makes one handshake.
    pub async fn make(&self, request: &Request) -> Attempt {
        self.prober.handshake(request).await
    }

    fn clear(&self) {
        let filter = format!("name=^{}-", self.name);
        let containers = cli(&["ps", "-aq", "-f", &filter]);
        if !containers.is_empty() {
            cli(&[vec!["rm", "-f"], containers.lines().collect()].concat());
        }
        let filter = format!("name=^{}$", self.name);
        for id in cli(&["network", "ls", "-q", "-f", &filter]).lines() {
            cli(&["network", "rm", id]);
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A handshake from `consumer` to `provider` under its own name.
pub fn request(consumer: &Side, provider: &Side, port: u16, mode: Handshake) -> Request {
    Request {
        consumer: consumer.clone(),
        provider: provider.clone(),
        host: provider.name.clone(),
        port,
        mode,
        timeout: TIMEOUT,
    }
}

/// Starts a command in a container and leaves it running.
pub fn spawn(side: &Side, script: &str) {
    cli(&["exec", "-d", side.id.as_str(), "sh", "-c", script]);
}

/// What a command in a container prints.
pub fn output(side: &Side, script: &str) -> String {
    cli(&["exec", side.id.as_str(), "sh", "-c", script])
}

/// Waits until something listens on `port` in a container. Looks from outside: not every image has
/// what it takes to look.
pub fn wait_for_listener(side: &Side, port: u16) {
    let init = cli(&["inspect", "-f", "{{.State.Pid}}", side.id.as_str()]);
    let listening = format!(":{port:04X} ");
    let table = |name: &str| fs::read_to_string(format!("/proc/{init}/net/{name}")).unwrap_or_default();
    eventually("a listener", || {
        (table("tcp") + &table("tcp6")).lines().any(|row| row.contains(&listening) && row.contains(" 0A "))
    });
}

/// Every process of a container as its state and name: its program, what was executed in it, and
/// the zombies of both, which the engine's own list leaves out.
pub fn processes(side: &Side) -> Vec<String> {
    let init = cli(&["inspect", "-f", "{{.State.Pid}}", side.id.as_str()]);
    let mut children: HashMap<String, Vec<(String, String)>> = HashMap::new();
    let mut shim = String::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let (head, tail) = stat.rsplit_once(") ").unwrap();
        let (pid, name) = head.split_once(" (").unwrap();
        let mut fields = tail.split(' ');
        let (state, parent) = (fields.next().unwrap(), fields.next().unwrap().to_owned());
        if pid == init {
            shim.clone_from(&parent);
        }
        let shown = if state == "Z" { format!("zombie {name}") } else { name.to_owned() };
        children.entry(parent).or_default().push((pid.to_owned(), shown));
    }
    let (mut todo, mut found) = (vec![shim], Vec::new());
    while let Some(pid) = todo.pop() {
        for (child, shown) in children.remove(&pid).unwrap_or_default() {
            todo.push(child);
            found.push(shown);
        }
    }
    found.sort();
    found
}

/// Fails unless a container soon has only its own program left.
pub fn assert_clean(side: &Side) {
    let start = Instant::now();
    while processes(side) != ["sleep"] {
        assert!(start.elapsed() < Duration::from_secs(2), "{}: {:?}", side.name, processes(side));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for something to become so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs `docker` and hands back what it printed.
pub fn cli(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
