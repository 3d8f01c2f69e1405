//! The metrics, judged by Prometheus' own tools.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::prometheus::Prometheus;
use super::stage::Stage;

fn linked() -> Stage {
    let stage = Stage::new();
    stage.run("app1", &[]);
    let target = format!("{}:80", stage.name("app1"));
    stage.run("app2", &[("link.x", &target), ("link.x.handshake", "exchange"), ("link.bad", "app1")]);
    stage.await_state("app2", "x", "Ready");
    stage
}

/// What `promtool check metrics` makes of a text.
pub fn promtool(text: &str) -> Output {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs promtool (Debian's package prometheus): {error}"));
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    promtool.wait_with_output().unwrap()
}

#[test]
fn promtool_has_nothing_to_say() {
    let stage = linked();
    let output = promtool(&stage.get("/metrics").1);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn every_metric_of_the_contract_is_there_from_the_start() {
    let stage = Stage::new();
    let (_, text) = stage.get("/metrics");
    for series in [
        "tieline_links{state=\"Ready\"} 0",
        "tieline_links{state=\"NoListener\"} 0",
        "tieline_label_errors 0",
        "tieline_handshakes_in_flight 0",
        "tieline_handshake_queue_depth 0",
        "tieline_handshake_lateness_seconds 0",
        "tieline_networks 0",
        "tieline_subnets_free 16",
        "tieline_engine_up 1",
        "tieline_resync_repairs_total 0",
        "tieline_reconcile_total{result=\"error\"} 0",
        "tieline_workqueue_adds_total 0",
        "tieline_workqueue_retries_total 0",
        "tieline_workqueue_depth 0",
        "tieline_workqueue_longest_running_seconds 0",
        "tieline_handshake_interval_seconds 60",
        "tieline_event_stream_restarts_total{reason=\"ended\"} 0",
        "tieline_handshake_failures_by_reason_total{reason=",
        "tieline_handshakes_inconclusive_total{reason=",
        "tieline_engine_request_failures_total{operation=\"network_create\"} 0",
        "tieline_events_total{action=\"other\",type=\"container\"} 0",
        "tieline_wiring_duration_seconds_count{phase=\"create\"} 0",
        "tieline_handshake_duration_seconds_count{prober=\"exec\",protocol=\"tcp\"} 0",
        "tieline_build_info{revision=",
        "tieline_containers_watched ",
        "tieline_event_stream_last_event_timestamp_seconds ",
        "tieline_resync_last_success_timestamp_seconds ",
        "tieline_reconcile_duration_seconds_count ",
        "process_resident_memory_bytes ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(series)), "{series} is missing");
    }
}

#[test]
fn a_real_prometheus_scrapes_a_real_controller() {
    let stage = linked();
    let address = stage.server.trim_start_matches("http://");
    // The file that people are given, at this stage's address and faster.
    let shipped =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus.yml")).unwrap();
    let config = shipped.replace("127.0.0.1:9810", address).replace("15s", "1s");
    assert!(config.contains(address), "deploy/prometheus.yml does not scrape 127.0.0.1:9810");
    let prometheus = Prometheus::start("prometheus", &config);
    let consumer = stage.name("app2");
    stage.eventually("Prometheus knows that the link is ready", || {
        prometheus
            .query(&format!("tieline_link_ready{{consumer=\"{consumer}\",link=\"x\"}} == 1"))
            .contains(&consumer)
    });
    assert!(prometheus.query("up{job=\"tieline\"}").contains("\"1\""));
}
