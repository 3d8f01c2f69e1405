//! What is asked, in ways in which it should not be.

use std::net::IpAddr;
use std::time::Instant;

use clap::Parser;
use tieline::cli::{Cli, Command};

use super::{SOON, Server, status};
use crate::patience::patience;

const PATHS: [&str; 7] =
    ["/", "/healthz", "/readyz", "/metrics", "/api/v1/links", "/api/v1/links/a/b", "/api/v1/events"];

#[test]
fn it_listens_on_loopback_unless_told_otherwise() {
    let Command::Run(args) = Cli::parse_from(["tieline", "run"]).command else { panic!("not run") };
    assert!(matches!(args.listen.ip(), IpAddr::V4(ip) if ip.is_loopback()));
}

#[test]
fn only_get_and_head_are_answered() {
    let server = Server::start();
    for path in PATHS.into_iter().chain(["/nowhere"]) {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE", "get"] {
            let answer = server.ask(method, path, &[]);
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method} {path}");
        }
        let got = server.ask("GET", path, &[]);
        let head = server.ask("HEAD", path, &[]);
        assert_eq!((head.status, head.body()), (got.status, ""), "HEAD {path}");
        assert_eq!(head.header("content-type"), got.header("content-type"), "HEAD {path}");
    }
    // The body of a change is not waited for.
    let start = Instant::now();
    let answer = server.ask("POST", "/api/v1/links", &["Content-Length: 1000000000"]);
    assert_eq!(answer.status, 405);
    assert!(start.elapsed() < patience(SOON));
    server.serves();
}

#[test]
fn every_answer_forbids_what_a_page_could_be_made_to_do() {
    let server = Server::start();
    for (method, path) in
        PATHS.map(|path| ("GET", path)).into_iter().chain([("GET", "/nowhere"), ("PUT", "/")])
    {
        let answer = server.ask(method, path, &[]);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
    let page = server.ask("GET", "/", &[]).text;
    assert!(page.contains("href=\"/style.css\"") && !page.contains("<style") && !page.contains(" style="));
    assert_eq!(server.ask("GET", "/style.css", &[]).header("content-type"), Some("text/css; charset=utf-8"));
}

#[test]
fn a_name_that_somebody_else_can_make_mean_this_machine_is_not_answered() {
    let server = Server::start();
    let status = |headers: &[&str]| server.ask("GET", "/api/v1/links", headers).status;
    for host in ["localhost", "localhost:9810", "127.0.0.1:1", "[::1]"] {
        assert_eq!(status(&[&format!("Host: {host}")]), 200, "{host}");
    }
    for host in ["evil.example", "evil.example:9810", "127.0.0.1.evil.example", "localhost.evil.example"] {
        assert_eq!(status(&[&format!("Host: {host}")]), 421, "{host}");
    }
    assert_eq!(status(&["Host: localhost", "Host: evil.example"]), 421);
}

#[test]
fn nonsense_is_refused_and_harms_nobody() {
    let server = Server::start();
    let long = "x".repeat(64 << 10);
    let many: String = (0..1000).map(|n| format!("H{n}: x\r\n")).collect();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let with =
        |header: &str| format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\n");
    let requests: Vec<Vec<u8>> = [
        get("/api/v1/links/%ff/%fe"),
        get("/api/v1/links/%00/%0d%0a"),
        get("/api/v1/links/%/%zz"),
        get("/api/v1/links/%e2%80%ae/x"),
        get("/api/v1/links/..%2f..%2f..%2fetc/passwd"),
        get("/api/v1/links/a/b/c"),
        get("/api/v1/links/a"),
        get("/api/v1/links//"),
        get("/../../etc/passwd"),
        get("/%2e%2e/%2e%2e/etc/passwd"),
        get("//"),
        get("/%"),
        get("/metrics/"),
        get("/<script>alert(1)</script>"),
        get(&format!("/{long}")),
        get("nowhere"),
        get("/a b"),
        with(&format!("X: {long}")),
        with(&many),
        with("X"),
        with(": x"),
        with("X: a\0b"),
        with("Content-Length: 2000"),
        with("Content-Length: -1"),
        with("Content-Length: 1\r\nContent-Length: 2"),
        with("Transfer-Encoding: chunked"),
        with("Transfer-Encoding: chunked\r\nContent-Length: 5"),
        "GET /\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        " / HTTP/1.1\r\n\r\n".to_owned(),
        "\r\n\r\n\r\n\r\nGET\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_owned(),
        long.clone(),
    ]
    .map(String::into_bytes)
    .into_iter()
    .chain([vec![0; 20_000], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), vec![0xff; 100]])
    .collect();
    for request in requests {
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        let text = server.raw(&request);
        let status = status(&text);
        assert!(text.is_empty() || (400..500).contains(&status), "{shown:?} got {text}");
        assert!(!text.contains("<script"), "{shown:?} got {text}");
        server.serves();
    }
    assert_eq!(server.ask("GET", "/healthz?x=%ff&y=%3Cscript%3E", &[]).status, 200);
}
