//! Engines that go away and come back: restarted, killed, late, deaf.

use std::process::Command;
use std::time::{Duration, Instant};

use super::engine::Engine;
use crate::engine::picture::{await_wiring, time_until};
use crate::engine::stage::{IMAGE, Stage};
use crate::patience::patience;

/// How soon after the engine takes calls again everything is known.
const CAUGHT_UP: Duration = Duration::from_millis(300);
/// Longer than any backoff of the watch.
const LONG: Duration = Duration::from_secs(20);

/// `app1`, `app2` linked to it, and `app3`, which is only created.
fn linked(stage: &Stage) {
    let always = ["--restart", "always"];
    let link = format!("{}:80", stage.name("app1"));
    stage.run_with("app1", &[], &always, IMAGE, &["httpd", "-f", "-p", "80"]);
    stage.run_with("app2", &[("link.db", &link)], &always, IMAGE, &["sleep", "100000"]);
    stage.create("app3", &[("link.db", &link)], &["sleep", "100000"]);
}

fn await_linked(stage: &Stage) {
    await_wiring(stage, &[&["app1", "app2"], &["app1", "app3"]]);
    stage.await_state("app2", "db", "Ready");
    stage.await_state("app3", "db", "Pending");
}

fn start(stage: &Stage, short: &str) {
    stage.docker(&["start", &stage.name(short)]);
}

/// When a path of app2's link last proved well.
fn last_success(stage: &Stage) -> String {
    stage.link("app2", "db").unwrap()["paths"][0]["last_success"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the engine answers, as somebody who asks all the time.
fn await_engine(engine: &Engine) {
    let socket = engine.socket();
    let ping = || {
        let mut curl = Command::new("curl");
        curl.args(["-sf", "-m", "20", "--unix-socket"])
            .arg(&socket)
            .arg("http://engine/_ping")
            .output()
            .unwrap()
    };
    let end = Instant::now() + LONG;
    while !ping().status.success() {
        assert!(Instant::now() < end, "the engine never answered");
    }
}

#[test]
fn an_engine_that_is_restarted_or_killed_finds_its_links_kept() {
    let engine = Engine::start();
    let mut stage = Stage::on(&engine.host(), &[]);
    stage.start_controller();
    linked(&stage);
    await_linked(&stage);
    for signal in ["TERM", "KILL"] {
        let proven = last_success(&stage);
        engine.end(signal);
        stage.eventually("it knows", || stage.get("/readyz").0 == 503);
        assert_eq!(stage.get("/healthz").0, 200);
        engine.launch();
        await_engine(&engine);
        let known = time_until(&stage, "it is known", || stage.get("/readyz").0 == 200);
        println!("after SIG{signal}: known after {known:?}");
        assert!(known < engine.bound(CAUGHT_UP), "after SIG{signal} it took {known:?}\n{}", stage.log());
        stage.eventually("the path is proven anew", || last_success(&stage) > proven);
        await_linked(&stage);
    }
    // Whoever was stopped all the time starts.
    start(&stage, "app3");
    stage.await_state("app3", "db", "Ready");
}

#[test]
fn an_engine_that_is_away_for_long_is_awaited() {
    let engine = Engine::start();
    let mut stage = Stage::on(&engine.host(), &["--host", &engine.host()]);
    linked(&stage);
    for moment in ["at start", "in the middle"] {
        engine.end("TERM");
        if moment == "at start" {
            stage.start_controller();
        }
        stage.eventually("it knows", || stage.get("/readyz").0 == 503);
        let busy = || stage.metric("process_cpu_seconds_total").unwrap();
        let cpu = busy();
        std::thread::sleep(LONG);
        println!("{moment}: waiting took {:.2} s of CPU in {LONG:?}", busy() - cpu);
        assert!(busy() - cpu < LONG.as_secs_f64() / 20.0, "it spins while the engine is away");
        assert_eq!(stage.get("/healthz").0, 200);
        assert_eq!(stage.get("/readyz").0, 503);
        assert_eq!(stage.tieline(&["healthcheck"]).status.code(), Some(0));
        engine.launch();
        await_engine(&engine);
        let known = time_until(&stage, "it is known", || stage.get("/readyz").0 == 200);
        println!("{moment}: known after {known:?}");
        assert!(known < engine.bound(CAUGHT_UP), "{moment} it took {known:?}\n{}", stage.log());
        await_linked(&stage);
    }
}

#[test]
fn an_engine_that_is_deaf_is_told_from_a_quiet_one() {
    let engine = Engine::start();
    let mut stage = Stage::on(&engine.host(), &[]);
    stage.start_controller();
    linked(&stage);
    await_linked(&stage);
    engine.signal("STOP");
    let deaf = Instant::now();
    stage.eventually("it knows", || stage.get("/readyz").0 == 503);
    let (noticed, told) = (deaf.elapsed(), stage.get("/readyz").1);
    // Before anything is judged: whoever tidies up after a failure asks this engine too.
    engine.signal("CONT");
    println!("a deaf engine was noticed after {noticed:?}");
    assert!(noticed < patience(Duration::from_secs(20)), "{noticed:?}");
    assert!(told.contains("did not answer"), "{told}");
    let known = time_until(&stage, "it is known", || stage.get("/readyz").0 == 200);
    println!("an engine that hears again was noticed after {known:?}");
    stage.docker(&["rm", "-f", &stage.name("app3")]);
    await_wiring(&stage, &[&["app1", "app2"]]);
}
