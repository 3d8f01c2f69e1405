//! An engine that is slow, or that stumbles over every third call: all is done, only later.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::engine::Engine;
use crate::engine::picture::{Foreign, await_wiring};
use crate::engine::stage::{IMAGE, Stage};
use crate::patience::patience;
use crate::proxy::{Fate, Proxy};

/// How long a person waits for a page.
const QUICK: Duration = Duration::from_millis(1900);

fn timed<T>(what: &str, call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = call();
    assert!(start.elapsed() < patience(QUICK), "{what} took {:?}", start.elapsed());
    result
}

#[test]
fn an_engine_that_takes_two_seconds_for_each_call_delays_only_the_wiring() {
    let engine = Engine::start();
    let proxy = Proxy::start(Some(&engine.socket()));
    let mut stage = Stage::on(&engine.host(), &["--host", &proxy.host()]);
    proxy.judge(|_| Fate::Delay(Duration::from_secs(2)));
    stage.start_controller();
    // At once: its first list takes some seconds, which a busy machine needs for a container, too.
    stage.eventually("it listens", || stage.get("/healthz").0 != 0);
    timed("/healthz", || assert_eq!(stage.get("/healthz").0, 200));
    timed("/readyz", || assert_eq!(stage.get("/readyz").0, 503));
    stage.run_with("app1", &[], &[], IMAGE, &["httpd", "-f", "-p", "80"]);
    stage.run("app2", &[("link.db", &format!("{}:80", stage.name("app1")))]);
    stage.eventually("it is ready", || stage.get("/readyz").0 == 200);
    await_wiring(&stage, &[&["app1", "app2"]]);
    for (path, code) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/api/v1/links", 200)] {
        timed(path, || assert_eq!(stage.get(path).0, code));
    }
    timed("status", || stage.tieline(&["status"]));
    // Long enough for an audit of the event stream.
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(stage.metric("tieline_engine_up"), Some(1.0), "slow is not away");
    assert_eq!(stage.metric("tieline_event_stream_restarts_total{reason=\"silent\"}"), Some(0.0));
    proxy.be_honest();
    stage.await_state("app2", "db", "Ready");
}

#[test]
fn an_engine_that_fails_every_third_call_is_asked_again() {
    let engine = Engine::start();
    let proxy = Proxy::start(Some(&engine.socket()));
    let mut stage = Stage::on(&engine.host(), &["--host", &proxy.host(), "--interval", "2s"]);
    let foreign_stage = Stage::on(&engine.host(), &[]);
    let foreign = Foreign::new(&foreign_stage);
    let count = AtomicUsize::new(0);
    proxy.judge(move |_| match count.fetch_add(1, Ordering::Relaxed) % 3 {
        2 => Fate::Answer(500, "not this time"),
        _ => Fate::Pass,
    });
    stage.start_controller();
    stage.run_with("app1", &[], &[], IMAGE, &["httpd", "-f", "-p", "80"]);
    let link = format!("{}:80", stage.name("app1"));
    for consumer in ["app2", "app3", "app4"] {
        stage.run(consumer, &[("link.db", &link)]);
    }
    await_wiring(&stage, &[&["app1", "app2"], &["app1", "app3"], &["app1", "app4"]]);
    stage.docker(&["rm", "-f", &stage.name("app3")]);
    await_wiring(&stage, &[&["app1", "app2"], &["app1", "app4"]]);
    proxy.be_honest();
    for consumer in ["app2", "app4"] {
        stage.await_state(consumer, "db", "Ready");
    }
    foreign.assert_untouched();
}
