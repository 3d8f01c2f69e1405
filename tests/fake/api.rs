//! The part of the Engine API that tieline uses. (What the JSON looks like was read from Engine 20.10.)

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State as Shared};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::events::Piece;
use super::state::{Attachment, Container, Network, Refusal, State};

pub type Api = Arc<Mutex<State>>;

/// What this fake says to whoever wants to execute something.
const NO_EXEC: &str = "this engine executes nothing";

pub fn router(api: Api) -> Router {
    Router::new()
        .route("/_ping", get(async || "OK"))
        .route("/events", get(events))
        .route("/containers/json", get(list_containers))
        .route("/containers/{id}/json", get(inspect_container))
        .route("/containers/{id}/exec", post(async || refusal(400, NO_EXEC)))
        .route("/networks", get(list_networks))
        .route("/networks/create", post(create_network))
        .route("/networks/{id}", get(inspect_network))
        .route("/networks/{id}", delete(remove_network))
        .route("/networks/{id}/connect", post(connect))
        .route("/networks/{id}/disconnect", post(disconnect))
        .with_state(api)
}

/// The operation's name as in the metrics.
pub fn operation(method: &Method, path: &str) -> &'static str {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        (_, ["_ping"]) => "ping",
        (_, ["events"]) => "events",
        (_, ["containers", "json"]) => "container_list",
        (_, ["containers", _, "json"]) => "container_inspect",
        (_, ["containers", _, "exec"]) => "exec_create",
        (&Method::GET, ["networks"]) => "network_list",
        (_, ["networks", "create"]) => "network_create",
        (&Method::GET, ["networks", _]) => "network_inspect",
        (&Method::DELETE, ["networks", _]) => "network_remove",
        (_, ["networks", _, "connect"]) => "network_connect",
        (_, ["networks", _, "disconnect"]) => "network_disconnect",
        _ => "other",
    }
}

pub fn refusal(status: u16, message: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(json!({ "message": message }))).into_response()
}

fn answer<T: IntoResponse>(result: Result<T, Refusal>) -> Response {
    match result {
        Ok(body) => body.into_response(),
        Err((status, message)) => refusal(status, &message),
    }
}

/// Sends what the ring holds of the time that is asked for and, unless that has an end, what comes,
/// until the streams are cut.
async fn events(Shared(api): Shared<Api>, uri: Uri) -> Response {
    let (since, until) = (time(&uri, "since").unwrap_or(0), time(&uri, "until"));
    let (past, live) = api.lock().unwrap().events.subscribe(since, until.unwrap_or(u64::MAX));
    if until.is_some() {
        return past.concat().into_response();
    }
    let live = stream::unfold(live, async |mut live: broadcast::Receiver<Piece>| {
        let Piece::Bytes(event) = live.recv().await.ok()? else { return None };
        Some((event, live))
    });
    let lines = stream::iter(past).chain(live);
    Body::from_stream(lines.map(|line| Ok::<_, Infallible>(Bytes::from(line)))).into_response()
}

/// A parameter of a request, as it is written there.
fn parameter<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let mut query = uri.query()?.split('&');
    query.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// A time in seconds with nine decimals, in nanoseconds.
fn time(uri: &Uri, name: &str) -> Option<u64> {
    parameter(uri, name)?.replace('.', "").parse().ok()
}

async fn list_containers(Shared(api): Shared<Api>, uri: Uri) -> Response {
    let filters: Value =
        parameter(&uri, "filters").map_or(Value::Null, |text| serde_json::from_str(&decoded(text)).unwrap());
    let networks: Option<Vec<String>> = serde_json::from_value(filters["network"].clone()).unwrap();
    let fits = |container: &Container| {
        let on = |(name, place): (&String, &Attachment), networks: &[String]| {
            networks.iter().any(|network| network == name || *network == place.network)
        };
        networks.as_ref().is_none_or(|networks| container.attachments.iter().any(|place| on(place, networks)))
    };
    let state = api.lock().unwrap();
    let found = state.containers.iter().filter(|(_, container)| fits(container));
    let summary = |(id, container): (&String, &Container)| {
        let host_config = json!({ "NetworkMode": container.mode });
        let names = [format!("/{}", container.name)];
        let networks = json!({ "Networks": networks_json(container) });
        json!({
            "Id": id,
            "Names": names,
            "Labels": container.labels,
            "State": status(container),
            "HostConfig": host_config,
            "NetworkSettings": networks,
        })
    };
    Json(found.map(summary).collect::<Vec<_>>()).into_response()
}

/// Percent-encoded text as it was meant.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

