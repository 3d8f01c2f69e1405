//! The flavours of `nc`: how to tell them apart, and how to call each.

use super::role::{Manner, Transport};

/// A flavour of `nc`. They share a name and little else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// The small one of busybox (Debian's): no `-z`, `-u`, `-v`.
    BusyboxTiny,
    /// The larger one of busybox (upstream's default, Alpine's).
    BusyboxFull,
    /// netcat-openbsd.
    OpenBsd,
    /// netcat-traditional.
    Traditional,
    /// ncat, of nmap.
    Ncat,
    /// toybox.
    Toybox,
    /// No `nc`, but bash, which connects by itself (`/dev/tcp`) and cannot listen.
    Bash,
}

impl Flavour {
    /// Every flavour there is.
    pub const ALL: [Self; 7] = [
        Self::BusyboxTiny,
        Self::BusyboxFull,
        Self::OpenBsd,
        Self::Traditional,
        Self::Ncat,
        Self::Toybox,
        Self::Bash,
    ];

    /// The flavour that prints this help.
    pub fn of_help(help: &str) -> Option<Self> {
        if help.contains("BusyBox v") {
            return match help {
                _ if help.contains("[-iN] [-wN]") => Some(Self::BusyboxTiny),
                _ if help.contains("[OPTIONS] HOST PORT") => Some(Self::BusyboxFull),
                _ => None,
            };
        }
        let signatures = [
            ("OpenBSD netcat", Self::OpenBsd),
            ("usage: nc [-46", Self::OpenBsd),
            ("[v1.10", Self::Traditional),
            ("Ncat 7.", Self::Ncat),
            ("Toybox 0.", Self::Toybox),
            ("GNU bash, version", Self::Bash),
        ];
        signatures.into_iter().find(|(text, _)| help.contains(text)).map(|(_, flavour)| flavour)
    }

    /// Options of a listener for one peer that ends when its stdin does, where it can listen. The port
    /// follows.
    fn listen(self, transport: Transport) -> Option<&'static [&'static str]> {
        Some(match (self, transport) {
            (Self::Bash, _) | (Self::BusyboxTiny, Transport::Udp) => return None,
            (Self::BusyboxTiny | Self::BusyboxFull | Self::Ncat | Self::Toybox, Transport::Tcp) => {
                &["-l", "-p"]
            }
            // Without -N or -q these two keep the connection when stdin is at its end. And only in
            // some releases of the first may -l and -p go together.
            (Self::OpenBsd, Transport::Tcp) => &["-N", "-l"],
            (Self::Traditional, Transport::Tcp) => &["-q", "0", "-l", "-p"],
            (Self::BusyboxFull | Self::Ncat | Self::Toybox, Transport::Udp) => &["-u", "-l", "-p"],
            (Self::OpenBsd, Transport::Udp) => &["-u", "-l"],
            (Self::Traditional, Transport::Udp) => &["-u", "-q", "0", "-l", "-p"],
        })
    }

    /// Options of a client. Host and port follow.
    fn client(self, transport: Transport, manner: Manner) -> Option<&'static [&'static str]> {
        Some(match (self, transport) {
            (Self::BusyboxTiny | Self::Bash, Transport::Udp) => return None,
            (Self::BusyboxTiny | Self::Ncat | Self::Toybox | Self::Bash, Transport::Tcp) => &[],
            // Silent about why it cannot connect unless -v; it says so on TCP without sending anything.
            (Self::BusyboxFull, Transport::Tcp) => &["-v"],
            (Self::OpenBsd, Transport::Tcp) => &["-v", "-N"],
            // The seconds for which it stays when its stdin has ended: the script bounds it.
            (Self::Traditional, Transport::Tcp) if manner == Manner::Ask => &["-q", "3600"],
            (Self::Traditional, Transport::Tcp) => &["-q", "0"],
            (Self::BusyboxFull | Self::OpenBsd | Self::Ncat | Self::Toybox, Transport::Udp) => &["-u"],
            (Self::Traditional, Transport::Udp) => &["-u", "-q", "0"],
        })
    }

    /// Options of a client of a unix socket, where it can be one. The path follows.
    fn socket_client(self) -> Option<&'static [&'static str]> {
        Some(match self {
            Self::BusyboxTiny | Self::BusyboxFull | Self::Traditional | Self::Bash => return None,
            Self::OpenBsd => &["-N", "-U"],
            Self::Ncat | Self::Toybox => &["-U"],
        })
    }
}

/// An `nc` as it is found in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// The words that start it: a program, and for a multi-call binary the applet.
    pub program: Vec<String>,
    /// What it is.
    pub flavour: Flavour,
}

/// The programs that are looked for, each with its applet; of those that are known the first that can do what is
/// asked is taken.
pub const PROGRAMS: [&str; 8] =
    ["nc", "ncat", "netcat", "nc.openbsd", "nc.traditional", "busybox nc", "toybox nc", "bash"];

impl Tool {
    /// The command of a listener, up to its port; none where it cannot listen so. With `ipv6`, it listens at the
    /// addresses of both families where it can.
    pub fn listen(&self, transport: Transport, ipv6: bool) -> Option<Vec<String>> {
        let options = self.flavour.listen(transport)?;
        // These two listen on IPv4 alone unless told, and then on both.
        let both = ipv6 && matches!(self.flavour, Flavour::OpenBsd | Flavour::Toybox);
        Some(self.command(&[if both { &["-6"][..] } else { &[] }, options].concat()))
    }

