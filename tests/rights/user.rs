//! As a user who is nobody but in the socket's group, without one capability.

use std::fs::{Permissions, copy, set_permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use crate::engine::stage::{PATIENCE, Stage, tieline};
use crate::proxy::Proxy;

/// No such user or group has to exist.
const USER: u32 = 47_111;
const GROUP: u32 = 47_112;

/// A socket that only its group may use, and a copy of the program that everybody may run.
struct Place {
    proxy: Proxy,
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let proxy = Proxy::start(None);
        let socket = proxy.socket();
        let open = |path: &Path| set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        open(socket.parent().unwrap());
        chown(&socket, Some(0), Some(GROUP)).unwrap_or_else(|error| panic!("this test needs root: {error}"));
        set_permissions(&socket, Permissions::from_mode(0o660)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        open(dir.path());
        let place = Self { proxy, dir };
        copy(env!("CARGO_BIN_EXE_tieline"), place.program()).unwrap();
        open(&place.program());
        place
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("tieline")
    }

    /// The program as a user who is in these further groups, told of the socket.
    fn tieline(&self, groups: &str, args: &[&str]) -> Command {
        let user = USER.to_string();
        let mut command = Command::new("setpriv");
        command.envs(tieline().get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.args(["--reuid", &user, "--regid", &user, "--no-new-privs", "--bounding-set=-all"]);
        match groups {
            "" => command.arg("--clear-groups"),
            groups => command.args(["--groups", groups]),
        };
        command.arg(self.program()).args(args).args(["--host", &self.proxy.host()]);
        command
    }

    fn run(&self, stage: &Stage, groups: &str) -> Running {
        let listen = stage.server.trim_start_matches("http://");
        let mut command = self.tieline(groups, &["run", "--instance", &stage.id, "--listen", listen]);
        command.args(stage.policy_flags()).args(["--gc-grace", "1s"]);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        Running(child.unwrap_or_else(|error| panic!("this test needs setpriv, of util-linux: {error}")))
    }
}

struct Running(Child);

impl Running {
    /// A line of what the kernel says of the process.
    fn status(&self, key: &str) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_whole_job_as_a_user_with_the_socket_s_group_and_nothing_else() {
    let place = Place::new();
    let stage = Stage::dark(&[]);
    let group = GROUP.to_string();
    let mut running = place.run(&stage, &group);
    stage.eventually("it is ready", || stage.get("/readyz").0 == 200);
    let user = USER.to_string();
    assert_eq!(running.status("Uid"), [user.as_str(); 4].join(" "));
    assert_eq!(running.status("Groups"), group);
    assert_eq!(running.status("CapEff").trim_start_matches('0'), "");
    stage.run("app1", &[]);
    let target = format!("{}:80", stage.name("app1"));
    stage.run("app2", &[("link.x", &target), ("link.x.handshake", "exchange")]);
    stage.await_state("app2", "x", "Ready");
    assert!(stage.metric("process_open_fds").is_some_and(|files| files > 0.0));
    stage.docker(&["kill", &stage.name("app1")]);
    stage.await_state("app2", "x", "Pending");
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    let torn = place.tieline(&group, &["teardown", "--instance", &stage.id]).output().unwrap();
    assert_eq!(torn.status.code(), Some(0), "{}", err(&torn));
    assert!(stage.networks().is_empty());
}

#[test]
fn a_user_without_the_group_is_told_which_one_is_missing() {
    let place = Place::new();
    let stage = Stage::dark(&[]);
    let advice = format!("--group-add {GROUP}");
    for command in ["plan", "teardown"] {
        let refused = place.tieline("", &[command]).output().unwrap();
        assert_eq!(refused.status.code(), Some(3), "{}", err(&refused));
        let told = err(&refused);
        assert!(told.contains("permission denied") && told.contains(&advice), "{told}");
    }
    // The controller waits, as it does for an engine that is away: rights may come with a new socket.
    let _running = place.run(&stage, "");
    stage.eventually("it says why it is not ready", || {
        let (code, why) = stage.get("/readyz");
        code == 503 && why.contains("permission denied") && why.contains(&advice)
    });
    set_permissions(place.proxy.socket(), Permissions::from_mode(0o666)).unwrap();
    let granted = Instant::now();
    stage.eventually("it is ready", || stage.get("/readyz").0 == 200);
    assert!(granted.elapsed() < PATIENCE);
}
