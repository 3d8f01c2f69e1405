//! The fake engine held to the real one: the same steps on both, the same facts seen. Every rule of the
//! fake that a scenario relies on is asked of both.

use std::collections::HashMap;
use std::fmt::Display;
use std::process::Command;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};

use super::engine::FakeEngine;
use super::state::State;
use crate::engine::stage::{IMAGE, ok};
use crate::facts::{self, Fact};

/// What people do to containers, which tieline never does.
trait People {
    fn create(&self, name: &str, mode: &str) -> String;
    /// Whether it started.
    fn start(&self, id: &str) -> bool;
    fn stop(&self, id: &str);
    fn pause(&self, id: &str, paused: bool);
    fn remove(&self, id: &str);
}

struct Real;

impl People for Real {
    fn create(&self, name: &str, mode: &str) -> String {
        let create =
            ["create", "--stop-timeout", "0", "--network", mode, "--name", name, IMAGE, "sleep", "1000"];
        ok(Command::new("docker").args(create)).trim().to_owned()
    }

    fn start(&self, id: &str) -> bool {
        Command::new("docker").args(["start", id]).output().unwrap().status.success()
    }

    fn stop(&self, id: &str) {
        ok(Command::new("docker").args(["stop", "-t", "0", id]));
    }

    fn pause(&self, id: &str, paused: bool) {
        ok(Command::new("docker").args([if paused { "pause" } else { "unpause" }, id]));
    }

    fn remove(&self, id: &str) {
        ok(Command::new("docker").args(["rm", "-f", id]));
    }
}

impl People for FakeEngine {
    fn create(&self, name: &str, mode: &str) -> String {
        let mut state = self.state();
        let id = state.create_container(name, &[]);
        state.containers.get_mut(&id).unwrap().mode = mode.to_owned();
        id
    }

    fn start(&self, id: &str) -> bool {
        self.state().start_container(id).is_ok()
    }

    fn stop(&self, id: &str) {
        self.state().stop_container(id);
    }

    fn pause(&self, id: &str, paused: bool) {
        self.state().pause_container(id, paused);
    }

    fn remove(&self, id: &str) {
        self.state().remove_container(id);
    }
}

/// One engine, and the facts seen on it so far.
struct Trial<'a> {
    docker: Docker,
    people: &'a dyn People,
    /// Begins every name.
    name: String,
    facts: Vec<String>,
}

/// Endpoint settings that do not say which network is meant.
fn untold() -> EndpointSettings {
    let options = HashMap::from([("tieline.provider".to_owned(), "db".to_owned())]);
    EndpointSettings {
        aliases: Some(vec!["db".to_owned()]),
        driver_opts: Some(options),
        ..Default::default()
    }
}

