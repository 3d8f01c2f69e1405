//! The part of the Engine API that tieline uses, over a unix socket. (What the JSON looks like was
//! read from Engine 20.10.)

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use super::state::{Attachment, Container, Network, Refusal, State};

#[derive(Clone)]
pub struct Api {
    pub state: Arc<Mutex<State>>,
    /// Counts the cuts of all event streams.
    pub cuts: watch::Sender<u64>,
}

pub fn router(api: Api) -> Router {
    Router::new()
        .route("/_ping", get(async || "OK"))
        .route("/events", get(events))
        .route("/containers/json", get(list_containers))
        .route("/containers/{id}/json", get(inspect_container))
        .route("/containers/{id}/exec", post(exec))
        .route("/networks", get(list_networks))
        .route("/networks/create", post(create_network))
        .route("/networks/{id}", get(inspect_network))
        .route("/networks/{id}", delete(remove_network))
        .route("/networks/{id}/connect", post(connect))
        .route("/networks/{id}/disconnect", post(disconnect))
        .with_state(api)
}

fn answer<T: IntoResponse>(result: Result<T, Refusal>) -> Response {
    match result {
        Ok(body) => body.into_response(),
        Err((status, message)) => {
            (StatusCode::from_u16(status).unwrap(), Json(json!({ "message": message }))).into_response()
        }
    }
}

impl Api {
    /// One call: its fault if one is due, else what it does.
    fn call<T>(&self, operation: &str, work: impl FnOnce(&mut State) -> Result<T, Refusal>) -> Response
    where
        T: IntoResponse,
    {
        let mut state = self.state.lock().unwrap();
        answer(state.call(operation).and_then(|()| work(&mut state)))
    }
}

/// Sends what the ring holds, then what comes, until the streams are cut.
async fn events(Shared(api): Shared<Api>) -> Response {
    let mut cuts = api.cuts.subscribe();
    let (past, live) = {
        let mut state = api.state.lock().unwrap();
        if let Err(refusal) = state.call("events") {
            return answer::<()>(Err(refusal));
        }
        state.subscribe()
    };
    let live = stream::unfold(live, async |mut live: broadcast::Receiver<String>| {
        let event = live.recv().await.ok()?;
        Some((event, live))
    });
    let cut = async move { cuts.changed().await.map_err(drop) };
    let lines = stream::iter(past).chain(live).take_until(Box::pin(cut));
    Body::from_stream(lines.map(|line| Ok::<_, Infallible>(Bytes::from(line)))).into_response()
}

async fn list_containers(Shared(api): Shared<Api>, uri: Uri) -> Response {
    let mut query = uri.query().unwrap_or_default().split('&');
    let filters: Value = query
        .find_map(|pair| pair.strip_prefix("filters="))
        .map_or(Value::Null, |text| serde_json::from_str(&decoded(text)).unwrap());
    let networks: Option<Vec<String>> = serde_json::from_value(filters["network"].clone()).unwrap();
    let fits = |container: &Container| {
        let on = |(name, place): (&String, &Attachment), networks: &[String]| {
            networks.iter().any(|network| network == name || *network == place.network)
        };
        networks.as_ref().is_none_or(|networks| container.attachments.iter().any(|place| on(place, networks)))
    };
    api.call("container_list", |state| {
        let found = state.containers.iter().filter(|(_, container)| fits(container));
        Ok(Json(found.map(|(id, _)| json!({ "Id": id })).collect::<Vec<_>>()))
    })
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
    api.call("container_inspect", |state| match state.containers.get(&id) {
        Some(container) => Ok(Json(container_json(&id, container))),
        None => Err((404, format!("No such container: {id}"))),
    })
}

async fn exec(Shared(api): Shared<Api>) -> Response {
    api.call("exec_create", |_| Err::<(), _>((400, "this engine executes nothing".to_owned())))
}

async fn list_networks(Shared(api): Shared<Api>) -> Response {
    api.call("network_list", |state| {
        Ok(Json(state.networks.iter().map(|(id, network)| network_json(id, network)).collect::<Vec<_>>()))
    })
}

async fn inspect_network(Shared(api): Shared<Api>, Path(id): Path<String>) -> Response {
    api.call("network_inspect", |state| Ok(Json(network_json(&id, state.network(&id)?))))
}

async fn create_network(Shared(api): Shared<Api>, Json(body): Json<Value>) -> Response {
    api.call("network_create", |state| {
        let network = Network {
            name: body["Name"].as_str().unwrap().to_owned(),
            labels: serde_json::from_value(body["Labels"].clone()).unwrap_or_default(),
            subnet: body["IPAM"]["Config"][0]["Subnet"].as_str().unwrap().to_owned(),
            internal: body["Internal"] == true,
            created: 0,
        };
        let id = state.create_network(network)?;
        Ok((StatusCode::CREATED, Json(json!({ "Id": id, "Warning": "" }))))
    })
}

async fn remove_network(Shared(api): Shared<Api>, Path(id): Path<String>) -> Response {
    api.call("network_remove", |state| {
        state.remove_network(&id)?;
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn connect(Shared(api): Shared<Api>, Path(id): Path<String>, Json(body): Json<Value>) -> Response {
    api.call("network_connect", |state| {
        let aliases = serde_json::from_value(body["EndpointConfig"]["Aliases"].clone()).unwrap_or_default();
        let told = body["EndpointConfig"]["NetworkID"].as_str().unwrap_or_default();
        state.connect(&id, body["Container"].as_str().unwrap(), aliases, told)
    })
}

async fn disconnect(Shared(api): Shared<Api>, Path(id): Path<String>, Json(body): Json<Value>) -> Response {
    api.call("network_disconnect", |state| state.disconnect(&id, body["Container"].as_str().unwrap()))
}

fn container_json(id: &str, container: &Container) -> Value {
    let networks: serde_json::Map<String, Value> = container
        .attachments
        .iter()
        .map(|(name, attachment)| {
            let endpoint = json!({
                "NetworkID": attachment.network,
                "Aliases": attachment.aliases,
                "IPAddress": attachment.address,
            });
            (name.clone(), endpoint)
        })
        .collect();
    json!({
        "Id": id,
        "Name": format!("/{}", container.name),
        "Created": format!("{:020}", container.created),
        "Image": "sha256:0",
        "State": {
            "Status": if container.running { "running" } else if container.started == 0 { "created" } else { "exited" },
            "StartedAt": format!("{:020}", container.started),
        },
        "Config": { "Labels": container.labels },
        "HostConfig": { "NetworkMode": "default" },
        "NetworkSettings": { "Networks": networks },
    })
}

fn network_json(id: &str, network: &Network) -> Value {
    json!({
        "Id": id,
        "Name": network.name,
        "Created": format!("{:020}", network.created),
        "Driver": "bridge",
        "Internal": network.internal,
        "IPAM": { "Driver": "default", "Config": [{ "Subnet": network.subnet }] },
        "Labels": network.labels,
    })
}
