//! The containers, the peers in their namespaces, and the walls between them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tieline::docker::Docker;
use tieline::model::handshake::role::Transport;
use tieline::model::handshake::{FailReason, Verdict};
use tieline::model::link::{Handshake, Payload};
use tieline::prober::exec::Exec;
use tieline::prober::helper::Helper;
use tieline::prober::namespace::Namespace;
use tieline::prober::{Attempt, By, Means, PortRoute, Prober, Request, Route, Side};

use super::lab::{self, Lab, cli, processes};
use super::peer;
use super::situations::{Fate, Name, PAUSED, Provider, Situation, Truth};
use super::turns;

/// Every image, whatever it has to speak with.
const IMAGES: [&str; 10] = [
    "busybox",
    "busybox-full",
    "openbsd",
    "traditional",
    "ncat",
    "toybox",
    "minimal",
    "bash",
    "no-netcat",
    "bare",
];
/// The name that leads to the stranger.
const STRAY: &str = "stray.example";
/// Where everybody has the sockets.
const SOCKETS: &str = "/run/sockets";
/// Bound on a handshake that is to pass: far more than one takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bound on one that is not, so that a run does not spend its time on waiting.
const IMPATIENCE: Duration = Duration::from_millis(2500);

/// A prober, by what it is called.
#[derive(Clone)]
pub enum Maker {
    Exec(Arc<By<Exec>>),
    Namespace(Arc<By<Namespace>>),
    Helper(Arc<By<Helper>>),
}

impl Maker {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exec(_) => Exec::NAME,
            Self::Namespace(_) => Namespace::NAME,
            Self::Helper(_) => Helper::NAME,
        }
    }

    async fn handshake(&self, request: &Request) -> Attempt {
        match self {
            Self::Exec(prober) => prober.handshake(request).await,
            Self::Namespace(prober) => prober.handshake(request).await,
            Self::Helper(prober) => prober.handshake(request).await,
        }
    }
}

pub struct Stand {
    lab: Lab,
    sides: BTreeMap<&'static str, Side>,
    /// Killed when the stand is gone.
    peers: Vec<Child>,
    /// A folder of sockets for each side. All of them have it.
    sockets: TempDir,
    docker: Docker,
    ports: AtomicU16,
}

impl Stand {
    pub fn new() -> Self {
        let lab = Lab::new("truth");
        let docker = lab::docker();
        let sockets = tempfile::tempdir().unwrap();
        let mount = format!("--volume={}:{SOCKETS}", sockets.path().display());
        let (sides, peers, ports) = (BTreeMap::new(), Vec::new(), AtomicU16::new(20_000));
        let mut stand = Self { lab, sides, peers, sockets, docker, ports };
        stand.add("stranger", "busybox", &[&mount]);
        let stray = format!("--add-host={STRAY}:{}", stand.sides["stranger"].address.unwrap());
        for image in IMAGES {
            stand.add(image, image, &[&stray, &mount]);
        }
        for name in ["deaf", "mute", "walled", "paused", "stopped"] {
            stand.add(name, "busybox", &[&stray, &mount]);
        }
        stand.wall("deaf", &["INPUT", "-p", "tcp", "--tcp-flags", "PSH", "PSH", "-j", "DROP"]);
        stand.wall("mute", &["OUTPUT", "-p", "tcp", "--tcp-flags", "PSH", "PSH", "-j", "DROP"]);
        stand.wall("walled", &["INPUT", "-i", "eth0", "-j", "DROP"]);
        cli(&["pause", &stand.sides["paused"].name]);
        cli(&["kill", &stand.sides["stopped"].name]);
        stand
    }

    fn add(&mut self, name: &'static str, image: &str, options: &[&str]) {
        let side = self.lab.run_with(name, image, options);
        self.sides.insert(name, side);
        let sockets = self.sockets.path().join(name);
        std::fs::create_dir(&sockets).unwrap();
        let mut peer = Command::new("nsenter")
            .arg(format!("--net=/proc/{}/ns/net", self.pid(name)))
            .arg(std::env::current_exe().unwrap())
            .arg(peer::WORD)
            .arg(sockets)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("nsenter, of util-linux, has to be there, and this has to be root");
        let mut line = String::new();
        BufReader::new(peer.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "the peers of {name} did not start");
        self.peers.push(peer);
        for protocol in ["tcp", "udp"] {
            let (dropped, unreachable) = (peer::DROPPED.to_string(), peer::UNREACHABLE.to_string());
            let no_way_back = peer::NO_WAY_BACK.to_string();
            self.wall(name, &["INPUT", "-p", protocol, "--dport", &dropped, "-j", "DROP"]);
            let reject = ["-j", "REJECT", "--reject-with", "icmp-host-unreachable"];
            self.wall(name, &[&["INPUT", "-p", protocol, "--dport", &unreachable][..], &reject].concat());
            self.wall(name, &["OUTPUT", "-p", protocol, "--sport", &no_way_back, "-j", "DROP"]);
        }
    }

