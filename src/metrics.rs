//! The metrics: what happened is counted as it happens; what is so is read from the snapshot at each
//! scrape, and so no series outlives its link.

mod since;
mod view;

use std::time::Duration;

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder, proto::MetricFamily,
};

use crate::snapshot::Snapshot;
pub use since::Since;

/// Buckets of every histogram, seconds.
pub const BUCKETS: [f64; 13] = [0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Everything that is counted. The fields are the metrics' names without the prefix.
#[allow(missing_docs)]
pub struct Metrics {
    registry: Registry,
    pub handshake_duration_seconds: HistogramVec,
    pub handshake_failures_by_reason_total: IntCounterVec,
    pub handshakes_inconclusive_total: IntCounterVec,
    pub handshakes_in_flight: IntGauge,
    pub handshake_queue_depth: IntGauge,
    pub handshake_lateness_seconds: Since,
    pub wiring_duration_seconds: HistogramVec,
    pub controller_turn_age_seconds: Since,
    pub engine_up: IntGauge,
    pub engine_requests_total: IntCounterVec,
    pub engine_request_failures_total: IntCounterVec,
    pub engine_request_duration_seconds: HistogramVec,
    pub events_total: IntCounterVec,
    pub event_stream_restarts_total: IntCounterVec,
    pub event_stream_last_event_timestamp_seconds: Gauge,
    pub resync_last_success_timestamp_seconds: Gauge,
    pub resync_repairs_total: IntCounter,
    pub reconcile_total: IntCounterVec,
    pub reconcile_duration_seconds: Histogram,
    pub workqueue_adds_total: IntCounter,
    pub workqueue_retries_total: IntCounter,
    http_refusals_total: IntCounterVec,
}

/// The closed lists of label values, so that every counter exists at 0 from the start.
#[derive(Default)]
pub struct LabelValues<'a> {
    /// Operations of the engine's API.
    pub operations: Vec<&'a str>,
    /// Types of events.
    pub event_types: Vec<&'a str>,
    /// Actions of events.
    pub event_actions: Vec<&'a str>,
    /// Why an event stream is made anew.
    pub stream_losses: Vec<&'a str>,
    /// Why a handshake fails.
    pub failures: Vec<&'a str>,
    /// Why a handshake tells nothing.
    pub inconclusive: Vec<&'a str>,
    /// Protocols of links.
    pub protocols: Vec<&'a str>,
    /// Ways to make a handshake.
    pub probers: Vec<&'a str>,
}

/// How one reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// The networks are as planned.
    Success,
    /// A call failed.
    Error,
    /// Something has to wait.
    Requeue,
}

impl Reconciled {
    const ALL: [Self; 3] = [Self::Success, Self::Error, Self::Requeue];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Requeue => "requeue",
        }
    }
}

/// From which event on wiring is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The container was created.
    Create,
    /// The container was started before it was wired.
    Start,
}

impl Phase {
    const ALL: [Self; 2] = [Self::Create, Self::Start];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
        }
    }
}

/// Why the HTTP API cuts a client off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpRefusal {
    /// There were too many connections, and this one was the oldest.
    Connections,
    /// Too many clients follow the events already.
    Followers,
    /// It did not read what it had asked for.
    Stalled,
}

impl HttpRefusal {
    const ALL: [Self; 3] = [Self::Connections, Self::Followers, Self::Stalled];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Followers => "followers",
            Self::Stalled => "stalled",
        }
    }
}

