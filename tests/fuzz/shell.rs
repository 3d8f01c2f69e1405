//! The scripts themselves, in every shell of this machine: what they are given stays what it is.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use tieline::model::handshake::role::{Manner, Role, Transport, port_line};
use tieline::model::handshake::script;
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

/// What the client's script, told to begin, gives to the program that stands for `nc`.
fn given(shell: &[&str], role: &Role, begin: &str) -> String {
    // In the place of nc, a program that shows its arguments.
    let flavour = match role {
        Role::SocketClient { .. } => Flavour::Toybox,
        _ => Flavour::BusyboxTiny,
    };
    let tool = Tool { program: vec!["printf".into(), "<%s>".into()], flavour };
    let command = script::play(&tool, role, Duration::from_secs(3)).unwrap();
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
    child.stdin.take().unwrap().write_all(begin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_a_script_is_given_reaches_nc_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let canary = dir.path().join("canary");
    for shell in SHELLS {
        for host in hostile(&canary.display().to_string()) {
            let (path, manner) = (format!("/run/{host}"), Manner::Talk);
            let told = format!("<-U><{path}>");
            assert_eq!(given(shell, &Role::SocketClient { path, manner }, "\n"), told, "{shell:?}");
            let (transport, ports, told) = (Transport::Tcp, vec![80], format!("<{host}><80>"));
            let role = Role::Client { transport, host, ports, manner };
            assert_eq!(given(shell, &role, &port_line(80)), told, "{shell:?}");
        }
    }
    assert!(!canary.exists(), "a shell ran what it was given");
}
