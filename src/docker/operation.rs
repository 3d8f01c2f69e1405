//! The calls that are made, in one table: what each is called, how it looks at the wire, and what it is
//! needed for. The proxy's allowlist in `deploy/proxy.env` is what this table lists for the controller's
//! whole job, and a test holds it to that. Who may make containers is root on the host, so what only the
//! helper needs is not in it.

/// How the container of a call is written: always by its whole id.
const CONTAINER: &str = "[0-9a-f]{64}";
/// How an exec is written.
const EXEC: &str = "[0-9a-f]{64}";
/// How a network is written: by its whole id, which is shorter for a swarm's.
const NETWORK: &str = "[0-9a-z]{25,64}";
/// A network's id or, for one that was removed under a stopped container, its name.
const NETWORK_NAME: &str = "[0-9A-Za-z][0-9A-Za-z_.-]*";

/// Every kind of call that is made, and the metric label of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operation {
    ContainerList,
    ContainerInspect,
    NetworkList,
    NetworkInspect,
    NetworkCreate,
    NetworkConnect,
    NetworkDisconnect,
    NetworkRemove,
    ExecCreate,
    ExecStart,
    ExecInspect,
    ContainerCreate,
    ContainerAttach,
    ContainerStart,
    ContainerRemove,
    Ping,
    Version,
    /// Both the stream, which is not counted since it has no end, and what is asked of the past.
    Events,
}

/// What a call is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The controller's job.
    Job,
    /// Handshakes by helpers, without which the job is done too.
    Helper,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 18] = [
        Self::ContainerList,
        Self::ContainerInspect,
        Self::NetworkList,
        Self::NetworkInspect,
        Self::NetworkCreate,
        Self::NetworkConnect,
        Self::NetworkDisconnect,
        Self::NetworkRemove,
        Self::ExecCreate,
        Self::ExecStart,
        Self::ExecInspect,
        Self::ContainerCreate,
        Self::ContainerAttach,
        Self::ContainerStart,
        Self::ContainerRemove,
        Self::Ping,
        Self::Version,
        Self::Events,
    ];

    /// The table: metric label, HTTP method, path below the API's version, purpose.
    fn row(self) -> (&'static str, &'static str, &'static str, Purpose) {
        use Purpose::{Helper, Job};
        match self {
            Self::ContainerList => ("container_list", "GET", "containers/json", Job),
            Self::ContainerInspect => ("container_inspect", "GET", "containers/{container}/json", Job),
            Self::NetworkList => ("network_list", "GET", "networks", Job),
            Self::NetworkInspect => ("network_inspect", "GET", "networks/{network}", Job),
            Self::NetworkCreate => ("network_create", "POST", "networks/create", Job),
            Self::NetworkConnect => ("network_connect", "POST", "networks/{network}/connect", Job),
            Self::NetworkDisconnect => ("network_disconnect", "POST", "networks/{name}/disconnect", Job),
            Self::NetworkRemove => ("network_remove", "DELETE", "networks/{network}", Job),
            Self::ExecCreate => ("exec_create", "POST", "containers/{container}/exec", Job),
            Self::ExecStart => ("exec_start", "POST", "exec/{exec}/start", Job),
            Self::ExecInspect => ("exec_inspect", "GET", "exec/{exec}/json", Job),
            Self::ContainerCreate => ("container_create", "POST", "containers/create", Helper),
            Self::ContainerAttach => ("container_attach", "POST", "containers/{container}/attach", Helper),
            Self::ContainerStart => ("container_start", "POST", "containers/{container}/start", Helper),
            Self::ContainerRemove => ("container_remove", "DELETE", "containers/{container}", Helper),
            Self::Ping => ("ping", "GET", "_ping", Job),
            Self::Version => ("version", "GET", "version", Job),
            Self::Events => ("events", "GET", "events", Job),
        }
    }

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP method.
    pub fn method(self) -> &'static str {
        self.row().1
    }

    /// What it is needed for.
    pub fn purpose(self) -> Purpose {
        self.row().3
    }

    /// A regular expression for its path, with or without the API's version, to be matched as a
    /// whole. Like every pattern here it is free of `\`, `$`, `#` and quotes, which the files of
    /// environment variables that it goes into each read in their own way.
    pub fn path(self) -> String {
        below_version(&self.pattern())
    }

    fn pattern(self) -> String {
        self.row()
            .2
            .replace("{container}", CONTAINER)
            .replace("{exec}", EXEC)
            .replace("{network}", NETWORK)
            .replace("{name}", NETWORK_NAME)
    }
}

/// The allowlist, with which the controller's job can be done, of a proxy that has a regular expression for each HTTP method, in the environment
/// variables that the usual one reads.
pub fn allowlist() -> String {
    let line = |method| {
        let needed =
            |operation: &Operation| operation.method() == method && operation.purpose() == Purpose::Job;
        let patterns = Operation::ALL.into_iter().filter(needed);
        let patterns: Vec<String> = patterns.map(Operation::pattern).collect();
        // In a group: the proxy puts ^ and $ around all, and an | outside would end their reach.
        format!("SP_ALLOW_{method}={}\n", below_version(&format!("({})", patterns.join("|"))))
    };
    ["GET", "POST", "DELETE"].map(line).concat()
}

