//! Metrics of what is so, read from a snapshot.
//!
//! The number of links with series and the bytes of each name are bounded, because anybody who may start a
//! container may write labels.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{GaugeVec, IntCounterVec, Registry};

use super::{float_gauge, gauge, gauge_vec, opts};
use crate::model::condition::State;
use crate::model::labels::short_name;
use crate::snapshot::{LinkStatus, Snapshot, at_most};

/// Links that have series of their own; there are up to nine for each. Consumers take turns, and
/// `tieline_links_without_series` counts the rest.
pub const MAX_LINKS: usize = 4096;

/// The labels by which a link is known: names only.
const LINK: [&str; 5] = ["consumer", "link", "provider", "protocol", "port"];

/// The metrics of all links together.
pub(super) fn sums(snapshot: &Snapshot) -> Result<Registry, prometheus::Error> {
    let r = Registry::new();
    totals(&r, snapshot)?;
    states(&r, snapshot)?;
    let beyond =
        gauge(&r, "links_without_series", "Links beyond the limit of those with series of their own.")?;
    beyond.set(i64::try_from(snapshot.links.len().saturating_sub(MAX_LINKS)).unwrap_or(i64::MAX));
    Ok(r)
}

/// The series of single links. Names longer than 128 bytes are cut and end with a hash.
pub(super) fn series(snapshot: &Snapshot) -> Result<Registry, prometheus::Error> {
    let r = Registry::new();
    let (shown, _) = at_most(&snapshot.links, MAX_LINKS);
    links(&r, &shown)?;
    Ok(r)
}

fn totals(r: &Registry, snapshot: &Snapshot) -> Result<(), prometheus::Error> {
    let set = |name, help, value: usize| -> Result<(), prometheus::Error> {
        gauge(r, name, help)?.set(i64::try_from(value).unwrap_or(i64::MAX));
        Ok(())
    };
    let totals = &snapshot.totals;
    set("label_errors", "Labels that cannot be read.", totals.label_errors)?;
    set("networks", "Link networks that this instance owns.", totals.networks)?;
    set("subnets_free", "Link networks of topology pair that still fit into the pool.", totals.subnets_free)?;
    set("containers_watched", "Containers that the engine holds, in whichever state.", totals.containers)?;
    set("workqueue_depth", "Edges that are due and wait to be reconciled.", totals.queue_depth)?;
    let longest = totals.longest_running_since.map_or(0.0, |since| since.elapsed().as_secs_f64());
    float_gauge(
        r,
        "workqueue_longest_running_seconds",
        "For how long the oldest reconcile has been running.",
    )?
    .set(longest);
    Ok(())
}

fn states(r: &Registry, snapshot: &Snapshot) -> Result<(), prometheus::Error> {
    let states = gauge_vec(r, "links", "Links, by state.", &["state"])?;
    for state in State::ALL {
        states.with_label_values(&[state.as_str()]);
    }
    for link in &snapshot.links {
        states.with_label_values(&[link.state.as_str()]).inc();
    }
    Ok(())
}

fn links(r: &Registry, links: &[&LinkStatus]) -> Result<(), prometheus::Error> {
    let ready = gauge_vec(
        r,
        "link_ready",
        "Whether the link is all that it wants to be; absent until known.",
        &LINK,
    )?;
    let reachable = gauge_vec(r, "link_reachable", "Whether a handshake passes; absent until known.", &LINK)?;
    let listening =
        gauge_vec(r, "link_listening", "Whether something listens on the port; absent until known.", &LINK)?;
    let paths = gauge_vec(r, "link_paths", "Paths of the link whose two ends run.", &LINK)?;
    let proven = gauge_vec(r, "link_paths_proven", "Paths of the link that are proven.", &LINK)?;
    let handshakes = counter_vec(r, "link_handshakes_total", "Conclusive handshakes of the link.")?;
    let failures =
        counter_vec(r, "link_handshake_failures_total", "Conclusive handshakes of the link that failed.")?;
    let last = float_gauge_vec(
        r,
        "link_last_handshake_timestamp_seconds",
        "Unix time of the link's last conclusive handshake; until there is one, of the link's creation.",
    )?;
    let duration = float_gauge_vec(
        r,
        "link_last_handshake_duration_seconds",
        "Time of the link's last conclusive handshake; absent until there is one.",
    )?;
    for link in links {
        let port = link.port.map_or(String::new(), |port| port.to_string());
        let [consumer, name, provider] =
            [&link.consumer, &link.name, &link.provider].map(|name| short_name(name));
        let labels = [&*consumer, &*name, &*provider, &*link.protocol, &*port];
        for (gauge, kind) in [(&ready, "Ready"), (&reachable, "Reachable"), (&listening, "Listening")] {
            if let Some(value) = known(link, kind) {
                gauge.with_label_values(&labels).set(value);
            }
        }
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        paths.with_label_values(&labels).set(count(link.paths.len()));
        proven.with_label_values(&labels).set(count(link.proven()));
        handshakes.with_label_values(&labels).inc_by(link.handshakes);
        failures.with_label_values(&labels).inc_by(link.handshake_failures);
        last.with_label_values(&labels).set(unix(link.last_handshake.unwrap_or(link.since)));
        if let Some(seconds) = link.last_handshake_seconds {
            duration.with_label_values(&labels).set(seconds);
        }
    }
    Ok(())
}

