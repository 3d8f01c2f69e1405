//! A stage for one scenario: a controller of its own, with its own instance name, label prefix and
//! subnet pool, and containers that are removed with it. Scenarios run side by side on one engine.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tieline::docker::DEFAULT_HOST;

use crate::call;
use crate::patience::{patience, timeout_of};
use crate::turns;

/// The image with a shell and the small busybox, made by tests/lab/images.
pub const IMAGE: &str = "tieline-lab/busybox:latest";
/// How long anything may take; more on a busy machine, see [`patience`].
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Stage {
    /// Begins every name on this stage.
    pub id: String,
    pub server: String,
    /// Whose networks are this stage's.
    pub instance: String,
    pool: String,
    extra: Vec<String>,
    /// The engine's address, unless it is the one that the `docker` command uses anyway.
    engine: Option<String>,
    controller: Option<Child>,
    log: PathBuf,
    /// Which of the tests' stages it is, and what keeps others from being it.
    number: (u8, File),
    /// Its containers are another stage's, which removes them.
    guest: bool,
}

impl Stage {
    /// A stage with a running controller.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// A stage whose controller has these further flags.
    pub fn with(flags: &[&str]) -> Self {
        let mut stage = Self::dark(flags);
        stage.start_controller();
        stage
    }

    /// A stage whose controller does not run yet.
    pub fn dark(flags: &[&str]) -> Self {
        require_engine();
        Self::at(None, flags)
    }

    /// A stage on another engine, whose controller does not run yet.
    pub fn on(engine: &str, flags: &[&str]) -> Self {
        Self::at(Some(engine.to_owned()), flags)
    }

    fn at(engine: Option<String>, flags: &[&str]) -> Self {
        let number = turns::number();
        let (n, pid) = (number.0, std::process::id());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let id = format!("tl{pid}x{n}");
        Self {
            instance: id.clone(),
            id,
            server: format!("http://127.0.0.1:{port}"),
            pool: format!("10.220.{n}.0/24"),
            extra: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            engine,
            controller: None,
            log: std::env::temp_dir().join(format!("tieline-test-{pid}-{n}.log")),
            number,
            guest: false,
        }
    }

    /// A second controller of the same instance, for the same containers. It does not run yet.
    pub fn rival(&self, flags: &[&str]) -> Self {
        let mut rival = self.neighbour(flags);
        rival.instance.clone_from(&self.instance);
        rival.pool.clone_from(&self.pool);
        rival
    }

    /// A controller of another instance, for the same containers. It does not run yet.
    pub fn neighbour(&self, flags: &[&str]) -> Self {
        let mut neighbour = Self::dark(flags);
        neighbour.id.clone_from(&self.id);
        neighbour.guest = true;
        neighbour
    }

    pub fn name(&self, short: &str) -> String {
        format!("{}-{short}", self.id)
    }

    /// The flags that every command on this stage's networks needs.
    fn engine_flags(&self) -> Vec<String> {
        ["--instance", &self.instance].map(str::to_owned).to_vec()
    }

    pub fn policy_flags(&self) -> Vec<String> {
        let prefix = self.prefix();
        ["--label-prefix", &prefix, "--subnet-pool", &self.pool].map(str::to_owned).to_vec()
    }

    pub fn prefix(&self) -> String {
        format!("{}.", self.id)
    }

    /// Gives the controller, before it starts, a pool of which no other stage takes any.
    pub fn set_pool(&mut self, pool: &str) {
        pool.clone_into(&mut self.pool);
    }

    /// Leaves the pool room for one network.
    pub fn shrink_pool(&mut self) {
        self.pool = self.pool.replace("/24", "/28");
    }

    /// Gives the pool room for 256 networks.
    pub fn widen_pool(&mut self) {
        let n = self.number.0;
        self.pool = format!("10.{}.{}.0/20", 236 + n / 16, n % 16 * 16);
    }

    /// The first three bytes of the pool's addresses.
    pub fn pool_base(&self) -> &str {
        self.pool.rsplit_once('.').unwrap().0
    }

    pub fn start_controller(&mut self) {
        let listen = self.server.trim_start_matches("http://").to_owned();
        let mut command = self.program();
        command.arg("run").args(self.engine_flags()).args(self.policy_flags());
        // In the way that needs no more than the engine's socket, whoever runs the tests and whatever may be
        // entered here. A flag says otherwise.
        command.env("TIELINE_PROBER", "exec");
        // As much more than the default as the machine is busy: the engine needs longer for everything then.
        let timeout = timeout_of(Duration::from_secs(3));
        command.env("TIELINE_TIMEOUT", format!("{}ms", timeout.as_millis()));
        command.args(["--listen", &listen, "--log-level", "debug"]).args(&self.extra);
        if !self.extra.iter().any(|flag| flag == "--gc-grace") {
            command.args(["--gc-grace", "1s"]);
        }
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.controller = Some(child);
        if !self.extra.iter().any(|flag| flag == "--host") {
            self.await_ready();
        }
    }

