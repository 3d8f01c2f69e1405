//! Bytes at random, where they come in from outside: the engine's stream, the HTTP port, the arguments
//! of the scripts. Each for a bounded number of cases; `PROPTEST_CASES` asks for more.

mod engine;
mod http;
mod shell;

/// How many cases to try.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}
