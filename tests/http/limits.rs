//! What clients take up: room and time, and no more than their share.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Server, status};
use crate::engine::stage::PATIENCE;
use crate::patience::patience;

/// After so long a client that does nothing is cut off for certain: twice its time.
const CUT: Duration = Duration::from_secs(10);

const FOLLOW: &str = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";

/// The head of what comes, at least.
fn head(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut piece = [0; 1024];
    while !text.contains("\r\n\r\n") {
        match stream.read(&mut piece).unwrap() {
            0 => break,
            count => text.push_str(&String::from_utf8_lossy(&piece[..count])),
        }
    }
    text
}

/// Whether the server has closed it by now.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut piece = [0; 4096];
    let closed = loop {
        match stream.read(&mut piece) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break error.kind() != ErrorKind::WouldBlock,
        }
    };
    stream.set_nonblocking(false).unwrap();
    closed
}

#[test]
fn who_dawdles_is_cut_off_and_holds_up_nobody() {
    let server = Server::start();
    let mut silent = server.connect();
    let mut loris = server.connect();
    let mut idle = server.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(status(&head(&mut idle)), 200);
    let deaf = server.connect();
    let mut asks = deaf.try_clone().unwrap();
    // It asks for as much as fits on the way and reads nothing of it.
    let asking = std::thread::spawn(move || {
        while asks.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").is_ok() {}
    });
    let start = Instant::now();
    let mut drops = b"GET / HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat(&b'x'));
    let (mut silent_gone, mut loris_gone, mut idle_gone) = (false, false, false);
    while !(silent_gone && loris_gone && idle_gone && asking.is_finished()) {
        assert!(
            start.elapsed() < CUT + PATIENCE,
            "still there: silent {}, loris {}, idle {}, deaf {}",
            !silent_gone,
            !loris_gone,
            !idle_gone,
            !asking.is_finished()
        );
        server.serves();
        loris_gone |= is_closed(&mut loris) || loris.write_all(&[*drops.next().unwrap()]).is_err();
        silent_gone |= is_closed(&mut silent);
        idle_gone |= is_closed(&mut idle);
        std::thread::sleep(Duration::from_millis(200));
    }
    asking.join().unwrap();
    assert_eq!(server.refusals("stalled"), 1);
    drop(deaf);
}

#[test]
fn a_crowd_of_connections_shuts_nobody_out() {
    let server = Server::start();
    let mut follower = server.connect();
    follower.write_all(FOLLOW.as_bytes()).unwrap();
    assert_eq!(status(&head(&mut follower)), 200);
    let crowd: Vec<TcpStream> = (0..400).map(|_| server.connect()).collect();
    server.serves();
    assert!(server.refusals("connections") >= 400 - 128);
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    assert!(open < 128 + 64, "the server holds {open} files open");
    assert!(!is_closed(&mut follower), "who follows is not in the way");
    drop(crowd);
}

#[test]
fn only_so_many_follow_and_each_place_is_free_again() {
    let server = Server::start();
    let follow = || {
        let mut stream = server.connect();
        stream.write_all(FOLLOW.as_bytes()).unwrap();
        let head = head(&mut stream);
        (status(&head), head, stream)
    };
    let mut followers: Vec<TcpStream> = Vec::new();
    let refusal = loop {
        match follow() {
            (200, _, stream) => followers.push(stream),
            (_, head, _) => break head,
        }
        assert!(followers.len() <= 100, "there is no end to those who may follow");
    };
    assert_eq!(status(&refusal), 503);
    assert!(refusal.to_lowercase().contains("retry-after: "), "{refusal}");
    assert_eq!(followers.len(), 32);
    assert_eq!(server.refusals("followers"), 1);
    server.serves();
    followers.pop();
    let end = Instant::now() + patience(PATIENCE);
    while follow().0 != 200 {
        assert!(Instant::now() < end, "the place of one who left stays taken");
        std::thread::sleep(Duration::from_millis(100));
    }
}
