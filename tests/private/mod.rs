//! Scenarios on engines of their own, which may be stopped, killed and kept from answering.

mod deployment;
mod engine;
mod outage;
mod settings;
mod stream;
mod trouble;
