//! tieline: a Kubernetes-style operator for plain Docker.

pub mod model;
