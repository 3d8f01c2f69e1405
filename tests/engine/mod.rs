//! Scenarios on a real engine.

mod cleanup;
mod commands;
mod compose;
mod consent;
mod handshakes;
mod labels;
mod metrics;
pub mod stage;
mod stream;
mod wiring;
