//! The scripts that run in containers. Constant text: what comes from a label is only ever an
//! argument, never code.

use std::time::Duration;

use super::tool::Tool;

const LISTENER: &str = concat!(include_str!("common.sh"), include_str!("listener.sh"));
const CLIENT: &str = concat!(include_str!("common.sh"), include_str!("client.sh"));
const DETECT: &str = include_str!("detect.sh");
const STOP: &str = include_str!("stop.sh");

/// The candidates for `nc` that are looked for, as a message names them.
pub const CANDIDATES: &str = "nc, ncat, netcat, nc.openbsd, nc.traditional, busybox nc, toybox nc";

/// What [`detect`] writes when it has tried every candidate.
pub const DETECTED: &str = "tieline: done";

/// What to execute in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Environment, as `NAME=value`.
    pub env: Vec<String>,
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Ends as soon as it is connected; says nothing.
    Knock,
    /// Stays until its connection ends; says what it is given.
    Talk,
}

/// The script that makes every candidate for `nc` say what it is.
pub fn detect() -> Command {
    script(DETECT, Vec::new())
}

/// The script of a listener on the first of `ports` that is free, for at most `bound`.
pub fn listener(tool: &Tool, ports: &[u16], bound: Duration) -> Command {
    let ports: Vec<_> = ports.iter().map(|port| format!("{port}:{port:04X}")).collect();
    script(LISTENER, [vec![centiseconds(bound), ports.join(" ")], tool.listen()].concat())
}

/// The script of a client to `host`, for at most `bound`. Which of `ports` it is to be it reads from
/// its stdin, as [`port_line`].
pub fn client(tool: &Tool, host: &str, ports: &[u16], manner: Manner, bound: Duration) -> Command {
    let manner = match manner {
        Manner::Knock => "knock",
        Manner::Talk => "talk",
    };
    let ports: Vec<_> = ports.iter().map(|port| format!("{port:04X}")).collect();
    let bounds = vec![centiseconds(bound), manner.to_owned(), ports.join(" ")];
    script(CLIENT, [bounds, tool.client(host)].concat())
}

/// The line by which a client is told its port, and to begin.
pub fn port_line(port: u16) -> String {
    format!("{port}\n")
}

/// The script that asks another one, the process `pid` in its container, to end at once.
pub fn stop(pid: u32) -> Command {
    script(STOP, vec![pid.to_string()])
}

/// The text goes into the environment: the engine puts the whole argv of every exec into its
/// events, where people read.
fn script(text: &str, arguments: Vec<String>) -> Command {
    let shell = ["sh", "-c", "eval \"$TIELINE\"", "tieline"].map(str::to_owned);
    let env = vec!["LC_ALL=C".to_owned(), format!("TIELINE={text}")];
    Command { argv: [shell.to_vec(), arguments].concat(), env }
}

/// The unit of `/proc/uptime`, the only clock that every shell can read.
fn centiseconds(duration: Duration) -> String {
    (duration.as_millis() / 10).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::tool::Flavour;
    use super::*;

    fn tool() -> Tool {
        Tool { program: vec!["nc".into()], flavour: Flavour::BusyboxTiny }
    }

    #[test]
    fn a_label_s_words_stay_arguments() {
        let command = client(&tool(), "$(reboot)", &[80, 61001], Manner::Knock, Duration::from_millis(2500));
        assert_eq!(command.argv[..4], ["sh", "-c", "eval \"$TIELINE\"", "tieline"]);
        assert_eq!(command.argv[4..], ["250", "knock", "0050 EE49", "nc", "$(reboot)"]);
        assert_eq!(command.env, ["LC_ALL=C".to_owned(), format!("TIELINE={CLIENT}")]);
    }

    #[test]
    fn every_candidate_that_is_named_is_one_that_is_found() {
        let known = |name: &str| Tool::find(&format!("\ntieline: tool {name} \nOpenBSD netcat\n")).is_some();
        assert!(CANDIDATES.split(", ").all(known));
    }

    #[test]
    fn a_listener_gets_its_ports_in_decimal_and_as_the_kernel_prints_them() {
        let command = listener(&tool(), &[12345, 61001], Duration::from_secs(3));
        assert_eq!(command.argv[4..], ["300", "12345:3039 61001:EE49", "nc", "-l", "-p"]);
    }
}
