//! Requests that no browser sends, by hand over a socket.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::engine::stage::Stage;

/// How long an answer is waited for; one that follows events never ends.
const PATIENCE: Duration = Duration::from_millis(300);
/// Growth of the resident memory that is not a leak: buffers, arenas.
const GROWTH_KB: u64 = 24 * 1024;

fn path() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "/",
        "api",
        "v1",
        "links",
        "events",
        "metrics",
        "healthz",
        "readyz",
        "..",
        ".",
        "%2F",
        "%2e",
        "%",
        "%00",
        "%zz",
        "%ff",
        "?",
        "&",
        "#",
        ";",
        "//",
        "*",
        "http://",
        "a",
        "ä",
        "\u{202e}",
        "{consumer}",
        "\0",
    ]);
    let real = prop::sample::select(vec![
        "/",
        "/metrics",
        "/healthz?x=%00",
        "/readyz",
        "/api/v1/links",
        "/api/v1/events",
        "/api/v1/links/a/b",
        "/api/v1/links/%00/%2F",
        "/api/v1/links/%ff/x",
    ]);
    prop_oneof![
        6 => real.prop_map(|path| path.as_bytes().to_vec()),
        6 => prop::collection::vec(pieces, 1..10).prop_map(|pieces| format!("/{}", pieces.concat()).into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..100),
        1 => (1..20_000usize).prop_map(|length| [b"/".to_vec(), vec![b'a'; length]].concat()),
    ]
}

fn method() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "get", "PRI", "",
    ]);
    prop_oneof![
        12 => Just(b"GET".to_vec()),
        6 => known.prop_map(|method| method.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn header() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "Host: x",
        "Accept: text/event-stream",
        "Accept: */*",
        "Content-Length: 5",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Expect: 100-continue",
        "Connection: close",
        "Connection: upgrade",
        "Upgrade: websocket",
        "Range: bytes=0-",
        "Host:",
        ": x",
        "no colon",
        "Accept-Encoding: gzip",
    ]);
    prop_oneof![
        6 => known.prop_map(|header| header.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..60),
        1 => (1..9000usize).prop_map(|length| [b"X: ".to_vec(), vec![b'b'; length]].concat()),
    ]
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let other = prop::sample::select(vec!["HTTP/1.0", "HTTP/2.0", "HTTP/9", ""]);
    let version = prop_oneof![8 => Just("HTTP/1.1"), 1 => other];
    let headers = prop_oneof![
        4 => Just(vec![b"Host: x".to_vec(), b"Connection: close".to_vec()]),
        8 => prop::collection::vec(header(), 0..8),
        1 => header().prop_flat_map(|header| (1..300usize).prop_map(move |count| vec![header.clone(); count])),
    ];
    let body = prop::collection::vec(any::<u8>(), 0..200);
    let whole = prop::bool::weighted(0.8);
    (method(), path(), version, headers, body, whole).prop_map(
        |(method, path, version, headers, body, whole)| {
            let mut bytes = [&method[..], b" ", &path, b" ", version.as_bytes(), b"\r\n"].concat();
            headers.iter().for_each(|header| bytes.extend([&header[..], b"\r\n"].concat()));
            bytes.extend(b"\r\n");
            bytes.extend(&body);
            if !whole {
                bytes.truncate(bytes.len() * 2 / 3);
            }
            bytes
        },
    )
}

/// What comes back, as far as it comes.
fn send(stage: &Stage, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(stage.server.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // A server that has seen enough may hang up before it has read all.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..count]);
        if answer.len() > 1 << 20 {
            break;
        }
    }
    answer
}

/// The status of every answer on a connection.
fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let heads = text.split("HTTP/1.").skip(1);
    heads.filter_map(|head| head.get(2..5)?.parse().ok()).collect()
}

fn resident_kb(stage: &Stage) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.controller_pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn descriptors(stage: &Stage) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", stage.controller_pid())).unwrap().count()
}

#[test]
fn requests_at_random_get_an_answer_or_none_and_never_hurt() {
    let stage = Stage::new();
    stage.run("app1", &[]);
    stage.run("app2", &[("link.x", &format!("{}:80", stage.name("app1"))), ("link.x.handshake", "exchange")]);
    stage.await_state("app2", "x", "Ready");
    let mut runner = TestRunner::default();
    // One connection may carry several, whether or not the first is whole.
    let some = prop::collection::vec(request(), 1..4);
    let mut next = || some.new_tree(&mut runner).unwrap().current().concat();
    let cases = super::cases(400);
    (0..50).for_each(|_| drop(send(&stage, &next())));
    let (memory, open) = (resident_kb(&stage), descriptors(&stage));
    let mut seen = [0; 6];
    for _ in 0..cases {
        let bytes = next();
        for status in statuses(&send(&stage, &bytes)) {
            assert!((100..500).contains(&status), "{status} to {:?}", String::from_utf8_lossy(&bytes));
            seen[usize::from(status / 100)] += 1;
        }
    }
    assert!(seen[2] > 0 && seen[4] > 0, "these requests reach nothing: {seen:?}");
    assert_eq!(stage.get("/healthz").0, 200);
    assert!(stage.link("app2", "x").is_some());
    assert!(!stage.log().contains("panicked"), "{}", stage.log());
    let grown = resident_kb(&stage).saturating_sub(memory);
    assert!(grown < GROWTH_KB, "{cases} requests left {grown} kB behind");
    stage.eventually("every connection is closed", || descriptors(&stage) <= open + 2);
}