impl Metrics {
    /// All metrics, those with closed labels at 0.
    ///
    /// # Errors
    /// Only if two metrics had the same name.
    pub fn new(values: &LabelValues<'_>) -> Result<Self, prometheus::Error> {
        let r = Registry::new();
        let metrics = Self {
            handshake_duration_seconds: histograms(
                &r,
                "handshake_duration_seconds",
                "Time of handshakes that passed, from the consumer's attempt to the proof.",
                &["protocol", "prober"],
            )?,
            handshake_failures_by_reason_total: counters(
                &r,
                "handshake_failures_by_reason_total",
                "Handshakes that failed, by reason.",
                &["reason"],
            )?,
            handshakes_inconclusive_total: counters(
                &r,
                "handshakes_inconclusive_total",
                "Handshakes that told nothing about the path, by reason.",
                &["reason"],
            )?,
            handshakes_in_flight: gauge(&r, "handshakes_in_flight", "Handshakes under way.")?,
            handshake_queue_depth: gauge(
                &r,
                "handshake_queue_depth",
                "Handshakes that are due and wait for a turn.",
            )?,
            handshake_lateness_seconds: Since::register(
                &r,
                "handshake_lateness_seconds",
                "How long ago the handshake became due that waits for longest; 0 when none waits.",
            )?,
            wiring_duration_seconds: histograms(
                &r,
                "wiring_duration_seconds",
                "Time from a container's create or start event until all its links were wired.",
                &["phase"],
            )?,
            controller_turn_age_seconds: Since::register(
                &r,
                "controller_turn_age_seconds",
                "How long ago the controller's loop began its last turn, which it does every few seconds.",
            )?,
            engine_up: gauge(
                &r,
                "engine_up",
                "Whether the engine answered the last list and its event stream is live.",
            )?,
            engine_requests_total: counters(
                &r,
                "engine_requests_total",
                "Calls of the engine's API, by operation.",
                &["operation"],
            )?,
            engine_request_failures_total: counters(
                &r,
                "engine_request_failures_total",
                "Calls of the engine's API that failed, by operation.",
                &["operation"],
            )?,
            engine_request_duration_seconds: histograms(
                &r,
                "engine_request_duration_seconds",
                "Time of calls of the engine's API, by operation.",
                &["operation"],
            )?,
            events_total: counters(
                &r,
                "events_total",
                "Events of the engine, by type and action.",
                &["type", "action"],
            )?,
            event_stream_restarts_total: counters(
                &r,
                "event_stream_restarts_total",
                "How often the event stream was made anew, by reason.",
                &["reason"],
            )?,
            event_stream_last_event_timestamp_seconds: float_gauge(
                &r,
                "event_stream_last_event_timestamp_seconds",
                "Unix time at which the last event arrived.",
            )?,
            resync_last_success_timestamp_seconds: float_gauge(
                &r,
                "resync_last_success_timestamp_seconds",
                "Unix time of the last complete list of the engine's containers and networks.",
            )?,
            resync_repairs_total: counter(
                &r,
                "resync_repairs_total",
                "Changes that a list found and that no event had told.",
            )?,
            reconcile_total: counters(&r, "reconcile_total", "Reconciles, by result.", &["result"])?,
            reconcile_duration_seconds: {
                let histogram = Histogram::with_opts(histogram_opts(
                    "reconcile_duration_seconds",
                    "Time of reconciles that called the engine.",
                ))?;
                r.register(Box::new(histogram.clone()))?;
                histogram
            },
            workqueue_adds_total: counter(&r, "workqueue_adds_total", "Edges added to the work queue.")?,
            workqueue_retries_total: counter(
                &r,
                "workqueue_retries_total",
                "Edges queued again after a failure.",
            )?,
            http_refusals_total: counters(
                &r,
                "http_refusals_total",
                "Clients of the HTTP API that were cut off at one of its limits, by reason.",
                &["reason"],
            )?,
            registry: r,
        };
        metrics.register_constants()?;
        metrics.start_at_zero(values);
        Ok(metrics)
    }

    /// Everything but the series of single links, in Prometheus' text format.
    ///
    /// # Errors
    /// If a name or label were not allowed in the format.
    pub fn render(&self, snapshot: &Snapshot) -> Result<Vec<u8>, prometheus::Error> {
        let mut families = self.registry.gather();
        families.extend(view::sums(snapshot)?.gather());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        encode(&families)
    }

