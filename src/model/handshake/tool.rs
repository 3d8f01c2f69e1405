//! The flavours of `nc`: how to tell them apart, and how to call each.

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
}

impl Flavour {
    /// Every flavour there is.
    pub const ALL: [Self; 6] =
        [Self::BusyboxTiny, Self::BusyboxFull, Self::OpenBsd, Self::Traditional, Self::Ncat, Self::Toybox];

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
        ];
        signatures.into_iter().find(|(text, _)| help.contains(text)).map(|(_, flavour)| flavour)
    }

    /// Options of a listener for one connection that ends when its stdin does. The port follows.
    fn listen(self) -> &'static [&'static str] {
        match self {
            Self::BusyboxTiny | Self::BusyboxFull | Self::Ncat | Self::Toybox => &["-l", "-p"],
            // Without -N or -q these two keep the connection when stdin is at its end. And only in
            // some releases of the first may -l and -p go together.
            Self::OpenBsd => &["-N", "-l"],
            Self::Traditional => &["-q", "0", "-l", "-p"],
        }
    }

    /// Options of a client that ends when its stdin does. Host and port follow.
    fn client(self) -> &'static [&'static str] {
        match self {
            Self::BusyboxTiny | Self::Ncat | Self::Toybox => &[],
            // Silent about why it cannot connect unless -v; it says so on TCP without sending anything.
            Self::BusyboxFull => &["-v"],
            Self::OpenBsd => &["-v", "-N"],
            Self::Traditional => &["-q", "0"],
        }
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

/// The programs that are looked for, each with its applet.
const PROGRAMS: [&str; 7] =
    ["nc", "ncat", "netcat", "nc.openbsd", "nc.traditional", "busybox nc", "toybox nc"];

impl Tool {
    /// The command of a listener, up to its port.
    pub fn listen(&self) -> Vec<String> {
        self.command(self.flavour.listen())
    }

    /// The command of a client, up to its port.
    pub fn client(&self, host: &str) -> Vec<String> {
        let mut argv = self.command(self.flavour.client());
        argv.push(host.to_owned());
        argv
    }

    fn command(&self, options: &[&str]) -> Vec<String> {
        self.program.iter().cloned().chain(options.iter().map(|&option| option.to_owned())).collect()
    }

    /// The first tool that is recognised in the output of [`super::script::detect`].
    pub fn find(detected: &str) -> Option<Self> {
        detected.split("\ntieline: tool ").skip(1).find_map(|section| {
            let (name, help) = section.split_once('\n')?;
            // What is found is run in every container of the image, and one of them may write anything.
            let name = PROGRAMS.into_iter().find(|known| *known == name.trim_end())?;
            let program = name.split(' ').map(str::to_owned).collect();
            Some(Self { program, flavour: Flavour::of_help(help)? })
        })
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

    #[test]
    fn each_flavour_is_known_by_its_help() {
        let helps = [TINY, FULL, OPENBSD, TRADITIONAL, NCAT, TOYBOX];
        for (help, flavour) in helps.into_iter().zip(Flavour::ALL) {
            assert_eq!(Flavour::of_help(help), Some(flavour));
        }
        assert_eq!(Flavour::of_help("usage: socat [options] <bi-address>"), None);
    }

    #[test]
    fn the_first_tool_that_is_known_is_taken() {
        let out = format!(
            "\ntieline: tool nc \nnc: applet not found\n\ntieline: tool busybox nc\n{TINY}\ntieline: done\n"
        );
        let tool = Tool { program: vec!["busybox".into(), "nc".into()], flavour: Flavour::BusyboxTiny };
        assert_eq!(Tool::find(&out), Some(tool));
        assert_eq!(Tool::find("\ntieline: done\n"), None);
        assert_eq!(Tool::find(&format!("\ntieline: tool rm -rf /\n{TINY}\ntieline: done\n")), None);
    }

    #[test]
    fn every_flavour_takes_its_port_last() {
        let listen = ["nc -l -p", "nc -l -p", "nc -N -l", "nc -q 0 -l -p", "nc -l -p", "nc -l -p"];
        let client = ["nc db", "nc -v db", "nc -v -N db", "nc -q 0 db", "nc db", "nc db"];
        for (at, flavour) in Flavour::ALL.into_iter().enumerate() {
            let tool = Tool { program: vec!["nc".into()], flavour };
            assert_eq!(tool.listen().join(" "), listen[at]);
            assert_eq!(tool.client("db").join(" "), client[at]);
        }
    }
}
