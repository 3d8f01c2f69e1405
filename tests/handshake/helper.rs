//! Handshakes by helpers, between containers that have nothing to speak with.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use tieline::docker::Docker;
use tieline::model::handshake::{FailReason, InconclusiveReason, Verdict};
use tieline::model::link::Handshake::{self, Auto, Connect, Exchange};
use tieline::prober::helper::Helper;
use tieline::prober::{Attempt, By, Prober, Request, Route, Side};

use super::lab::{
    Lab, assert_clean, cli, docker, eventually, image_of_ours, request as quick_request, set_host, set_udp,
    spawn, wait_for_listener,
};
use super::{LISTENING, NO_LISTENER, PROVEN};
use crate::proxy::{Fate, Proxy};

/// Longer than the many containers take of a handshake that passes, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn request(consumer: &Side, provider: &Side, port: u16, mode: Handshake) -> Request {
    Request { timeout: PATIENCE, ..quick_request(consumer, provider, port, mode) }
}

/// A lab with helpers.
pub(super) struct Bench {
    pub lab: Lab,
    prober: By<Helper>,
}

impl Bench {
    pub fn new(name: &str) -> Self {
        Self::of(name, docker(), image_of_ours())
    }

    fn of(name: &str, docker: Docker, image: String) -> Self {
        let lab = Lab::new(name);
        let prober = By::new(docker.clone(), Helper::new(docker, lab.name(), Some(image)));
        Self { lab, prober }
    }

    pub fn bare(&self, name: &str) -> Side {
        self.lab.run(name, "bare")
    }

    pub async fn make(&self, request: &Request) -> Attempt {
        self.prober.handshake(request).await
    }

    pub async fn expect(&self, request: &Request, verdict: Verdict) -> Attempt {
        let attempt = self.make(request).await;
        let Request { consumer, provider, mode, .. } = request;
        assert_eq!(
            attempt.verdict, verdict,
            "{} -> {} {mode:?}: {}",
            consumer.name, provider.name, attempt.message
        );
        assert_eq!(attempt.prober, "helper");
        attempt
    }

    /// Its helpers that there are, in whichever state.
    pub fn helpers(&self) -> String {
        let label = format!("label=tieline.helper={}", self.lab.name());
        cli(&["ps", "-a", "--filter", &label, "--format", "{{.Names}} {{.Status}}"])
    }

