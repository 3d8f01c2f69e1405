//! The scripts that run in containers. Constant text: what comes from a label is only ever an
//! argument, never code.

use std::time::Duration;

use super::role::Role;
use super::tool::Tool;

const LISTENER: &str = concat!(include_str!("common.sh"), include_str!("listener.sh"));
const CLIENT: &str = concat!(include_str!("common.sh"), include_str!("client.sh"));
const DETECT: &str = include_str!("detect.sh");
const STOP: &str = include_str!("stop.sh");
const BASH: &str = include_str!("bash.sh");

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

/// The script that makes every candidate for `nc` say what it is.
pub fn detect() -> Command {
    script(DETECT, Vec::new())
}

/// The script that plays `role` for at most `bound`, where the tool can.
pub fn play(tool: &Tool, role: &Role, bound: Duration) -> Option<Command> {
    let bound = centiseconds(bound);
    match role {
        Role::Listener { transport, ports, asked, ipv6 } => {
            let ports: Vec<_> = ports.iter().map(|port| format!("{port}:{port:04X}")).collect();
            let asked = asked.map_or(String::new(), hex);
            let arguments = vec![bound, transport.as_str().to_owned(), asked, ports.join(" ")];
            Some(script(LISTENER, [arguments, tool.listen(*transport, *ipv6)?].concat()))
        }
        Role::Client { transport, host, ports, manner } => {
            let ports: Vec<_> = ports.iter().copied().map(hex).collect();
            let (transport_name, manner_name) = (transport.as_str().to_owned(), manner.as_str().to_owned());
            let arguments = vec![bound, transport_name, manner_name, ports.join(" ")];
            Some(script(CLIENT, [arguments, tool.client(*transport, *manner, host)?].concat()))
        }
        Role::SocketClient { path, manner } => {
            let arguments = vec![bound, "unix".to_owned(), manner.as_str().to_owned(), String::new()];
            Some(script(CLIENT, [arguments, tool.socket_client(path)?].concat()))
        }
    }
}

/// A port as the kernel's tables print it.
fn hex(port: u16) -> String {
    format!("{port:04X}")
}

/// The script that asks another one, the process `pid` in its container, to end at once.
pub fn stop(pid: u32) -> Command {
    script(STOP, vec![pid.to_string()])
}

/// The text goes into the environment: the engine puts the whole argv of every exec into its
/// events, where people read.
fn script(text: &str, arguments: Vec<String>) -> Command {
    let shell = ["sh", "-c", "eval \"$TIELINE\"", "tieline"].map(str::to_owned);
    let env = vec!["LC_ALL=C".to_owned(), format!("TIELINE={text}"), format!("TIELINE_BASH={BASH}")];
    Command { argv: [shell.to_vec(), arguments].concat(), env }
}

/// The unit of `/proc/uptime`, the only clock that every shell can read.
fn centiseconds(duration: Duration) -> String {
    (duration.as_millis() / 10).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::role::{Manner, Transport};
    use super::super::tool::{Flavour, PROGRAMS};
    use super::*;

    fn tool() -> Tool {
        Tool { program: vec!["nc".into()], flavour: Flavour::BusyboxTiny }
    }

    #[test]
    fn a_label_s_words_stay_arguments() {
        let role = Role::Client {
            transport: Transport::Tcp,
            host: "$(reboot)".into(),
            ports: vec![80, 61001],
            manner: Manner::Knock,
        };
        let command = play(&tool(), &role, Duration::from_millis(2500)).unwrap();
        assert_eq!(command.argv[..4], ["sh", "-c", "eval \"$TIELINE\"", "tieline"]);
        assert_eq!(command.argv[4..], ["250", "tcp", "knock", "0050 EE49", "nc", "$(reboot)"]);
        assert_eq!(command.env[..2], ["LC_ALL=C".to_owned(), format!("TIELINE={CLIENT}")]);
    }

    #[test]
    fn a_client_of_a_socket_has_a_path_and_no_port() {
        let role = Role::SocketClient { path: "/run/$(reboot)".into(), manner: Manner::Ask };
        let tool = Tool { flavour: Flavour::OpenBsd, ..tool() };
        let command = play(&tool, &role, Duration::from_secs(3)).unwrap();
        assert_eq!(command.argv[4..], ["300", "unix", "ask", "", "nc", "-N", "-U", "/run/$(reboot)"]);
    }

    #[test]
    fn what_is_looked_for_is_what_is_known() {
        let looked_for =
            DETECT.lines().find_map(|line| line.strip_prefix("for name in ")?.strip_suffix("; do"));
        let known: Vec<&str> = PROGRAMS.iter().map(|name| name.split(' ').next().unwrap()).collect();
        assert_eq!(looked_for.unwrap(), known.join(" "));
    }

    #[test]
    fn a_listener_gets_its_ports_in_decimal_and_as_the_kernel_prints_them() {
        let listen = |tool: &Tool, ipv6| {
            let (transport, ports) = (Transport::Tcp, vec![12345, 61001]);
            let role = Role::Listener { transport, ports, asked: Some(53), ipv6 };
            play(tool, &role, Duration::from_secs(3)).unwrap().argv.split_off(4)
        };
        let ports = ["300", "tcp", "0035", "12345:3039 61001:EE49"];
        assert_eq!(listen(&tool(), true), [&ports[..], &["nc", "-l", "-p"]].concat());
        // Unless told, it listens on IPv4 alone.
        let tool = Tool { flavour: Flavour::OpenBsd, ..tool() };
        assert_eq!(listen(&tool, true), [&ports[..], &["nc", "-6", "-N", "-l"]].concat());
        assert_eq!(listen(&tool, false), [&ports[..], &["nc", "-N", "-l"]].concat());
    }
}
