//! tieline: a Kubernetes-style operator for plain Docker.
//!
//! Containers declare links by labels; the controller makes the networks, proves each link by a
//! handshake between the containers, and tells how it is. One task owns the state, and everything
//! else talks to it through channels:
//!
//! ```text
//!  engine ──events, looks──▶ docker::watch ──Signal──▶ ┌────────────┐
//!     ▲                                                │            │──Snapshot──▶ http, metrics
//!     ├──calls── controller::apply ◀──actions──────────│ controller │
//!     │                    └──what is so now──────────▶│            │
//!     │                                                └────────────┘
//!     └──exec── prober::exec ◀── prober ◀──Jobs───────────┘   ▲
//!                                   └────────Finished─────────┘
//! ```
//!
//! What the controller decides, it decides in [`model`], which is pure: [`model::labels`] reads
//! labels, [`model::declaration`] works out what all of them declare, [`model::plan`] what has to be
//! done for one edge, [`model::assess`] how a link is.

pub mod cli;
pub mod commands;
pub mod config;
pub mod controller;
pub mod docker;
pub mod http;
pub mod metrics;
pub mod model;
pub mod prober;
pub mod queue;
pub mod routes;
pub mod shutdown;
pub mod snapshot;
pub mod speaker;
pub mod telemetry;
