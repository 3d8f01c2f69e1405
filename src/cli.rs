//! The command line: names, defaults and help texts, nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::Ipv4Net;

use crate::config;
use crate::model::handshake::role::{Manner, Transport};
use crate::model::link::Target;
use crate::prober::order::Order;

/// Handshakes begun in a second by default: as many as the containers' own `nc` makes of them on a large
/// machine, and no burst that a small one would feel.
const MAX_HANDSHAKE_RATE: u16 = 100;

/// Links between Docker containers, declared by labels: wired, proven, measured.
///
/// Exit codes: 0 yes or fine, 1 no or not fine, 2 usage, 3 engine or controller not reachable.
#[derive(Debug, Parser)]
#[command(name = "tieline", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller.
    Run(Box<RunArgs>),
    /// Show all links as a table, as a running controller sees them.
    Status(StatusArgs),
    /// Show everything about one link: conditions, networks, paths, history.
    Describe(DescribeArgs),
    /// Show what the controller would do now; changes nothing.
    Plan(LookArgs),
    /// Make one handshake now, step by step, and say which step fails and what to do.
    Check(CheckArgs),
    /// Look whether the engine is there and lets the controller do its work; changes nothing.
    Doctor(LookArgs),
    /// Remove every network that the controller owns.
    Teardown(TeardownArgs),
    /// Ask whether a controller works, for a container's health check.
    Healthcheck(ServerArgs),
    /// Play one side of a handshake; the controller starts it where a container has no nc.
    #[command(hide = true)]
    Speak(SpeakArgs),
}

/// Which engine, and whose networks on it.
#[derive(Clone, Debug, Args)]
pub struct EngineArgs {
    /// The engine's address: unix://PATH or tcp://HOST:PORT [default: DOCKER_HOST, else the usual socket]
    #[arg(long, env = "TIELINE_HOST", value_name = "URL", value_parser = config::parse_host)]
    pub host: Option<String>,
    /// Name of this controller on the engine; it touches only the networks that it made under it
    #[arg(long, env = "TIELINE_INSTANCE", default_value = "tieline", value_parser = config::parse_instance)]
    pub instance: String,
}

/// What labels mean.
#[derive(Clone, Debug, Args)]
pub struct PolicyArgs {
    /// Prefix of the labels on containers, with its final dot
    #[arg(long, env = "TIELINE_LABEL_PREFIX", default_value = "tieline.", value_parser = config::parse_prefix)]
    pub label_prefix: String,
    /// Where link networks get their subnets from
    #[arg(long, env = "TIELINE_SUBNET_POOL", default_value = "10.213.0.0/16", value_name = "CIDR", value_parser = config::parse_pool)]
    pub subnet_pool: Ipv4Net,
    /// Providers without an accept label accept nobody
    #[arg(long, env = "TIELINE_DEFAULT_DENY")]
    pub default_deny: bool,
}

/// How handshakes are made.
#[derive(Clone, Debug, Args)]
pub struct ProofArgs {
    /// How handshakes are made: the first of these ways that can do it, or `auto` for exec,namespace,helper
    #[arg(long, env = "TIELINE_PROBER", default_value = "auto", value_name = "WAY,WAY", value_parser = config::parse_prober)]
    pub prober: Order,
    /// The image of helper containers, with this program in it [default: the one that it runs in, else tieline:latest]
    #[arg(long, env = "TIELINE_HELPER_IMAGE", value_name = "IMAGE", value_parser = config::parse_image)]
    pub helper_image: Option<String>,
}

/// Flags of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Which engine.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// What labels mean.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Where the HTTP API, the metrics and the page listen
    #[arg(long, env = "TIELINE_LISTEN", default_value = "127.0.0.1:9810", value_name = "ADDRESS:PORT", value_parser = config::parse_listen)]
    pub listen: SocketAddr,
    /// How often a proven path is proven again, where the link does not say
    #[arg(long, env = "TIELINE_INTERVAL", default_value = "60s", value_parser = config::parse_interval)]
    pub interval: Duration,
    /// Bound on one handshake, where the link does not say
    #[arg(long, env = "TIELINE_TIMEOUT", default_value = "3s", value_parser = config::parse_timeout)]
    pub timeout: Duration,
    /// How often everything is listed anew, whatever the events say
    #[arg(long, env = "TIELINE_RESYNC", default_value = "5m", value_parser = config::parse_resync)]
    pub resync: Duration,
    /// How long a network may be out of use before it is removed
    #[arg(long, env = "TIELINE_GC_GRACE", default_value = "10s", value_parser = config::parse_grace)]
    pub gc_grace: Duration,
    /// Handshakes at once [default: 4 for each core]
    #[arg(long, env = "TIELINE_MAX_HANDSHAKES", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_handshakes: Option<u16>,
    /// Handshakes begun in a second, at most
    #[arg(long, env = "TIELINE_MAX_HANDSHAKE_RATE", default_value_t = MAX_HANDSHAKE_RATE, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_handshake_rate: u16,
    /// How handshakes are made.
    #[command(flatten)]
    pub proof: ProofArgs,
    /// How log lines are written
    #[arg(long, env = "TIELINE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Plain)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or tracing directives
    #[arg(long, env = "TIELINE_LOG_LEVEL", default_value = "info", value_name = "LEVEL", value_parser = config::parse_level)]
    pub log_level: String,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Plain,
    /// One JSON object a line.
    Json,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Which controller to ask.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// The controller's address
    #[arg(long, env = "TIELINE_SERVER", default_value = "http://127.0.0.1:9810", value_name = "URL", value_parser = config::parse_server)]
    pub server: String,
}

