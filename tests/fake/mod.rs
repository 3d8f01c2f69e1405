//! Scenarios on a fake engine at the wire, for what a real one does only by accident: lost events, cut
//! streams, errors at chosen calls.

mod api;
mod conformance;
mod convergence;
mod crowd;
pub mod engine;
mod events;
mod faults;
mod networks;
mod refusals;
mod state;
mod story;
mod trouble;
mod wire;
