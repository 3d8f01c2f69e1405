//! What becomes of the links when the controller is doubled or ended, and when what it is about to do
//! has changed meanwhile.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::foreign::Foreign;
use super::killed::kind;
use super::stage::{IMAGE, Stage, ok};
use crate::patience::patience;
use crate::proxy::{Fate, Proxy};
use crate::turns;

const SLEEP: [&str; 2] = ["sleep", "100000"];

/// A container or network that vanishes, or changes, when the plan is made and before it is done.
#[test]
fn what_changes_between_plan_and_call_is_found_and_planned_anew() {
    let proxy = Arc::new(Proxy::start(None));
    let mut stage = Stage::dark(&["--host", &proxy.host()]);
    stage.start_controller();
    stage.await_ready();
    stage.run("db", &[]);
    let db = stage.name("db");
    let target = format!("{db}:5432");
    let labels = [("link.db", target.as_str()), ("link.db.handshake", "exchange")];
    // Done once, before the first call of that kind reaches the engine.
    let before = |call: &'static str, line: String| {
        let mut deed = Some(line);
        proxy.judge(move |request| {
            if request.changes()
                && kind(request) == call
                && let Some(line) = deed.take()
            {
                let _ = Command::new("sh").args(["-c", &line]).output();
            }
            Fate::Pass
        });
    };
    let ours = format!("$(docker network ls -q --filter label=tieline.managed-by={})", stage.instance);
    let web = stage.name("web");
    let deeds = [
        ("connect", "the consumer vanishes", format!("docker rm -f {web}")),
        ("connect", "the provider vanishes", format!("docker rm -f {db}")),
        ("connect", "the network vanishes", format!("docker network rm {ours}")),
        ("connect", "the consumer stops", format!("docker stop -t 0 {web}")),
        ("connect", "the consumer restarts", format!("docker restart -t 0 {web}")),
        ("connect", "the consumer is paused", format!("docker pause {web}")),
        ("connect", "the consumer is renamed", format!("docker rename {web} {web}x")),
        ("connect", "somebody connects it by hand", format!("docker network connect {ours} {web}")),
        ("create", "the consumer is gone before its network is there", format!("docker rm -f {web}")),
    ];
    for (call, what, line) in deeds {
        before(call, line);
        stage.run("web", &labels);
        stage.settle(what);
        let _ = Command::new("docker").args(["unpause", &web]).output();
        let _ = turns::output(Command::new("docker").args(["start", &web]));
        if Command::new("docker").args(["inspect", &db]).output().unwrap().status.success() {
            stage.settle(&format!("{what}, and runs again"));
        }
        proxy.be_honest();
        let _ = turns::remove(|| Command::new("docker"), [web.as_str(), &format!("{web}x")]);
        if !Command::new("docker").args(["inspect", &db]).output().unwrap().status.success() {
            stage.run("db", &[]);
        }
        stage.settle(&format!("{what}, and all is over"));
        assert!(stage.networks().is_empty());
    }
    // Engine 20.10 attaches what does not run even to a network that is gone.
    for dies in [false, true] {
        stage.docker(&["stop", "-t", "0", &db]);
        let victim = stage.controller_pid();
        let mut deed = Some(format!("docker network rm {ours}"));
        proxy.judge(move |request| {
            if request.changes()
                && kind(request) == "connect"
                && let Some(line) = deed.take()
            {
                let _ = Command::new("sh").args(["-c", &line]).output();
                if dies {
                    return Fate::Then(Box::new(move || {
                        ok(Command::new("kill").args(["-9", &victim.to_string()]));
                    }));
                }
            }
            Fate::Pass
        });
        stage.create("web", &labels, &SLEEP);
        if dies {
            assert_eq!(stage.await_end(), None, "killed");
            stage.start_controller();
            stage.await_ready();
        }
        stage.settle("the network of what does not run vanishes");
        stage.docker(&["start", &db, &web]);
        stage.settle("both start");
        proxy.be_honest();
        stage.docker(&["rm", "-f", &web]);
        stage.settle("over");
    }
    // While a network is being given up, its consumer comes back.
    let flags = stage.prefix();
    let label = format!(
        "--label {} --label {flags}link.db={target} --label {flags}link.db.handshake=exchange",
        stage.owner_label()
    );
    for call in ["disconnect", "remove"] {
        stage.run("web", &labels);
        stage.settle("wired");
        before(call, format!("docker run -d --name {web} {label} {IMAGE} sleep 100000"));
        stage.docker(&["rm", "-f", &web]);
        stage.eventually("it is back", || {
            Command::new("docker").args(["inspect", &web]).output().unwrap().status.success()
        });
        stage.settle("the consumer came back while its network went");
        stage.docker(&["restart", "-t", "0", &web, &db]);
        stage.settle("and starts again");
        proxy.be_honest();
        stage.docker(&["rm", "-f", &web]);
        stage.settle("over");
    }
}

