//! What handshakes have told: of each path, and counted for each link.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use crate::model::assess::{live_paths, unprovable};
use crate::model::carrier;
use crate::model::container::{Container, ContainerId};
use crate::model::declaration::{DeclaredLink, Path};
use crate::model::handshake::Verdict;
use crate::model::link::{Carrier, Endpoint, Generation, LinkKey, PathKey};
use crate::model::proof::{self, Proof};
use crate::model::world::World;
use crate::prober::{Finished, Job, Jobs, Request};

/// How handshakes are made where a link does not say.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// How often a proven path is proven again.
    pub interval: Duration,
    /// Bound on one handshake.
    pub timeout: Duration,
}

/// What is known of one path.
#[derive(Debug)]
pub struct PathRecord {
    generation: Generation,
    /// What is believed.
    pub proof: Proof,
    /// How long the last handshake that passed took.
    pub rtt: Option<Duration>,
    /// When a handshake last passed.
    pub last_success: Option<SystemTime>,
    /// When a handshake was last made.
    pub last_attempt: Option<SystemTime>,
}

/// What is counted for one link.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Conclusive handshakes.
    pub handshakes: u64,
    /// Those that failed.
    pub failures: u64,
    /// When the last conclusive one ended.
    pub last: Option<SystemTime>,
    /// How long it took, where that was measured.
    pub last_duration: Option<Duration>,
}

/// The records of all paths and links that exist.
#[derive(Debug, Default)]
pub struct Paths {
    records: HashMap<PathKey, PathRecord>,
    tallies: HashMap<LinkKey, Tally>,
}

impl Paths {
    /// One path's record.
    pub fn record(&self, path: &PathKey) -> Option<&PathRecord> {
        self.records.get(path)
    }

    /// One link's counts.
    pub fn tally(&self, link: &LinkKey) -> Tally {
        self.tallies.get(link).copied().unwrap_or_default()
    }

    /// Takes in a verdict. One that was made for another run of either end, or for a link that is
    /// gone, is dropped.
    pub fn take(&mut self, finished: &Finished) {
        let Some(record) = self.records.get_mut(&finished.path) else { return };
        if record.generation != finished.generation {
            return;
        }
        let attempt = &finished.attempt;
        record.proof.take(attempt.verdict, &attempt.message);
        record.last_attempt = Some(finished.at);
        if let Verdict::Pass { .. } = attempt.verdict {
            record.last_success = Some(finished.at);
            record.rtt = attempt.rtt;
        }
        if !matches!(attempt.verdict, Verdict::Inconclusive(_)) {
            let tally = self.tallies.entry(finished.path.link.clone()).or_default();
            tally.handshakes += 1;
            tally.failures += u64::from(!proof::is_good(attempt.verdict));
            tally.last = Some(finished.at);
            tally.last_duration = attempt.rtt;
        }
    }

    /// Brings the records in line with the world and says which paths are to be proven.
    pub fn refresh(&mut self, world: &World, defaults: Defaults) -> Jobs {
        let mut jobs = BTreeMap::new();
        let mut wired = HashSet::new();
        for (key, link) in &world.declaration().links {
            for (ends @ (consumer, provider), path) in live_paths(world, link) {
                if unprovable(&path.link).is_some() {
                    continue;
                }
                let Some(job) = job(world, link, ends, path, defaults) else { continue };
                let path =
                    PathKey { link: key.clone(), consumer: consumer.clone(), provider: provider.clone() };
                wired.insert(path.clone());
                self.expect(&path, &job.generation);
                if is_running(world, consumer) && is_running(world, provider) {
                    jobs.insert(path, job);
                }
            }
        }
        self.records.retain(|path, _| wired.contains(path));
        self.tallies.retain(|link, _| world.declaration().links.contains_key(link));
        jobs
    }

    /// A path that is not what it was has to be proven from scratch.
    fn expect(&mut self, path: &PathKey, generation: &Generation) {
        let record = self.records.get(path);
        if record.is_none_or(|record| record.generation != *generation) {
            let record = PathRecord {
                generation: generation.clone(),
                proof: Proof::default(),
                rtt: None,
                last_success: record.and_then(|record| record.last_success),
                last_attempt: record.and_then(|record| record.last_attempt),
            };
            self.records.insert(path.clone(), record);
        }
    }
}