    pub fn await_ready(&self) {
        self.eventually("the controller is ready", || self.get("/readyz").0 == 200);
    }

    /// Stops the controller's process in mid-air, for what somebody does in a blink.
    pub fn hold_controller(&self) {
        ok(Command::new("kill").args(["-STOP", &self.controller_pid().to_string()]));
    }

    pub fn let_go_of_controller(&self) {
        ok(Command::new("kill").args(["-CONT", &self.controller_pid().to_string()]));
    }

    /// Pauses a container, and not in the instant in which a process begins in it: engine 20.10 could never unpause
    /// it any more. Anybody's `docker exec` does that to it, a handshake's too.
    pub fn pause(&self, short: &str) {
        self.hold_controller();
        let begin = || {
            let ids = self.inspect(short)["ExecIDs"].as_array().cloned().unwrap_or_default();
            ids.iter().any(|id| {
                let told = self.api("GET", &format!("/exec/{}/json", id.as_str().unwrap()), "");
                told["Running"] == true && told["Pid"] == 0
            })
        };
        let looks = || {
            (0..3).all(|_| {
                std::thread::sleep(Duration::from_millis(50));
                !begin()
            })
        };
        self.eventually("no process is about to begin", looks);
        self.docker(&["pause", &self.name(short)]);
        self.let_go_of_controller();
    }

    /// The exit code of a controller that was asked to end, or killed by a signal.
    pub fn await_end(&mut self) -> Option<i32> {
        self.controller.take().expect("a controller runs").wait().unwrap().code()
    }

