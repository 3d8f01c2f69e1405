//! Scenarios on a real engine.

mod cleanup;
mod commands;
mod compose;
mod consent;
mod handshakes;
mod labels;
mod metrics;
mod stage;
mod wiring;
