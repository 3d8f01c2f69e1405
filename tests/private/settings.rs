//! Engines whose daemon has settings of its host's own.

use std::process::Command;

use serde_json::{Value, json};

use super::engine::Engine;
use crate::engine::stage::{IMAGE, Stage};
use crate::facts::{self, Fact};

const ICC: &str = "com.docker.network.bridge.enable_icc";

/// `default-network-opts`: networks without communication between containers, and with IPv6.
const DEFAULTS: [&str; 4] = [
    "--default-network-opt",
    "bridge=com.docker.network.bridge.enable_icc=false",
    "--default-network-opt",
    "bridge=com.docker.network.enable_ipv6=true",
];

/// The settings of a network that [`DEFAULTS`] would change.
fn defaulted(network: &Value) -> Value {
    json!([network["Options"][ICC], network["EnableIPv6"]])
}

#[test]
fn defaults_of_the_daemon_for_networks_do_not_reach_links() {
    let known = Command::new("dockerd").args(DEFAULTS).arg("--version").output().unwrap();
    let stderr = String::from_utf8_lossy(&known.stderr);
    assert_eq!(known.status.success(), !facts::holds(Fact::NetworkDefaultsUnknown), "{stderr}");
    if !known.status.success() {
        return;
    }
    let engine = Engine::with(&DEFAULTS);
    let mut stage = Stage::on(&engine.host(), &[]);
    let plain = stage.name("plain");
    // An engine before 27 has no IPv6 subnet to give of itself.
    stage.docker(&["network", "create", "--subnet", "fd00:213::/64", &plain]);
    let plain = stage.api("GET", &format!("/networks/{plain}"), "");
    let ipv6 = !facts::holds(Fact::NetworkDefaultsSkipIpv6);
    assert_eq!(defaulted(&plain), json!(["false", ipv6]), "the setting is in force");

    stage.start_controller();
    stage.run_with("app1", &[], &[], IMAGE, &["httpd", "-f", "-p", "80"]);
    stage.run("app2", &[("link.db", &format!("{}:80", stage.name("app1")))]);
    stage.await_state("app2", "db", "Ready");
    let links: Vec<Value> = stage.networks().iter().map(defaulted).collect();
    assert_eq!(links, [json!(["true", false])]);
}
