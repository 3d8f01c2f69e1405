//! Workload identity and selectors: how people name the two sides of a link.

use std::fmt;

use super::container::{Container, Labels};

/// Label by which Compose says the project of a container.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// Label by which Compose says the service of a container.
pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
/// Label by which Compose marks the container of a `compose run`, which is no replica of its service.
const COMPOSE_ONEOFF: &str = "com.docker.compose.oneoff";

/// What people name: a compose service with all its replicas, or a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// A container by its name.
    Container(String),
    /// A service of a compose project.
    Service {
        /// The compose project.
        project: String,
        /// The service in it.
        service: String,
    },
}

impl Workload {
    /// The workload that `container` belongs to.
    pub fn of(container: &Container) -> Self {
        Self::named(&container.name, &container.labels)
    }

    /// The workload of a container called `name` with these labels.
    pub fn named(name: &str, labels: &Labels) -> Self {
        let oneoff = labels.get(COMPOSE_ONEOFF).is_some_and(|v| v.eq_ignore_ascii_case("true"));
        match (labels.get(COMPOSE_PROJECT), labels.get(COMPOSE_SERVICE)) {
            // Compose's own names have no slash; one that has could not be read back from a label.
            (Some(project), Some(service)) if !oneoff && !project.contains('/') => {
                Self::Service { project: project.clone(), service: service.clone() }
            }
            _ => Self::Container(name.to_owned()),
        }
    }

    /// The name under which its containers know each other: the service, or the container's name.
    pub fn short_name(&self) -> &str {
        match self {
            Self::Container(name) => name,
            Self::Service { service, .. } => service,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(name) => f.write_str(name),
            Self::Service { project, service } => write!(f, "{project}/{service}"),
        }
    }
}

/// Which containers a label means.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// The service of that name in the same compose project if there is one, else the container.
    Name(String),
    /// A service of a compose project.
    Service {
        /// The compose project.
        project: String,
        /// The service in it.
        service: String,
    },
    /// Every container that has all these labels.
    Labels(Vec<(String, String)>),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Service { project, service } => write!(f, "{project}/{service}"),
            Self::Labels(labels) => {
                f.write_str("[")?;
                for (i, (key, value)) in labels.iter().enumerate() {
                    write!(f, "{}{key}={value}", if i == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
        }
    }
}
