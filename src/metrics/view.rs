//! Metrics of what is so, read from a snapshot.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{GaugeVec, IntCounterVec, Registry};

use super::{float_gauge, gauge, gauge_vec, opts};
use crate::model::condition::State;
use crate::snapshot::{LinkStatus, Snapshot};

/// The labels by which a link is known: names only.
const LINK: [&str; 5] = ["consumer", "link", "provider", "protocol", "port"];

/// A registry that holds the picture and is thrown away after the scrape.
pub(super) fn of(snapshot: &Snapshot) -> Result<Registry, prometheus::Error> {
    let r = Registry::new();
    totals(&r, snapshot)?;
    states(&r, snapshot)?;
    links(&r, &snapshot.links)?;
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

fn links(r: &Registry, links: &[LinkStatus]) -> Result<(), prometheus::Error> {
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
        let labels = [&*link.consumer, &*link.name, &*link.provider, &*link.protocol, &*port];
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
