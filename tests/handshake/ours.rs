//! Handshakes from inside the containers' network namespaces, where the images have nothing to do with it.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use tieline::model::handshake::{FailReason, InconclusiveReason, Verdict};
use tieline::model::link::Handshake::{Auto, Connect, Exchange};
use tieline::prober::helper::Helper;
use tieline::prober::order::{Order, Way, ordered};
use tieline::prober::{Prober, Request, Route, Side};

use super::lab::{
    Lab, assert_clean, cli, docker, eventually, output, request, set_host, set_udp, spawn, wait_for_listener,
};
use super::{LISTENING, NO_LISTENER, PROVEN, all_flavours, ring};
use crate::patience::{patience, timeout_of};

/// The network namespace that this is a link to.
fn namespace(link: PathBuf) -> Option<PathBuf> {
    fs::read_link(link).ok()
}

/// The network namespaces of this process's threads.
fn of_threads() -> Vec<PathBuf> {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    threads.filter_map(|thread| namespace(thread.path().join("ns/net"))).collect()
}

fn of_container(side: &Side) -> PathBuf {
    let pid = cli(&["inspect", "-f", "{{.State.Pid}}", side.id.as_str()]);
    namespace(format!("/proc/{pid}/ns/net").into()).unwrap()
}

/// Fails unless soon no thread of ours is in any of these containers.
fn assert_left(sides: &[&Side]) {
    let theirs: BTreeSet<PathBuf> = sides.iter().map(|side| of_container(side)).collect();
    eventually("the end of the threads", || of_threads().iter().all(|one| !theirs.contains(one)));
}

fn asks(mut request: Request, send: &str, expect: &str) -> Request {
    request.payload.send = Some(send.as_bytes().to_vec());
    request.payload.expect = Some(expect.to_owned());
    request
}

