//! tieline: a Kubernetes-style operator for plain Docker.

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
pub mod telemetry;