fn known(link: &LinkStatus, kind: &str) -> Option<i64> {
    match link.condition(kind)?.status.as_str() {
        "True" => Some(1),
        "False" => Some(0),
        _ => None,
    }
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn counter_vec(r: &Registry, name: &str, help: &str) -> Result<IntCounterVec, prometheus::Error> {
    let counter = IntCounterVec::new(opts(name, help), &LINK)?;
    r.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn float_gauge_vec(r: &Registry, name: &str, help: &str) -> Result<GaugeVec, prometheus::Error> {
    let gauge = GaugeVec::new(opts(name, help), &LINK)?;
    r.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus::proto::{LabelPair, Metric, MetricFamily};

    use super::*;
    use crate::model::labels::MAX_SHORT_NAME_BYTES;

    fn link(n: usize) -> LinkStatus {
        LinkStatus {
            consumer: format!("app{n:05}"),
            name: "x".to_owned(),
            provider: "db".to_owned(),
            target: "db:80".to_owned(),
            protocol: "tcp".to_owned(),
            port: Some(80),
            handshake: "auto".to_owned(),
            state: "Pending".to_owned(),
            conditions: Vec::new(),
            networks: Vec::new(),
            paths: Vec::new(),
            message: String::new(),
            warnings: Vec::new(),
            since: UNIX_EPOCH,
            last_handshake: None,
            last_handshake_seconds: None,
            handshakes: 0,
            handshake_failures: 0,
            history: Arc::default(),
        }
    }

    fn of(families: &[MetricFamily], name: &str) -> Vec<Metric> {
        families.iter().find(|family| family.name() == name).unwrap().get_metric().to_vec()
    }

    #[test]
    fn links_beyond_the_limit_are_counted_and_have_no_series() {
        let snapshot = Snapshot { links: (0..MAX_LINKS + 3).map(link).collect(), ..Snapshot::default() };
        let (sums, series) = (sums(&snapshot).unwrap().gather(), series(&snapshot).unwrap().gather());
        assert_eq!(of(&series, "tieline_link_paths").len(), MAX_LINKS);
        assert_eq!(of(&sums, "tieline_links_without_series")[0].get_gauge().get_value(), 3.0);
        let pending =
            of(&sums, "tieline_links").iter().map(|metric| metric.get_gauge().get_value()).sum::<f64>();
        assert_eq!(pending, (MAX_LINKS + 3) as f64, "every link is counted by its state");
    }

    #[test]
    fn a_consumer_with_many_links_takes_no_series_from_others() {
        let many = |n| LinkStatus { consumer: "a".to_owned(), name: format!("n{n:05}"), ..link(0) };
        let links = (0..MAX_LINKS).map(many).chain([link(1), link(2)]).collect();
        let families = series(&Snapshot { links, ..Snapshot::default() }).unwrap().gather();
        let metrics = of(&families, "tieline_link_paths");
        assert_eq!(metrics.len(), MAX_LINKS);
        let has = |consumer: &str| {
            let is = |label: &LabelPair| label.name() == "consumer" && label.value() == consumer;
            metrics.iter().any(|metric| metric.get_label().iter().any(is))
        };
        assert!(has("app00001") && has("app00002"));
    }

    #[test]
    fn long_names_are_cut_and_stay_two_series() {
        let long = |last: char| LinkStatus {
            consumer: format!("{}{last}", "c".repeat(1024)),
            name: format!("{}{last}", "n".repeat(1024)),
            provider: "p".repeat(1024),
            ..link(0)
        };
        let snapshot = Snapshot { links: vec![long('x'), long('y')], ..Snapshot::default() };
        let families = series(&snapshot).unwrap().gather();
        let metrics = of(&families, "tieline_link_paths");
        assert_eq!(metrics.len(), 2);
        let labels = metrics.iter().flat_map(|metric| metric.get_label());
        assert!(labels.map(|label| label.value().len()).max() <= Some(MAX_SHORT_NAME_BYTES));
    }
}
