//! The compose files in `deploy/`, as Compose reads them.

use std::process::{Command, Output};

fn config(files: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new("docker-compose");
    for file in files {
        command.arg("-f").arg(format!("{}/deploy/{file}", env!("CARGO_MANIFEST_DIR")));
    }
    command
        .env_remove("DOCKER_GID")
        .env_remove("DOCKER_SOCK")
        .env_remove("PROXY_IMAGE")
        .envs(variables.iter().copied());
    command
        .args(["-p", "tieline", "config"])
        .output()
        .unwrap_or_else(|error| panic!("docker-compose: {error}"))
}

fn service(config: &Output, name: &str) -> String {
    let text = String::from_utf8_lossy(&config.stdout).into_owned();
    assert!(config.status.success(), "{}", String::from_utf8_lossy(&config.stderr));
    let begin = text.find(&format!("\n  {name}:\n")).unwrap_or_else(|| panic!("no {name} in {text}"));
    let lines = text[begin + 1..].lines().skip(1).take_while(|line| line.starts_with("   "));
    // Compose 2 quotes what YAML might take for a number.
    lines.map(|line| line.replace('"', "")).collect::<Vec<_>>().join("\n")
}

/// The paths of the host that a service mounts.
fn mounted(service: &str) -> Vec<&str> {
    let lines = service.lines().map(|line| line.trim().trim_start_matches("- "));
    // Volumes have a source too, which is no path.
    lines.filter_map(|line| line.strip_prefix("source: ")).filter(|source| source.starts_with('/')).collect()
}

#[test]
fn the_controller_is_an_ordinary_user_with_the_socket_s_group() {
    let read = config(&["compose.yml"], &[("DOCKER_GID", "4711")]);
    let controller = service(&read, "tieline");
    assert!(controller.contains("user: 65532:65532") && controller.contains("4711"), "{controller}");
    assert_eq!(mounted(&controller), ["/var/run/docker.sock"], "{controller}");
    let elsewhere = config(&["compose.yml"], &[("DOCKER_GID", "4711"), ("DOCKER_SOCK", "/an/engine.sock")]);
    assert_eq!(mounted(&service(&elsewhere, "tieline")), ["/an/engine.sock"]);
    let refused = config(&["compose.yml"], &[]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("stat -Lc %g /var/run/docker.sock"), "{told}");
}

#[test]
fn who_may_enter_namespaces_is_root_with_five_capabilities_and_no_more() {
    let read = config(&["compose.yml", "compose.namespace.yml"], &[("DOCKER_GID", "4711")]);
    let controller = service(&read, "tieline");
    let lines: Vec<&str> = controller.lines().map(str::trim).collect();
    let list = |key: &str| {
        let after = lines.iter().skip_while(|line| **line != key).skip(1);
        let mut list: Vec<_> = after.take_while(|line| line.starts_with("- ")).copied().collect();
        // Compose 1 sorts, Compose 2 keeps the order of the file.
        list.sort_unstable();
        list
    };
    let granted = ["- DAC_OVERRIDE", "- SETGID", "- SETUID", "- SYS_ADMIN", "- SYS_PTRACE"];
    assert_eq!(list("cap_add:"), granted, "{controller}");
    assert_eq!(list("cap_drop:"), ["- ALL"], "{controller}");
    for line in ["user: 0:0", "pid: host", "read_only: true", "- no-new-privileges:true"] {
        assert!(lines.contains(&line), "{line} in {controller}");
    }
    let order = lines.iter().find_map(|line| line.strip_prefix("TIELINE_PROBER: "));
    assert!(order.is_some_and(|order| tieline::config::parse_prober(order).is_ok()), "{controller}");
}

#[test]
fn behind_the_proxy_the_controller_has_no_way_to_the_engine_s_own_socket() {
    let variables = [("DOCKER_GID", "4711"), ("PROXY_IMAGE", "socket-proxy")];
    let read = config(&["compose.yml", "compose.proxy.yml"], &variables);
    let (controller, proxy) = (service(&read, "tieline"), service(&read, "proxy"));
    // A mount of the engine's socket would be another one at the same place.
    assert!(!controller.contains("type: bind"), "{controller}");
    assert_eq!(controller.matches("/var/run/docker.sock").count(), 2, "{controller}");
    assert!(controller.contains("TIELINE_HOST: unix:///var/run/docker.sock/filtered.sock"), "{controller}");
    assert_eq!(mounted(&proxy), ["/var/run/docker.sock"], "{proxy}");
    assert!(proxy.contains("network_mode: none"), "{proxy}");
    for line in tieline::docker::operation::allowlist().lines() {
        let (variable, pattern) = line.split_once('=').unwrap();
        assert!(proxy.contains(&format!("{variable}: ")) && proxy.contains(pattern), "{variable} in {proxy}");
    }
}

#[test]
fn no_volume_is_a_folder_of_the_host() {
    let variables = [("DOCKER_GID", "4711"), ("PROXY_IMAGE", "socket-proxy")];
    for files in [
        &["compose.yml"][..],
        &["compose.yml", "compose.namespace.yml"],
        &["compose.yml", "compose.proxy.yml"],
        &["compose.yml", "demo/compose.yml"],
    ] {
        let read = config(files, &variables);
        let text = String::from_utf8_lossy(&read.stdout).into_owned();
        assert!(read.status.success(), "{files:?}: {}", String::from_utf8_lossy(&read.stderr));
        // The engine unmounts a volume from the host when the last container that uses it stops.
        assert!(!text.contains("device: /"), "{files:?}: {text}");
        // Compose 2 warns of an attribute that it ignores.
        for file in files {
            let own = std::fs::read_to_string(format!("{}/deploy/{file}", env!("CARGO_MANIFEST_DIR")));
            assert!(!own.unwrap().contains("\nversion:"), "{file}");
        }
    }
}