async fn inspect_container(Shared(api): Shared<Api>, Path(id): Path<String>) -> Response {
    match api.lock().unwrap().containers.get(&id) {
        Some(container) => Json(container_json(&id, container)).into_response(),
        None => refusal(404, &format!("No such container: {id}")),
    }
}

async fn list_networks(Shared(api): Shared<Api>) -> Response {
    let state = api.lock().unwrap();
    Json(state.networks.iter().map(|(id, network)| network_json(id, network)).collect::<Vec<_>>())
        .into_response()
}

async fn inspect_network(Shared(api): Shared<Api>, Path(id): Path<String>) -> Response {
    answer(api.lock().unwrap().network(&id).map(|network| Json(network_json(&id, network))))
}

async fn create_network(Shared(api): Shared<Api>, Json(body): Json<Value>) -> Response {
    let mut options = api.lock().unwrap().network_defaults.clone();
    let asked: BTreeMap<String, String> = serde_json::from_value(body["Options"].clone()).unwrap_or_default();
    options.extend(asked);
    options.extend(api.lock().unwrap().network_overrides.clone());
    let default_ipv6 = options.get("com.docker.network.enable_ipv6").is_some_and(|on| on == "true");
    let network = Network {
        name: body["Name"].as_str().unwrap().to_owned(),
        labels: serde_json::from_value(body["Labels"].clone()).unwrap_or_default(),
        subnet: body["IPAM"]["Config"][0]["Subnet"].as_str().unwrap().to_owned(),
        internal: body["Internal"] == true,
        ipv6: body["EnableIPv6"].as_bool().unwrap_or(default_ipv6),
        options,
        created: 0,
    };
    let made = api.lock().unwrap().create_network(network);
    answer(made.map(|id| (StatusCode::CREATED, Json(json!({ "Id": id, "Warning": "" })))))
}

async fn remove_network(Shared(api): Shared<Api>, Path(id): Path<String>) -> Response {
    answer(api.lock().unwrap().remove_network(&id).map(|()| StatusCode::NO_CONTENT))
}

async fn connect(Shared(api): Shared<Api>, Path(id): Path<String>, Json(body): Json<Value>) -> Response {
    let endpoint = &body["EndpointConfig"];
    let wish = Attachment {
        aliases: serde_json::from_value(endpoint["Aliases"].clone()).unwrap_or_default(),
        network: endpoint["NetworkID"].as_str().unwrap_or_default().to_owned(),
        options: serde_json::from_value(endpoint["DriverOpts"].clone()).unwrap_or_default(),
        ..Attachment::default()
    };
    answer(api.lock().unwrap().connect(&id, body["Container"].as_str().unwrap(), wish))
}

async fn disconnect(Shared(api): Shared<Api>, Path(id): Path<String>, Json(body): Json<Value>) -> Response {
    answer(api.lock().unwrap().disconnect(&id, body["Container"].as_str().unwrap()))
}

/// The clock counts looks; each is a nanosecond here.
fn time_text(clock: u64) -> String {
    format!("2026-01-01T00:00:00.{clock:09}Z")
}

fn networks_json(container: &Container) -> Value {
    let endpoint = |(name, attachment): (&String, &Attachment)| {
        let endpoint = json!({
            "NetworkID": attachment.network,
            "Aliases": attachment.aliases,
            "DriverOpts": attachment.options,
            "IPAddress": attachment.address,
        });
        (name.clone(), endpoint)
    };
    Value::Object(container.attachments.iter().map(endpoint).collect())
}

fn status(container: &Container) -> &'static str {
    match container {
        Container { paused: true, .. } => "paused",
        Container { running: true, .. } => "running",
        Container { started: 0, .. } => "created",
        _ => "exited",
    }
}

fn container_json(id: &str, container: &Container) -> Value {
    json!({
        "Id": id,
        "Name": format!("/{}", container.name),
        "Created": time_text(container.created),
        "Image": "sha256:0",
        "State": { "Status": status(container), "StartedAt": format!("{:020}", container.started) },
        "Config": { "Labels": container.labels },
        "HostConfig": { "NetworkMode": container.mode },
        "NetworkSettings": { "Networks": networks_json(container) },
    })
}

fn network_json(id: &str, network: &Network) -> Value {
    json!({
        "Id": id,
        "Name": network.name,
        "Created": time_text(network.created),
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv6": network.ipv6,
        "Internal": network.internal,
        "Options": network.options,
        "IPAM": { "Driver": "default", "Config": [{ "Subnet": network.subnet }] },
        "Labels": network.labels,
    })
}
