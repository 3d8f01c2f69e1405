//! Which compose services there are, or were since the controller started: a service that has no container at the
//! moment is not replaced by a container that happens to have its name.

use std::collections::BTreeSet;

use super::declaration::Participant;
use super::workload::Workload;

/// Compose services that are remembered. Of more, only those that have a container now are known.
pub const MAX_SERVICES: usize = 10_000;

/// The services that were seen, by project and service.
#[derive(Clone, Debug, Default)]
pub struct Services(BTreeSet<(String, String)>);

impl Services {
    /// Adds the services of `participants`, and forgets those of projects that have no container any more.
    pub fn see<'a>(&mut self, participants: impl Iterator<Item = &'a Participant> + Clone) {
        let projects: BTreeSet<&String> = participants.clone().filter_map(Participant::project).collect();
        self.0.retain(|(project, _)| projects.contains(project));
        if self.0.len() > MAX_SERVICES {
            self.0.clear();
        }
        for participant in participants {
            if let Workload::Service { project, service } = &participant.workload
                && !self.has(project, service)
            {
                self.0.insert((project.clone(), service.clone()));
            }
        }
    }

    /// Whether the service was seen.
    pub fn has(&self, project: &str, service: &str) -> bool {
        self.0.contains(&(project.to_owned(), service.to_owned()))
    }
}