    /// Whether the controller's process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.controller.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// Ends the controller as a power cut would.
    pub fn kill_controller(&mut self) {
        let mut child = self.controller.take().expect("a controller runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends the controller by SIGTERM and gives its exit code.
    pub fn stop_controller(&mut self) -> Option<i32> {
        ok(Command::new("kill").args(["-TERM", &self.controller_pid().to_string()]));
        self.await_end()
    }

    pub fn controller_pid(&self) -> u32 {
        self.controller.as_ref().expect("a controller runs").id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `docker run -d` of a container that sleeps, with labels that are written without the prefix.
    pub fn run(&self, short: &str, labels: &[(&str, &str)]) -> String {
        self.run_with(short, labels, &[], IMAGE, &["sleep", "100000"])
    }

    pub fn run_with(
        &self,
        short: &str,
        labels: &[(&str, &str)],
        flags: &[&str],
        image: &str,
        program: &[&str],
    ) -> String {
        self.make("run", &[&["-d"], flags].concat(), short, labels, image, program)
    }

    /// `docker create` of a container that sleeps.
    pub fn create(&self, short: &str, labels: &[(&str, &str)], program: &[&str]) -> String {
        self.make("create", &[], short, labels, IMAGE, program)
    }

    fn make(
        &self,
        verb: &str,
        flags: &[&str],
        short: &str,
        labels: &[(&str, &str)],
        image: &str,
        program: &[&str],
    ) -> String {
        let mut command = self.docker_command();
        command.arg(verb).args(flags).args(["--name", &self.name(short), "--label", &self.owner_label()]);
        command.args(["--stop-timeout", "0"]);
        for (key, value) in labels {
            command.args(["--label", &format!("{}{key}={value}", self.prefix())]);
        }
        ok(command.arg(image).args(program)).trim().to_owned()
    }

    /// The label by which containers of this stage are found again.
    pub fn owner_label(&self) -> String {
        format!("tieline-test={}", self.id)
    }

    pub fn docker(&self, args: &[&str]) -> String {
        ok(self.docker_command().args(args))
    }

    pub fn docker_command(&self) -> Command {
        self.towards_engine(Command::new("docker"))
    }

    /// Where its engine is.
    pub fn host(&self) -> String {
        let usual = || std::env::var("DOCKER_HOST").unwrap_or_else(|_| DEFAULT_HOST.to_owned());
        self.engine.clone().unwrap_or_else(usual)
    }

    fn program(&self) -> Command {
        self.towards_engine(tieline())
    }

    /// Makes a command use this stage's engine.
    pub fn towards_engine(&self, mut command: Command) -> Command {
        if let Some(engine) = &self.engine {
            command.env("DOCKER_HOST", engine);
        }
        command
    }

    /// Executes a shell line in a container of this stage.
    pub fn shell(&self, short: &str, line: &str) -> String {
        self.docker(&["exec", &self.name(short), "sh", "-c", line])
    }

    pub fn inspect(&self, short: &str) -> Value {
        let path = format!("/containers/{}/json", self.name(short));
        call::ask(&self.host(), &path).unwrap_or_else(|| panic!("there is no {short}"))
    }

    /// The containers with a label, inspected.
    pub fn containers(&self, label: &str) -> Vec<Value> {
        let host = self.host();
        let ids = call::list(&host, "/containers/json", label);
        ids.iter().filter_map(|id| call::ask(&host, &format!("/containers/{id}/json"))).collect()
    }

    /// The networks of this stage's instance.
    pub fn networks(&self) -> Vec<Value> {
        let host = self.host();
        let ids = call::list(&host, "/networks", &format!("tieline.managed-by={}", self.instance));
        // One may go between the two calls; the others are still told of.
        ids.iter().filter_map(|id| call::ask(&host, &format!("/networks/{id}"))).collect()
    }

    /// The link networks that a container is attached to.
    pub fn attachments(&self, short: &str) -> Vec<String> {
        self.attachments_of(&self.inspect(short))
    }

    /// The same of one that was inspected.
    pub fn attachments_of(&self, inspected: &Value) -> Vec<String> {
        let names = inspected["NetworkSettings"]["Networks"].as_object().unwrap().keys();
        names.filter(|name| is_link_network(&self.instance, name)).cloned().collect()
    }

    /// Calls the engine's API, for what the `docker` command would not do.
    pub fn api(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = call::call(&self.host(), method, path, body, PATIENCE).unwrap();
        serde_json::from_str(&answer.1).unwrap_or_default()
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        call::get(&self.server, path)
    }

    pub fn links(&self) -> Vec<Value> {
        let (code, body) = self.get("/api/v1/links");
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The link `CONSUMER/NAME`, with the consumer's short name.
    pub fn link(&self, consumer: &str, name: &str) -> Option<Value> {
        let consumer = self.name(consumer);
        self.links().into_iter().find(|link| link["consumer"] == consumer.as_str() && link["name"] == name)
    }

    /// Waits for a link to be in a state and gives it.
    pub fn await_state(&self, consumer: &str, name: &str, state: &str) -> Value {
        let end = Instant::now() + patience(PATIENCE);
        loop {
            let link = self.link(consumer, name);
            match link {
                Some(link) if link["state"] == state => return link,
                link if Instant::now() > end => {
                    panic!("{consumer}/{name} is not {state} but {link:#?}\n{}", self.log())
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// One metric's value, by its whole series as it is written.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics");
        let line =
            text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    pub fn eventually(&self, what: &str, fact: impl Fn() -> bool) {
        let end = Instant::now() + patience(PATIENCE);
        while !fact() {
            assert!(Instant::now() < end, "it never came that {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs a command of the program against this stage's engine or controller.
    pub fn tieline(&self, args: &[&str]) -> Output {
        let mut command = self.program();
        command.args(args);
        match args[0] {
            "plan" | "doctor" => command.args(self.engine_flags()).args(self.policy_flags()),
            "teardown" => command.args(self.engine_flags()),
            _ => command.args(["--server", &self.server]),
        };
        command.output().unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut child) = self.controller.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if !self.guest {
            let filter = format!("label={}", self.owner_label());
            let ids = stdout(self.docker_command().args(["ps", "-aq", "--filter", &filter]));
            let _ = turns::remove(|| self.docker_command(), ids.split_whitespace());
            let prune = ["network", "prune", "--force", "--filter", &filter];
            let _ = self.docker_command().args(prune).output();
        }
        let _ = self.program().arg("teardown").args(self.engine_flags()).output();
        if !std::thread::panicking() {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// The built program, in an environment without its variables.
pub fn tieline() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tieline"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIELINE_")) {
        command.env_remove(name);
    }
    command.env_remove("NO_COLOR");
    command
}

pub fn stdout(command: &mut Command) -> String {
    String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
}

/// Runs a command that must succeed and gives what it printed.
pub fn ok(command: &mut Command) -> String {
    let output = turns::output(command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Fails, and says what is missing, where there is no engine or no image.
fn require_engine() {
    let found = Command::new("docker").args(["image", "inspect", IMAGE]).output();
    let output = found.unwrap_or_else(|error| panic!("these tests need the docker command: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "these tests need a Docker engine with the image {IMAGE}, which tests/run makes: {error}"
    );
}

/// Whether a network has a name that the controller of `instance` gives, or gave in an earlier version.
pub fn is_link_network(instance: &str, name: &str) -> bool {
    name.strip_prefix("zzzz_").unwrap_or(name).starts_with(&format!("{instance}_"))
}
