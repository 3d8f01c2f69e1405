//! Containers and networks that are none of the controller's business, compared byte by byte, and a
//! conversation between two of them.

use std::process::Command;
use std::time::{Duration, Instant};

use super::stage::{IMAGE, PATIENCE, Stage, ok};
use crate::patience::patience;
use crate::turns;

/// Hears one conversation, and says when it ends. A listener whose input ends would end it.
const HEAR: &str = "mkfifo /in; (nc -l -p 7000 </in >/heard; echo ended >>/heard) & exec 3>/in; wait";
/// Talks for ever, five times a second.
const TALK: &str = "n=0; while n=$((n+1)); do echo $n; sleep 0.2; done | nc $0 7000; exec sleep 100000";

/// Foreign things on a stage: networks whose names sort before and after every other, containers on
/// them, on the default bridge and on the host, one that was never started, one that has ended.
pub struct Foreign {
    names: Vec<String>,
    networks: Vec<String>,
    before: [String; 2],
}

const NAMES: [&str; 7] = ["f-hearer", "f-talker", "f-plain", "f-hosted", "f-composed", "f-unborn", "f-ended"];

impl Foreign {
    pub fn new(stage: &Stage) -> Self {
        let networks = ["aaa", "zzz"].map(|name| format!("{name}-{}", stage.id)).to_vec();
        for network in &networks {
            stage.docker(&["network", "create", "--label", &stage.owner_label(), network]);
        }
        let on = |network: usize| ["--network", networks[network].as_str()];
        let run = |short: &str, flags: &[&str], program: &[&str]| {
            stage.run_with(short, &[], flags, IMAGE, program);
        };
        let sleep = ["sleep", "100000"];
        run("f-hearer", &on(0), &["sh", "-c", HEAR]);
        run("f-plain", &[], &sleep);
        run("f-hosted", &["--network", "host"], &sleep);
        let labels = ["project=other", "service=x", "container-number=1"];
        let labels = labels.map(|label| format!("com.docker.compose.{label}"));
        let labels: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
        run("f-composed", &[&labels[..], &on(1)].concat(), &sleep);
        run("f-ended", &on(1), &["true"]);
        stage.create("f-unborn", &[], &sleep);
        stage.eventually("somebody hears", || stage.shell("f-hearer", "netstat -ltn").contains(":7000"));
        run("f-talker", &on(0), &["sh", "-c", TALK, &stage.name("f-hearer")]);
        stage.eventually("they talk", || lines_heard(&stage.name("f-hearer")) > 1);
        stage.eventually("one has ended", || stage.inspect("f-ended")["State"]["Status"] == "exited");
        let names = NAMES.map(|name| stage.name(name)).to_vec();
        let before = picture(&names, &networks);
        Self { names, networks, before }
    }

    /// Fails unless all is as it was, to the byte, and the conversation goes on.
    pub fn is_untouched(&self) {
        for (before, now) in self.before.iter().zip(picture(&self.names, &self.networks)) {
            let differing = before.lines().zip(now.lines()).find(|(before, now)| before != now);
            assert!(*before == now, "something foreign has changed: {differing:?}");
        }
        goes_on(&self.names[0]);
    }
}

fn picture(containers: &[String], networks: &[String]) -> [String; 2] {
    let containers = ok(Command::new("docker").arg("inspect").args(containers));
    [containers, ok(Command::new("docker").args(["network", "inspect"]).args(networks))]
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = turns::remove(|| Command::new("docker"), self.names.iter().map(String::as_str));
        for network in &self.networks {
            // Others of the stage may be on it too.
            let _ = Command::new("docker").args(["network", "rm", network]).output();
        }
    }
}

/// Begins a conversation from one running container to another, by the name that it has on a network
/// of their own.
pub fn converse(stage: &Stage, talker: &str, hearer: &str) {
    stage.docker(&["exec", "-d", &stage.name(hearer), "sh", "-c", HEAR]);
    stage.eventually("somebody hears", || stage.shell(hearer, "netstat -ltn").contains(":7000"));
    stage.docker(&["exec", "-d", &stage.name(talker), "sh", "-c", TALK, &stage.name(hearer)]);
    stage.eventually("they talk", || lines_heard(&stage.name(hearer)) > 1);
}

/// Fails unless the conversation goes on that the container `hearer` takes part in.
pub fn goes_on(hearer: &str) {
    let before = lines_heard(hearer);
    let end = Instant::now() + patience(PATIENCE);
    while lines_heard(hearer) <= before {
        assert!(Instant::now() < end, "the conversation does not go on");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!heard(hearer).contains("f-ended"), "the conversation was cut");
}

fn lines_heard(hearer: &str) -> usize {
    heard(hearer).lines().count()
}

/// By `docker cp`, since an exec would be seen in what `docker inspect` tells.
fn heard(hearer: &str) -> String {
    ok(Command::new("docker").args(["cp", "-q", &format!("{hearer}:/heard"), "-"]))
}
