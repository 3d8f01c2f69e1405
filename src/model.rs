//! The pure core: what containers declare, what the engine holds, what has to be done.
//!
//! Nothing below this module knows a runtime, an engine client, a clock, randomness or a log: the
//! same input always gives the same answer, so every decision can be tested without a Docker.

pub mod container;
pub mod link;
pub mod workload;
