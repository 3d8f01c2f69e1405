//! The scripts themselves, in every shell of this machine: what they are given stays what it is.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use tieline::model::handshake::script::{self, Manner};
use tieline::model::handshake::tool::{Flavour, Tool};

/// The shells that containers have; Debian's packages of those names.
const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "sh"]];

/// Names that a shell would obey if it ever read them.
fn hostile(canary: &str) -> Vec<String> {
    let run = format!("touch {canary}");
    vec![
        format!("$({run})"),
        format!("`{run}`"),
        format!("; {run}; "),
        format!("'; {run}; '"),
        format!("\"; {run}; \""),
        format!("\n{run}\n"),
        "* ? [a-z]".to_owned(),
        "%s%n \\n \\\\ $HOME ${IFS} $$ !!".to_owned(),
        "a  b\t c ".to_owned(),
        "\u{1b}[31m\u{202e}".to_owned(),
    ]
}

/// What the client's script gives to the program that stands for `nc`.
fn given(shell: &[&str], host: &str) -> String {
    // In the place of nc, a program that shows its arguments; the flavour has no options of its own.
    let tool = Tool { program: vec!["printf".into(), "<%s>".into()], flavour: Flavour::BusyboxTiny };
    let command = script::client(&tool, host, &[80], Manner::Talk, Duration::from_secs(3));
    let (name, value) = command.env[1].split_once('=').unwrap();
    let mut child = Command::new(shell[0])
        .args(&shell[1..])
        .args(&command.argv[1..])
        .env(name, value)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs {}: {error}", shell[0]));
    child.stdin.take().unwrap().write_all(script::port_line(80).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_a_script_is_given_reaches_nc_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let canary = dir.path().join("canary");
    for shell in SHELLS {
        for host in hostile(&canary.display().to_string()) {
            assert_eq!(given(shell, &host), format!("<{host}><80>"), "{shell:?}");
        }
    }
    assert!(!canary.exists(), "a shell ran what it was given");
}
