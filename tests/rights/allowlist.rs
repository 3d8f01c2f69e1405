//! The allowlist in `deploy/`, read as the proxy reads it that it is written for.

use regex::Regex;

use crate::proxy::Request;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/proxy.env");

pub struct Allowlist {
    rules: Vec<(String, Regex)>,
}

impl Allowlist {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(FILE).unwrap();
        let rules = text.lines().filter_map(|line| line.strip_prefix("SP_ALLOW_")?.split_once('='));
        let rules: Vec<(String, Regex)> = rules
            .map(|(method, pattern)| (method.to_owned(), Regex::new(&format!("^{pattern}$")).unwrap()))
            .collect();
        assert!(!rules.is_empty(), "{FILE} allows nothing");
        Self { rules }
    }

    pub fn allows(&self, request: &Request) -> bool {
        self.rules.iter().any(|(method, path)| *method == request.method && path.is_match(&request.path))
    }
}