#[tokio::test]
async fn images_with_nothing_in_them_exchange_tokens() {
    let lab = Lab::new("ours-pairs");
    let mut sides = all_flavours(&lab, &[]);
    sides.push(lab.run("bare", "bare"));
    sides.push(lab.run("without", "no-netcat"));
    for (consumer, provider) in ring(&sides) {
        for udp in [false, true] {
            let mut request = request(consumer, provider, 12345, Exchange);
            if udp {
                set_udp(&mut request);
            }
            let attempt = lab.make_inside(&request).await;
            assert_eq!(attempt.verdict, PROVEN, "{} -> {}: {attempt:?}", consumer.name, provider.name);
            assert_eq!(attempt.prober, "namespace");
            assert!(!attempt.message.contains(":12345 "), "on the port: {}", attempt.message);
        }
    }
    sides.iter().for_each(assert_clean);
    assert_left(&sides.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn silence_refusal_and_nobody_are_told_apart_from_inside() {
    let lab = Lab::new("ours-connect");
    let (db, web) = (lab.run("db", "ncat"), lab.run("web", "bare"));
    spawn(&db, "sleep 1000 | ncat -lk 7001");
    spawn(&db, "ncat -lk 7002 -c true");
    wait_for_listener(&db, 7001);
    wait_for_listener(&db, 7002);
    for (port, mode, verdict) in [
        (7001, Connect, LISTENING),
        (7001, Auto, LISTENING),
        (7002, Connect, LISTENING),
        (7003, Connect, Verdict::Fail(FailReason::Refused)),
        (7003, Auto, NO_LISTENER),
    ] {
        let attempt = lab.make_inside(&request(&web, &db, port, mode)).await;
        assert_eq!(attempt.verdict, verdict, "{mode:?} {port}: {}", attempt.message);
    }
    // Somebody's port is left alone.
    let attempt = lab.make_inside(&request(&web, &db, 7001, Exchange)).await;
    assert_eq!(attempt.verdict, PROVEN, "{}", attempt.message);
    assert!(!attempt.message.contains(":7001 "), "{}", attempt.message);
    assert_clean(&web);
}

#[tokio::test]
async fn what_a_service_answers_is_heard_from_inside() {
    let lab = Lab::new("ours-ask");
    let (db, web) = (lab.run("db", "ncat"), lab.run("web", "bare"));
    spawn(&db, "ncat -lk 7001 -c 'read line; echo +PONG $line; sleep 1000'");
    // Not by ncat, which hears its own program out no more once the other side has said all.
    let late = lab.run("late", "busybox-full");
    spawn(&late, "nc -lk -p 7002 -e sh -c 'while read line; do :; done; echo all of it'");
    spawn(&db, "ncat -lku 7003 -c 'read line; echo +PONG $line'");
    wait_for_listener(&db, 7001);
    wait_for_listener(&late, 7002);
    let ask = |db, port, expect| asks(request(&web, db, port, Connect), "PING\n", expect);
    let start = Instant::now();
    let attempt = lab.make_inside(&ask(&db, 7001, r"^\+PONG PING")).await;
    assert_eq!(attempt.verdict, LISTENING, "{}", attempt.message);
    assert!(
        start.elapsed() < patience(Duration::from_secs(2)),
        "it stays, and we need not: {:?}",
        start.elapsed()
    );
    let attempt = lab.make_inside(&ask(&late, 7002, "^all of it")).await;
    assert_eq!(attempt.verdict, LISTENING, "{}", attempt.message);
    let attempt = lab.make_inside(&ask(&late, 7002, "^nothing of it")).await;
    assert_eq!(attempt.verdict, Verdict::Fail(FailReason::ReplyMismatch), "{}", attempt.message);
    let mut udp = ask(&db, 7003, r"^\+PONG PING");
    set_udp(&mut udp);
    udp.mode = Auto;
    // It tells nobody when it listens.
    let mut answered = lab.make_inside(&udp).await;
    let asked = Instant::now();
    while answered.verdict != LISTENING && asked.elapsed() < patience(Duration::from_secs(20)) {
        answered = lab.make_inside(&udp).await;
    }
    assert_eq!(answered.verdict, LISTENING, "{}", answered.message);
    udp.payload = tieline::model::link::Payload::default();
    let attempt = lab.make_inside(&udp).await;
    assert_eq!(attempt.verdict, LISTENING, "somebody has the port: {}", attempt.message);
    let mut nobody = request(&web, &db, 7004, Auto);
    set_udp(&mut nobody);
    let attempt = lab.make_inside(&nobody).await;
    assert_eq!(attempt.verdict, NO_LISTENER, "{}", attempt.message);
    assert_left(&[&web, &db, &late]);
}

#[tokio::test]
async fn names_are_looked_up_as_the_container_does() {
    let lab = Lab::new("ours-names");
    let (db, other) = (lab.run("db", "bare"), lab.run("other", "busybox"));
    let to = |side: &Side| side.address.unwrap().to_string();
    let right = format!("right:{}", to(&db));
    let wrong = format!("wrong:{}", to(&other));
    let nobody = format!("nobody:{}.250", to(&db).rsplit_once('.').unwrap().0);
    let hosts = ["--add-host", &right, "--add-host", &wrong, "--add-host", &nobody];
    let web = lab.run_with("web", "bare", &hosts);
    for (host, mode, verdict) in [
        ("right", Exchange, PROVEN),
        ("RIGHT", Auto, NO_LISTENER),
        ("wrong", Exchange, Verdict::Fail(FailReason::NameLeadsElsewhere)),
        ("wrong", Auto, Verdict::Fail(FailReason::NameLeadsElsewhere)),
        ("no.such.name", Exchange, Verdict::Fail(FailReason::ByAddressOnly)),
    ] {
        let mut request = request(&web, &db, 12345, mode);
        set_host(&mut request, host);
        let attempt = lab.make_inside(&request).await;
        assert_eq!(attempt.verdict, verdict, "{host} {mode:?}: {}", attempt.message);
    }
    let mut lost = request(&web, &db, 12345, Exchange);
    set_host(&mut lost, "nobody");
    lost.timeout = timeout_of(Duration::from_secs(2));
    let start = Instant::now();
    let attempt = lab.make_inside(&lost).await;
    let reasons = [FailReason::NoRoute, FailReason::Timeout, FailReason::NameLeadsElsewhere];
    assert!(reasons.map(Verdict::Fail).contains(&attempt.verdict), "{attempt:?}");
    assert!(start.elapsed() < lost.timeout + patience(Duration::from_secs(1)), "{:?}", start.elapsed());
}

#[tokio::test]
async fn hundreds_of_handshakes_leave_no_thread_and_nobody_moved() {
    let lab = Lab::new("ours-many");
    let (web, db) = (lab.run("web", "bare"), lab.run("db", "bare"));
    let own = namespace("/proc/self/ns/net".into()).unwrap();
    let request = request(&web, &db, 12345, Exchange);
    for at_once in [1, 8] {
        let (mut total, mut rtts) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..120 / at_once {
            let start = Instant::now();
            let crowd = (0..at_once).map(|_| lab.make_inside(&request));
            let attempts = futures_util::future::join_all(crowd).await;
            total += start.elapsed();
            for attempt in attempts {
                assert_eq!(attempt.verdict, PROVEN, "{}", attempt.message);
                rtts += attempt.rtt.unwrap();
            }
        }
        let count = 120 / at_once * at_once;
        println!("{at_once} at once: {:.1?} each, a round trip {:.1?}", total / count, rtts / count);
    }
    assert_left(&[&web, &db]);
    assert_eq!(namespace("/proc/thread-self/ns/net".into()).unwrap(), own);
    assert_eq!(namespace("/proc/self/ns/net".into()).unwrap(), own);
    assert_clean(&web);
    assert_clean(&db);
}

#[tokio::test]
async fn an_abandoned_handshake_leaves_no_thread() {
    let lab = Lab::new("ours-abandoned");
    let (web, db) = (lab.run("web", "bare"), lab.run("db", "bare"));
    let mut request = asks(request(&web, &db, 12345, Exchange), "PING\n", "PONG");
    // No host has that address, and the kernel needs seconds to find out.
    let address = db.address.unwrap().octets();
    set_host(&mut request, &std::net::Ipv4Addr::new(address[0], address[1], address[2], 250).to_string());
    request.timeout = Duration::from_secs(60);
    for mode in [Exchange, Connect] {
        request.mode = mode;
        for after in (0..100).step_by(10).map(Duration::from_millis) {
            let abandoned = tokio::time::timeout(after, lab.make_inside(&request)).await;
            assert!(abandoned.is_err(), "{abandoned:?}");
        }
    }
    // Long before their time.
    assert_left(&[&web, &db]);
}

#[tokio::test]
async fn who_does_not_run_is_not_entered_and_who_is_paused_not_blamed() {
    let lab = Lab::new("ours-paused");
    let (web, paused, stopped) =
        (lab.run("web", "bare"), lab.run("paused", "bare"), lab.run("stopped", "bare"));
    cli(&["pause", &paused.name]);
    cli(&["kill", &stopped.name]);
    for (other, reason) in
        [(&paused, InconclusiveReason::ContainerPaused), (&stopped, InconclusiveReason::ContainerNotRunning)]
    {
        for (consumer, provider) in [(&web, other), (other, &web)] {
            let attempt = lab.make_inside(&request(consumer, provider, 12345, Exchange)).await;
            assert_eq!(attempt.verdict, Verdict::Inconclusive(reason), "{}", attempt.message);
        }
    }
    cli(&["unpause", &paused.name]);
}

#[tokio::test]
async fn a_namespace_without_the_container_s_address_is_not_spoken_in() {
    let lab = Lab::new("ours-stranger");
    // There, every address can be bound.
    let options = ["--sysctl", "net.ipv4.ip_nonlocal_bind=1"];
    let (web, mut db) = (lab.run("web", "bare"), lab.run_with("db", "bare", &options));
    db.address = web.address;
    let attempt = lab.make_inside(&request(&web, &db, 12345, Exchange)).await;
    assert_eq!(attempt.verdict, Verdict::Inconclusive(InconclusiveReason::NoRights), "{}", attempt.message);
    assert!(attempt.message.contains("somebody else's"), "{}", attempt.message);
}

#[tokio::test]
async fn without_the_right_to_enter_it_says_what_grants_it() {
    let lab = Lab::new("ours-rights");
    let (web, db) = (lab.run("web", "bare"), lab.run("db", "bare"));
    // Of this thread alone, which those that it starts inherit.
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::SYS_ADMIN);
    set_capabilities(None, sets).unwrap();
    let attempt = lab.make_inside(&request(&web, &db, 12345, Exchange)).await;
    assert_eq!(attempt.verdict, Verdict::Inconclusive(InconclusiveReason::NoRights), "{}", attempt.message);
    for part in ["not permitted", "deploy/compose.namespace.yml"] {
        assert!(attempt.message.contains(part), "{}", attempt.message);
    }
}

#[tokio::test]
async fn the_ways_are_gone_in_their_order() {
    let lab = Lab::new("ours-order");
    let (web, db, bare) = (lab.run("web", "busybox"), lab.run("db", "busybox"), lab.run("bare", "bare"));
    let helper = || Helper::new(docker(), lab.name(), None);
    let order =
        |first, others: &[Way]| ordered(&Order { first, others: others.to_vec() }, &docker(), helper, None);
    let usual = order(Way::Exec, &[Way::Namespace]);
    for (provider, prober) in [(&db, "exec"), (&bare, "namespace")] {
        let attempt = usual.handshake(&request(&web, provider, 12345, Exchange)).await;
        assert_eq!((attempt.verdict, attempt.prober), (PROVEN, prober), "{}", attempt.message);
    }
    for (way, other) in [(Way::Namespace, Way::Exec), (Way::Exec, Way::Namespace)] {
        let prober = order(way, &[other]);
        let start = Instant::now();
        for _ in 0..20 {
            let attempt = prober.handshake(&request(&web, &db, 12345, Exchange)).await;
            assert_eq!((attempt.verdict, attempt.prober), (PROVEN, way.as_str()), "{}", attempt.message);
        }
        println!("by {} {:.1?} each", way.as_str(), start.elapsed() / 20);
    }
    let attempt = order(Way::Exec, &[]).handshake(&request(&web, &bare, 12345, Exchange)).await;
    let no_shell = Verdict::Inconclusive(InconclusiveReason::NoShell);
    assert_eq!((attempt.verdict, attempt.prober), (no_shell, "exec"), "{}", attempt.message);
}

#[tokio::test]
async fn a_socket_is_tried_as_the_container_s_own_user() {
    let lab = Lab::new("ours-socket");
    let shared = tempfile::tempdir().unwrap();
    fs::set_permissions(shared.path(), Permissions::from_mode(0o755)).unwrap();
    let mount = format!("{}:/run/shared", shared.path().display());
    let db = lab.run_with("db", "openbsd", &["-v", &mount]);
    // Its root may do no more with files than anybody else.
    let weak = ["-v", &mount, "--cap-drop", "ALL"];
    let root = lab.run_with("root", "bare", &weak);
    let user = lab.run_with("user", "bare", &[&weak[..], &["--user", "1000:1000"]].concat());
    let strong = lab.run_with("strong", "bare", &["-v", &mount]);
    let own = shared.path().join("own");
    fs::create_dir(&own).unwrap();
    let listen = |path: &str, mode, options: &str| {
        spawn(&db, &format!("nc {options} /run/shared/{path}"));
        let path = shared.path().join(path);
        eventually("a socket", || path.exists());
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    };
    listen("open", 0o777, "-lkU");
    listen("own/db", 0o777, "-lkU");
    listen("roots", 0o755, "-lkU");
    listen("stale", 0o777, "-lU");
    fs::set_permissions(&own, Permissions::from_mode(0o700)).unwrap();
    chown(&own, Some(1000), Some(1000)).unwrap();
    output(&db, "nc -NU /run/shared/stale </dev/null");
    let denied = Verdict::Fail(FailReason::SocketDenied);
    for (side, path, verdict) in [
        (&root, "open", LISTENING),
        (&user, "open", LISTENING),
        (&user, "own/db", LISTENING),
        (&root, "own/db", denied),
        (&strong, "own/db", LISTENING),
        (&root, "roots", LISTENING),
        (&user, "roots", denied),
        (&user, "missing", Verdict::Fail(FailReason::SocketMissing)),
        (&root, "stale", Verdict::Fail(FailReason::SocketStale)),
    ] {
        let mut request = request(side, &db, 1, Connect);
        request.route = Route::Socket(format!("/run/shared/{path}"));
        let attempt = lab.make_inside(&request).await;
        assert_eq!(attempt.verdict, verdict, "{} {path}: {}", side.name, attempt.message);
    }
}
