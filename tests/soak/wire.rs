//! The same at the wire, where thousands of containers come and go in seconds: what is kept for one that
//! is gone would show.

use std::time::{Duration, Instant};

use super::gauge::status;
use super::{GROWTH, SLACK_KB, duration, median};
use crate::fake::engine::{Controller, FakeEngine};

/// Containers that are there at once.
const AT_ONCE: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_containers_leave_nothing_in_memory() {
    let engine = FakeEngine::start();
    engine.run("db", &[]);
    let controller = Controller::start(&engine, &["--resync", "2s"]);
    controller.ready().await;
    let pid = controller.pid();
    let (start, length) = (Instant::now(), duration() / 2);
    let mut there = Vec::new();
    let mut samples = Vec::new();
    let mut made = 0;
    while start.elapsed() < length {
        made += 1;
        let labels = [
            ("tieline.link.good", "db:80"),
            ("tieline.link.bad", "db:eighty"),
            (&*format!("tieline.key{made}"), "nobody knows this key"),
        ];
        there.push(engine.run(&format!("app{made}"), &labels));
        if there.len() > AT_ONCE {
            let oldest = there.remove(0);
            let mut state = engine.state();
            state.stop_container(&oldest);
            state.remove_container(&oldest);
        }
        // No faster than it can follow: what waits would be measured too.
        tokio::time::sleep(Duration::from_millis(10)).await;
        if made % 50 == 0 {
            let newest = format!("app{made}");
            let known = || controller.get("/api/v1/links").contains(&newest);
            controller.eventually("the newest container is known", known).await;
            controller.get("/metrics");
            if made % 500 == 0 {
                eprintln!("{made} containers: {} kB", status(pid, "VmRSS:"));
            }
            samples.push((start.elapsed().as_secs_f64(), status(pid, "VmRSS:") as f64));
        }
    }
    let end = start.elapsed().as_secs_f64();
    let resident = |n: f64| {
        let part = samples.iter().filter(|(at, _)| *at >= end * n / 3.0 && *at < end * (n + 1.0) / 3.0);
        median(part.map(|(_, kb)| *kb).collect())
    };
    let (early, late) = (resident(1.0), resident(2.0));
    eprintln!("{made} containers, resident medians of the thirds: {} {early} {late} kB", resident(0.0));
    assert!(late <= early * (1.0 + GROWTH) + SLACK_KB, "{made} containers: {early} kB, then {late} kB");
    for id in there {
        let mut state = engine.state();
        state.stop_container(&id);
        state.remove_container(&id);
    }
    controller.eventually("nothing is left of them", || controller.get("/api/v1/links") == "[]").await;
    controller.eventually("no network is left", || engine.wiring().is_empty()).await;
}
