//! `deploy/compose.yml` on a host with shared mounts, as every host with systemd is.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use super::engine::Engine;
use crate::engine::stage::{IMAGE, PATIENCE, ok, stdout};
use crate::handshake::lab::image_of_ours;

/// The deployment's project, on an engine of its own.
struct Deployment<'a> {
    engine: &'a Engine,
}

impl<'a> Deployment<'a> {
    fn up(engine: &'a Engine) -> Self {
        let image = image_of_ours();
        engine.load(&image);
        let deployment = Self { engine };
        deployment.docker(&["tag", &image, "tieline:latest"]);
        deployment.compose(&["up", "-d"]);
        deployment.await_links();
        deployment
    }

    fn docker_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("-H").arg(self.engine.host()).args(args);
        command
    }

    fn docker(&self, args: &[&str]) -> String {
        ok(&mut self.docker_command(args)).trim().to_owned()
    }

    fn compose(&self, args: &[&str]) {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/compose.yml");
        let mut command = Command::new("docker-compose");
        command.env("DOCKER_HOST", self.engine.host()).env("DOCKER_GID", self.engine.group().to_string());
        command.env_remove("DOCKER_SOCK").args(["-p", "tieline", "-f", file]);
        ok(command.args(args));
    }

    fn run(&self, name: &str, flags: &[&str], program: &[&str]) {
        let run = ["run", "-d", "--restart", "always", "--stop-timeout", "0", "--name", name];
        self.docker(&[&run, flags, &[IMAGE], program].concat());
    }

    /// Waits until the controller answers, and every link is Ready.
    fn await_links(&self) {
        let status = ["exec", "tieline", "tieline", "status", "--wait", "--timeout", "60s"];
        let end = Instant::now() + PATIENCE;
        while !self.docker_command(&status).output().unwrap().status.success() {
            assert!(
                Instant::now() < end,
                "the links are not Ready: {}\n{}",
                stdout(&mut self.docker_command(&status[..4])),
                stdout(&mut self.docker_command(&["logs", "tieline"])),
            );
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// Mount points of the host below /run that are not those of the controller's own container.
    fn mounts_of_others(&self) -> BTreeSet<String> {
        let mounts = self.engine.mounts().into_iter().filter(|point| point.starts_with("/run/"));
        // A container in the host's network uses this one, which the engine makes with the first of them.
        mounts.filter(|point| point != "/run/docker/netns/default").collect()
    }

    fn connects(&self, name: &str) {
        let network = format!("net-{name}");
        self.docker(&["network", "create", &network]);
        self.docker(&["network", "connect", &network, name]);
        let address = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
        let address = self.docker(&["inspect", "-f", &address, name]);
        let interfaces = self.docker(&["exec", name, "ip", "address"]);
        assert!(interfaces.contains(&format!("inet {address}/")), "{name} lacks {address}: {interfaces}");
    }
}

#[test]
fn the_controller_s_end_unmounts_nothing_on_the_host() {
    let engine = Engine::start();
    let deployment = Deployment::up(&engine);
    for name in ["app1", "app2", "app3"] {
        deployment.run(name, &[], &["sleep", "100000"]);
    }
    let before = deployment.mounts_of_others();
    let namespaces = before.iter().filter(|point| point.starts_with("/run/docker/netns/")).count();
    assert_eq!(namespaces, 3, "{before:?}");
    for (action, name) in [
        (&["restart", "tieline"][..], "app1"),
        (&["stop", "tieline"], "app2"),
        (&["rm", "-f", "tieline"], "app3"),
    ] {
        deployment.docker(action);
        assert_eq!(deployment.mounts_of_others(), before, "after {action:?}");
        deployment.connects(name);
    }
}

#[test]
fn an_engine_that_replaces_its_socket_gets_the_controller_back() {
    let engine = Engine::with(&["--live-restore"]);
    let deployment = Deployment::up(&engine);
    deployment.run("app1", &[], &["httpd", "-f", "-p", "80"]);
    deployment.run("app2", &["--label", "tieline.link=app1:80"], &["sleep", "100000"]);
    deployment.await_links();
    let started = |name: &str| deployment.docker(&["inspect", "-f", "{{.State.StartedAt}}", name]);
    for signal in ["TERM", "KILL"] {
        let (controller, app) = (started("tieline"), started("app2"));
        engine.end(signal);
        engine.launch();
        engine.await_answer();
        let back = Instant::now();
        deployment.await_links();
        println!("after SIG{signal}: all links known and Ready after {:?}", back.elapsed());
        assert_eq!(started("app2"), app, "containers live on");
        assert_ne!(started("tieline"), controller, "only a new start mounts the new socket");
    }
}
