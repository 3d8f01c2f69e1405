//! Scenarios: the built program against a real engine, and against a fake one for what a real engine
//! does only by accident. A test that needs something missing fails and says what.

#![allow(clippy::unwrap_used)]

mod call;
mod engine;
mod facts;
mod fake;
mod fuzz;
mod handshake;
mod http;
mod layers;
mod limits;
mod names;
mod patience;
mod podman;
mod private;
mod promises;
mod proxy;
mod rights;
mod soak;
mod turns;