    pub fn assert_nothing_left(&self, sides: &[&Side]) {
        eventually("the last helper's removal", || self.helpers().is_empty());
        sides.iter().for_each(|side| assert_clean(side));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let label = format!("label=tieline.helper={}", self.lab.name());
        let left = cli(&["ps", "-aq", "--filter", &label]);
        if !left.is_empty() {
            let _ = std::process::Command::new("docker").args(["rm", "-f"]).args(left.lines()).output();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_with_nothing_in_them_are_proven() {
    let bench = Bench::new("helper-bare");
    let (web, db) = (bench.bare("web"), bench.bare("db"));
    let mut took = Vec::new();
    for (consumer, provider) in [(&web, &db), (&db, &web)] {
        for mode in [Exchange, Auto] {
            let start = Instant::now();
            let verdict = if mode == Auto { NO_LISTENER } else { PROVEN };
            let mut request = request(consumer, provider, 12345, mode);
            let attempt = bench.expect(&request, verdict).await;
            took.push((mode, start.elapsed(), attempt.rtt));
            set_udp(&mut request);
            bench.expect(&request, verdict).await;
        }
    }
    println!("handshakes by helpers took {took:.1?}");
    bench.assert_nothing_left(&[&web, &db]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_listener_is_told_from_none_and_from_one_that_is_somebody_s() {
    let bench = Bench::new("helper-connect");
    let (web, db) = (bench.bare("web"), bench.lab.run("db", "ncat"));
    spawn(&db, "sleep 1000 | ncat -lk 7001");
    wait_for_listener(&db, 7001);
    for (port, mode, verdict) in [
        (7001, Connect, LISTENING),
        (7001, Auto, LISTENING),
        // Beside the listener that is somebody else's.
        (7001, Exchange, PROVEN),
        (7003, Connect, Verdict::Fail(FailReason::Refused)),
        (7003, Auto, NO_LISTENER),
    ] {
        bench.expect(&request(&web, &db, port, mode), verdict).await;
    }
    bench.assert_nothing_left(&[&web]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_low_port_that_is_root_s_is_no_obstacle() {
    let bench = Bench::new("helper-low");
    let options = ["--sysctl", "net.ipv4.ip_unprivileged_port_start=1024", "--read-only", "--user", "1:1"];
    let (web, db) = (bench.lab.run_with("web", "bare", &options), bench.lab.run_with("db", "bare", &options));
    bench.expect(&request(&web, &db, 80, Exchange), PROVEN).await;
    bench.assert_nothing_left(&[&web, &db]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_looked_up_as_the_container_does() {
    let bench = Bench::new("helper-names");
    let (web, db) = (bench.bare("web"), bench.bare("db"));
    let hosts = ["--add-host", "elsewhere:127.0.0.1", "--add-host", "db2:10.255.255.1"];
    let odd = bench.lab.run_with("odd", "bare", &hosts);
    let with_host = |consumer: &Side, host: &str| {
        let mut request = request(consumer, &db, 7001, Exchange);
        set_host(&mut request, host);
        request.timeout = PATIENCE / 3;
        request
    };
    // The provider's address works, so the name is to blame.
    let by_address = Verdict::Fail(FailReason::ByAddressOnly);
    bench.expect(&with_host(&web, "no.such.name"), by_address).await;
    bench.expect(&with_host(&odd, "elsewhere"), Verdict::Fail(FailReason::NameLeadsElsewhere)).await;
    bench.expect(&with_host(&odd, &db.name), PROVEN).await;
    bench.assert_nothing_left(&[&web, &db, &odd]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_helper_cannot_be_put_beside_is_inconclusive() {
    let bench = Bench::new("helper-unknown");
    let (web, paused, stopped) = (bench.bare("web"), bench.bare("paused"), bench.bare("stopped"));
    cli(&["pause", &paused.name]);
    cli(&["kill", &stopped.name]);
    let mut gone = web.clone();
    gone.id.0 = "0".repeat(64);
    for (other, reason) in [
        (&paused, InconclusiveReason::ContainerPaused),
        (&stopped, InconclusiveReason::ContainerNotRunning),
        (&gone, InconclusiveReason::ContainerNotRunning),
    ] {
        for (consumer, provider) in [(&web, other), (other, &web)] {
            let request = request(consumer, provider, 12345, Exchange);
            bench.expect(&request, Verdict::Inconclusive(reason)).await;
        }
    }
    cli(&["unpause", &paused.name]);
    bench.assert_nothing_left(&[&web, &paused]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_lacks_the_image_or_refuses_is_told_with_what_to_do() {
    let lab = "helper-rights";
    let bench = Bench::of(lab, docker(), "tieline-lab/no-such:latest".to_owned());
    let (web, db) = (bench.bare("web"), bench.bare("db"));
    let request = request(&web, &db, 12345, Exchange);
    let no_rights = Verdict::Inconclusive(InconclusiveReason::NoRights);
    let attempt = bench.expect(&request, no_rights).await;
    assert!(attempt.message.contains("tieline-lab/no-such:latest"), "{}", attempt.message);
    assert!(attempt.message.contains("--helper-image"), "{}", attempt.message);

    let other = By::new(docker(), Helper::new(docker(), bench.lab.name(), Some("tieline-lab/bare".into())));
    let attempt = other.handshake(&request).await;
    assert_eq!(attempt.verdict, Verdict::Inconclusive(InconclusiveReason::ExecFailed), "{attempt:?}");
    // The innermost reason, which is the last of many words.
    assert!(attempt.message.contains("no such file or directory"), "{}", attempt.message);

    let proxy = Proxy::start(None);
    let docker = Docker::new(&proxy.host(), std::sync::Arc::new(|_| ()));
    let refused = By::new(docker.clone(), Helper::new(docker, bench.lab.name(), Some(image_of_ours())));
    for call in ["/create", "/attach", "/start"] {
        proxy.judge(move |asked| match asked.method == "POST" && asked.path.ends_with(call) {
            true => Fate::Answer(403, "Forbidden"),
            false => Fate::Pass,
        });
        let attempt = refused.handshake(&request).await;
        assert_eq!(attempt.verdict, no_rights, "{call}: {}", attempt.message);
        assert!(attempt.message.contains("Forbidden"), "{}", attempt.message);
        // What was made before the refusal is removed.
        bench.assert_nothing_left(&[&web, &db]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_handshake_leaves_no_helper() {
    let bench = Bench::new("helper-abandoned");
    let (web, db) = (bench.bare("web"), bench.bare("db"));
    let request = request(&web, &db, 12345, Exchange);
    bench.expect(&request, PROVEN).await;
    for after in (0..600).step_by(30).map(Duration::from_millis) {
        let _ = tokio::time::timeout(after, bench.make(&request)).await;
    }
    bench.assert_nothing_left(&[&web, &db]);
    bench.expect(&request, PROVEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_dies_in_the_middle_takes_its_helper_along_and_nobody_is_blamed() {
    let bench = Bench::new("helper-death");
    for end in ["kill", "rm"] {
        for dies in ["web", "db"] {
            let (web, db) =
                (bench.bare(&format!("web-{end}-{dies}")), bench.bare(&format!("db-{end}-{dies}")));
            let victim = if dies == "web" { &web } else { &db };
            let mut request = request(&web, &db, 12345, Handshake::Exchange);
            // Keeps the consumer's helper busy until then.
            set_host(&mut request, "no.such.name");
            request.timeout = Duration::from_secs(3);
            let (attempt, ()) = tokio::join!(bench.make(&request), async {
                let killed = || bench.helpers().lines().count() == 2;
                while !killed() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let arguments = if end == "rm" { vec!["rm", "-f"] } else { vec!["kill"] };
                cli(&[arguments.as_slice(), &[&victim.name]].concat());
            });
            let expected = Verdict::Inconclusive(InconclusiveReason::ContainerNotRunning);
            assert_eq!(attempt.verdict, expected, "{end} {dies}: {}", attempt.message);
            bench.assert_nothing_left(&[]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_helpers_at_once_do_not_get_into_each_other_s_way() {
    let bench = Bench::new("helper-crowd");
    let (web, db) = (bench.bare("web"), bench.bare("db"));
    let request = request(&web, &db, 12345, Exchange);
    let start = Instant::now();
    let crowd = (0..8).map(|_| bench.make(&request));
    for attempt in futures_util::future::join_all(crowd).await {
        assert_eq!(attempt.verdict, PROVEN, "{}", attempt.message);
    }
    println!("8 handshakes by helpers at once took {:.1?}", start.elapsed());
    bench.assert_nothing_left(&[&web, &db]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_looked_at_with_the_consumer_s_volumes_and_as_its_user() {
    let bench = Bench::new("helper-socket");
    let dir = tempfile::tempdir().unwrap();
    // Everybody may look into it.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let volume = format!("{}:/shared", dir.path().display());
    let options = ["-v", &volume];
    let db = bench.lab.run_with("db", "ncat", &options);
    spawn(&db, "sleep 1000 | ncat -lkU /shared/live");
    // Root may use it all the same.
    spawn(&db, "sleep 1000 | ncat -lkU /shared/theirs");
    spawn(&db, "ncat -lU /shared/stale & sleep 1; kill -9 $!");
    let is_there = |name| dir.path().join(name).exists();
    eventually("the sockets", || ["live", "theirs", "stale"].into_iter().all(is_there));
    std::os::unix::fs::chown(dir.path().join("theirs"), Some(4711), Some(4711)).unwrap();
    std::fs::set_permissions(dir.path().join("theirs"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let stale = dir.path().join("stale");
    eventually("nobody listens", || std::os::unix::net::UnixStream::connect(&stale).is_err());
    let web = bench.lab.run_with("web", "bare", &options);
    let nobody = bench.lab.run_with("nobody", "bare", &[&options[..], &["--user", "1000:1000"]].concat());
    let owner = bench.lab.run_with("owner", "bare", &[&options[..], &["--user", "4711:1"]].concat());
    let weak = bench.lab.run_with("weak", "bare", &[&options[..], &["--cap-drop", "ALL"]].concat());
    let unclear = bench.lab.run_with("unclear", "bare", &[&options[..], &["--user", "1000"]].concat());
    let private = bench.bare("private");
    for (consumer, path, verdict) in [
        (&web, "/shared/live", LISTENING),
        (&web, "/shared/theirs", LISTENING),
        (&web, "/shared/none", Verdict::Fail(FailReason::SocketMissing)),
        (&web, "/shared/stale", Verdict::Fail(FailReason::SocketStale)),
        (&private, "/shared/live", Verdict::Inconclusive(InconclusiveReason::Unsupported)),
        (&nobody, "/shared/live", Verdict::Fail(FailReason::SocketDenied)),
        (&nobody, "/shared/theirs", Verdict::Fail(FailReason::SocketDenied)),
        (&owner, "/shared/theirs", LISTENING),
        (&weak, "/shared/theirs", Verdict::Fail(FailReason::SocketDenied)),
        (&unclear, "/shared/live", Verdict::Inconclusive(InconclusiveReason::Unsupported)),
    ] {
        let mut request = request(consumer, &db, 1, Connect);
        request.route = Route::Socket(path.to_owned());
        bench.expect(&request, verdict).await;
    }
    bench.assert_nothing_left(&[&web, &nobody, &owner, &weak, &unclear, &private]);
}