fn changes(proxy: &Proxy) -> usize {
    proxy.requests().iter().filter(|request| request.changes()).count()
}

#[test]
fn two_controllers_of_one_instance_end_with_one_network_for_an_edge_and_rest() {
    let proxies = [Proxy::start(None), Proxy::start(None)];
    let mut one = Stage::dark(&["--host", &proxies[0].host()]);
    let mut two = one.rival(&["--host", &proxies[1].host()]);
    one.start_controller();
    two.start_controller();
    one.await_ready();
    two.await_ready();
    let foreign = Foreign::new(&one);
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(one.create(&format!("p{n}"), &[], &SLEEP));
    }
    // Several edges at once, each of which both find missing.
    let consumer = |name: &str, n: usize| {
        let target = format!("{}:80", one.name(&format!("p{n}")));
        one.create(name, &[("link.it", &target), ("link.it.handshake", "exchange")], &SLEEP)
    };
    for round in 0..2 {
        for n in 0..6 {
            let id = consumer(&format!("c{n}"), (n + round) % 6);
            ids.push(id);
        }
        for id in &ids {
            one.docker(&["start", id]);
        }
        one.settle(&format!("round {round}"));
        two.settle(&format!("round {round}, as the other one sees it"));
        for id in ids.drain(6..) {
            one.docker(&["rm", "-f", &id]);
        }
    }
    (0..6).for_each(|n| drop(consumer(&format!("c{n}"), n)));
    // One of them dies in the middle of that.
    two.kill_controller();
    one.settle("one is killed");
    two.start_controller();
    two.await_ready();
    one.settle("it is back");
    let calls = || [changes(&proxies[0]), changes(&proxies[1])];
    let before = calls();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(calls(), before, "they do not come to rest");
    for n in 0..6 {
        one.docker(&["start", &one.name(&format!("c{n}"))]);
    }
    one.settle("all run");
    foreign.is_untouched();
    let all: usize = before.iter().sum();
    println!("{all} changing calls of both");
}

#[test]
fn two_instances_never_touch_each_other_s() {
    let mut one = Stage::new();
    let prefix = one.prefix();
    let mut other = one.neighbour(&[]);
    other.start_controller();
    let mut apart = Stage::dark(&[]);
    apart.start_controller();
    let foreign = Foreign::new(&one);
    assert_eq!(other.prefix(), prefix);
    one.run("db", &[]);
    one.run("web", &[("link.db", &format!("{}:1", one.name("db"))), ("link.db.handshake", "exchange")]);
    one.settle("one");
    other.settle("the other with the same labels");
    assert!(apart.networks().is_empty(), "a label of another prefix was read");
    let picture = |stage: &Stage| stage.networks().iter().map(|net| net["Id"].clone()).collect::<Vec<_>>();
    let theirs = picture(&other);
    assert_eq!(theirs.len(), 1);
    // Ours goes, and comes back, while theirs stays.
    one.stop_controller();
    assert_eq!(one.tieline(&["teardown"]).status.code(), Some(0));
    assert!(one.networks().is_empty());
    assert_eq!(picture(&other), theirs);
    other.settle("the other, after a teardown of the one");
    one.start_controller();
    one.settle("the one again");
    one.docker(&["rm", "-f", &one.name("web")]);
    one.settle("nothing is declared");
    other.settle("nor for the other");
    foreign.is_untouched();
}

/// Whether only the program itself runs in a container.
fn is_alone(name: &str) -> bool {
    let processes = ok(Command::new("docker").args(["top", name, "-eo", "pid,args"]));
    processes.lines().count() == 2
}

