//! Scenarios on a real engine.

mod churn;
mod cleanup;
mod commands;
mod compose;
mod consent;
mod discovery;
mod foreign;
mod freeze;
mod handshakes;
mod helpers;
mod ipv6;
mod killed;
mod labels;
pub mod metrics;
mod modes;
mod oracle;
mod ourselves;
mod people;
pub mod picture;
mod prometheus;
mod proofs;
mod refusals;
mod sockets;
pub mod stage;
mod subnets;
mod warnings;
mod wiring;
