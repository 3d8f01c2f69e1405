//! The command line of `tieline speak`, by which a process somewhere else plays a role.

use std::time::Duration;

use crate::model::handshake::role::Role;

/// The arguments, after those of [`argv`], for a program that has only what is mounted at `mount` of the container
/// whose client it plays, and has it below `root`. The container has other things mounted at `others`, below `mount`.
pub fn below<'a>(root: &str, mount: &str, others: impl Iterator<Item = &'a str>) -> Vec<String> {
    let others = others.map(|other| format!("--other={other}"));
    [format!("--root={root}"), format!("--mount={mount}")].into_iter().chain(others).collect()
}

/// The arguments that have tieline's program play `role` for at most `bound`. A label's words are only ever
/// values.
pub fn argv(role: &Role, bound: Duration) -> Vec<String> {
    let list = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let mut argv = vec!["speak".to_owned(), format!("--bound-ms={}", bound.as_millis())];
    match role {
        // It listens at the addresses of both families.
        Role::Listener { transport, ports, asked, ipv6: _ } => {
            argv.push("listener".to_owned());
            argv.push(format!("--transport={}", transport.as_str()));
            argv.push(format!("--ports={}", list(ports)));
            argv.extend(asked.map(|port| format!("--asked={port}")));
        }
        Role::Client { transport, host, ports, manner } => {
            argv.push("client".to_owned());
            argv.push(format!("--transport={}", transport.as_str()));
            argv.push(format!("--host={host}"));
            argv.push(format!("--ports={}", list(ports)));
            argv.push(format!("--manner={}", manner.as_str()));
        }
        Role::SocketClient { path, manner } => {
            argv.push("socket-client".to_owned());
            argv.push(format!("--path={path}"));
            argv.push(format!("--manner={}", manner.as_str()));
        }
    }
    argv
}
