//! Workload identity and selectors: how people name the two sides of a link.

use std::fmt;

use super::container::{Container, Labels};

/// Label by which Compose says the project of a container.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// Label by which Compose says the service of a container.
pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
/// Longest name of a project, and of a service, that is believed, in bytes.
pub const MAX_COMPOSE_NAME_BYTES: usize = 512;
/// Label by which Compose numbers the replicas of a service. Every version writes it on each replica, and on
/// nothing else.
pub const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
/// Label by which Compose marks the container of a `compose run`, which is no replica of its service.
const COMPOSE_ONEOFF: &str = "com.docker.compose.oneoff";
/// Labels by which Compose marks containers that do something for a service, and are no replica of it.
const COMPOSE_HELPERS: [&str; 2] = ["com.docker.compose.hook", "com.docker.compose.relay"];
/// Label by which Compose says which services a container's service depends on: `db:service_started:false,…`.
const COMPOSE_DEPENDS_ON: &str = "com.docker.compose.depends_on";

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
        match service(labels) {
            // Anybody may write these labels, and the names go into tables, logs, metrics, networks and
            // aliases: what Compose itself could not have written makes no service.
            Some(names @ [(_, project), (_, service)])
                if number(labels).is_some() && names.iter().all(|name| is_compose_name(*name)) =>
            {
                Self::Service { project: project.to_owned(), service: service.to_owned() }
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

/// The labels that name the service of a container which is not marked as something else, the project's first, as
/// key and value.
fn service(labels: &Labels) -> Option<[(&'static str, &str); 2]> {
    let oneoff = labels.get(COMPOSE_ONEOFF).is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let helper = COMPOSE_HELPERS.iter().any(|key| labels.contains_key(*key));
    let (project, service) = (labels.get(COMPOSE_PROJECT)?, labels.get(COMPOSE_SERVICE)?);
    (!oneoff && !helper).then_some([(COMPOSE_PROJECT, project), (COMPOSE_SERVICE, service)])
}

/// The number of a replica in its service.
pub fn number(labels: &Labels) -> Option<&str> {
    let number = labels.get(COMPOSE_NUMBER)?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(number)
}

/// The project and the service that a container is labelled with, where nothing marks it as something else.
pub fn claimed(labels: &Labels) -> Option<(&str, &str)> {
    service(labels).map(|[(_, project), (_, service)]| (project, service))
}

/// The services that the container's own service depends on, as far as its Compose says.
pub fn depends_on(labels: &Labels) -> impl Iterator<Item = &str> {
    let items = labels.get(COMPOSE_DEPENDS_ON).into_iter().flat_map(|list| list.split(','));
    items.filter_map(|item| item.split(':').next())
}

/// Which of the labels that make a container a replica of a service hold no name, as key and value.
/// One is enough for the container to count by its own name.
pub fn unbelieved(labels: &Labels) -> impl Iterator<Item = (&'static str, &str)> {
    service(labels).into_iter().flatten().filter(|label| !is_compose_name(*label))
}

/// Whether Compose may have written this label: a project's name begins with a letter or digit.
fn is_compose_name((key, name): (&str, &str)) -> bool {
    let all = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let begins = key == COMPOSE_SERVICE || name.starts_with(|c: char| c.is_ascii_alphanumeric());
    all && begins && (1..=MAX_COMPOSE_NAME_BYTES).contains(&name.len())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(project: &str, service: &str) -> Labels {
        let pairs = [(COMPOSE_PROJECT, project), (COMPOSE_SERVICE, service), (COMPOSE_NUMBER, "1")];
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn what_compose_may_have_written_makes_a_service() {
        let long = "a".repeat(MAX_COMPOSE_NAME_BYTES);
        for (project, service) in [("shop", "web"), ("my-shop_2", "Web.v-2_"), ("0", "_"), (&long, &long)] {
            let expected = Workload::Service { project: project.to_owned(), service: service.to_owned() };
            assert_eq!(Workload::named("app", &labels(project, service)), expected);
            assert_eq!(unbelieved(&labels(project, service)).count(), 0);
        }
    }

    #[test]
    fn a_hostile_name_makes_a_container_of_its_own() {
        let long = "a".repeat(MAX_COMPOSE_NAME_BYTES + 1);
        for name in ["", "a b", "$(reboot)", "a/b", "..\n", "\x1b[31m", "w\u{435}b", "\u{202e}bew", &long] {
            for labels in [labels(name, "web"), labels("shop", name)] {
                assert_eq!(Workload::named("app", &labels), Workload::Container("app".to_owned()), "{name}");
                assert_eq!(unbelieved(&labels).count(), 1);
            }
        }
        assert_eq!(Workload::named("app", &labels("-x", "web")), Workload::Container("app".to_owned()));
    }

    /// The labels that Compose 1.29, 2.26, 2.40 and 5.3 write on replicas, and on containers that are none.
    #[test]
    fn a_replica_has_a_number_and_no_mark_of_something_else() {
        let is_replica = |more: &[(&str, &str)], number: bool| {
            let mut labels = labels("shop", "db");
            if !number {
                labels.remove(COMPOSE_NUMBER);
            }
            labels.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
            Workload::named("app", &labels) != Workload::Container("app".to_owned())
        };
        let (oneoff, hash) = (COMPOSE_ONEOFF, "com.docker.compose.config-hash");
        assert!(is_replica(&[], true));
        assert!(is_replica(
            &[(oneoff, "False"), (hash, "0"), ("com.docker.compose.version", "1.29.2")],
            true
        ));
        assert!(!is_replica(&[(oneoff, "True")], true), "compose run");
        assert!(!is_replica(&[(hash, "0"), (oneoff, "False")], false), "a hook of Compose 5.3");
        for mark in COMPOSE_HELPERS {
            assert!(!is_replica(&[(mark, "pre_start")], true), "{mark}");
        }
        for number in ["", "one", "-1"] {
            assert!(!is_replica(&[(COMPOSE_NUMBER, number)], true), "{number:?}");
        }
    }

    #[test]
    fn what_a_service_depends_on_is_read_as_every_compose_writes_it() {
        let of = |value: &str| {
            let labels = [(COMPOSE_DEPENDS_ON.to_owned(), value.to_owned())].into();
            depends_on(&labels).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of("db:service_started:false,cache:service_healthy:true"), ["db", "cache"]);
        assert_eq!(of("db"), ["db"]);
    }
}
