//! `deploy/compose.yml` on a host with shared mounts, as every host with systemd is.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::engine::Engine;
use crate::engine::stage::{IMAGE, PATIENCE, ok, stdout};
use crate::handshake::lab::image_of_ours;
use crate::patience::patience;

/// The deployment's project, on an engine of its own.
struct Deployment<'a> {
    engine: &'a Engine,
    /// Mount points that the engine's namespace was made with, those of other scenarios' containers among them.
    inherited: Vec<String>,
}

impl<'a> Deployment<'a> {
    fn up(engine: &'a Engine) -> Self {
        let image = image_of_ours();
        engine.load(&image);
        let deployment = Self { engine, inherited: engine.mounts() };
        deployment.docker(&["tag", &image, "tieline:latest"]);
        deployment.compose(&[], &["up", "-d"]);
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

    /// Compose with deploy/compose.yml and these files besides it.
    fn compose(&self, files: &[&str], args: &[&str]) {
        let mut command = Command::new("docker-compose");
        command.env("DOCKER_HOST", self.engine.host()).env("DOCKER_GID", self.engine.group().to_string());
        command.env_remove("DOCKER_SOCK").args(["-p", "tieline"]);
        for file in [&["compose.yml"], files].concat() {
            command.arg("-f").arg(format!("{}/deploy/{file}", env!("CARGO_MANIFEST_DIR")));
        }
        ok(command.args(args));
    }

    fn run(&self, name: &str, flags: &[&str], program: &[&str]) {
        let run = ["run", "-d", "--restart", "always", "--stop-timeout", "0", "--name", name];
        self.docker(&[&run, flags, &[IMAGE], program].concat());
    }

    /// Waits until the controller answers, and every link is Ready.
    fn await_links(&self) {
        let status = ["exec", "tieline", "tieline", "status", "--wait", "--timeout", "60s"];
        let end = Instant::now() + patience(PATIENCE);
        while !self.docker_command(&status).output().unwrap().status.success() {
            assert!(
                Instant::now() < end,
                "the links are not Ready: {}\n{}\n{:?}",
                stdout(&mut self.docker_command(&status[..4])),
                self.docker(&["inspect", "-f", "{{.RestartCount}} {{json .State}}", "tieline"]),
                self.docker_command(&["logs", "--tail", "30", "tieline"]).output(),
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn link(&self, consumer: &str) -> Value {
        let links = stdout(&mut self.docker_command(&["exec", "tieline", "tieline", "status", "-o", "json"]));
        let links: Value = serde_json::from_str(&links).unwrap_or_default();
        let links = links.as_array().cloned().unwrap_or_default();
        links.into_iter().find(|link| link["consumer"] == consumer).unwrap_or_default()
    }

    /// Waits until the condition `Wired` of a consumer's link is `status` for this reason, and gives the link.
    fn await_wired(&self, consumer: &str, status: &str, reason: &str) -> Value {
        let end = Instant::now() + patience(PATIENCE);
        loop {
            let link = self.link(consumer);
            let wired =
                link["conditions"].as_array().and_then(|all| all.iter().find(|c| c["type"] == "Wired"));
            if wired.is_some_and(|wired| wired["status"] == status && wired["reason"] == reason) {
                return link;
            }
            assert!(
                Instant::now() < end,
                "{consumer} is not {status}, {reason}: {link:#?}\n{}",
                stdout(&mut self.docker_command(&["logs", "tieline"]))
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Unmounts the file by which the engine holds a container's network namespace.
    fn unmount_namespace(&self, name: &str) {
        let file = self.docker(&["inspect", "-f", "{{.NetworkSettings.SandboxKey}}", name]);
        ok(self.engine.inside().args(["umount", "-l", &file]));
    }

    /// Mount points of the host below /run that are not those of the controller's own container.
    fn mounts_of_others(&self) -> BTreeSet<String> {
        let mounts = self.engine.mounts().into_iter();
        let mounts = mounts.filter(|point| point.starts_with("/run/") && !self.inherited.contains(point));
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

#[test]
fn a_namespace_that_somebody_unmounted_is_told_with_what_to_do() {
    let engine = Engine::start();
    let deployment = Deployment::up(&engine);
    deployment.run("app1", &[], &["httpd", "-f", "-p", "80"]);
    let link = ["--label", "tieline.link=app1:80"];
    deployment.run("app2", &link, &["sleep", "100000"]);
    deployment.await_links();
    deployment.unmount_namespace("app1");

    // The controller does not see the host's mounts, and the engine says it of the next network.
    deployment.run("app3", &link, &["sleep", "100000"]);
    let told = deployment.await_wired("app3", "False", "NamespaceLost");
    let message = told["message"].as_str().unwrap_or_default();
    assert!(message.ends_with("something unmounted its file below /run; restart app1"), "{message}");
    let works = deployment.await_wired("app2", "True", "NamespaceLost");
    assert_eq!(works["state"], "Ready", "{works:#?}");

    // One that sees them finds it by itself.
    deployment.compose(&["compose.namespace.yml"], &["up", "-d"]);
    deployment.await_wired("app2", "True", "NamespaceLost");
    let told = deployment.await_wired("app3", "False", "NamespaceLost");
    assert_eq!(told["message"], message);

    deployment.docker(&["restart", "app1"]);
    deployment.await_links();
    for consumer in ["app2", "app3"] {
        deployment.await_wired(consumer, "True", "Wired");
    }
}