/// Flags of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Which controller.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Show it again whenever it changes
    #[arg(long, conflicts_with = "wait")]
    pub watch: bool,
    /// Wait until every link is Ready; exit 1 and say why not if that takes too long
    #[arg(long)]
    pub wait: bool,
    /// How long to wait
    #[arg(long, default_value = "60s", requires = "wait", value_parser = config::parse_patience)]
    pub timeout: Duration,
}

/// Flags of `describe`.
#[derive(Clone, Debug, Args)]
pub struct DescribeArgs {
    /// The link, as `tieline status` names it: CONSUMER/LINK
    #[arg(value_name = "CONSUMER/LINK", value_parser = config::parse_link)]
    pub link: (String, String),
    /// Which controller.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Flags of `plan` and `doctor`, which look at the engine as the controller would.
#[derive(Clone, Debug, Args)]
pub struct LookArgs {
    /// Which engine.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// What labels mean.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Flags of `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Who opens the connection: a container, or a compose service as PROJECT/SERVICE
    #[arg(value_name = "CONSUMER")]
    pub consumer: String,
    /// To whom and where, as a label would say it: [tcp://|udp://]PROVIDER:PORT or unix://PROVIDER/PATH
    #[arg(value_name = "PROVIDER:PORT", value_parser = config::parse_asked_target)]
    pub target: Target,
    /// Bound on each handshake, where the link does not say
    #[arg(long, env = "TIELINE_TIMEOUT", default_value = "3s", value_parser = config::parse_timeout)]
    pub timeout: Duration,
    /// How it is made.
    #[command(flatten)]
    pub proof: ProofArgs,
    /// Which engine, and what labels mean.
    #[command(flatten)]
    pub look: LookArgs,
}

/// Flags of `teardown`.
#[derive(Clone, Debug, Args)]
pub struct TeardownArgs {
    /// Which engine.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Flags of `speak`.
#[derive(Clone, Debug, Args)]
pub struct SpeakArgs {
    /// For how many milliseconds at most
    #[arg(long, value_name = "N")]
    pub bound_ms: u64,
    /// Which side.
    #[command(subcommand)]
    pub part: Part,
}

/// The sides of a handshake.
#[derive(Clone, Debug, Subcommand)]
pub enum Part {
    /// Listen for one peer
    Listener {
        /// On what: tcp or udp
        #[arg(long, value_parser = config::parse_transport)]
        transport: Transport,
        /// On the first of these that nobody has
        #[arg(long, value_delimiter = ',', required = true)]
        ports: Vec<u16>,
        /// Say besides whether somebody has this port
        #[arg(long)]
        asked: Option<u16>,
    },
    /// Connect to the port that is told on stdin
    Client {
        /// By what: tcp or udp
        #[arg(long, value_parser = config::parse_transport)]
        transport: Transport,
        /// To whom
        #[arg(long)]
        host: String,
        /// To one of these
        #[arg(long, value_delimiter = ',', required = true)]
        ports: Vec<u16>,
        /// knock, talk or ask
        #[arg(long, value_parser = config::parse_manner)]
        manner: Manner,
    },
    /// Connect to a unix socket once a line comes on stdin
    SocketClient {
        /// To which
        #[arg(long)]
        path: String,
        /// The folder below which the path and the links on its way begin
        #[arg(long, requires = "mount")]
        root: Option<PathBuf>,
        /// The path below which that folder has something
        #[arg(long, requires = "root")]
        mount: Option<PathBuf>,
        /// A path below the mount at which the folder lacks what the container has mounted; may be repeated
        #[arg(long, requires = "mount")]
        other: Vec<PathBuf>,
        /// knock, talk or ask
        #[arg(long, value_parser = config::parse_manner)]
        manner: Manner,
    },
}
