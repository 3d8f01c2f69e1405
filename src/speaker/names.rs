//! Names of hosts, looked up as a container's own programs would: in its hosts file, then at the nameservers
//! of its `resolv.conf`.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use tokio::time::Instant;

use super::dns;

/// How much is read of a hosts file and of a `resolv.conf`. A container may write what it wants into its own.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// What the usual resolver takes of a `resolv.conf`, and no more.
const MAX_NAMESERVERS: usize = 3;
/// Where a nameserver listens.
const DNS_PORT: u16 = 53;

/// Where names are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    hosts: String,
    pub(super) resolver: Resolver,
}

/// What a `resolv.conf` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolver {
    pub nameservers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
    /// How long one question may take.
    pub timeout: Duration,
    /// How often it is asked.
    pub attempts: u32,
}

impl Names {
    /// The names of these texts of a hosts file and a `resolv.conf`.
    pub fn new(hosts: &str, resolv_conf: &str) -> Self {
        Self { hosts: hosts.to_owned(), resolver: Resolver::parse(resolv_conf) }
    }

    /// The names of these files. One that is not there says nothing.
    pub fn read(hosts: &Path, resolv_conf: &Path) -> Self {
        let text = |path| open(path).and_then(text).unwrap_or_default();
        Self::new(&text(hosts), &text(resolv_conf))
    }

    /// The addresses of `host`, in the order in which programs try them: most C libraries put IPv6 first.
    ///
    /// # Errors
    /// If there are none, with what a person should know of it.
    pub(super) async fn resolve(&self, host: &str, until: Instant) -> Result<Vec<IpAddr>, String> {
        let listed = self.listed(host);
        if !listed.is_empty() {
            return Ok(listed);
        }
        dns::look_up(&self.resolver, &self.resolver.candidates(host), until).await
    }

    /// What needs no nameserver: an address itself, or what the hosts file has.
    fn listed(&self, host: &str) -> Vec<IpAddr> {
        if let Ok(address) = host.parse() {
            return vec![address];
        }
        let named = |row: &str| {
            let row = row.split('#').next().unwrap_or_default();
            let mut words = row.split_ascii_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
        };
        let mut found: Vec<IpAddr> = self.hosts.lines().filter_map(named).collect();
        found.sort_by_key(IpAddr::is_ipv4);
        found
    }
}

/// The address by which a socket of the family of `peer` is bound to no address of its own.
pub(super) fn any(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// A pipe in the place of a file does not hold us up.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// The text of a file, up to a limit.
///
/// # Errors
/// If it is no ordinary file, or cannot be read.
pub fn text(file: File) -> io::Result<String> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("no ordinary file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Resolver {
    fn parse(text: &str) -> Self {
        let mut resolver = Self {
            nameservers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        let server = |address: &str| Some(SocketAddr::new(address.parse().ok()?, DNS_PORT));
        for row in text.lines().filter(|row| !row.starts_with(['#', ';'])) {
            let mut words = row.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => resolver.nameservers.extend(words.next().and_then(server)),
                // The last of them counts.
                Some("search" | "domain") => resolver.search = words.map(str::to_owned).collect(),
                Some("options") => words.for_each(|word| resolver.set(word)),
                _ => {}
            }
        }
        resolver.nameservers.truncate(MAX_NAMESERVERS);
        if resolver.nameservers.is_empty() {
            resolver.nameservers.push((Ipv4Addr::LOCALHOST, DNS_PORT).into());
        }
        resolver
    }

    fn set(&mut self, option: &str) {
        let Some((name, Ok(value))) =
            option.split_once(':').map(|(name, value)| (name, value.parse::<u32>()))
        else {
            return;
        };
        match name {
            "ndots" => self.ndots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The whole names that `host` may mean, in the order in which they are asked for.
    fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(whole) = host.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let within = |domain: &String| match domain.trim_matches('.') {
            "" => host.to_owned(),
            domain => format!("{host}.{domain}"),
        };
        let mut candidates: Vec<String> = self.search.iter().map(within).collect();
        let first = if host.matches('.').count() >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(first, host.to_owned());
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str = "\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost
# 10.0.0.9 db
10.0.0.2 db.shop db # the real one
10.0.0.3 DB
nonsense db
";

    #[test]
    fn a_hosts_file_gives_every_address_of_a_name_ipv6_first() {
        let names = Names::new(HOSTS, "");
        let listed = |host| names.listed(host).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(listed("db"), "10.0.0.2 10.0.0.3");
        assert_eq!(listed("Db.Shop"), "10.0.0.2");
        assert_eq!(listed("localhost"), "::1 127.0.0.1");
        assert_eq!(listed("real"), "");
        assert_eq!(listed("10.0.0.7"), "10.0.0.7");
        assert_eq!(listed("fd00::7"), "fd00::7");
    }

    #[test]
    fn files_are_read_up_to_a_limit_and_only_ordinary_ones() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        let flood = "#".repeat(usize::try_from(MAX_FILE_BYTES).unwrap());
        std::fs::write(&hosts, format!("10.0.0.2 db\n{flood}\n10.0.0.3 db\n")).unwrap();
        let names = Names::read(&hosts, Path::new("/dev/zero"));
        assert_eq!(names.hosts.len(), flood.len());
        assert_eq!(names.listed("db"), [Ipv4Addr::new(10, 0, 0, 2)]);
        assert_eq!(names.resolver, Resolver::parse(""));
    }

    #[test]
    fn a_resolv_conf_is_read_as_the_usual_resolver_does() {
        let text = "; a comment\n# another\nnameserver 127.0.0.11\nnameserver fe80::1\nnameserver nobody\n\
            domain old.example\nsearch a.example b.example\noptions ndots:0 timeout:99 edns0 attempts:x\n";
        let resolver = Resolver::parse(text);
        let servers: Vec<_> = resolver.nameservers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["127.0.0.11:53", "[fe80::1]:53"]);
        assert_eq!(resolver.search, ["a.example", "b.example"]);
        assert_eq!((resolver.ndots, resolver.timeout, resolver.attempts), (0, Duration::from_secs(30), 2));
    }

    #[test]
    fn without_a_resolv_conf_the_nameserver_is_this_machine() {
        assert_eq!(Resolver::parse("").nameservers, [SocketAddr::from((Ipv4Addr::LOCALHOST, 53))]);
        let many = "nameserver 10.0.0.1\n".repeat(9);
        assert_eq!(Resolver::parse(&many).nameservers.len(), MAX_NAMESERVERS);
    }

    #[test]
    fn a_name_with_enough_dots_is_asked_for_as_it_is_first() {
        let candidates = |text: &str, host: &str| Resolver::parse(text).candidates(host).join(" ");
        let search = "search one two.\n";
        assert_eq!(candidates(search, "db"), "db.one db.two db");
        assert_eq!(candidates(search, "db.shop"), "db.shop db.shop.one db.shop.two");
        assert_eq!(candidates("search one\noptions ndots:0", "db"), "db db.one");
        assert_eq!(candidates("search one\noptions ndots:2", "db.shop"), "db.shop.one db.shop");
        assert_eq!(candidates(search, "db."), "db");
        assert_eq!(candidates("", "db"), "db");
    }
}
