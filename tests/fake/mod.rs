//! Scenarios on a fake engine at the wire, for what a real one does only by accident: lost events, cut
//! streams, errors at chosen calls.

mod api;
mod conformance;
pub mod engine;
mod state;
mod trouble;
