//! Containers and networks of a test, gone when it ends.

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tieline::docker::{DEFAULT_HOST, Docker};
use tieline::model::container::ContainerId;
use tieline::model::handshake::role::Transport;
use tieline::model::link::{Handshake, Payload};
use tieline::prober::exec::Exec;
use tieline::prober::namespace::Namespace;
use tieline::prober::{Attempt, By, PortRoute, Prober, Request, Route, Side};

use crate::patience::{patience, timeout_of};
use crate::turns;

/// Images with a shell and an `nc`, of every flavour.
pub const FLAVOURS: [&str; 7] =
    ["busybox", "busybox-full", "openbsd", "traditional", "ncat", "toybox", "minimal"];

/// Those of them whose `nc` can connect to a unix socket.
pub const ABLE: [&str; 4] = ["openbsd", "ncat", "toybox", "minimal"];

/// Longer than any handshake that passes on a slow machine.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// A network and the containers on it.
pub struct Lab {
    name: String,
    prober: By<Exec>,
    namespace: By<Namespace>,
}

impl Lab {
    pub fn new(name: &str) -> Self {
        let docker = docker();
        let prober = By::new(docker.clone(), Exec::new(docker.clone()));
        let namespace = By::new(docker.clone(), Namespace::new(docker));
        let lab = Self { name: format!("tieline-lab-{}-{name}", std::process::id()), prober, namespace };
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
        let format = format!("{{{{(index .NetworkSettings.Networks {:?}).IPAddress}}}}", self.name);
        let address = cli(&["inspect", "-f", &format, &id]);
        Side { id: ContainerId(id), name, address: address.parse().ok() }
    }

    /// The lab's name, with which those of all that is in it begin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes one handshake by the containers' own tools.
    pub async fn make(&self, request: &Request) -> Attempt {
        self.prober.handshake(request).await
    }

    /// Makes one handshake from inside the containers' namespaces.
    pub async fn make_inside(&self, request: &Request) -> Attempt {
        self.namespace.handshake(request).await
    }

    fn clear(&self) {
        let filter = format!("name=^{}-", self.name);
        let containers = cli(&["ps", "-aq", "-f", &filter]);
        assert!(
            turns::remove(|| Command::new("docker"), containers.lines()),
            "{}: its containers stay",
            self.name
        );
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

/// The engine that the `docker` command uses.
pub fn docker() -> Docker {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| DEFAULT_HOST.to_owned());
    Docker::new(&host, Arc::new(|_| ()))
}

/// The name of an image of the program that was built.
pub fn image_of_ours() -> String {
    static NAME: OnceLock<String> = OnceLock::new();
    let make = || {
        let _alone = turns::alone("image");
        let images = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/images");
        let made = Command::new(images).args(["tieline", env!("CARGO_BIN_EXE_tieline")]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    };
    NAME.get_or_init(make).clone()
}

/// A handshake from `consumer` to `provider` under its own name.
pub fn request(consumer: &Side, provider: &Side, port: u16, mode: Handshake) -> Request {
    Request {
        consumer: consumer.clone(),
        provider: provider.clone(),
        route: Route::Port(PortRoute {
            transport: Transport::Tcp,
            host: provider.name.clone(),
            address: provider.address.unwrap_or(Ipv4Addr::UNSPECIFIED),
            address6: None,
            others: vec![],
            port,
        }),
        mode,
        payload: Payload::default(),
        timeout: timeout_of(TIMEOUT),
    }
}

/// Makes the consumer look for the provider under another name, or at another address.
pub fn set_host(request: &mut Request, host: &str) {
    let Route::Port(route) = &mut request.route else { panic!("{request:?} has no host") };
    host.clone_into(&mut route.host);
    if let Ok(address) = host.parse() {
        route.address = address;
    }
}

/// Makes the handshake one of datagrams.
pub fn set_udp(request: &mut Request) {
    let Route::Port(route) = &mut request.route else { panic!("{request:?} has no port") };
    route.transport = Transport::Udp;
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
        let shown = if state == "Z" {
            // Of whom tells why: of the program that lives there, or of who still has to see to it.
            let parent = fs::read_to_string(format!("/proc/{parent}/comm")).unwrap_or_default();
            format!("zombie {name} of {}", parent.trim())
        } else {
            name.to_owned()
        };
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
        assert!(start.elapsed() < patience(Duration::from_secs(2)), "{}: {:?}", side.name, processes(side));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for something to become so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < patience(Duration::from_secs(10)), "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs `docker` and hands back what it printed.
pub fn cli(arguments: &[&str]) -> String {
    let output = turns::output(Command::new("docker").args(arguments)).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
