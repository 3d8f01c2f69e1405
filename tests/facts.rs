//! In what the engines differ, as far as a scenario sees it. A scenario asks here; it never puts up with both.

use std::process::Command;
use std::sync::OnceLock;

/// Something that is so on some engines only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The engine hangs for ever where two containers join or leave one network in the same instant.
    MovesHang,
    /// A second network of the same name is made when the request says `CheckDuplicate: false`.
    NamesRepeat,
    /// A container in another one's namespace starts although it was connected to a network.
    ConnectedGuestsStart,
    /// The daemon has no setting `default-network-opts`, and does not start with it.
    NetworkDefaultsUnknown,
    /// IPv6 is not among what `default-network-opts` can set.
    NetworkDefaultsSkipIpv6,
}

/// The facts, the first major version of the engine on which each is not so any more, and where that is known
/// from. Engines 20.10.24, 26.1.5 and 28.5.2 are those that were measured.
const TABLE: [(Fact, u32, &str); 5] = [
    (Fact::MovesHang, 23, "moby/moby#42545 and #42569"),
    (Fact::NamesRepeat, 25, "release notes of Engine 25.0; measured: 409, whatever CheckDuplicate says"),
    (Fact::ConnectedGuestsStart, 28, "measured: starts on 26.1.5, does not on 28.5.2"),
    (Fact::NetworkDefaultsUnknown, 24, "moby/moby#43197, in 24.0; measured: 20.10.24 does not know it"),
    (Fact::NetworkDefaultsSkipIpv6, 27, "measured: 26.1.5 ignores IPv6 there, 28.5.2 does not"),
];

/// Whether a fact is so on the engine that the `docker` command uses.
pub fn holds(fact: Fact) -> bool {
    let (.., ended, _) = TABLE.into_iter().find(|(other, ..)| *other == fact).unwrap();
    major() < ended
}

/// The first number of the engine's version.
fn major() -> u32 {
    static MAJOR: OnceLock<u32> = OnceLock::new();
    *MAJOR.get_or_init(|| {
        let asked = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
        let output = asked.unwrap_or_else(|error| panic!("these tests need the docker command: {error}"));
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        let major = version.split('.').next().and_then(|number| number.parse().ok());
        major.unwrap_or_else(|| {
            panic!("no engine says its version: {}", String::from_utf8_lossy(&output.stderr))
        })
    })
}
