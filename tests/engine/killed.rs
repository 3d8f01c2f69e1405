//! The controller is killed before and after every single call by which it changes something.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::stage::{IMAGE, Stage, ok, tieline};
use crate::proxy::{Fate, Proxy, Request};

const SLEEP: [&str; 2] = ["sleep", "100000"];

/// Kills a process at every changing call that it makes: the first time before the call reaches the
/// engine, the next time when the engine has done it and before the reply is passed on.
#[derive(Default)]
struct Reaper {
    /// Whom to kill; 0 while nobody lives.
    victim: AtomicU32,
    state: Mutex<Reaped>,
}

#[derive(Default)]
struct Reaped {
    after: bool,
    /// At which calls somebody was killed, and whether it was after them.
    kills: Vec<(String, bool)>,
}

impl Reaper {
    fn judge(self: &Arc<Self>, request: &Request) -> Fate {
        // Calls of one that is dead already may have been under way.
        if !request.changes() || self.victim.load(Ordering::SeqCst) == 0 {
            return Fate::Pass;
        }
        let mut state = self.state.lock().unwrap();
        let after = state.after;
        state.kills.push((kind(request), after));
        state.after = !after;
        if after {
            let reaper = Arc::clone(self);
            Fate::Then(Box::new(move || reaper.kill()))
        } else {
            self.kill();
            Fate::Drop
        }
    }

    fn kill(&self) {
        let pid = self.victim.swap(0, Ordering::SeqCst);
        if pid != 0 {
            ok(Command::new("kill").args(["-9", &pid.to_string()]));
        }
    }

    fn kills(&self) -> Vec<(String, bool)> {
        self.state.lock().unwrap().kills.clone()
    }

    /// Starts controllers, each of which lives until its first or second changing call, until `done`.
    fn grind(&self, stage: &mut Stage, what: &str, done: impl Fn(&Stage) -> bool) {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            assert!(
                Instant::now() < end,
                "it never came that {what}: {:?} {:#?}\n{}",
                self.kills(),
                stage.problems(),
                stage.log()
            );
            if stage.has_ended() {
                stage.start_controller();
                self.victim.store(stage.controller_pid(), Ordering::SeqCst);
            }
            let begun = Instant::now();
            while !stage.has_ended() && begun.elapsed() < Duration::from_millis(700) {
                std::thread::sleep(Duration::from_millis(10));
            }
            // Whoever lives that long has nothing to do any more, or waits for a grace period.
            if !stage.has_ended() && done(stage) {
                return;
            }
        }
    }
}

/// `create`, `connect`, `disconnect` or `remove`.
pub fn kind(request: &Request) -> String {
    match request.method.as_str() {
        "DELETE" => "remove".to_owned(),
        _ => request.path.rsplit('/').next().unwrap_or_default().to_owned(),
    }
}

#[test]
fn killed_before_and_after_every_call_it_ends_as_if_it_had_lived() {
    let proxy = Proxy::start(None);
    let mut stage = Stage::dark(&["--host", &proxy.host(), "--gc-grace", "200ms"]);
    stage.widen_pool();
    let reaper = Arc::new(Reaper::default());
    let judge = Arc::clone(&reaper);
    proxy.judge(move |request| judge.judge(request));
    let (db, hub) = (stage.name("db"), stage.name("hub"));

    stage.create("db", &[], &SLEEP);
    stage.run("hub", &[("topology", "shared")]);
    for name in ["web", "api"] {
        let labels = [("link.db", format!("{db}:5432")), ("link.hub", format!("{hub}:80"))];
        let labels = labels.each_ref().map(|(key, value)| (*key, value.as_str()));
        stage.create(
            name,
            &[&labels[..], &[("link.db.handshake", "none"), ("link.hub.handshake", "none")]].concat(),
            &SLEEP,
        );
    }
    reaper.grind(&mut stage, "all are wired", |stage| stage.problems().is_empty());
    stage.docker(&["start", &stage.name("db"), &stage.name("web"), &stage.name("api")]);

    // As many replicas as one network holds, and two more.
    let labels = ["com.docker.compose.project=grow", "com.docker.compose.service=many"];
    let labels = ["--label", labels[0], "--label", labels[1]];
    stage.run("one", &[("link.many", "grow/many:1"), ("link.many.handshake", "none")]);
    let replica = |stage: &Stage, n: usize| {
        let name = stage.name(&format!("many{n}"));
        let number = format!("com.docker.compose.container-number={n}");
        let own = ["create", "--name", &name, "--label", &stage.owner_label(), "--label", &number];
        stage.docker(&[&own[..], &labels[..], &[IMAGE, "sleep", "100000"]].concat());
    };
    // On a busy machine the last one may not have made its first call yet.
    reaper.victim.store(0, Ordering::SeqCst);
    stage.kill_controller();
    stage.start_controller();
    (0..12).for_each(|n| replica(&stage, n));
    stage.settle("twelve replicas");
    reaper.victim.store(stage.controller_pid(), Ordering::SeqCst);
    (12..14).for_each(|n| replica(&stage, n));
    reaper.grind(&mut stage, "the edge has grown", |stage| stage.problems().is_empty());

    // A provider that is another container under the same name, a member and an edge less.
    stage.docker(&["rm", "-f", &db, &stage.name("many3"), &stage.name("one")]);
    stage.run("db", &[]);
    reaper.grind(&mut stage, "a provider is replaced", |stage| stage.problems().is_empty());
    stage.docker(&["stop", "-t", "0", &hub]);
    stage.docker(&["rm", "-f", &stage.name("web")]);
    reaper.grind(&mut stage, "what nobody needs is gone", |stage| stage.problems().is_empty());
    stage.docker(&["start", &hub]);
    stage.docker(&["stop", "-t", "0", &stage.name("api")]);

    reaper.kill();
    stage.eventually("the last one is dead", || reaper.victim.load(Ordering::SeqCst) == 0);
    let teardown = || {
        let mut command = tieline();
        let mut child = command
            .args(["teardown", "--host", &proxy.host(), "--instance", &stage.instance])
            .spawn()
            .unwrap();
        reaper.victim.store(child.id(), Ordering::SeqCst);
        child.wait().unwrap().success()
    };
    let ended = (0..100).any(|_| teardown());
    assert!(ended, "the teardown never ended: {:?}", reaper.kills());
    assert!(stage.networks().is_empty());
    for name in ["api", "many1"] {
        stage.docker(&["start", &stage.name(name)]);
    }
    let kinds: BTreeSet<(String, bool)> = reaper.kills().into_iter().collect();
    let all = ["connect", "create", "disconnect", "remove"].map(|kind| [(kind, false), (kind, true)]);
    let all: BTreeSet<(String, bool)> =
        all.concat().into_iter().map(|(kind, after)| (kind.to_owned(), after)).collect();
    assert_eq!(kinds, all, "not every call was met");
    println!("killed {} times", reaper.kills().len());
}
