//! The pure core: what containers declare, what the engine holds, what has to be done.
//!
//! Nothing below this module knows a runtime, an engine client, a clock, randomness or a log: the
//! same input always gives the same answer, so every decision can be tested without a Docker.

pub mod assess;
pub mod carrier;
pub mod condition;
pub mod container;
#[cfg(test)]
mod convergence;
pub mod declaration;
pub mod handshake;
pub mod inquiry;
#[cfg(test)]
pub(crate) mod lab;
pub mod labels;
pub mod layout;
pub mod link;
pub mod moment;
pub mod mounts;
pub mod namespace;
pub mod obstacles;
pub mod owner;
pub mod plan;
pub mod proof;
pub mod proxies;
pub mod services;
pub mod subnet;
pub mod workload;
pub mod world;
