//! Services of compose projects, with their replicas.

use std::process::Command;

use super::stage::{IMAGE, Stage, ok};
use crate::turns;

/// `docker-compose` with a file of this stage.
pub struct Compose<'a> {
    stage: &'a Stage,
    dir: tempfile::TempDir,
}

impl<'a> Compose<'a> {
    pub fn new(stage: &'a Stage, file: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let compose = Self { stage, dir };
        compose.rewrite(file);
        compose
    }

    /// Another file from now on.
    pub fn rewrite(&self, file: &str) {
        std::fs::write(self.dir.path().join("compose.yml"), file).unwrap();
    }

    pub fn call(&self, args: &[&str]) {
        ok(&mut self.command(args));
    }

    /// Few containers at a time, for the reason in `turns`. Each service takes a place for itself, so fewer
    /// places than twice the services would be waited for without end.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker-compose");
        command.env("COMPOSE_PARALLEL_LIMIT", "4").arg("-f").arg(self.dir.path().join("compose.yml"));
        command.args(["-p", &self.stage.id]).args(args);
        command
    }
}

impl Drop for Compose<'_> {
    fn drop(&mut self) {
        let _ = turns::output(&mut self.command(&["down", "-t", "0"]));
    }
}

#[test]
fn a_service_is_one_workload_whatever_its_replicas() {
    let stage = Stage::new();
    let file = format!(
        r#"
version: "3.8"
services:
  db:
    image: {IMAGE}
    command: ["sleep", "100000"]
  web:
    image: {IMAGE}
    command: ["sleep", "100000"]
    labels:
      {prefix}link.store: "db:5432"
      {prefix}link.store.handshake: "exchange"
"#,
        prefix = stage.prefix()
    );
    let compose = Compose::new(&stage, &file);
    compose.call(&["up", "-d", "--scale", "db=2", "--scale", "web=2"]);
    let consumer = format!("{}/web", stage.id);
    let link = || {
        stage
            .links()
            .into_iter()
            .find(|link| link["consumer"] == consumer.as_str() && link["name"] == "store")
    };
    let ready_with = |paths: usize| {
        link().is_some_and(|link| {
            link["state"] == "Ready" && link["paths"].as_array().is_some_and(|all| all.len() == paths)
        })
    };
    stage.eventually("all four paths are proven", || ready_with(4));
    assert_eq!(link().unwrap()["provider"], format!("{}/db", stage.id));
    assert_eq!(stage.networks().len(), 1);

    compose.call(&["up", "-d", "--scale", "db=1", "--scale", "web=2"]);
    stage.eventually("two paths are left", || ready_with(2));
    compose.call(&["up", "-d", "--force-recreate", "--scale", "db=1", "--scale", "web=2", "-t", "0"]);
    stage.eventually("recreated containers are linked again", || ready_with(2));
    assert_eq!(stage.networks().len(), 1);

    compose.call(&["down", "-t", "0"]);
    stage.eventually("the link network is gone", || stage.networks().is_empty());
    assert!(link().is_none());
    assert!(!stage.get("/metrics").1.contains(&consumer), "a series outlives its link");
}

#[test]
fn equal_service_names_of_two_projects_are_two_workloads() {
    let stage = Stage::new();
    let flags = |project: &str, service: &str| {
        [
            "--label".to_owned(),
            format!("com.docker.compose.project={}{project}", stage.id),
            "--label".to_owned(),
            format!("com.docker.compose.service={service}"),
            "--label".to_owned(),
            "com.docker.compose.container-number=1".to_owned(),
        ]
    };
    let run = |short: &str, project: &str, service: &str, labels: &[(&str, &str)]| {
        let flags = flags(project, service);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        stage.run_with(short, labels, &flags, IMAGE, &["sleep", "100000"]);
    };
    run("xdb", "x", "db", &[]);
    run("ydb", "y", "db", &[]);
    run("xweb", "x", "web", &[("link.own", "db:1"), ("link.other", &format!("{}y/db:1", stage.id))]);
    let provider = |name: &str| {
        let consumer = format!("{}x/web", stage.id);
        let link =
            stage.links().into_iter().find(|l| l["consumer"] == consumer.as_str() && l["name"] == name);
        link.map(|link| link["provider"].as_str().unwrap_or_default().to_owned())
    };
    stage.eventually("both are resolved", || {
        provider("own") == Some(format!("{}x/db", stage.id))
            && provider("other") == Some(format!("{}y/db", stage.id))
    });
    stage.eventually("both are wired", || stage.attachments("xweb").len() == 2);
}
