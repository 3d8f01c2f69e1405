//! `tieline run`: the controller, with everything around it.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch as channel};
use tokio_util::sync::CancellationToken;

use super::{Error, Exit};
use crate::cli::RunArgs;
use crate::config;
use crate::controller::{self, Channels, Defaults, Options};
use crate::docker::{self, Call, Docker, OnCall, Operation, Version, watch};
use crate::metrics::{LabelValues, Metrics};
use crate::model::handshake::{FailReason, InconclusiveReason};
use crate::model::world::World;
use crate::prober::helper::{self, Helper};
use crate::prober::order::{Way, ordered};
use crate::prober::{self, Budget};
use crate::snapshot::Snapshot;
use crate::{http, routes, shutdown, telemetry};

/// Signals of the watch that may wait for the controller. When they are more, the watch waits, and
/// after it the engine's event stream.
const SIGNALS: usize = 1024;
/// How often an engine that does not answer yet is asked which one it is.
const INTRODUCTION: Duration = Duration::from_secs(2);
/// Verdicts that may wait for the controller.
const VERDICTS: usize = 256;
/// Handshakes at once for each core. More do not end sooner: each is two processes in containers.
const HANDSHAKES_PER_CORE: usize = 4;

pub(super) async fn run(args: RunArgs) -> Result<Exit, Error> {
    telemetry::init(args.log_format, &args.log_level);
    let other = |error: &dyn std::fmt::Display| Error::Other(error.to_string());
    let shutdown = shutdown::on_signals().map_err(|error| other(&error))?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Error::Other(format!("cannot listen on {}: {error}; choose another address by --listen", args.listen))
    })?;
    let metrics = Arc::new(Metrics::new(&label_values()).map_err(|error| other(&error))?);
    metrics.set_handshake_interval(args.interval).map_err(|error| other(&error))?;
    let docker = Docker::new(&config::host(&args.engine)?, count_calls(Arc::clone(&metrics)));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %args.listen,
        engine = docker.host(),
        instance = %args.engine.instance,
        "tieline starts"
    );
    tokio::spawn(introduce(docker.clone()));
    assemble(&args, docker, listener, metrics, shutdown).await?;
    tracing::info!("tieline has ended");
    Ok(Exit::Yes)
}

/// Says which engine it is, once it answers, and what to expect of it.
async fn introduce(docker: Docker) {
    let version = loop {
        match docker.version().await {
            Ok(version) => break version,
            Err(docker::Error::Unavailable(_)) => tokio::time::sleep(INTRODUCTION).await,
            Err(error) => {
                tracing::debug!(%error, "the engine does not say which one it is");
                return;
            }
        }
    };
    let Version { product, version: number, api } = &version;
    tracing::info!(engine = product, version = %number, %api, "the engine is {product} {number}");
    if let Some(warning) = version.warning() {
        tracing::warn!("{warning}");
    }
}

/// Starts the tasks, joined by channels, and waits for their end.
async fn assemble(
    args: &RunArgs,
    docker: Docker,
    listener: TcpListener,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let (signal_tx, signals) = mpsc::channel(SIGNALS);
    let (verdict_tx, verdicts) = mpsc::channel(VERDICTS);
    let (jobs, job_rx) = channel::channel(Arc::default());
    let (snapshots, snapshot_rx) = channel::channel(Arc::new(Snapshot::default()));

    let mut watching = tokio::spawn(watch::follow(docker.clone(), args.resync, signal_tx));
    let instance = args.engine.instance.as_str();
    let helper = || Helper::new(docker.clone(), instance, args.proof.helper_image.clone());
    if args.proof.prober.has(Way::Helper) {
        tokio::spawn(helper::sweep(docker.clone(), instance.to_owned()));
    }
    let mut proving = tokio::spawn(prober::run(
        Arc::new(ordered(&args.proof.prober, &docker, helper, None)),
        budget(args),
        job_rx,
        verdict_tx,
        Arc::clone(&metrics),
        shutdown.clone(),
    ));
    let mut serving =
        tokio::spawn(http::serve(listener, snapshot_rx, Arc::clone(&metrics), shutdown.clone()));
    let options = Options {
        gc_grace: args.gc_grace,
        defaults: Defaults { interval: args.interval, timeout: args.timeout },
        routes: routes::read,
    };
    let world = World::new(config::policy(&args.engine, &args.policy));
    let channels = Channels { signals, verdicts, jobs, snapshots };
    let mut controlling =
        tokio::spawn(controller::run(docker, world, options, channels, metrics, shutdown.clone()));

    // A task that ends by itself takes the rest with it: half a controller would look like a whole one.
    let died = |name| move |ended| Error::Other(format!("the {name} died: {ended:?}"));
    let cause = tokio::select! {
        // First, since a shutdown ends the others too, and some of them at once.
        biased;
        () = shutdown.cancelled() => None,
        ended = &mut watching => Some(match ended {
            Ok(Err(error)) => Error::Engine(error.to_string()),
            ended => died("watch")(ended.map(drop).map_err(|error| error.to_string())),
        }),
        ended = &mut proving => Some(died("prober")(ended.map_err(|error| error.to_string()))),
        ended = &mut controlling => Some(died("controller")(ended.map_err(|error| error.to_string()))),
        ended = &mut serving => {
            let ended = ended.map_err(|error| error.to_string()).and_then(|io| io.map_err(|error| error.to_string()));
            Some(died("HTTP server")(ended))
        }
    };
    if let Some(error) = cause {
        return Err(error);
    }
    // What they cannot finish in time, they give up by themselves.
    let (controlled, proved, served) = tokio::join!(controlling, proving, serving);
    watching.abort();
    for result in [controlled, proved, served.map(drop)] {
        result.map_err(|error| Error::Other(format!("a task died while shutting down: {error}")))?;
    }
    Ok(())
}

fn budget(args: &RunArgs) -> Budget {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Budget {
        at_once: args.max_handshakes.map_or(HANDSHAKES_PER_CORE * cores, usize::from),
        a_second: args.max_handshake_rate,
    }
}

fn count_calls(metrics: Arc<Metrics>) -> OnCall {
    Arc::new(move |Call { operation, took, failed }| {
        let labels = [operation.as_str()];
        metrics.engine_requests_total.with_label_values(&labels).inc();
        metrics.engine_request_duration_seconds.with_label_values(&labels).observe(took.as_secs_f64());
        if failed {
            metrics.engine_request_failures_total.with_label_values(&labels).inc();
        }
    })
}

fn label_values() -> LabelValues<'static> {
    LabelValues {
        operations: Operation::ALL.map(Operation::as_str).to_vec(),
        event_types: watch::TYPES.to_vec(),
        event_actions: watch::ACTIONS.to_vec(),
        stream_losses: watch::Loss::ALL.map(watch::Loss::as_str).to_vec(),
        failures: FailReason::ALL.iter().map(|reason| reason.as_str()).chain([prober::NO_LISTENER]).collect(),
        inconclusive: InconclusiveReason::ALL.iter().map(|reason| reason.as_str()).collect(),
        probers: Way::ALL.map(Way::as_str).to_vec(),
        protocols: vec!["tcp", "udp", "unix"],
    }
}
