//! HTTP calls without a process for each, as every wait makes many of them.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

/// How long either side may be silent.
const SILENCE: Duration = Duration::from_secs(5);

/// Status and body of the answer to a call of `unix://…`, `tcp://…` or `http://…`.
pub fn call(
    host: &str,
    method: &str,
    path: &str,
    body: &str,
    silence: Duration,
) -> io::Result<(u16, String)> {
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        host.rsplit_once("//").filter(|_| !host.starts_with("unix")).map_or("docker", |(_, name)| name),
        body.len()
    );
    if let Some(socket) = host.strip_prefix("unix://") {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(silence))?;
        stream.set_write_timeout(Some(silence))?;
        exchange(stream, &request)
    } else {
        let address = host.rsplit_once("//").map_or(host, |(_, address)| address);
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(silence))?;
        stream.set_write_timeout(Some(silence))?;
        exchange(stream, &request)
    }
}

fn exchange(mut stream: impl Read + Write, request: &str) -> io::Result<(u16, String)> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((code.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}

/// A controller's answer; code 0 where there is none.
pub fn get(server: &str, path: &str) -> (u16, String) {
    call(server, "GET", path, "", SILENCE).unwrap_or_default()
}

/// The answer of the engine at `host`, or `None` where it has no such thing.
pub fn ask(host: &str, path: &str) -> Option<Value> {
    // The engine may have much to do.
    let answer = call(host, "GET", path, "", Duration::from_secs(120));
    let (code, body) = answer.unwrap_or_else(|error| panic!("{host} {path}: {error}"));
    match code {
        404 => None,
        200 => Some(serde_json::from_str(&body).unwrap()),
        _ => panic!("{host} {path}: {code} {body}"),
    }
}

/// The ids of what an engine lists under a path, with a filter for a label.
pub fn list(host: &str, path: &str, label: &str) -> Vec<String> {
    let filter: String = format!(r#"{{"label":["{label}"]}}"#).bytes().map(|b| format!("%{b:02X}")).collect();
    let filter = if label.is_empty() { String::new() } else { format!("&filters={filter}") };
    let told = ask(host, &format!("{path}?all=1{filter}")).unwrap_or_default();
    let ids = told.as_array().into_iter().flatten().map(|one| one["Id"].as_str().unwrap().to_owned());
    ids.collect()
}
