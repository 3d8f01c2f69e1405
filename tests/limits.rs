//! The README's table of limits is what the code says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::layers::sources;

/// Constants that are limits without being called so.
const OTHERS: [&str; 7] =
    ["HISTORY", "EVENTS", "SIGNALS", "VERDICTS", "BATCH", "HANDSHAKES_PER_CORE", "LOOKS_AT_ONCE"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// `NAME` and the value of `const NAME: usize = 32 * 1024;`, if `line` is one of an integer.
fn constant(line: &str) -> Option<(&str, u64)> {
    let (name, rest) = line.split_once("const ")?.1.split_once(": ")?;
    let (kind, value) = rest.split_once(" = ")?;
    let is_integer = ["usize", "u8", "u16", "u32", "u64"].contains(&kind);
    is_integer
        .then(|| value.trim_end().strip_suffix(';').and_then(number))
        .flatten()
        .map(|value| (name, value))
}

fn number(text: &str) -> Option<u64> {
    if let Some((a, b)) = text.split_once(" * ") {
        return Some(number(a)? * number(b)?);
    }
    if let Some((a, b)) = text.split_once(" << ") {
        return Some(number(a)? << number(b)?);
    }
    text.replace('_', "").parse().ok()
}

fn is_limit(name: &str) -> bool {
    name.starts_with("MAX_") || name == "AT_ONCE" || OTHERS.contains(&name)
}

/// Every limit in the code, by `module::NAME`.
fn in_the_code() -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for file in sources(&root().join("src")) {
        let module = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        // What follows is about tests.
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for line in text.lines().filter(|_| module != "tests") {
            if let Some((name, value)) = constant(line.trim_start()).filter(|(name, _)| is_limit(name)) {
                let known = found.insert(format!("{module}::{name}"), value);
                assert!(known.is_none(), "two limits are called {module}::{name}");
            }
        }
    }
    found
}

/// Every row of the table, by `module::NAME`.
fn in_the_readme(path: &Path) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(path).unwrap();
    let section = text.split("## Limits").nth(1).expect("a section of limits").split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(!cells[3].is_empty(), "what is seen? {row}");
        let value = cells[1].split(' ').next().and_then(number).unwrap_or_else(|| panic!("no number: {row}"));
        (cells[2].trim_matches('`').to_owned(), value)
    })
    .collect()
}

#[test]
fn the_table_of_limits_is_what_the_code_says() {
    let (code, readme) = (in_the_code(), in_the_readme(&root().join("README.md")));
    assert!(code.len() > 20, "{code:?}");
    for (name, value) in &code {
        assert_eq!(readme.get(name), Some(value), "{name} in the README");
    }
    for name in readme.keys() {
        assert!(code.contains_key(name), "the README names {name}, which no code has");
    }
}

/// What is seen, where that is a word of a condition or a metric, exists.
#[test]
fn what_the_table_says_is_seen_can_be_seen() {
    let code: String =
        sources(&root().join("src")).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let section = text.split("## Limits").nth(1).unwrap().split("\n## ").next().unwrap();
    for row in section.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let seen = row.trim_matches('|').split(" | ").nth(3).unwrap();
        for word in seen.split('`').skip(1).step_by(2) {
            let word = word.trim_start_matches("tieline_");
            let is_name = word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            assert!(!is_name || code.contains(word), "{word} is nowhere in the code: {row}");
        }
    }
}
