//! Labels that cost much to obey: they cost their own links, and nobody else anything.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::stage::{PATIENCE, Stage, ok, tieline};

const FULL: &str = "tieline-lab/busybox-full";
/// Patterns that take long to match where nothing matches them: one that is nearly as large as the limit allows,
/// and one that is far beyond it.
const DEAR: [&str; 2] = ["(?:[01]{1,130}[01]{1,130})*[^01]", "(?-u)[01]{7000}[^01]"];
/// The provider's answer: 32 KiB in 512 pieces, then silence while the client stays.
const ANSWER: &str = "i=0; while [ $i -lt 512 ]; do printf %064d 0; usleep 1; i=$((i+1)); done; sleep 1000";

#[test]
fn an_expectation_that_is_dear_to_match_delays_neither_the_api_nor_events_nor_the_end() {
    let mut stage = Stage::with(&["--interval", "1s"]);
    stage.run_with("dear", &[], &[], FULL, &["tcpsvd", "-c", "100", "0.0.0.0", "7001", "sh", "-c", ANSWER]);
    let target = format!("{}:7001", stage.name("dear"));
    let links = 4 * std::thread::available_parallelism().unwrap().get();
    let labels: Vec<(String, &str)> = (0..links)
        .flat_map(|n| {
            let label = format!("link.x{n}");
            let of = move |option: &str| format!("{label}{option}");
            [
                (of(""), target.as_str()),
                (of(".handshake"), "connect"),
                (of(".send"), "x"),
                (of(".expect"), DEAR[n % 2]),
                (of(".timeout"), "60s"),
            ]
        })
        .collect();
    let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    stage.run_with("asks", &labels, &[], FULL, &["sleep", "100000"]);
    stage.eventually("they are all asked", || {
        stage.metric("tieline_handshakes_in_flight").is_some_and(|n| n >= 2.0)
    });
    // Enough for the answers to arrive, and less than the handshakes take.
    for round in 0..10 {
        std::thread::sleep(Duration::from_secs(1));
        let (code, body) = stage.get("/healthz");
        assert_eq!(code, 200, "round {round}: {body}");
        let event = Instant::now();
        let name = format!("new{round}");
        stage.create(&name, &[("link.y", "nobody:80")], &["true"]);
        stage.await_state(&name, "y", "Pending");
        assert!(event.elapsed() < PATIENCE / 4, "round {round}: {:?}", event.elapsed());
    }
    let asked = Instant::now();
    assert_eq!(stage.stop_controller(), Some(0), "{}", stage.log());
    assert!(asked.elapsed() < PATIENCE / 2, "it took {:?} to end", asked.elapsed());
}

/// Whether a process catches SIGTERM by now.
fn catches_term(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 << 14 != 0)
}

#[test]
fn the_second_request_to_end_is_obeyed_though_nobody_reads_the_log() {
    let (unread, log) = std::io::pipe().unwrap();
    let mut filler = log.try_clone().unwrap();
    let filled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&filled);
    // It is stuck as soon as the pipe is full, and ends with it.
    std::thread::spawn(move || {
        while filler.write_all(b"another line that nobody reads\n").is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut before = 0;
    while before == 0 || before != filled.load(Ordering::Relaxed) {
        before = filled.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut command = tieline();
    command.args(["run", "--host", "unix:///nowhere/docker.sock", "--listen", "127.0.0.1:0"]);
    let mut controller = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    while !catches_term(controller.id()) {
        assert!(Instant::now() < end, "it catches no signals: {:?}", controller.try_wait());
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = loop {
        ok(Command::new("kill").args(["-TERM", &controller.id().to_string()]));
        std::thread::sleep(Duration::from_millis(500));
        match controller.try_wait().unwrap() {
            None if Instant::now() < end => {}
            ended => break ended,
        }
    };
    let _ = controller.kill();
    let _ = controller.wait();
    drop(unread);
    assert_eq!(ended.expect("it goes on").code(), Some(130));
}
