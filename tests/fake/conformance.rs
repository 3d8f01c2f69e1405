//! The fake engine held to the real one: the same steps on both, the same facts seen.

use std::process::Command;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};

use super::engine::FakeEngine;
use crate::engine::stage::{IMAGE, ok};

const SUBNET: &str = "10.214.7.0/28";

/// What people do to containers, which tieline never does.
trait People {
    fn create(&self, name: &str) -> String;
    fn start(&self, id: &str);
    fn stop(&self, id: &str);
    fn remove(&self, id: &str);
}

struct Real;

impl People for Real {
    fn create(&self, name: &str) -> String {
        let create = ["create", "--stop-timeout", "0", "--name", name, IMAGE, "sleep", "1000"];
        ok(Command::new("docker").args(create)).trim().to_owned()
    }

    fn start(&self, id: &str) {
        ok(Command::new("docker").args(["start", id]));
    }

    fn stop(&self, id: &str) {
        ok(Command::new("docker").args(["stop", "-t", "0", id]));
    }

    fn remove(&self, id: &str) {
        ok(Command::new("docker").args(["rm", "-f", id]));
    }
}

impl People for FakeEngine {
    fn create(&self, name: &str) -> String {
        self.state().create_container(name, &[])
    }

    fn start(&self, id: &str) {
        self.state().start_container(id).unwrap();
    }

    fn stop(&self, id: &str) {
        self.state().stop_container(id);
    }

    fn remove(&self, id: &str) {
        self.state().remove_container(id);
    }
}

/// One engine, and the facts seen on it so far.
struct Trial<'a> {
    docker: Docker,
    people: &'a dyn People,
    facts: Vec<String>,
}

impl Trial<'_> {
    fn note(&mut self, what: &str, fact: impl std::fmt::Display) {
        self.facts.push(format!("{what}: {fact}"));
    }

    /// A refusal by its status and those of its words that we rely on.
    fn note_answer<T>(&mut self, what: &str, answer: Result<T, Error>) {
        const WORDS: [&str; 5] = [
            "already exists in network",
            "has active endpoints",
            "is not connected to",
            "Pool overlaps with other one",
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
        let fact = match networks.get(network.1) {
            None => "none".to_owned(),
            Some(endpoint) => format!(
                "network {}, address {}, alias {}",
                match endpoint.network_id.as_deref().unwrap_or_default() {
                    "" => "unsaid",
                    id if id == network.0 => "this",
                    _ => "another",
                },
                !endpoint.ip_address.as_deref().unwrap_or_default().is_empty(),
                endpoint.aliases.as_ref().is_some_and(|aliases| aliases.iter().any(|a| a == "db")),
            ),
        };
        self.note(what, fact);
    }

    async fn create_network(&self, name: &str) -> Result<String, Error> {
        let subnet = IpamConfig { subnet: Some(SUBNET.to_owned()), ..Default::default() };
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            internal: Some(true),
            ipam: Some(Ipam { config: Some(vec![subnet]), ..Default::default() }),
            ..Default::default()
        };
        self.docker.create_network(request).await.map(|made| made.id)
    }

    async fn connect(&self, network: &str, container: &str) -> Result<(), Error> {
        self.connect_as(EndpointSettings::default(), network, container).await
    }

    async fn connect_as(
        &self,
        endpoint: EndpointSettings,
        network: &str,
        container: &str,
    ) -> Result<(), Error> {
        let endpoint = EndpointSettings { aliases: Some(vec!["db".to_owned()]), ..endpoint };
        let request =
            NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint) };
        self.docker.connect_network(network, request).await
    }

    async fn disconnect(&self, network: &str, container: &str) -> Result<(), Error> {
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        self.docker.disconnect_network(network, request).await
    }

    async fn run(mut self, name: &str) -> Vec<String> {
        let id = self.people.create(name);
        let net = self.create_network(name).await.unwrap();
        let network = (net.as_str(), name);
        let taken = self.create_network(&format!("{name}-2")).await;
        self.note_answer("a subnet that is taken", taken);
        let answer = self.disconnect(&net, &id).await;
        self.note_answer("disconnect what is not connected", answer);
        let answer = self.connect(&net, &id).await;
        self.note_answer("connect a created container", answer);
        let answer = self.connect(&net, &id).await;
        self.note_answer("connect it again", answer);
        self.note_attachment("created", &id, network).await;
        self.disconnect(&net, &id).await.unwrap();
        let told = EndpointSettings { network_id: Some(net.clone()), ..Default::default() };
        let answer = self.connect_as(told, &net, &id).await;
        self.note_answer("connect a created container and tell it the network's id", answer);
        self.note_attachment("created and told", &id, network).await;
        self.people.start(&id);
        self.note_attachment("running", &id, network).await;
        let answer = self.connect(&net, &id).await;
        self.note_answer("connect a running container again", answer);
        let answer = self.docker.remove_network(&net).await;
        self.note_answer("remove a network in use", answer);
        self.people.stop(&id);
        self.note_attachment("stopped", &id, network).await;
        let answer = self.docker.remove_network(&net).await;
        self.note_answer("remove a network of a stopped container", answer);
        self.note_attachment("its network is gone", &id, network).await;
        let answer = self.docker.inspect_network(&net, None).await;
        self.note_answer("inspect a network that is gone", answer);
        self.people.remove(&id);
        let answer = self.docker.inspect_container(&id, None).await;
        self.note("inspect a container that is gone", answer.is_err());
        self.facts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_engine_answers_as_the_real_one() {
    let name = format!("tieline-conformance-{}", std::process::id());
    let docker = Docker::connect_with_local_defaults().unwrap();
    let real = Trial { docker, people: &Real, facts: Vec::new() }.run(&name).await;
    let engine = FakeEngine::start();
    let docker = Docker::connect_with_host(&engine.host()).unwrap();
    let fake = Trial { docker, people: &engine, facts: Vec::new() }.run(&name).await;
    assert_eq!(fake, real);
}
