//! `tieline speak`: one side of a handshake, played for whoever holds its standard streams.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::Exit;
use crate::cli::{Part, SpeakArgs};
use crate::model::handshake::role::Role;
use crate::speaker::names::Names;
use crate::speaker::root::Root;
use crate::speaker::{self, Streams, Surroundings};

pub(super) async fn run(args: SpeakArgs) -> Exit {
    let names = Names::read(Path::new("/etc/hosts"), Path::new("/etc/resolv.conf"));
    let streams =
        Streams { stdin: tokio::io::stdin(), stdout: tokio::io::stdout(), stderr: tokio::io::stderr() };
    let bound = Duration::from_millis(args.bound_ms);
    let root = match root(&args.part) {
        Ok(root) => root,
        Err(error) => {
            eprintln!("its files cannot be seen: {error}");
            return Exit::No;
        }
    };
    speaker::play_in(&role(args.part), bound, streams, &Surroundings { names, root }).await;
    // How it fared, it has told: whoever reads that needs no exit code.
    Exit::Yes
}

/// Where the path of a socket begins, if not at the root of this process.
fn root(part: &Part) -> std::io::Result<Option<Root>> {
    match part {
        Part::SocketClient { root: Some(root), mount: Some(mount), other, .. } => {
            Ok(Some(Root::with_only(File::open(root)?.into(), mount.clone(), other.clone())))
        }
        _ => Ok(None),
    }
}

fn role(part: Part) -> Role {
    match part {
        Part::Listener { transport, ports, asked } => Role::Listener { transport, ports, asked, ipv6: true },
        Part::Client { transport, host, ports, manner } => Role::Client { transport, host, ports, manner },
        Part::SocketClient { path, manner, .. } => Role::SocketClient { path, manner },
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::model::handshake::role::{Manner, Transport};
    use crate::speaker::argv::{argv, below};

    #[test]
    fn a_role_is_the_same_after_a_command_line() {
        let mut roles = Vec::new();
        for transport in [Transport::Tcp, Transport::Udp] {
            for asked in [None, Some(53)] {
                roles.push(Role::Listener { transport, ports: vec![12345, 61001], asked, ipv6: true });
            }
            for manner in [Manner::Knock, Manner::Talk, Manner::Ask] {
                for host in ["db", "10.0.0.2", "-h", "--manner=ask", "$(reboot)", "a b,c=d", ""] {
                    roles.push(Role::Client { transport, host: host.into(), ports: vec![80], manner });
                }
            }
        }
        for path in ["/run/db.sock", "-x", "/a b/=,'\"\\\n"] {
            roles.push(Role::SocketClient { path: path.into(), manner: Manner::Ask });
        }
        for wanted in roles {
            let bound = Duration::from_millis(2345);
            let line = [vec!["tieline".to_owned()], argv(&wanted, bound)].concat();
            let Command::Speak(args) = Cli::try_parse_from(&line).unwrap().command else { panic!() };
            if matches!(wanted, Role::SocketClient { .. }) {
                let line = [line, below("/r", "/a b,=", ["/a b,=/c", "/a b,=/d,e"].into_iter())].concat();
                let Command::Speak(args) = Cli::try_parse_from(line).unwrap().command else { panic!() };
                let Part::SocketClient { root, mount, other, .. } = &args.part else { panic!() };
                assert_eq!(root.as_deref(), Some(Path::new("/r")));
                assert_eq!(mount.as_deref(), Some(Path::new("/a b,=")));
                assert_eq!(other, &[Path::new("/a b,=/c"), Path::new("/a b,=/d,e")]);
                assert_eq!(role(args.part), wanted);
            }
            assert_eq!(Duration::from_millis(args.bound_ms), bound);
            assert_eq!(role(args.part), wanted);
        }
    }
}
