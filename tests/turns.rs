//! Turns and numbers, which scenarios on one engine share, also where each is a process of its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Command, Output};

use rustix::fs::{FlockOperation, flock};

use crate::facts::{self, Fact};

/// How often the engine is asked to pause what its runtime could not freeze: on a busy machine it gives up soon
/// where processes come and go, and lets them go on.
const FREEZES: usize = 5;

/// Runs a command, and where it starts or ends containers on an engine that hangs when two do so at once
/// (`getSvcRecords` locks the network and then the controller, `processEndpointCreate` and
/// `processEndpointDelete` the controller and then the network), waits until no other scenario does.
pub fn output(command: &mut Command) -> io::Result<Output> {
    let _turn = (moves(command) && facts::holds(Fact::MovesHang)).then(|| alone("turn"));
    for _ in 0..FREEZES {
        let output = command.output()?;
        if !String::from_utf8_lossy(&output.stderr).contains("unable to freeze") {
            return Ok(output);
        }
    }
    command.output()
}

fn moves(command: &Command) -> bool {
    let verb = command.get_args().next().and_then(OsStr::to_str).unwrap_or_default();
    match command.get_program().to_str() {
        Some("docker") => ["run", "start", "stop", "restart", "kill", "rm"].contains(&verb),
        program => program == Some("docker-compose"),
    }
}

/// Removes containers, one by one where the engine needs that. Says whether each of them was removed.
#[must_use]
pub fn remove<'a>(docker: impl Fn() -> Command, containers: impl IntoIterator<Item = &'a str>) -> bool {
    let remove = |containers: &[&str]| {
        let removed = output(docker().args(["rm", "-fv"]).args(containers));
        removed.is_ok_and(|output| output.status.success())
    };
    let containers: Vec<&str> = containers.into_iter().collect();
    let at_once = if facts::holds(Fact::MovesHang) { 1 } else { containers.len().max(1) };
    containers.chunks(at_once).filter(|some| !remove(some)).count() == 0
}

/// The folder for what is shared: `tests/lab/engine` has one for each engine.
fn shared() -> PathBuf {
    let folder = std::env::var_os("LAB_SHARED").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("tieline-tests"));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn lock_file(name: &str) -> File {
    let path = shared().join(name);
    let opened = File::options().create(true).append(true).open(&path);
    opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Keeps others out of what bears this name for as long as the file is open.
pub fn alone(name: &str) -> File {
    let file = lock_file(name);
    flock(&file, FlockOperation::LockExclusive).unwrap();
    file
}

/// A number that nobody else has for as long as the file is open. The first that is tried is another in each
/// process, so that what a killed one left is nobody's soon.
#[allow(dead_code)]
pub fn number() -> (u8, File) {
    let first = std::process::id().wrapping_mul(7).to_le_bytes()[0];
    (0..=u8::MAX)
        .find_map(|n| {
            let n = first.wrapping_add(n);
            let file = lock_file(&format!("number-{n}"));
            flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some((n, file))
        })
        .expect("a number is free")
}
