//! `tieline doctor` before a proxy that refuses something, and before one that does not.

use std::process::Output;

use super::allowlist::Allowlist;
use crate::engine::stage::tieline;
use crate::proxy::{Fate, Proxy};

fn doctor(host: &str) -> Output {
    tieline().args(["doctor", "--host", host, "-o", "json"]).output().unwrap()
}

/// What is found of one thing.
fn health(output: &Output, what: &str) -> String {
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let row = rows.iter().find(|row| row["what"] == what).unwrap_or_else(|| panic!("no {what} in {rows:#?}"));
    row["health"].as_str().unwrap().to_owned()
}

#[test]
fn the_doctor_tells_which_calls_a_proxy_refuses() {
    let proxy = Proxy::start(None);
    let allowlist = Allowlist::read();
    proxy.judge(move |request| match allowlist.allows(request) {
        true => Fate::Pass,
        false => Fate::Answer(403, "Forbidden"),
    });
    let healthy = doctor(&proxy.host());
    assert_eq!(healthy.status.code(), Some(0), "{}", String::from_utf8_lossy(&healthy.stdout));
    for (what, right) in
        [("product", "ok"), ("exec_start", "ok"), ("network_create", "untried"), ("subnets", "ok")]
    {
        assert_eq!(health(&healthy, what), right, "{what}");
    }
    // What only helpers need is not missed.
    let helper_s = ["container_create", "container_attach", "container_start", "container_remove"];
    for what in helper_s {
        assert_eq!(health(&healthy, what), "warning", "{what}");
    }
    proxy.judge(|_| Fate::Pass);
    let free = doctor(&proxy.host());
    for what in helper_s {
        assert_eq!(health(&free, what), "ok", "{what}");
    }
    let allowlist = Allowlist::read();
    proxy.judge(move |request| match allowlist.allows(request) && !request.path.starts_with("/exec") {
        true => Fate::Pass,
        false => Fate::Answer(403, "Forbidden"),
    });
    let refused = doctor(&proxy.host());
    assert_eq!(refused.status.code(), Some(1));
    for (what, right) in
        [("exec_start", "bad"), ("exec_inspect", "bad"), ("exec_create", "ok"), ("events", "ok")]
    {
        assert_eq!(health(&refused, what), right, "{what}");
    }
    // Whatever else it asks to change does not exist.
    let changes =
        |path: &str| path == "/networks/create" || (path.contains("/networks/") && !path.contains("/000"));
    assert!(proxy.requests().iter().all(|request| request.method == "GET" || !changes(&request.path)));
    assert_eq!(doctor("unix:///nonexistent/docker.sock").status.code(), Some(3));
}
