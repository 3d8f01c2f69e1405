//! An engine of one scenario's own: a dockerd in namespaces of its own, so that whatever it starts and
//! mounts ends with them, also when a test fails or is killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::engine::stage::{IMAGE, PATIENCE, ok};
use crate::patience::patience;

/// The first process of the namespaces, which reaps orphans. Mounts are
/// shared, as on a host with systemd.
const INIT: &str = "ip link set lo up && mount --make-rshared / && mount -t tmpfs none /run && echo ready && \
    while :; do sleep 1000 & wait; done";

/// What [`Engine::bound`] takes for a machine at rest.
const AT_REST: Duration = Duration::from_millis(150);

static NEXT: AtomicU16 = AtomicU16::new(0);

pub struct Engine {
    dir: tempfile::TempDir,
    cgroup: String,
    flags: Vec<String>,
    /// Its end is the end of the namespaces.
    keeper: Child,
    /// The first process of the namespaces, by its number outside of them.
    init: u32,
    daemon: Mutex<Option<Child>>,
}

impl Engine {
    /// An engine that answers, and has the image of the scenarios.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with these flags.
    pub fn with(flags: &[&str]) -> Self {
        let driver = ok(Command::new("docker").args(["info", "--format", "{{.Driver}}"]));
        let dir = tempfile::Builder::new().prefix("tieline-engine-").tempdir().unwrap();
        fs::write(dir.path().join("daemon.json"), format!(r#"{{"storage-driver":"{}"}}"#, driver.trim()))
            .unwrap();
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let keeper = keeper(dir.path());
        let init = first_child(&keeper, dir.path());
        let cgroup = format!("tieline-test-{}-{n}", std::process::id());
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let engine = Self { dir, cgroup, flags, keeper, init, daemon: Mutex::default() };
        engine.launch();
        engine.await_answer();
        engine.load(IMAGE);
        engine
    }

    /// Copies an image of the usual engine.
    pub fn load(&self, image: &str) {
        let load = format!("docker save {image} | docker -H {} load", self.host());
        ok(Command::new("sh").args(["-c", &load]));
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Starts the daemon, and does not wait for it.
    pub fn launch(&self) {
        let path = |name: &str| self.dir.path().join(name);
        let log = File::options().create(true).append(true).open(path("log")).unwrap();
        let child = self
            .inside()
            .args([
                "dockerd",
                "--log-level",
                "warn",
                "--exec-opt",
                "native.cgroupdriver=cgroupfs",
                "--host",
                &self.host(),
                // Inside, where every engine has it.
                "--host",
                "unix:///run/docker.sock",
            ])
            .args(&self.flags)
            .args(["--cgroup-parent", &format!("/{}", self.cgroup)])
            .arg("--config-file")
            .arg(path("daemon.json"))
            .arg("--data-root")
            .arg(path("data"))
            .arg("--pidfile")
            .arg(path("pid"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.daemon.lock().unwrap() = Some(child);
    }

    pub fn await_answer(&self) {
        let end = Instant::now() + patience(PATIENCE);
        while !Command::new("docker").args(["-H", &self.host(), "version"]).output().unwrap().status.success()
        {
            assert!(Instant::now() < end, "the private engine does not answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the daemon by a signal and waits for its end.
    pub fn end(&self, signal: &str) {
        self.signal(signal);
        let mut child = self.daemon.lock().unwrap().take().expect("a daemon runs");
        child.wait().unwrap();
    }

    pub fn signal(&self, signal: &str) {
        let pid = fs::read_to_string(self.dir.path().join("pid")).unwrap();
        ok(self.inside().args(["kill", "-s", signal, pid.trim()]));
    }

    /// A bound on a time, as the machine is now: as it is given where a network is made as quickly as
    /// on a machine at rest (90 ms with the `docker` command), and more where everything takes longer.
    pub fn bound(&self, at_rest: Duration) -> Duration {
        let start = Instant::now();
        let name = format!("bound-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        ok(Command::new("docker").args(["-H", &self.host(), "network", "create", "--internal", &name]));
        let took = start.elapsed();
        ok(Command::new("docker").args(["-H", &self.host(), "network", "rm", &name]));
        at_rest.mul_f64((took.as_secs_f64() / AT_REST.as_secs_f64()).max(1.0))
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        // Only errors, and of these not the one that every created network brings.
        let told = |line: &&str| line.contains("level=err") && !line.contains("plugin refcount");
        text.lines().filter(told).collect::<Vec<_>>().join("\n")
    }

    /// The mount points in the engine's namespace.
    pub fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", self.init)).unwrap();
        table.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
    }

    /// The group of the engine's socket.
    pub fn group(&self) -> u32 {
        std::os::unix::fs::MetadataExt::gid(&fs::metadata(self.socket()).unwrap())
    }

    /// A command in the engine's namespaces.
    pub fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--net", "--mount", "--pid"]);
        command
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        if let Some(mut daemon) = self.daemon.lock().unwrap().take() {
            // `nsenter` stops itself when what it runs is stopped.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        remove_cgroups(&self.cgroup);
        if std::thread::panicking() {
            eprintln!("the private engine said:\n{}", self.log());
        }
    }
}

/// Makes the namespaces.
fn keeper(dir: &Path) -> Child {
    Command::new("setpriv")
        // A killed test leaves nothing either.
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"])
        .args(["--mount-proc", "sh", "-c", INIT])
        .stdin(Stdio::null())
        .stdout(File::create(dir.join("init")).unwrap())
        .stderr(File::create(dir.join("init.err")).unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("a private engine needs setpriv, of util-linux: {error}"))
}

fn first_child(keeper: &Child, dir: &Path) -> u32 {
    let end = Instant::now() + patience(PATIENCE);
    while fs::read_to_string(dir.join("init")).unwrap().trim() != "ready" {
        let error = fs::read_to_string(dir.join("init.err")).unwrap();
        assert!(error.is_empty() && Instant::now() < end, "a private engine needs root: {error}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let children = format!("/proc/{0}/task/{0}/children", keeper.id());
    fs::read_to_string(children).unwrap().trim().parse().unwrap()
}

/// Processes that were killed leave their cgroups behind, and need a moment to be gone from them.
fn remove_cgroups(name: &str) {
    let roots =
        fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path().join(name));
    for root in roots.chain([Path::new("/sys/fs/cgroup").join(name)]) {
        let end = Instant::now() + Duration::from_secs(2);
        while root.exists() && Instant::now() < end {
            remove_folders(&root);
        }
    }
}

fn remove_folders(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_folders(&entry.path());
    }
    let _ = fs::remove_dir(folder);
}
