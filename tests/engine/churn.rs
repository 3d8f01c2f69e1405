//! Many containers that come and go at random, and their links.

use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::foreign::Foreign;
use super::stage::{IMAGE, Stage};
use crate::turns;

/// A number from the environment, or a default that the suite has time for.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

/// A sequence that looks random and is the same for the same seed (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// One container of the churn: half of them are providers, the other half consumers, each of one
/// provider. Every tenth link is proven.
fn make(stage: &Stage, n: u64, containers: u64) -> Command {
    let mut command = Command::new("docker");
    command.args(["create", "--name", &stage.name(&format!("n{n}")), "--label", &stage.owner_label()]);
    command.args(["--stop-timeout", "0"]);
    if n >= containers / 2 {
        let provider = stage.name(&format!("n{}", n - containers / 2));
        let prefix = stage.prefix();
        let handshake = if n.is_multiple_of(10) { "exchange" } else { "none" };
        command.args(["--label", &format!("{prefix}link.it={provider}:80")]);
        command.args(["--label", &format!("{prefix}link.it.handshake={handshake}")]);
    }
    command.args([IMAGE, "sleep", "100000"]);
    command
}

/// After it, the engine holds what the labels declare; nobody failed to start, nothing foreign has
/// changed. `TIELINE_CHURN_CONTAINERS` (half as many links), `TIELINE_CHURN_SECONDS` and
/// `TIELINE_CHURN_SEED` make it larger, longer and another.
#[test]
fn containers_that_churn_end_as_their_labels_say() {
    let containers = number("TIELINE_CHURN_CONTAINERS", 30);
    let seconds = number("TIELINE_CHURN_SECONDS", 8);
    let seed = number("TIELINE_CHURN_SEED", 7);
    let mut stage = Stage::dark(&["--gc-grace", "500ms"]);
    stage.widen_pool();
    stage.start_controller();
    let foreign = Foreign::new(&stage);
    let complaints = Mutex::new(Vec::<String>::new());
    let begun = Instant::now();
    let workers = 4;
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (stage, complaints) = (&stage, &complaints);
            scope.spawn(move || {
                let mut dice = Dice(seed * 1000 + worker + 1);
                let mine: Vec<u64> = (0..containers).filter(|n| n % workers == worker).collect();
                for n in &mine {
                    call(&mut make(stage, *n, containers), complaints);
                }
                let end = begun + Duration::from_secs(seconds);
                while Instant::now() < end {
                    let n = mine[usize::try_from(dice.roll(mine.len() as u64)).unwrap()];
                    let name = stage.name(&format!("n{n}"));
                    let docker =
                        |args: &[&str]| call(Command::new("docker").args(args).arg(&name), complaints);
                    match dice.roll(6) {
                        0 => docker(&["stop", "-t", "0"]),
                        1 => docker(&["restart", "-t", "0"]),
                        2 => {
                            docker(&["rm", "-f"]);
                            call(&mut make(stage, n, containers), complaints);
                        }
                        _ => docker(&["start"]),
                    }
                }
            });
        }
    });
    println!("{containers} containers churned for {:.1?}", begun.elapsed());
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "{complaints:#?}\n{}", stage.log());
    stage.settle_within("churn", Duration::from_secs(120));
    for n in 0..containers {
        stage.docker(&["start", &stage.name(&format!("n{n}"))]);
    }
    stage.settle_within("all run", Duration::from_secs(120));
    foreign.is_untouched();
    let names: Vec<String> = (0..containers).map(|n| stage.name(&format!("n{n}"))).collect();
    assert!(turns::remove(|| Command::new("docker"), names.iter().map(String::as_str)));
    stage.settle_within("nothing is left", Duration::from_secs(120));
    assert!(stage.networks().is_empty());
    foreign.is_untouched();
}

/// Every call of a person has to succeed.
fn call(command: &mut Command, complaints: &Mutex<Vec<String>>) {
    let output = turns::output(command).unwrap();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        complaints.lock().unwrap().push(format!("{command:?}: {error}"));
    }
}
