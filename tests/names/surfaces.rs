//! Everything that shows a label's text, and what has to hold there.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::Value;
use tieline::model::labels::{MAX_MESSAGE_CHARS, is_plain};

use crate::engine::metrics::promtool;
use crate::engine::stage::{IMAGE, Stage};

/// Creates a container by the engine's API, which takes what no command line can hold. Labels are
/// written with their whole keys.
pub fn create(stage: &Stage, short: &str, labels: &BTreeMap<String, String>) {
    let mut labels = labels.clone();
    let (key, value) =
        stage.owner_label().split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap();
    labels.insert(key, value);
    let body = serde_json::json!({
        "Image": IMAGE, "Cmd": ["sleep", "100000"], "StopTimeout": 0, "Labels": labels,
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(body.to_string().as_bytes()).unwrap();
    let output = Command::new("curl")
        .args(["-s", "--unix-socket", "/var/run/docker.sock", "-H", "Content-Type: application/json", "-d"])
        .arg(format!("@{}", file.path().display()))
        .arg(format!("http://docker/containers/create?name={}", stage.name(short)))
        .output()
        .unwrap();
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(answer.contains("\"Id\""), "the engine does not create {short}: {answer}");
}

/// One GET by hand, with the path as it is: curl tidies paths up.
pub fn get(stage: &Stage, path: &str) -> (u16, String) {
    let address = stage.server.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// One segment of a path.
pub fn segment(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Fails where a text has something in it that a terminal obeys, that hides or turns text round.
pub fn assert_plain(what: &str, text: &str) {
    for line in text.split('\n') {
        assert!(line.chars().all(is_plain), "{what} shows what is not plain: {line:?}");
    }
}

/// The same for every text of a JSON value, keys included.
pub fn assert_plain_json(what: &str, value: &Value) {
    match value {
        Value::String(text) => assert!(text.chars().all(is_plain), "{what}: {text:?}"),
        Value::Array(items) => items.iter().for_each(|item| assert_plain_json(what, item)),
        Value::Object(fields) => {
            for (key, value) in fields {
                assert_plain(what, key);
                assert_plain_json(what, value);
            }
        }
        _ => {}
    }
}

/// Looks at all that a controller shows.
pub fn assert_all_plain(stage: &Stage) {
    let links = stage.links();
    assert_table(stage, links.len());
    assert_api(stage, &links);
    assert_page(stage);
    assert_metrics(stage);
    for args in [vec!["plan"], vec!["plan", "-o", "json"], vec!["status", "-o", "json"]] {
        let output = stage.tieline(&args);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_plain(&format!("{args:?}"), &text);
        assert_plain(&format!("{args:?}'s stderr"), &String::from_utf8_lossy(&output.stderr));
        if args.contains(&"json") {
            assert_plain_json(&format!("{args:?}"), &serde_json::from_str(&text).unwrap());
        }
    }
    // A table may be long; some of it will do.
    for link in links.iter().step_by(1 + links.len() / 20) {
        let name = format!("{}/{}", link["consumer"].as_str().unwrap(), link["name"].as_str().unwrap());
        let output = stage.tieline(&["describe", &name]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("{name}\n")), "describe {name}: {text}");
        assert_plain(&format!("describe {name}"), &text);
    }
    assert_plain("the log", &stage.log());
}

fn assert_table(stage: &Stage, links: usize) {
    let status = stage.tieline(&["status"]);
    let table = String::from_utf8(status.stdout).unwrap();
    assert_plain("status", &table);
    let lines: Vec<Vec<char>> = table.lines().map(|line| line.chars().collect()).collect();
    assert_eq!(lines.len(), links + 1, "one line for the header and one for each link: {table}");
    let header: String = lines[0].iter().collect();
    for column in ["LINK", "PROVIDER", "STATE", "PATHS", "LAST PROOF", "RTT"] {
        let at = header.find(column).unwrap();
        for line in &lines {
            assert!(
                line[at - 1] == ' ' && line[at] != ' ',
                "{column} is crooked: {}",
                String::from_iter(line)
            );
        }
    }
}

fn assert_api(stage: &Stage, links: &[Value]) {
    for link in links {
        let (consumer, name) = (link["consumer"].as_str().unwrap(), link["name"].as_str().unwrap());
        assert!(consumer.is_ascii() && name.is_ascii(), "{consumer}/{name} may be wider than it counts");
        let (code, body) = get(stage, &format!("/api/v1/links/{}/{}", segment(consumer), segment(name)));
        assert_eq!(code, 200, "{consumer}/{name}: {body}");
        let found: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&found["consumer"], &found["name"]), (&link["consumer"], &link["name"]));
        assert_plain_json("the API", link);
        let message = link["message"].as_str().unwrap();
        // Each character of a cut text may be written as an escape of ten.
        assert!(message.chars().count() <= MAX_MESSAGE_CHARS * 10, "{message}");
        assert!(message.chars().count() <= MAX_MESSAGE_CHARS + 3 || message.contains("\\u{"), "{message}");
    }
    let (code, events) = get(stage, "/api/v1/events");
    assert_eq!(code, 200);
    assert_plain_json("the events", &serde_json::from_str(&events).unwrap());
}

fn assert_page(stage: &Stage) {
    let (code, page) = get(stage, "/");
    assert_eq!(code, 200);
    assert_plain("the page", &page);
    assert!(!page.contains("<script"), "a label's text is markup of the page");
}

fn assert_metrics(stage: &Stage) {
    let (_, text) = stage.get("/metrics");
    assert_plain("the metrics", &text);
    let output = promtool(&text);
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "promtool: {}", String::from_utf8_lossy(&said));
}
