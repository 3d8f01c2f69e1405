//! The house rules that a compiler does not check: imports go one way, and the model is pure.

use std::fs;
use std::path::{Path, PathBuf};

/// Which modules a module may not name, because they stand above or beside it.
const FORBIDDEN: [(&str, &[&str]); 9] = [
    (
        "model",
        &[
            "docker",
            "queue",
            "snapshot",
            "metrics",
            "controller",
            "prober",
            "speaker",
            "http",
            "commands",
            "cli",
            "config",
        ],
    ),
    (
        "speaker",
        &[
            "docker",
            "queue",
            "snapshot",
            "metrics",
            "controller",
            "prober",
            "http",
            "commands",
            "cli",
            "config",
        ],
    ),
    (
        "docker",
        &[
            "controller",
            "prober",
            "speaker",
            "http",
            "commands",
            "metrics",
            "snapshot",
            "queue",
            "cli",
            "config",
        ],
    ),
    ("queue", &["docker", "controller", "prober", "http", "commands", "metrics", "snapshot"]),
    ("snapshot", &["docker", "controller", "prober", "http", "commands", "metrics", "queue"]),
    ("metrics", &["docker", "controller", "prober", "http", "commands", "queue"]),
    ("http", &["docker", "controller", "prober", "commands", "queue"]),
    ("prober", &["controller", "http", "commands", "snapshot", "cli", "config"]),
    ("controller", &["http", "commands", "cli", "config"]),
];

/// What the pure model must not reach.
const IMPURE: [&str; 9] = [
    "tokio",
    "bollard",
    "SystemTime",
    "Instant",
    "fastrand",
    "rand::",
    "tracing",
    "std::fs",
    "std::net::Tcp",
];

pub fn sources(under: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The lines of a file that are code.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect()
}

fn files_of(module: &str) -> Vec<PathBuf> {
    let root = source_root();
    let is_in = |path: &PathBuf| {
        path.starts_with(root.join(module)) || *path == root.join(module).with_extension("rs")
    };
    sources(&root).into_iter().filter(is_in).collect()
}

#[test]
fn imports_point_one_way() {
    for (module, forbidden) in FORBIDDEN {
        let files = files_of(module);
        assert!(!files.is_empty(), "there is no module {module}: is this table out of date?");
        for file in files {
            for line in code(&file) {
                for above in forbidden {
                    let named = line.contains(&format!("crate::{above}::"))
                        || line.contains(&format!("crate::{above};"));
                    assert!(!named, "{} names {above}: {line}", file.display());
                }
            }
        }
    }
}

#[test]
fn the_model_reaches_nothing() {
    for file in files_of("model") {
        for line in code(&file) {
            for name in IMPURE {
                assert!(!line.contains(name), "{} names {name}: {line}", file.display());
            }
        }
    }
}

#[test]
fn bollard_ends_at_the_adapter_and_anyhow_at_the_program() {
    let root = source_root();
    for file in sources(&root) {
        let text = code(&file).join("\n");
        let is_adapter = file.starts_with(root.join("docker")) || file == root.join("docker.rs");
        assert!(is_adapter || !text.contains("bollard::"), "{} names bollard", file.display());
        assert!(file == root.join("main.rs") || !text.contains("anyhow"), "{} names anyhow", file.display());
    }
}