    /// Counts a client that was cut off.
    pub fn refuse(&self, why: HttpRefusal) {
        self.http_refusals_total.with_label_values(&[why.as_str()]).inc();
    }

    /// Says how often a path is proven by default.
    pub fn set_handshake_interval(&self, interval: Duration) -> Result<(), prometheus::Error> {
        float_gauge(
            &self.registry,
            "handshake_interval_seconds",
            "How often a proven path is proven again by default.",
        )?
        .set(interval.as_secs_f64());
        Ok(())
    }

    fn register_constants(&self) -> Result<(), prometheus::Error> {
        let build = gauge_vec(
            &self.registry,
            "build_info",
            "1; the labels say which build this is.",
            &["version", "revision"],
        )?;
        build
            .with_label_values(&[
                env!("CARGO_PKG_VERSION"),
                option_env!("TIELINE_REVISION").unwrap_or("unknown"),
            ])
            .set(1);
        #[cfg(target_os = "linux")]
        self.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(())
    }

    fn start_at_zero(&self, values: &LabelValues<'_>) {
        for why in HttpRefusal::ALL {
            self.http_refusals_total.with_label_values(&[why.as_str()]);
        }
        for operation in &values.operations {
            self.engine_requests_total.with_label_values(&[operation]);
            self.engine_request_failures_total.with_label_values(&[operation]);
            self.engine_request_duration_seconds.with_label_values(&[operation]);
        }
        for kind in values.event_types.iter().chain(&["other"]) {
            for action in values.event_actions.iter().chain(&["other"]) {
                self.events_total.with_label_values(&[kind, action]);
            }
        }
        for reason in &values.stream_losses {
            self.event_stream_restarts_total.with_label_values(&[reason]);
        }
        for reason in &values.failures {
            self.handshake_failures_by_reason_total.with_label_values(&[reason]);
        }
        for reason in &values.inconclusive {
            self.handshakes_inconclusive_total.with_label_values(&[reason]);
        }
        for (protocol, prober) in values
            .protocols
            .iter()
            .flat_map(|protocol| values.probers.iter().map(move |prober| (protocol, prober)))
        {
            self.handshake_duration_seconds.with_label_values(&[protocol, prober]);
        }
        for result in Reconciled::ALL {
            self.reconcile_total.with_label_values(&[result.as_str()]);
        }
        for phase in Phase::ALL {
            self.wiring_duration_seconds.with_label_values(&[phase.as_str()]);
        }
    }
}

/// The series of single links, in Prometheus' text format. They depend on the snapshot alone.
///
/// # Errors
/// If a name or label were not allowed in the format.
pub fn render_links(snapshot: &Snapshot) -> Result<Vec<u8>, prometheus::Error> {
    encode(&view::series(snapshot)?.gather())
}

fn encode(families: &[MetricFamily]) -> Result<Vec<u8>, prometheus::Error> {
    let mut text = Vec::new();
    TextEncoder::new().encode(families, &mut text)?;
    Ok(text)
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("tieline_{name}"), help)
}

fn histogram_opts(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts { common_opts: opts(name, help), buckets: BUCKETS.to_vec() }
}

fn histograms(
    r: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<HistogramVec, prometheus::Error> {
    let histogram = HistogramVec::new(histogram_opts(name, help), labels)?;
    r.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}

fn counters(
    r: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    let counter = IntCounterVec::new(opts(name, help), labels)?;
    r.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn counter(r: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let counter = IntCounter::with_opts(opts(name, help))?;
    r.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn gauge(r: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::with_opts(opts(name, help))?;
    r.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn float_gauge(r: &Registry, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
    let gauge = Gauge::with_opts(opts(name, help))?;
    r.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn gauge_vec(
    r: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<prometheus::IntGaugeVec, prometheus::Error> {
    let gauge = prometheus::IntGaugeVec::new(opts(name, help), labels)?;
    r.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}
