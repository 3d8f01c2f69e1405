//! Many containers with the longest names and as many links as the labels allow: what the controller
//! keeps and shows of them has limits.

use std::time::Instant;

use super::engine::{Controller, FakeEngine};
use crate::soak::gauge::status;

/// Containers, and links of each.
const CROWD: usize = 64;

/// Containers that are only created, of services with names of 1 KiB, with links to selectors of 1 KiB.
fn create_crowd(engine: &FakeEngine) {
    for n in 0..CROWD {
        let name = format!("{n:02}{}", "x".repeat(510));
        let selector = format!("[key={}]", "v".repeat(1018));
        let mut labels = vec![
            ("com.docker.compose.project".to_owned(), "p".repeat(512)),
            ("com.docker.compose.service".to_owned(), name.clone()),
            ("com.docker.compose.container-number".to_owned(), "1".to_owned()),
        ];
        labels
            .extend((1..=CROWD).map(|port| (format!("tieline.link.n{port}"), format!("{selector}:{port}"))));
        let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (&**key, &**value)).collect();
        engine.state().create_container(&format!("crowd{n}"), &labels);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_names_leave_every_answer_and_the_log_within_bounds() {
    let engine = FakeEngine::start();
    create_crowd(&engine);
    let controller = Controller::start(&engine, &[]);
    controller.ready().await;
    let known = || controller.get("/api/v1/events").matches("\"name\"").count() >= 1000;
    controller.eventually("all links are known", known).await;
    let resident = || status(controller.pid(), "VmRSS:");
    let before = resident();
    for (path, limit) in
        [("/metrics", 12 << 20), ("/api/v1/links", 33 << 20), ("/api/v1/events", 4 << 20), ("/", 1 << 20)]
    {
        let start = Instant::now();
        let body = controller.get(path);
        eprintln!(
            "{path}: {} bytes in {:?}, resident {before}, then {} kB",
            body.len(),
            start.elapsed(),
            resident()
        );
        assert!(body.len() < limit, "{path} has {} bytes", body.len());
    }
    let log = controller.log().len();
    eprintln!("the log has {log} bytes");
    assert!(log < 10 << 20, "the log has {log} bytes");
}