fn below_version(pattern: &str) -> String {
    format!("(/v[0-9]+[.][0-9]+)?/{pattern}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    const FILE: &str = include_str!("../../deploy/proxy.env");
    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// Whether the proxy would let it through. It matches as this does: the pattern between ^ and $.
    fn allows(method: &str, path: &str) -> bool {
        let lines = FILE.lines().filter_map(|line| line.strip_prefix("SP_ALLOW_")?.split_once('='));
        let mut patterns = lines.filter(|(of, _)| *of == method);
        patterns.any(|(_, pattern)| Regex::new(&format!("^{pattern}$")).unwrap().is_match(path))
    }

    /// Every operation with the longest and the strangest of what it can name.
    fn calls() -> Vec<(Operation, &'static str, String)> {
        let made = |operation: Operation| {
            let (_, method, path, _) = operation.row();
            let path = path.replace("{container}", ID).replace("{exec}", ID).replace("{network}", ID);
            (operation, method, format!("/{}", path.replace("{name}", "zzzz_tieline_shop.web_shop.db-2")))
        };
        Operation::ALL.map(made).to_vec()
    }

    #[test]
    fn the_proxy_s_allowlist_is_the_table() {
        let lines: String =
            FILE.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        assert_eq!(lines, allowlist(), "deploy/proxy.env has to say what is on the right");
        assert!(!allowlist().contains(['\\', '$', '#', '\'', '"', ' ']));
    }

    #[test]
    fn what_the_job_takes_is_allowed_in_every_version_and_what_a_helper_takes_in_none() {
        for (operation, method, path) in calls() {
            for version in ["", "/v1.41", "/v1.5", "/v2.0"] {
                let path = format!("{version}{path}");
                assert_eq!(allows(method, &path), operation.purpose() == Purpose::Job, "{method} {path}");
                assert!(Regex::new(&format!("^(?:{})$", operation.path())).unwrap().is_match(&path));
            }
        }
    }

    #[test]
    fn a_listed_path_with_anything_more_or_by_another_method_is_refused() {
        let mut listed = calls();
        listed.retain(|(operation, ..)| operation.purpose() == Purpose::Job);
        let is_listed = |method: &str, path: &str| listed.iter().any(|(_, m, p)| *m == method && p == path);
        for (_, method, path) in &listed {
            for other in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "get", ""] {
                assert_eq!(allows(other, path), other == *method || is_listed(other, path), "{other} {path}");
            }
            for suffix in ["/", "/start", "/..", "/../create", "%2Fstart", "?all=1", "\n", " ", "\0", "//"] {
                assert!(!allows(method, &format!("{path}{suffix}")), "{method} {path}{suffix:?}");
            }
            for prefix in ["/", "/libpod", "/v1.41/..", "/v1.41/v1.41", "/v1", "/v1.41/libpod", "x"] {
                assert!(!allows(method, &format!("{prefix}{path}")), "{method} {prefix}{path}");
            }
        }
    }

    #[test]
    fn what_else_an_engine_can_do_is_refused() {
        let refused = [
            ("POST", "/containers/create"),
            ("POST", "/containers/ID/start"),
            ("POST", "/containers/ID/stop"),
            ("POST", "/containers/ID/kill"),
            ("POST", "/containers/ID/restart"),
            ("POST", "/containers/ID/update"),
            ("POST", "/containers/ID/rename"),
            ("POST", "/containers/ID/attach"),
            ("POST", "/containers/prune"),
            ("DELETE", "/containers/ID"),
            ("GET", "/containers/ID/archive"),
            ("PUT", "/containers/ID/archive"),
            ("GET", "/containers/ID/export"),
            ("GET", "/containers/ID/logs"),
            ("GET", "/containers/ID/top"),
            ("POST", "/exec/ID/resize"),
            ("POST", "/containers/ID/exec/start"),
            ("POST", "/build"),
            ("POST", "/session"),
            ("POST", "/grpc"),
            ("POST", "/commit"),
            ("POST", "/images/create"),
            ("POST", "/images/load"),
            ("GET", "/images/json"),
            ("DELETE", "/images/ID"),
            ("GET", "/volumes"),
            ("POST", "/volumes/create"),
            ("DELETE", "/volumes/data"),
            ("POST", "/networks/prune"),
            ("DELETE", "/networks/bridge"),
            ("POST", "/swarm/init"),
            ("GET", "/swarm"),
            ("GET", "/nodes"),
            ("POST", "/services/create"),
            ("GET", "/secrets"),
            ("GET", "/configs"),
            ("POST", "/plugins/pull"),
            ("GET", "/info"),
            ("GET", "/system/df"),
            ("POST", "/auth"),
            ("HEAD", "/_ping"),
        ];
        for (method, path) in refused {
            for version in ["", "/v1.41"] {
                let path = format!("{version}{}", path.replace("ID", ID));
                assert!(!allows(method, &path), "{method} {path}");
            }
        }
        // Only by their ids, which have no other meaning.
        assert!(!allows("GET", "/containers/web/json"));
        assert!(!allows("POST", "/containers/web/exec"));
        assert!(!allows("GET", &format!("/containers/{}/json", &ID[..12])));
        assert!(!allows("GET", &format!("/containers/{ID}0/json")));
    }
}