    fn pid(&self, name: &str) -> String {
        cli(&["inspect", "-f", "{{.State.Pid}}", self.sides[name].id.as_str()])
    }

    fn wall(&self, name: &str, rule: &[&str]) {
        let made = Command::new("nsenter")
            .arg(format!("--net=/proc/{}/ns/net", self.pid(name)))
            .args(["iptables", "-w", "-A"])
            .args(rule)
            .output()
            .expect("iptables has to be there");
        assert!(made.status.success(), "iptables {rule:?}: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// The probers that `PROBERS` names, or all.
    pub fn probers(&self) -> Vec<Maker> {
        let docker = || self.docker.clone();
        let all = [
            Maker::Exec(Arc::new(By::new(docker(), Exec::new(docker())))),
            Maker::Namespace(Arc::new(By::new(docker(), Namespace::new(docker())))),
            Maker::Helper(Arc::new(By::new(
                docker(),
                Helper::new(docker(), &self.instance(), Some(lab::image_of_ours())),
            ))),
        ];
        let wanted = std::env::var("PROBERS").unwrap_or_default();
        let is_wanted =
            |maker: &Maker| wanted.is_empty() || wanted.split(',').any(|word| word == maker.name());
        let chosen: Vec<Maker> = all.into_iter().filter(is_wanted).collect();
        assert!(!chosen.is_empty(), "no prober is called {wanted}");
        chosen
    }

    /// Whose helpers are this run's.
    fn instance(&self) -> String {
        format!("truth-{}", std::process::id())
    }

    /// A handshake in this situation between containers at random, unless it is none for this prober.
    pub fn plan(&self, situation: &Situation, maker: Maker) -> Option<Plan> {
        let consumer = IMAGES[fastrand::usize(..IMAGES.len())];
        let provider = loop {
            let image = IMAGES[fastrand::usize(..IMAGES.len())];
            if image != consumer {
                break image;
            }
        };
        if situation.provider == Provider::Fated(PAUSED) && maker.name() == Exec::NAME {
            return None;
        }
        let provider = match situation.provider {
            Provider::Any | Provider::Fated(_) => provider,
            Provider::Deaf => "deaf",
            Provider::Mute => "mute",
            Provider::Walled => "walled",
            Provider::Paused => "paused",
            Provider::Stopped => "stopped",
        };
        let truth = match maker.name() {
            Exec::NAME => by_their_tools(situation, consumer, provider),
            _ => situation.truth,
        };
        let may_lack = maker.name() == Exec::NAME && lacks(situation.transport, provider, true);
        Some(Plan { situation: situation.clone(), maker, consumer, provider, truth, may_lack })
    }

    /// A port that nobody else uses.
    fn free_port(&self) -> u16 {
        self.ports
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |port| {
                Some(if port == 59_000 { 20_000 } else { port + 1 })
            })
            .unwrap()
    }

    /// What is in the containers that does not belong there, once it had time to go.
    pub fn left_behind(&self, settling: Duration) -> Vec<String> {
        let start = Instant::now();
        loop {
            let mut left: Vec<String> = self
                .sides
                .iter()
                .filter(|(name, _)| **name != "stopped")
                .flat_map(|(name, side)| {
                    let found = processes(side).into_iter().filter(|process| process != "sleep");
                    found.map(move |process| format!("{name}: {process}"))
                })
                .collect();
            let helpers =
                cli(&["ps", "-aq", "--filter", &format!("label=tieline.helper={}", self.instance())]);
            left.extend(helpers.lines().map(|id| format!("helper {id}")));
            if left.is_empty() || start.elapsed() > settling {
                return left;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        for peer in &mut self.peers {
            let _ = peer.kill();
            let _ = peer.wait();
        }
    }
}

/// Whether an image has nothing to connect or to listen with.
fn lacks(transport: Transport, image: &str, listens: bool) -> bool {
    match (image, transport) {
        ("bare" | "no-netcat", _) => true,
        // The stand's own providers have the small busybox.
        ("busybox" | "deaf" | "mute" | "walled" | "bash", Transport::Udp) => true,
        ("bash", Transport::Tcp) => listens,
        _ => false,
    }
}

/// What is true where the containers' own tools have to do it, and cannot do everything.
fn by_their_tools(situation: &Situation, consumer: &str, provider: &str) -> Truth {
    if situation.is_socket && !lab::ABLE.contains(&consumer) {
        return Truth::Lacking;
    }
    if matches!(situation.truth, Truth::Untold(_) | Truth::NotFailed) {
        return situation.truth;
    }
    // It cannot end what it says, which some wait for.
    let unending = [peer::ANSWERS_AT_THE_END, peer::SILENT].contains(&situation.port);
    if consumer == "bash" && situation.asks && unending {
        return Truth::Lacking;
    }
    if situation.is_socket {
        return situation.truth;
    }
    let refused = situation.port == peer::NOBODY && situation.mode == Handshake::Auto;
    let udp_auto = situation.transport == Transport::Udp
        && situation.mode == Handshake::Auto
        && situation.truth != Truth::Is(Verdict::Pass { listening: Some(true), detour: false });
    let silent_udp =
        situation.transport == Transport::Udp && situation.mode == Handshake::Auto && !situation.asks;
    let exchanges = situation.mode == Handshake::Exchange || refused || udp_auto || silent_udp;
    let cannot_listen = exchanges && lacks(situation.transport, provider, true);
    match situation.name_is {
        _ if lacks(situation.transport, consumer, false) => Truth::Lacking,
        // The name was asked for before anybody had to listen.
        Name::Missing if cannot_listen && refused => Truth::Is(Verdict::Fail(FailReason::NameNotResolved)),
        _ if cannot_listen => Truth::Lacking,
        _ => situation.truth,
    }
}

/// One handshake, and what may be told.
pub struct Plan {
    situation: Situation,
    maker: Maker,
    consumer: &'static str,
    provider: &'static str,
    truth: Truth,
    may_lack: bool,
}

/// What was told.
pub struct Told {
    pub situation: &'static str,
    pub prober: &'static str,
    pub between: String,
    pub truth: Truth,
    /// Whether the provider has nothing to listen with, so that where the connection was over too soon for a look
    /// at it nobody can tell with whom it was.
    pub may_lack: bool,
    pub verdict: Verdict,
    pub message: String,
    pub took: Duration,
}

/// Lets a container meet its fate.
async fn meet(fate: Fate, side: &Side) {
    let words = [fate, &[side.id.as_str()]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let docker = move || turns::output(Command::new("docker").args(words));
    // One that is removed already cannot be removed again.
    let _ = tokio::task::spawn_blocking(docker).await.unwrap();
}

impl Plan {
    pub async fn carry_out(self, stand: &Stand) -> Told {
        let fated = match self.situation.provider {
            Provider::Fated(fate) => {
                Some((fate, stand.lab.run_with(&format!("fated{}", stand.free_port()), self.provider, &[])))
            }
            _ => None,
        };
        let provider = fated.as_ref().map_or(&stand.sides[self.provider], |(_, side)| side);
        let request = self.request(stand, provider);
        let start = Instant::now();
        let fulfilment = async {
            if let Some((fate, side)) = &fated {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(..200))).await;
                meet(fate, side).await;
            }
        };
        let (attempt, ()) = tokio::join!(self.maker.handshake(&request), fulfilment);
        if let Some((_, side)) = &fated {
            meet(&["rm", "-f"], side).await;
        }
        Told {
            situation: self.situation.name,
            prober: self.maker.name(),
            between: format!("{} -> {}", self.consumer, self.provider),
            truth: self.truth,
            may_lack: self.may_lack,
            verdict: attempt.verdict,
            message: attempt.message,
            took: start.elapsed(),
        }
    }

    fn request(&self, stand: &Stand, provider: &Side) -> Request {
        let situation = &self.situation;
        let host = match situation.name_is {
            Name::Right => provider.name.clone(),
            Name::Missing => "no.such.name".to_owned(),
            Name::Wrong => STRAY.to_owned(),
        };
        let timeout = match situation.truth {
            _ if situation.name_is == Name::Missing || situation.port == peer::ANSWERS_AT_THE_END => PATIENCE,
            Truth::Is(Verdict::Fail(_)) => IMPATIENCE,
            _ => PATIENCE,
        };
        let port = if situation.port == 0 { stand.free_port() } else { situation.port };
        let (send, expect) = (b"PING\r\n".to_vec(), r"\+PONG".to_owned());
        let route = match situation.is_socket {
            true => Route::Socket(format!("{SOCKETS}/{}/{}", self.provider, peer::file(port))),
            false => Route::Port(PortRoute {
                transport: situation.transport,
                host,
                // One that does not run has none any more.
                address: provider.address.unwrap_or(Ipv4Addr::UNSPECIFIED),
                address6: None,
                others: vec![],
                port,
            }),
        };
        Request {
            consumer: stand.sides[self.consumer].clone(),
            provider: provider.clone(),
            route,
            mode: situation.mode,
            payload: if situation.asks {
                Payload { send: Some(send), expect: Some(expect) }
            } else {
                Payload::default()
            },
            timeout,
        }
    }
}
