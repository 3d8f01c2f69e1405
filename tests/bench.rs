//! How long links take, against the bare engine calls made by this process in the same run:
//! `cargo bench`. Ratios, since machines differ; nothing is asserted.

#![allow(clippy::unwrap_used, dead_code)]

mod call;
mod facts;
mod patience;
#[path = "engine/stage.rs"]
mod stage;
mod turns;

use std::collections::BTreeMap;
use std::time::Instant;

use bollard::Docker;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest};
use futures_util::StreamExt;

use stage::Stage;

const ROUNDS: usize = 15;
const BARE_SUBNET: &str = "10.219.0.0/28";
const PORT: u16 = 7777;

#[tokio::main]
async fn main() {
    let docker = Docker::connect_with_local_defaults().unwrap();
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let stage = Stage::new();
    for round in 0..ROUNDS {
        tieline_round(&stage, round, &mut times);
        bare_round(&docker, &stage, round, &mut times).await;
    }
    println!("{ROUNDS} rounds, milliseconds: median (least to most)");
    for (name, values) in &mut times {
        values.sort_by(f64::total_cmp);
        println!("  {name:<58} {:7.1} ({:.1} to {:.1})", median(values), values[0], values[values.len() - 1]);
    }
    for (what, ours, bare) in [
        (
            "created to wired, against the calls alone",
            "1 tieline: created to both attached",
            "1 bare: network and two connects",
        ),
        (
            "started to proven, against the calls alone",
            "2 tieline: started to Ready",
            "2 bare: started to answered over nc",
        ),
    ] {
        println!("{what}: {:.2} times", median(&times[ours]) / median(&times[bare]));
    }
    let lead = median(&times["1 tieline: created to both attached"]);
    println!("a program whose start comes later than {lead:.0} ms after its creation finds its links there");
    println!("the controller at rest: {} kB resident", rss(&stage));
}

fn tieline_round(stage: &Stage, round: usize, times: &mut BTreeMap<&str, Vec<f64>>) {
    let (provider, consumer) = (format!("p{round}"), format!("c{round}"));
    let target = format!("{}:{PORT}", stage.name(&provider));
    stage.create(&provider, &[], &["sleep", "1000"]);
    let labels = [("link.x", target.as_str()), ("link.x.handshake", "exchange")];
    stage.create(&consumer, &labels, &["sleep", "1000"]);
    let created = Instant::now();
    poll(|| stage.link(&consumer, "x").is_some_and(|link| link["conditions"][2]["status"] == "True"));
    note(times, "1 tieline: created to both attached", created);
    stage.docker(&["start", &stage.name(&provider), &stage.name(&consumer)]);
    let started = Instant::now();
    poll(|| stage.link(&consumer, "x").is_some_and(|link| link["state"] == "Ready"));
    note(times, "2 tieline: started to Ready", started);
    stage.docker(&["rm", "-f", &stage.name(&provider), &stage.name(&consumer)]);
}

async fn bare_round(docker: &Docker, stage: &Stage, round: usize, times: &mut BTreeMap<&str, Vec<f64>>) {
    let (provider, consumer) = (format!("bp{round}"), format!("bc{round}"));
    stage.create(&provider, &[], &["sleep", "1000"]);
    stage.create(&consumer, &[], &["sleep", "1000"]);
    let created = Instant::now();
    let network = docker.create_network(network(stage)).await.unwrap().id;
    for name in [&provider, &consumer] {
        let request = NetworkConnectRequest {
            container: stage.name(name),
            endpoint_config: Some(EndpointSettings::default()),
        };
        docker.connect_network(&network, request).await.unwrap();
    }
    note(times, "1 bare: network and two connects", created);
    stage.docker(&["start", &stage.name(&provider), &stage.name(&consumer)]);
    let started = Instant::now();
    let (provider, consumer) = (stage.name(&provider), stage.name(&consumer));
    // The input is held open: an nc whose input is at its end loses messages.
    let listen = format!("{{ echo pong; sleep 0.02; }} | nc -w 2 -l -p {PORT}");
    let ask = format!(
        "for n in 1 2 3 4 5 6 7 8 9; do echo ping | nc -w 2 {provider} {PORT} && break; sleep 0.02; done"
    );
    for attempt in 1.. {
        let (heard, answered) = tokio::join!(exec(docker, &provider, &listen), exec(docker, &consumer, &ask));
        if heard.contains("ping") && answered.contains("pong") {
            break;
        }
        assert!(attempt < 10, "no answer in ten attempts: {heard:?}, {answered:?}");
    }
    note(times, "2 bare: started to answered over nc", started);
    stage.docker(&["rm", "-f", &provider, &consumer]);
    docker.remove_network(&network).await.unwrap();
}

fn network(stage: &Stage) -> NetworkCreateRequest {
    let subnet = IpamConfig { subnet: Some(BARE_SUBNET.to_owned()), ..Default::default() };
    NetworkCreateRequest {
        name: stage.name("bare"),
        internal: Some(true),
        ipam: Some(Ipam { config: Some(vec![subnet]), ..Default::default() }),
        ..Default::default()
    }
}

async fn exec(docker: &Docker, container: &str, line: &str) -> String {
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(["sh", "-c", line].map(str::to_owned).to_vec()),
        ..Default::default()
    };
    let id = docker.create_exec(container, options).await.unwrap().id;
    let StartExecResults::Attached { mut output, .. } = docker.start_exec(&id, None).await.unwrap() else {
        return String::new();
    };
    let mut text = String::new();
    while let Some(Ok(piece)) = output.next().await {
        text.push_str(&piece.to_string());
    }
    text
}

fn poll(done: impl Fn() -> bool) {
    let end = Instant::now() + stage::PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "it never came");
    }
}

fn note<'a>(times: &mut BTreeMap<&'a str, Vec<f64>>, name: &'a str, since: Instant) {
    times.entry(name).or_default().push(since.elapsed().as_secs_f64() * 1000.0);
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn rss(stage: &Stage) -> String {
    let text = std::fs::read_to_string(format!("/proc/{}/status", stage.controller_pid())).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}