fn is_running(world: &World, id: &ContainerId) -> bool {
    world.container(id).is_some_and(Container::is_running)
}

/// The handshake of one path, as the label of its own consumer container says.
fn job(
    world: &World,
    declared: &DeclaredLink,
    ends: &(ContainerId, ContainerId),
    path: &Path,
    defaults: Defaults,
) -> Option<Job> {
    let consumer = world.container(&ends.0)?;
    let provider = world.container(&ends.1)?;
    let link = &path.link;
    let (carrier, request) = match link.target.endpoint {
        Endpoint::Tcp(_) | Endpoint::Udp(_) => {
            let network = carrier::network(world, path.edge.as_ref()?, ends)?;
            let request = Request::over(world, network, consumer, provider, declared, defaults.timeout)?;
            let address = provider.attachment(network)?.address?;
            (Carrier::Network(network.id.clone(), address), request)
        }
        Endpoint::Unix(_) => {
            let socket = carrier::socket(world, link, ends)?.ok()?;
            let carrier = Carrier::Mount(socket.clone());
            (carrier, Request::through(socket, consumer, provider, link, defaults.timeout))
        }
    };
    let generation = Generation {
        consumer_started: consumer.started.clone(),
        provider_started: provider.started.clone(),
        carrier,
        endpoint: link.target.endpoint.clone(),
        handshake: link.handshake,
        payload: link.payload.clone(),
    };
    Some(Job { generation, request, interval: link.interval.unwrap_or(defaults.interval) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lab::Lab;
    use crate::model::link::Handshake;
    use crate::prober::Route;

    const DEFAULTS: Defaults =
        Defaults { interval: Duration::from_secs(30), timeout: Duration::from_secs(3) };

    /// The port, and what is said, in the handshakes of the consumer container called `name`.
    fn said(jobs: &Jobs, name: &str) -> Vec<(u16, Option<String>, Duration)> {
        let own = jobs.values().filter(|job| job.request.consumer.name == name);
        let said = own.map(|job| {
            let Route::Port(route) = &job.request.route else { panic!("{:?}", job.request) };
            let send =
                job.request.payload.send.as_ref().map(|send| String::from_utf8_lossy(send).into_owned());
            assert_eq!(job.generation.payload, job.request.payload);
            (route.port, send, job.interval)
        });
        said.collect()
    }

    #[test]
    fn what_one_replica_declares_changes_no_other_one_s_handshakes() {
        let mut lab = Lab::default();
        lab.run_service("shop/db", 1, &[]);
        lab.run_service("shop/web", 1, &[("tieline.link.db", "db:5432")]);
        lab.run_service(
            "shop/web",
            2,
            &[
                ("tieline.link.db", "db:7777"),
                ("tieline.link.db.send", "FLUSHALL"),
                ("tieline.link.db.expect", "OK"),
                ("tieline.link.db.interval", "1s"),
            ],
        );
        lab.run_service("shop/web", 3, &[("tieline.link.db", "db:1"), ("tieline.link.db.handshake", "none")]);
        lab.carry_out(false);
        let jobs = Paths::default().refresh(&lab.world, DEFAULTS);
        assert_eq!(said(&jobs, "shop-web-1"), [(5432, None, DEFAULTS.interval)]);
        let second = (7777, Some("FLUSHALL".to_owned()), Duration::from_secs(1));
        assert_eq!(said(&jobs, "shop-web-2"), [second]);
        assert_eq!(said(&jobs, "shop-web-3"), []);
        // The link is shown as the oldest replica declares it, with the names of the replicas that differ.
        let link = lab.world.declaration().links.values().next().unwrap();
        assert_eq!(
            (link.link.target.to_string().as_str(), link.link.handshake),
            ("db:5432", Handshake::Auto)
        );
        assert_eq!(link.otherwise, ["shop-web-2", "shop-web-3"]);
    }
}
