//! The program on Podman's API service: a private one, in namespaces of its own, so that no firewall of
//! a Docker Engine on the same machine stands in its way and nothing of it is left.

mod release;
mod scenario;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use release::Release;

use crate::engine::stage::{IMAGE, PATIENCE, is_link_network, ok, stdout, tieline};
use crate::patience::patience;

/// What Podman calls the lab's image.
pub const PODMAN_IMAGE: &str = "localhost/tieline-lab/busybox:latest";

/// Without default limits, which a sandbox may not set.
const CONFIG: &str = r#"
[containers]
default_ulimits = []
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
"#;

/// Netavark keeps the names of all networks below /run, whatever Podman's own folders are. The shell stays,
/// since somebody has to reap: a dead aardvark-dns that nobody reaps is taken for a living one.
/// A root file system, if given, is the lower layer of an overlay, so that nothing is written to it. The overlay
/// becomes the real root, since runc's own pivot_root fails in a chroot. The test's folder keeps its path in it.
const START: &str = r#"
set -e
ip link set lo up
if [ -n "$2" ]; then
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay -o "lowerdir=$2,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
    cd /mnt/root
    mkdir -p "./$1" old
    mount --bind "$1" "./$1"
    for folder in proc sys dev; do mount --rbind "/$folder" "$folder"; done
    pivot_root . old
    cd /
    umount -l /old
    mount -t tmpfs tmpfs /run
    mount --make-rshared /
fi
mkdir -p /run/containers
mount -t tmpfs tmpfs /run/containers
mkdir -p "$1/net"
podman --root "$1/root" --runroot "$1/run" --tmpdir "$1/tmp" --network-config-dir "$1/net" \
    --storage-driver vfs system service --time=0 "unix://$1/podman.sock" &
wait
"#;

pub struct Podman {
    release: Release,
    dir: tempfile::TempDir,
    service: Child,
    controller: Option<Child>,
    server: String,
}

impl Podman {
    /// A Podman that holds the lab's image, and a controller on it.
    pub fn start(release: Release) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("containers.conf");
        std::fs::write(&config, CONFIG).unwrap();
        let log = |name: &str| File::create(dir.path().join(name)).unwrap();
        let service = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", START, "sh"])
            .arg(dir.path())
            .arg(release.root())
            .env("CONTAINERS_CONF", &config)
            .env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
            .stdin(Stdio::null())
            .stdout(log("service.out"))
            .stderr(log("service.log"))
            .spawn()
            .unwrap_or_else(|error| panic!("this test needs unshare, of util-linux: {error}"));
        let mut podman = Self { release, dir, service, controller: None, server: String::new() };
        podman.eventually("Podman answers (is it installed?)", || podman.socket().exists());
        podman.load();
        podman.start_controller();
        podman
    }

    fn start_controller(&mut self) {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        self.server = format!("http://{listen}");
        let controller = tieline()
            .args(["run", "--host", &self.host(), "--listen", &listen])
            .args(["--gc-grace", "1s", "--log-level", "debug", "--subnet-pool", "10.213.0.0/24"])
            .stdin(Stdio::null())
            .stderr(File::create(self.dir.path().join("controller.log")).unwrap())
            .spawn();
        self.controller = Some(controller.unwrap());
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("podman.sock")
    }

    fn load(&self) {
        let mut save = Command::new("docker").args(["save", IMAGE]).stdout(Stdio::piped()).spawn().unwrap();
        let mut load = Command::new("docker");
        load.args(["-H", &self.host(), "load"]).stdin(save.stdout.take().unwrap());
        let loaded = ok(&mut load);
        // Which of its registries an image without one is from depends on how it was saved.
        let name = loaded.trim().strip_prefix("Loaded image: ").unwrap_or_else(|| panic!("{loaded}"));
        self.docker(&["tag", name, PODMAN_IMAGE]);
        assert!(save.wait().unwrap().success());
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The docker command on this Podman.
    pub fn docker(&self, args: &[&str]) -> String {
        ok(Command::new("docker").args(["-H", &self.host()]).args(args))
    }

    pub fn run(&self, name: &str, flags: &[&str], program: &[&str]) {
        self.docker(&[&["run", "-d", "--name", name], flags, &[PODMAN_IMAGE], program].concat());
    }

    /// The link networks that a container is on.
    pub fn attachments(&self, name: &str) -> Vec<String> {
        let text = self.docker(&["inspect", "-f", "{{json .NetworkSettings.Networks}}", name]);
        let networks: Value = serde_json::from_str(&text).unwrap();
        let names = networks.as_object().unwrap().keys();
        names.filter(|name| is_link_network("tieline", name)).cloned().collect()
    }

    pub fn networks(&self) -> Vec<String> {
        let filter = ["network", "ls", "-q", "--filter", "label=tieline.managed-by=tieline"];
        self.docker(&filter).lines().map(str::to_owned).collect()
    }

    pub fn link(&self, consumer: &str) -> Value {
        let text = stdout(Command::new("curl").args(["-s", &format!("{}/api/v1/links", self.server)]));
        let links: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
        links.into_iter().find(|link| link["consumer"] == consumer).unwrap_or_default()
    }

    pub fn await_state(&self, consumer: &str, state: &str) {
        self.eventually(&format!("{consumer}'s link is {state}"), || self.link(consumer)["state"] == state);
    }

    /// Waits until the link is wired and proven again. Where names get lost, its state may say so instead.
    pub fn await_proof(&self, consumer: &str) {
        self.eventually(&format!("{consumer}'s link is proven again"), || {
            let link = self.link(consumer);
            let conditions = &link["conditions"];
            let reason = conditions[3]["reason"].as_str().unwrap_or_default();
            let name_lost = !self.release.keeps_names()
                && link["state"] == "Unreachable"
                && ["NameNotResolved", "ByAddressOnly"].contains(&reason);
            conditions[2]["status"] == "True" && (link["state"] == "Ready" || name_lost)
        });
    }

    pub fn metric(&self, series: &str) -> f64 {
        let text = stdout(Command::new("curl").args(["-s", &format!("{}/metrics", self.server)]));
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("there is no {series}"))
    }

    pub fn is_ready(&self) -> bool {
        let answer = Command::new("curl").args(["-sf", &format!("{}/readyz", self.server)]).output();
        answer.unwrap().status.success()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("controller.log")).unwrap_or_default()
    }

    pub fn stop_controller(&mut self) {
        let mut controller = self.controller.take().unwrap();
        controller.kill().unwrap();
        controller.wait().unwrap();
    }

    pub fn eventually(&self, what: &str, fact: impl Fn() -> bool) {
        let end = Instant::now() + patience(PATIENCE);
        while !fact() {
            let service = std::fs::read_to_string(self.dir.path().join("service.log")).unwrap_or_default();
            assert!(Instant::now() < end, "it never came that {what}\n{}\n{service}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // With the first process of its namespace all the others end, containers included.
        for child in self.controller.iter_mut().chain([&mut self.service]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