#[test]
fn ended_in_the_middle_of_a_handshake_it_leaves_nothing_behind() {
    let proxy = Proxy::start(None);
    let mut stage = Stage::dark(&["--host", &proxy.host()]);
    let (db, web) = (stage.name("db"), stage.name("web"));
    stage.run("db", &[]);
    stage.run("web", &[("link.db", &format!("{db}:1")), ("link.db.handshake", "exchange")]);
    // The first exec looks for the tool; the others are the two sides of a handshake.
    for (nth, signal) in [(1, "-TERM"), (2, "-TERM"), (3, "-TERM"), (2, "-KILL"), (3, "-KILL")] {
        let (sender, ended) = std::sync::mpsc::channel();
        let victim = Arc::new(AtomicU32::new(0));
        let pid = Arc::clone(&victim);
        let mut count = 0;
        proxy.judge(move |request| {
            count += usize::from(request.path.contains("/exec/") && request.path.ends_with("/start"));
            if count != nth {
                return Fate::Pass;
            }
            count += 1;
            let (pid, sender) = (Arc::clone(&pid), sender.clone());
            Fate::Then(Box::new(move || {
                ok(Command::new("kill").args([signal, &pid.load(Ordering::SeqCst).to_string()]));
                sender.send(Instant::now()).unwrap();
            }))
        });
        stage.start_controller();
        victim.store(stage.controller_pid(), Ordering::SeqCst);
        let asked = ended.recv_timeout(patience(Duration::from_secs(30))).expect("a handshake");
        assert_eq!(stage.await_end(), if signal == "-TERM" { Some(0) } else { None });
        let took = asked.elapsed();
        println!("{signal} at exec {nth}: ended after {took:.1?}");
        assert!(took < patience(Duration::from_secs(8)), "it took {took:?}");
        assert_eq!(stage.networks().len(), 1, "links stay up");
        assert_eq!(stage.problems(), Vec::<String>::new());
        // An exec that the engine had accepted may begin after the controller ended. It ends by itself, within the
        // bound on a handshake.
        let bound = Instant::now() + patience(Duration::from_secs(6));
        let mut alone = 0;
        while alone < 5 && Instant::now() < bound {
            alone = if [&db, &web].iter().all(|name| is_alone(name)) { alone + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(100));
        }
        for name in [&db, &web] {
            assert!(
                is_alone(name),
                "something was left:\n{}",
                stage.docker(&["top", name, "-eo", "pid,args"])
            );
        }
    }
}

#[test]
fn ended_in_the_middle_of_a_plan_it_finishes_it_and_asked_twice_it_does_not() {
    let proxy = Proxy::start(None);
    let mut stage = Stage::dark(&["--host", &proxy.host()]);
    stage.create("db", &[], &SLEEP);
    stage.create("web", &[("link.db", &format!("{}:1", stage.name("db")))], &SLEEP);
    let victim = Arc::new(AtomicU32::new(0));
    let pid = Arc::clone(&victim);
    let mut asked = false;
    proxy.judge(move |request| {
        if !request.changes() || std::mem::replace(&mut asked, true) {
            return Fate::Pass;
        }
        let pid = Arc::clone(&pid);
        Fate::Then(Box::new(move || {
            ok(Command::new("kill").args(["-TERM", &pid.load(Ordering::SeqCst).to_string()]));
        }))
    });
    stage.start_controller();
    victim.store(stage.controller_pid(), Ordering::SeqCst);
    assert_eq!(stage.await_end(), Some(0));
    assert_eq!(stage.problems(), Vec::<String>::new(), "what was begun is finished");

    // An engine that never answers holds up the first request to end, not the second.
    stage.docker(&["rm", "-f", &stage.name("web")]);
    stage.create("web2", &[("link.db", &format!("{}:1", stage.name("db")))], &SLEEP);
    for (times, code, most) in [(1, 0, 13), (2, 130, 3)] {
        let (sender, hanging) = std::sync::mpsc::channel();
        proxy.judge(move |request| {
            if request.changes() {
                let _ = sender.send(());
                return Fate::Hang;
            }
            Fate::Pass
        });
        stage.start_controller();
        hanging.recv_timeout(patience(Duration::from_secs(30))).expect("a call");
        let begun = Instant::now();
        for _ in 0..times {
            ok(Command::new("kill").args(["-TERM", &stage.controller_pid().to_string()]));
            std::thread::sleep(Duration::from_millis(300));
        }
        assert_eq!(stage.await_end(), Some(code));
        let took = begun.elapsed();
        assert!(took < patience(Duration::from_secs(most)), "asked {times} times, it took {took:?}");
    }
    proxy.be_honest();
    stage.start_controller();
    stage.settle("the next one carries on");
}
