//! Containers join and leave networks one after the other, whichever scenario's they are.
//!
//! An engine before 23.0 hangs for ever where two of one network do so in the same instant:
//! `getSvcRecords` locks the network and then the controller, `processEndpointCreate` and
//! `processEndpointDelete` the controller and then the network (moby/moby#42545 and #42569, which are not
//! in the engine of Debian 12). Every call about networks waits from then on, and every scenario with it.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::{Command, Output};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::Duration;

static TURN: Mutex<()> = Mutex::new(());

/// For how long the engine may not tell which networks there are, in seconds.
const HANGS: &str = "60";

/// How often the engine is asked to pause what its runtime could not freeze: on a busy machine it gives up soon
/// where processes come and go, and lets them go on.
const FREEZES: usize = 5;

/// Runs a command, and where it starts or ends containers, waits until no other one does.
pub fn output(command: &mut Command) -> io::Result<Output> {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| drop(thread::spawn(watch)));
    let _turn = moves(command).then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
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

/// Removes containers one by one, as `docker rm` of them all would not. Says whether each of them was removed.
#[must_use]
pub fn remove<'a>(docker: impl Fn() -> Command, containers: impl IntoIterator<Item = &'a str>) -> bool {
    let mut all = true;
    for container in containers {
        all &= output(docker().args(["rm", "-fv", container])).is_ok_and(|output| output.status.success());
    }
    all
}

/// How the tests end where the engine hung: `EX_TEMPFAIL` of sysexits.h. `tests/run` begins again with an engine
/// anew, and those that have not passed.
const HUNG: i32 = 75;

/// Ends the tests where the engine hangs all the same: each of those to come would wait for nothing.
fn watch() {
    let hangs = || {
        let status = Command::new("timeout").args([HANGS, "docker", "network", "ls", "-q"]).output();
        status.is_ok_and(|output| output.status.code() == Some(124))
    };
    while !hangs() {
        thread::sleep(Duration::from_secs(5));
    }
    // Not by a macro, whose words would be kept for the end of the test that began this.
    let _ = writeln!(
        io::stderr(),
        "the engine has not said which networks there are for {HANGS} s: it hangs, and has to be restarted \
         (see tests/turns.rs)"
    );
    std::process::exit(HUNG);
}
