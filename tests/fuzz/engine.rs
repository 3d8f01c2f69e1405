//! An engine that answers anything at all: the watch loses it, and never more than that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tieline::docker::Docker;
use tieline::docker::watch::{ACTIONS, Event, Signal, TYPES, follow};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What one engine answers.
#[derive(Clone, Debug)]
struct Script {
    /// Written to the event stream, which then ends.
    events: Vec<Vec<u8>>,
    /// How each thing looks that is asked for.
    look: Vec<u8>,
    /// The list of networks, and that of containers.
    list: Vec<u8>,
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            "container",
            "network",
            "create",
            "destroy",
            "running",
            "10.0.0.0/28",
            "x"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let key = prop_oneof![
            prop::sample::select(vec![
                "Type",
                "Action",
                "Actor",
                "ID",
                "Id",
                "Attributes",
                "time",
                "timeNano",
                "container",
                "Name",
                "State",
                "Status",
                "Config",
                "Labels",
                "NetworkSettings",
                "Networks",
                "IPAM",
                "Subnet",
                "HostConfig",
            ])
            .prop_map(str::to_owned),
            any::<String>(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key, inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// An event as the engine writes it, with anything in its fields.
fn event() -> impl Strategy<Value = Value> {
    let word = |known: &'static [&'static str]| prop_oneof![4 => prop::sample::select(known).prop_map(Value::from), 1 => json_value()];
    (word(&TYPES), word(&ACTIONS), json_value(), json_value(), any::<i64>()).prop_map(
        |(kind, action, id, attributes, nanos)| {
            let container = attributes.clone();
            json!({
                "Type": kind, "Action": action, "timeNano": nanos, "scope": "local",
                "Actor": { "ID": id, "Attributes": { "container": container, "name": attributes } },
            })
        },
    )
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let text = |value: Value| format!("{value}\n").into_bytes();
    prop_oneof![
        6 => event().prop_map(text),
        2 => json_value().prop_map(text),
        1 => prop::collection::vec(any::<u8>(), 0..2000),
        1 => (any::<u8>(), 0..200_000usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    let body = || {
        prop_oneof![
            3 => json_value().prop_map(|value| value.to_string().into_bytes()),
            1 => prop::collection::vec(any::<u8>(), 0..500),
        ]
    };
    let list = prop_oneof![
        Just(b"[]".to_vec()),
        Just(br#"[{"Id":"1","Name":"a"},{"Id":"2"}]"#.to_vec()),
        prop::collection::vec(json_value(), 0..4)
            .prop_map(|items| Value::from(items).to_string().into_bytes()),
        body(),
    ];
    (prop::collection::vec(line(), 0..20), body(), list).prop_map(|(events, look, list)| Script {
        events,
        look,
        list,
    })
}

/// Answers whoever connects, each connection once.
async fn serve(listener: UnixListener, script: Script) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, script.clone()));
    }
}

async fn answer(mut stream: UnixStream, script: Script) {
    let mut reader = BufReader::new(&mut stream);
    let mut request = String::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line).await {
            Ok(2) => break,
            Ok(0) | Err(_) => return,
            Ok(_) if request.is_empty() => request = line,
            Ok(_) => {}
        }
    }
    // Whoever has heard enough hangs up, which is no matter here.
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    if request.contains("/events") {
        let _ = stream.write_all(format!("{head}\r\n").as_bytes()).await;
        for line in &script.events {
            let _ = stream.write_all(line).await;
            tokio::task::yield_now().await;
        }
        // Time to look at what the events have named.
        tokio::time::sleep(Duration::from_millis(5)).await;
        return;
    }
    let is_list =
        request.contains("/containers/json") || request.split(['?', ' ']).any(|p| p.ends_with("/networks"));
    let body = if is_list { &script.list } else { &script.look };
    let _ = stream.write_all(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes()).await;
    let _ = stream.write_all(body).await;
}

/// Follows such an engine until it is lost, and says how many events were told.
async fn follow_until_lost(socket: &Path, script: Script) -> usize {
    let _ = std::fs::remove_file(socket);
    let server = tokio::spawn(serve(UnixListener::bind(socket).unwrap(), script));
    let docker = Docker::new(&format!("unix://{}", socket.display()), Arc::new(|_| {}));
    let (sender, mut signals) = mpsc::channel(64);
    let watch = tokio::spawn(follow(docker, Duration::from_secs(300), sender));
    let mut told = 0;
    loop {
        let signal = timeout(Duration::from_secs(20), signals.recv()).await;
        match signal.expect("the watch neither tells anything nor loses the engine") {
            Some(Signal::Event(Event { kind, action, .. })) => {
                assert!(kind == "other" || TYPES.contains(&kind));
                assert!(action == "other" || ACTIONS.contains(&action));
                told += 1;
            }
            Some(Signal::Lost { error, .. }) => {
                assert!(!error.is_empty());
                break;
            }
            Some(_) => {}
            None => panic!("the watch died: {:?}", watch.await),
        }
    }
    assert!(!watch.is_finished(), "it goes on: {:?}", watch.await);
    watch.abort();
    server.abort();
    told
}

#[test]
fn an_engine_that_says_anything_is_lost_and_nothing_more() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    let mut runner = TestRunner::default();
    let mut told = 0;
    for _ in 0..super::cases(150) {
        let script = script().new_tree(&mut runner).unwrap().current();
        let lines = script.events.len();
        let shown = format!("{script:?}");
        let run = std::panic::AssertUnwindSafe(|| runtime.block_on(follow_until_lost(&socket, script)));
        match std::panic::catch_unwind(run) {
            Ok(events) => {
                assert!(events <= lines + 1, "{events} events of {lines} lines");
                told += events;
            }
            Err(panic) => {
                eprintln!("with this engine: {}", &shown[..shown.len().min(5000)]);
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(told > 0, "no line was ever taken for an event: is this engine understood at all?");
}