    /// The command of a client, up to its port; none where it cannot connect so.
    pub fn client(&self, transport: Transport, manner: Manner, host: &str) -> Option<Vec<String>> {
        let options = self.flavour.client(transport, manner)?;
        let mut argv = match self.flavour {
            Flavour::Bash => self.command(&["-c", "eval \"$TIELINE_BASH\"", manner.as_str()]),
            _ => self.command(options),
        };
        argv.push(host.to_owned());
        Some(argv)
    }

    /// The whole command of a client of the unix socket at `path`; none where it cannot be one.
    pub fn socket_client(&self, path: &str) -> Option<Vec<String>> {
        let mut argv = self.command(self.flavour.socket_client()?);
        argv.push(path.to_owned());
        Some(argv)
    }

    fn command(&self, options: &[&str]) -> Vec<String> {
        self.program.iter().cloned().chain(options.iter().map(|&option| option.to_owned())).collect()
    }

    /// The tools that are recognised in the output of [`super::script::detect`].
    pub fn find(detected: &str) -> Vec<Self> {
        let sections = detected.split("\ntieline: tool ").skip(1);
        let known = sections.filter_map(|section| {
            let (name, help) = section.split_once('\n')?;
            // A container may write anything. Only these programs are run.
            let name = PROGRAMS.into_iter().find(|known| *known == name.trim_end())?;
            let program = name.split(' ').map(str::to_owned).collect();
            Some(Self { program, flavour: Flavour::of_help(help)? })
        });
        known.take(PROGRAMS.len()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &str = "nc: invalid option -- 'h'\nBusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1+b1) multi-call \
        binary.\n\nUsage: nc [-iN] [-wN] [-l] [-p PORT] [-f FILE|IPADDR PORT] [-e PROG]\n";
    const FULL: &str = "BusyBox v1.35.0 (2022-08-01 15:14:44 UTC) multi-call binary.\n\n\
        Usage: nc [OPTIONS] HOST PORT  - connect\nnc [OPTIONS] -l -p PORT [HOST] [PORT]  - listen\n";
    const OPENBSD: &str =
        "OpenBSD netcat (Debian patchlevel 1.219-1)\nusage: nc [-46CDdFhklNnrStUuvZz] [-I length]\n";
    const TRADITIONAL: &str =
        "[v1.10-47]\nconnect to somewhere:\tnc [-options] hostname port[s] [ports] ...\n";
    const NCAT: &str = "Ncat 7.93 ( https://nmap.org/ncat )\nUsage: ncat [options] [hostname] [port]\n";
    const TOYBOX: &str =
        "Toybox 0.8.9 multicall binary (see https://landley.net/toybox)\n\nusage: netcat [-46ELUlt]\n";
    const BASH: &str =
        "GNU bash, version 5.2.15(1)-release-(x86_64-pc-linux-gnu)\nUsage: bash [GNU long option]\n";

    #[test]
    fn each_flavour_is_known_by_its_help() {
        let helps = [TINY, FULL, OPENBSD, TRADITIONAL, NCAT, TOYBOX, BASH];
        for (help, flavour) in helps.into_iter().zip(Flavour::ALL) {
            assert_eq!(Flavour::of_help(help), Some(flavour));
        }
        assert_eq!(Flavour::of_help("usage: socat [options] <bi-address>"), None);
    }

    #[test]
    fn every_tool_that_is_known_is_found() {
        let out = format!(
            "\ntieline: tool nc \nnc: applet not found\n\ntieline: tool ncat \n{NCAT}\n\
             \ntieline: tool busybox nc\n{TINY}\ntieline: done\n"
        );
        let ncat = Tool { program: vec!["ncat".into()], flavour: Flavour::Ncat };
        let busybox = Tool { program: vec!["busybox".into(), "nc".into()], flavour: Flavour::BusyboxTiny };
        assert_eq!(Tool::find(&out), [ncat, busybox]);
        assert_eq!(Tool::find("\ntieline: done\n"), []);
        assert_eq!(Tool::find(&format!("\ntieline: tool rm -rf /\n{TINY}\ntieline: done\n")), []);
    }

    #[test]
    fn every_flavour_takes_its_port_last() {
        let tcp = [
            ("nc -l -p", "nc db"),
            ("nc -l -p", "nc -v db"),
            ("nc -N -l", "nc -v -N db"),
            ("nc -q 0 -l -p", "nc -q 0 db"),
            ("nc -l -p", "nc db"),
            ("nc -l -p", "nc db"),
            ("", "nc -c eval \"$TIELINE_BASH\" talk db"),
        ];
        let udp = [
            ("", ""),
            ("nc -u -l -p", "nc -u db"),
            ("nc -u -l", "nc -u db"),
            ("nc -u -q 0 -l -p", "nc -u -q 0 db"),
            ("nc -u -l -p", "nc -u db"),
            ("nc -u -l -p", "nc -u db"),
            ("", ""),
        ];
        for (transport, commands) in [(Transport::Tcp, tcp), (Transport::Udp, udp)] {
            for (flavour, (listen, client)) in Flavour::ALL.into_iter().zip(commands) {
                let tool = Tool { program: vec!["nc".into()], flavour };
                let words = |argv: Option<Vec<String>>| argv.map_or(String::new(), |argv| argv.join(" "));
                assert_eq!(words(tool.listen(transport, false)), listen);
                assert_eq!(words(tool.client(transport, Manner::Talk, "db")), client);
            }
        }
    }

    #[test]
    fn three_flavours_know_unix_sockets() {
        let commands = ["", "", "nc -N -U /s", "", "nc -U /s", "nc -U /s", ""];
        for (flavour, command) in Flavour::ALL.into_iter().zip(commands) {
            let tool = Tool { program: vec!["nc".into()], flavour };
            assert_eq!(tool.socket_client("/s").map_or(String::new(), |argv| argv.join(" ")), command);
        }
    }
}
