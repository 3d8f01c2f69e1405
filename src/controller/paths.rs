//! What handshakes have told: of each path, and counted for each link.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use crate::model::assess::{live_paths, unprovable};
use crate::model::carrier;
use crate::model::container::{Container, ContainerId};
use crate::model::declaration::DeclaredLink;
use crate::model::handshake::Verdict;
use crate::model::link::{Carrier, EdgeKey, Endpoint, Generation, LinkKey, PathKey};
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
            if unprovable(link).is_some() {
                continue;
            }
            for ((consumer, provider), edge) in live_paths(world, link) {
                let path =
                    PathKey { link: key.clone(), consumer: consumer.clone(), provider: provider.clone() };
                let Some(job) = job(world, link, edge, &path, defaults) else { continue };
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

fn job(
    world: &World,
    link: &DeclaredLink,
    edge: Option<&EdgeKey>,
    path: &PathKey,
    defaults: Defaults,
) -> Option<Job> {
    let ends = (path.consumer.clone(), path.provider.clone());
    let consumer = world.container(&path.consumer)?;
    let provider = world.container(&path.provider)?;
    let (carrier, request) = match link.link.target.endpoint {
        Endpoint::Tcp(_) | Endpoint::Udp(_) => {
            let network = carrier::network(world, edge?, &ends)?;
            let request = Request::over(world, network, consumer, provider, link, defaults.timeout)?;
            let address = provider.attachment(network)?.address?;
            (Carrier::Network(network.id.clone(), address), request)
        }
        Endpoint::Unix(_) => {
            let socket = carrier::socket(world, link, &ends)?.ok()?;
            let carrier = Carrier::Mount(socket.clone());
            (carrier, Request::through(socket, consumer, provider, &link.link, defaults.timeout))
        }
    };
    let generation = Generation {
        consumer_started: consumer.started.clone(),
        provider_started: provider.started.clone(),
        carrier,
        endpoint: link.link.target.endpoint.clone(),
        handshake: link.link.handshake,
        payload: link.link.payload.clone(),
    };
    Some(Job { generation, request, interval: link.link.interval.unwrap_or(defaults.interval) })
}