impl Trial<'_> {
    fn note(&mut self, what: &str, fact: impl Display) {
        self.facts.push(format!("{what}: {fact}"));
    }

    /// A refusal by its status and those of its words that we rely on.
    fn note_answer<T>(&mut self, what: &str, answer: Result<T, Error>) {
        const WORDS: [&str; 9] = [
            "already exists in network",
            "network with name",
            "has active endpoints",
            "is not connected to",
            "Pool overlaps with other one",
            "no available IPv4 addresses on this network's address pools",
            "sharing network namespace with another container or host",
            "private (none) mode",
            "not found",
        ];
        let fact = match answer {
            Ok(_) => "ok".to_owned(),
            Err(Error::DockerResponseServerError { status_code, message }) => {
                let word = WORDS.into_iter().find(|word| message.contains(word)).unwrap_or("");
                format!("{status_code} {word}")
            }
            Err(error) => error.to_string(),
        };
        self.note(what, fact);
    }

    async fn note_attachment(&mut self, what: &str, container: &str, network: (&str, &str)) {
        let found = self.docker.inspect_container(container, None).await.unwrap();
        let networks = found.network_settings.unwrap().networks.unwrap_or_default();
        let fact = match networks.get(network.1).or_else(|| networks.get(network.0)) {
            None => "none".to_owned(),
            Some(endpoint) => format!(
                "under its {}, network {}, address {}, alias {}, option {}",
                if networks.contains_key(network.1) { "name" } else { "id" },
                match endpoint.network_id.as_deref().unwrap_or_default() {
                    "" => "unsaid",
                    id if id == network.0 => "this",
                    _ => "another",
                },
                !endpoint.ip_address.as_deref().unwrap_or_default().is_empty(),
                endpoint.aliases.as_ref().is_some_and(|aliases| aliases.iter().any(|a| a == "db")),
                endpoint.driver_opts.as_ref().is_some_and(|options| options.contains_key("tieline.provider")),
            ),
        };
        self.note(what, fact);
    }

    async fn create_network(&self, name: &str, subnet: &str) -> Result<String, Error> {
        let subnet = IpamConfig { subnet: Some(subnet.to_owned()), ..Default::default() };
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            internal: Some(true),
            ipam: Some(Ipam { config: Some(vec![subnet]), ..Default::default() }),
            ..Default::default()
        };
        self.docker.create_network(request).await.map(|made| made.id)
    }

    async fn connect_as(&mut self, what: &str, endpoint: EndpointSettings, network: &str, container: &str) {
        let request =
            NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint) };
        let answer = self.docker.connect_network(network, request).await;
        self.note_answer(what, answer);
    }

    /// As tieline does it.
    async fn connect(&mut self, what: &str, network: &str, container: &str) {
        let told = EndpointSettings { network_id: Some(network.to_owned()), ..untold() };
        self.connect_as(what, told, network, container).await;
    }

    async fn disconnect(&mut self, what: &str, network: &str, container: &str) {
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        let answer = self.docker.disconnect_network(network, request).await;
        self.note_answer(what, answer);
    }

    async fn remove_network(&mut self, what: &str, network: &str) {
        let answer = self.docker.remove_network(network).await;
        self.note_answer(what, answer);
    }

    fn start(&mut self, what: &str, container: &str) {
        let started = self.people.start(container);
        self.note(what, if started { "starts" } else { "does not start" });
    }

    async fn a_life(&mut self) {
        let name = format!("{}-life", self.name);
        let id = self.people.create(&name, "default");
        let net = self.create_network(&name, "10.214.7.0/28").await.unwrap();
        let network = (net.as_str(), name.as_str());
        let taken = self.create_network(&format!("{name}-2"), "10.214.7.0/28").await;
        self.note_answer("a subnet that is taken", taken);
        self.disconnect("disconnect what is not connected", &net, &id).await;
        self.connect_as("connect a created container", untold(), &net, &id).await;
        self.note_attachment("created", &id, network).await;
        self.connect("connect it again, and say to what", &net, &id).await;
        self.note_attachment("created and told", &id, network).await;
        self.start("with its network", &id);
        self.note_attachment("running", &id, network).await;
        self.connect("connect a running container again", &net, &id).await;
        self.remove_network("remove a network in use", &net).await;
        self.people.pause(&id, true);
        self.note_attachment("paused", &id, network).await;
        self.remove_network("remove a network that a paused container is on", &net).await;
        self.disconnect("disconnect a paused container", &net, &id).await;
        self.connect("connect a paused container", &net, &id).await;
        self.people.pause(&id, false);
        self.people.stop(&id);
        self.note_attachment("stopped", &id, network).await;
        self.remove_network("remove a network of a stopped container", &net).await;
        self.note_attachment("its network is gone", &id, network).await;
        let answer = self.docker.inspect_network(&net, None).await;
        self.note_answer("inspect a network that is gone", answer);
        self.start("without its network", &id);
        self.disconnect("disconnect from what is gone by its id", &net, &id).await;
        self.disconnect("disconnect from what is gone by its name", &name, &id).await;
        self.start("after that", &id);
        self.connect("connect a running container to what is gone", &net, &id).await;
        self.people.stop(&id);
        self.connect("connect a stopped container to what is gone", &net, &id).await;
        self.note_attachment("connected to what is gone", &id, network).await;
        self.start("connected to what is gone", &id);
        self.disconnect("disconnect it by the id", &net, &id).await;
        self.start("after that", &id);
        self.people.remove(&id);
        let answer = self.docker.inspect_container(&id, None).await;
        self.note("inspect a container that is gone", answer.is_err());
    }

    async fn a_full_subnet(&mut self) {
        let name = format!("{}-full", self.name);
        let [one, two, three] = [1, 2, 3].map(|n| self.people.create(&format!("{name}-{n}"), "default"));
        let net = self.create_network(&name, "10.214.7.16/30").await.unwrap();
        let network = (net.as_str(), name.as_str());
        for id in [&one, &two] {
            self.people.start(id);
        }
        self.connect("the only address is taken", &net, &one).await;
        self.connect("connect to a full network", &net, &two).await;
        self.note_attachment("refused", &two, network).await;
        self.disconnect("disconnect who was refused", &net, &two).await;
        self.connect("connect a created container to a full network", &net, &three).await;
        self.start("on a full network", &three);
        self.disconnect("make room", &net, &one).await;
        self.connect("connect who was refused", &net, &two).await;
        self.note_attachment("connected after all", &two, network).await;
        self.connect("connect to a full network again", &net, &one).await;
        self.people.stop(&one);
        self.start("who was refused and stopped", &one);
        self.disconnect("disconnect who was refused and stopped", &net, &one).await;
        self.start("after that", &one);
        self.connect("be refused again", &net, &one).await;
        self.disconnect("make room again", &net, &two).await;
        self.remove_network("remove a network that somebody was refused on", &net).await;
        self.disconnect("disconnect who was refused from what is gone", &name, &one).await;
        self.note_attachment("after that", &one, network).await;
        for id in [&one, &two, &three] {
            self.people.remove(id);
        }
    }

    async fn two_of_one_name(&mut self) {
        let name = format!("{}-twin", self.name);
        let [by_name, by_id] = ["a", "b"].map(|n| self.people.create(&format!("{name}-{n}"), "default"));
        let first = self.create_network(&name, "10.214.7.32/28").await.unwrap();
        self.connect_as("connect to the first of two", untold(), &first, &by_name).await;
        self.connect("connect to the first of two and say so", &first, &by_id).await;
        let second = self.create_network(&name, "10.214.7.48/28").await;
        let made = second.as_ref().ok().cloned();
        self.note_answer("make another network of that name", second);
        self.start("that does not know which of two", &by_name);
        self.start("that knows which of two", &by_id);
        self.note_attachment("on the first of two", &by_id, (&first, &name)).await;
        self.disconnect("disconnect by the name of two", &name, &by_name).await;
        self.start("after that", &by_name);
        self.people.remove(&by_id);
        self.people.remove(&by_name);
        for network in [Some(first), made].into_iter().flatten() {
            self.remove_network("remove one of two", &network).await;
        }
    }

    async fn who_cannot_be_connected(&mut self) {
        let name = format!("{}-never", self.name);
        let net = self.create_network(&name, "10.214.7.64/28").await.unwrap();
        for mode in ["host", "none"] {
            let id = self.people.create(&format!("{name}-{mode}"), mode);
            self.connect(&format!("connect a container of mode {mode}"), &net, &id).await;
            self.people.remove(&id);
        }
        self.connect("connect a container that is not there", &net, "nobody").await;
        self.disconnect("disconnect a container that is not there", &net, "nobody").await;
        self.remove_network("remove a network that nobody was on", &net).await;
        self.remove_network("remove it again", &net).await;
    }

    /// One that lives in another container's namespace.
    async fn a_guest(&mut self) {
        let name = format!("{}-guest", self.name);
        let net = self.create_network(&name, "10.214.7.80/28").await.unwrap();
        let host = self.people.create(&format!("{name}-host"), "default");
        self.people.start(&host);
        let id = self.people.create(&name, &format!("container:{host}"));
        self.connect("connect a created guest", &net, &id).await;
        self.note_attachment("a created guest", &id, (&net, &name)).await;
        self.start("a guest that was connected", &id);
        self.note_attachment("a running guest", &id, (&net, &name)).await;
        self.disconnect("disconnect a running guest", &net, &id).await;
        self.connect("connect a running guest", &net, &id).await;
        self.remove_network("remove a network that a guest was put on", &net).await;
        self.people.stop(&id);
        self.start("a guest whose network is gone", &id);
        self.people.remove(&id);
        self.people.remove(&host);
    }

    async fn run(mut self) -> Vec<String> {
        self.a_life().await;
        self.a_full_subnet().await;
        self.two_of_one_name().await;
        self.who_cannot_be_connected().await;
        self.a_guest().await;
        self.facts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_engine_answers_as_the_real_one() {
    let name = format!("tieline-conformance-{}", std::process::id());
    let docker = Docker::connect_with_local_defaults().unwrap();
    let trial = Trial { docker, people: &Real, name: name.clone(), facts: Vec::new() };
    let real = trial.run().await;
    let mut rules = State::new();
    rules.unique_names = !facts::holds(Fact::NamesRepeat);
    rules.connected_guests_start = facts::holds(Fact::ConnectedGuestsStart);
    let engine = FakeEngine::holding(rules);
    let docker = Docker::connect_with_host(&engine.host()).unwrap();
    let fake = Trial { docker, people: &engine, name, facts: Vec::new() }.run().await;
    for (fake, real) in fake.iter().zip(&real) {
        assert_eq!(fake, real);
    }
    assert_eq!(fake.len(), real.len());
}
