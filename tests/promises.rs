//! The README says how each promise is tested: every test that it names is there, and none of those
//! that show a promise is missing from it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where the tests of promises are: rooms, or single files of one.
const ROOMS: [&str; 15] = [
    "private",
    "engine/ourselves",
    "engine/killed",
    "engine/people",
    "engine/modes",
    "engine/churn",
    "engine/freeze",
    "engine/refusals",
    "engine/subnets",
    "rights",
    "podman",
    "names",
    "fuzz",
    "http",
    "soak",
];

#[test]
fn every_test_that_the_readme_names_is_there() {
    let tests = tests_below(Path::new("tests"));
    let known = |name: &str| tests.iter().any(|test| test == name || test.starts_with(&format!("{name}::")));
    let unknown: Vec<String> = named().into_iter().filter(|name| !known(name)).collect();
    assert_eq!(unknown, [] as [String; 0], "the README names tests that are not there");
}

#[test]
fn every_test_of_a_promise_is_named_in_the_readme() {
    let named = named();
    let tests = ROOMS.iter().flat_map(|room| {
        let (folder, file) =
            (PathBuf::from(format!("tests/{room}")), PathBuf::from(format!("tests/{room}.rs")));
        tests_below(if folder.is_dir() { &folder } else { &file })
    });
    let missing: Vec<String> = tests.filter(|test| !named.contains(test)).collect();
    assert_eq!(missing, [] as [String; 0], "the README's page of promises does not name these");
}

/// What the README writes as `room::test`.
fn named() -> BTreeSet<String> {
    let readme = include_str!("../README.md");
    let (_, page) = readme.split_once("\n## What it promises").expect("the page of promises");
    let quoted = page.split('`').skip(1).step_by(2);
    // What is tested beside the code has no room here.
    let is_path = |text: &&str| text.contains("::") && !text.starts_with("model::");
    quoted.filter(is_path).map(str::to_owned).collect()
}

/// The tests in a folder's files, as `cargo test` calls them.
fn tests_below(path: &Path) -> Vec<String> {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        return entries.iter().flat_map(|entry| tests_below(entry)).collect();
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return Vec::new();
    }
    let module = path.with_extension("").to_string_lossy().replace('/', "::");
    let module = module.trim_start_matches("tests::").trim_end_matches("::mod").to_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let mut tests = Vec::new();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("#[test]") || line.trim_start().starts_with("#[tokio::test") {
            let name = lines.next().unwrap_or_default();
            let name = name.trim_start().trim_start_matches("async ").trim_start_matches("fn ");
            tests.push(format!("{module}::{}", name.split('(').next().unwrap_or_default()));
        }
    }
    tests
}
