//! Unix sockets in volumes and folders that containers share.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tieline::docker::{DEFAULT_HOST, Docker};
use tieline::model::handshake::{FailReason, InconclusiveReason, Verdict};
use tieline::model::link::Handshake::{self, Auto, Connect};
use tieline::model::link::Payload;
use tieline::model::mounts::{Mount, Unshared, path_in};
use tieline::model::world::Observation;
use tieline::prober::{Request, Route, Side};

use super::LISTENING;
use super::lab::{ABLE, FLAVOURS, Lab, assert_clean, cli, eventually, output, request, spawn};
use crate::patience::{patience, timeout_of};

/// A volume, gone when the containers of the lab are.
struct Volume(String);

impl Volume {
    fn new(name: &str) -> Self {
        let name = format!("tieline-lab-{}-{name}", std::process::id());
        cli(&["volume", "create", &name]);
        Self(name)
    }

    fn at(&self, destination: &str) -> String {
        format!("{}:{destination}", self.0)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        cli(&["volume", "rm", "-f", &self.0]);
    }
}

/// A folder of the host, which everybody may enter.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

fn at(folder: &Path, destination: &str) -> String {
    format!("{}:{destination}", folder.display())
}

/// Every file of a folder, by all that would tell that it is another one, or was written to.
fn contents(folder: &Path) -> BTreeMap<String, (u64, u32, i64, i64)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let seen = entries.map(|entry| {
        let meta = entry.metadata().unwrap();
        (entry.file_name().into_string().unwrap(), (meta.ino(), meta.mode(), meta.mtime(), meta.mtime_nsec()))
    });
    seen.collect()
}

async fn mounts(side: &Side) -> Vec<Mount> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| DEFAULT_HOST.to_owned());
    let docker = Docker::new(&host, Arc::new(|_| ()));
    match docker.look_at_container(&side.id).await.unwrap().1 {
        Observation::Container(container) => container.mounts,
        other => panic!("{other:?}"),
    }
}

async fn shared(consumer: &Side, provider: &Side, path: &str) -> Result<String, Unshared> {
    path_in(&mounts(consumer).await, &mounts(provider).await, path)
}

/// A handshake with the socket that the provider has at `path`.
async fn at_socket(consumer: &Side, provider: &Side, path: &str, mode: Handshake) -> Request {
    let path = shared(consumer, provider, path).await.unwrap();
    Request { route: Route::Socket(path), ..request(consumer, provider, 1, mode) }
}

/// Starts something in a container that makes a socket, and waits for the file.
fn listen(provider: &Side, script: &str, socket: &str) {
    spawn(provider, script);
    eventually(socket, || output(provider, &format!("[ ! -S {socket} ] || echo there")) == "there");
}

/// Leaves the file of a socket on which nobody listens any more.
fn leave_stale(provider: &Side, socket: &str) {
    let wait = format!("while [ ! -S {socket} ]; do sleep 0.1; done");
    listen(provider, &format!("umask 0; nc -lU {socket} & {wait}; kill -9 $!"), socket);
    let table = || output(provider, "cat /proc/net/unix");
    eventually("a stale socket", || !table().contains(socket));
}

/// Answers who connects once it has said all.
fn answer_at_the_end(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read_to_end(&mut Vec::new()).and_then(|_| stream.write_all(b"the end"));
        }
    });
}

#[tokio::test]
async fn flavours_that_know_sockets_connect_and_the_others_say_which_would() {
    let volume = Volume::new("flavours");
    let lab = Lab::new("flavours");
    let db = lab.run_with("db", "openbsd", &["-v", &volume.at("/run/db")]);
    listen(&db, "nc -lkU /run/db/x.sock", "/run/db/x.sock");
    let listed = || output(&db, "ls -lai /run/db");
    let before = listed();
    for image in FLAVOURS {
        // Somewhere else, and not to be written to: neither matters to who connects.
        let side = lab.run_with(image, image, &["-v", &format!("{}:ro", volume.at("/data"))]);
        for mode in [Connect, Auto] {
            let attempt = lab.make(&at_socket(&side, &db, "/run/db/x.sock", mode).await).await;
            if ABLE.contains(&image) {
                assert_eq!(attempt.verdict, LISTENING, "{image}: {}", attempt.message);
                assert!(attempt.message.contains("/data/x.sock") && attempt.rtt.is_some(), "{attempt:?}");
            } else {
                let unsupported = Verdict::Inconclusive(InconclusiveReason::Unsupported);
                assert_eq!(attempt.verdict, unsupported, "{image}: {}", attempt.message);
                assert!(attempt.message.contains("netcat-openbsd"), "{}", attempt.message);
            }
        }
        assert_clean(&side);
    }
    assert_eq!(listed(), before);
}

#[tokio::test]
async fn of_several_tools_the_one_that_knows_sockets_is_taken() {
    let folder = folder();
    let lab = Lab::new("several");
    let mount = at(folder.path(), "/s");
    let db = lab.run_with("db", "openbsd", &["-v", &mount]);
    listen(&db, "nc -lkU /s/x", "/s/x");
    // What ncat beside busybox leads to: of the two, the one called nc is looked at first.
    let web = lab.run_with("web", "ncat", &["-v", &mount]);
    cli(&["cp", "/bin/busybox", &format!("{}:/bin/nc", web.name)]);
    assert!(output(&web, "nc --help 2>&1").contains("BusyBox"));
    let attempt = lab.make(&at_socket(&web, &db, "/s/x", Connect).await).await;
    assert_eq!(attempt.verdict, LISTENING, "{}", attempt.message);
}

#[tokio::test]
async fn no_socket_a_stale_one_and_one_that_is_not_permitted_are_three_reasons() {
    let (folder, closed) = (folder(), folder());
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let lab = Lab::new("reasons");
    let mounts = [at(folder.path(), "/run/db"), at(closed.path(), "/run/closed")];
    let mounts = ["-v", &mounts[0], "-v", &mounts[1]];
    let db = lab.run_with("db", "openbsd", &mounts);
    listen(&db, "umask 0; nc -lkU /run/db/x.sock", "/run/db/x.sock");
    listen(&db, "umask 077; nc -lkU /run/db/private.sock", "/run/db/private.sock");
    listen(&db, "umask 0; nc -lkU /run/closed/x.sock", "/run/closed/x.sock");
    leave_stale(&db, "/run/db/stale.sock");
    fs::write(folder.path().join("file"), "no socket").unwrap();
    let _syslog = UnixDatagram::bind(folder.path().join("log.sock")).unwrap();
    fs::set_permissions(folder.path().join("log.sock"), Permissions::from_mode(0o777)).unwrap();
    let before = (contents(folder.path()), contents(closed.path()));
    let stranger = [&mounts[..], &["--user", "12345:12345", "--cap-drop", "ALL"]].concat();
    for image in ABLE {
        let side = lab.run_with(image, image, &stranger);
        for (path, verdict) in [
            ("/run/db/x.sock", LISTENING),
            ("/run/db/none.sock", Verdict::Fail(FailReason::SocketMissing)),
            ("/run/db/no/folder.sock", Verdict::Fail(FailReason::SocketMissing)),
            ("/run/db/file/below.sock", Verdict::Fail(FailReason::SocketMissing)),
            ("/run/db/stale.sock", Verdict::Fail(FailReason::SocketStale)),
            ("/run/db/log.sock", Verdict::Inconclusive(InconclusiveReason::SocketNoStream)),
            ("/run/db/private.sock", Verdict::Fail(FailReason::SocketDenied)),
            ("/run/closed/x.sock", Verdict::Fail(FailReason::SocketDenied)),
        ] {
            let attempt = lab.make(&at_socket(&side, &db, path, Auto).await).await;
            assert_eq!(attempt.verdict, verdict, "{image} {path}: {}", attempt.message);
            assert!(attempt.message.contains(path), "{}", attempt.message);
        }
        assert_clean(&side);
    }
    assert_eq!((contents(folder.path()), contents(closed.path())), before);
}

#[tokio::test]
async fn what_is_sent_to_a_socket_has_to_be_answered_as_the_link_says() {
    let folder = folder();
    let lab = Lab::new("asked");
    let mount = at(folder.path(), "/s");
    let db = lab.run_with("db", "ncat", &["-v", &mount]);
    listen(&db, "ncat -lkU /s/echo -c 'read line; echo +$line; sleep 100'", "/s/echo");
    answer_at_the_end(&folder.path().join("end"));
    listen(&db, "sleep 1000 | ncat -lkU /s/mute", "/s/mute");
    leave_stale(&lab.run_with("stale", "openbsd", &["-v", &mount]), "/s/stale");
    for image in ABLE {
        let side = lab.run_with(image, image, &["-v", &mount]);
        for (socket, send, expect, verdict) in [
            ("/s/echo", Some("PING\r\n"), Some("^\\+PING"), LISTENING),
            ("/s/echo", Some("PING\n"), Some("PONG"), Verdict::Fail(FailReason::ReplyMismatch)),
            ("/s/end", Some("bye"), Some("the end"), LISTENING),
            ("/s/mute", Some("PING\n"), Some("PONG"), Verdict::Fail(FailReason::NoReply)),
            ("/s/mute", Some("PING\n"), None, LISTENING),
            ("/s/stale", Some("PING\n"), Some("PONG"), Verdict::Fail(FailReason::SocketStale)),
            ("/s/none", Some("PING\n"), None, Verdict::Fail(FailReason::SocketMissing)),
        ] {
            let mut request = at_socket(&side, &db, socket, Connect).await;
            request.payload = Payload { send: send.map(Into::into), expect: expect.map(str::to_owned) };
            request.timeout = timeout_of(Duration::from_secs(3));
            let attempt = lab.make(&request).await;
            assert_eq!(attempt.verdict, verdict, "{image} {socket} {send:?}: {}", attempt.message);
        }
        assert_clean(&side);
    }
}

#[tokio::test]
async fn who_lets_everybody_wait_in_line_gives_no_answer_in_time() {
    let folder = folder();
    let lab = Lab::new("line");
    let mount = at(folder.path(), "/s");
    let db = lab.run_with("db", "openbsd", &["-v", &mount]);
    listen(&db, "nc -lkU /s/x & while [ ! -S /s/x ]; do sleep 0.1; done; kill -STOP $!; wait", "/s/x");
    let sides = ABLE.map(|image| lab.run_with(image, image, &["-v", &mount]));
    let mut request = at_socket(&sides[0], &db, "/s/x", Connect).await;
    request.timeout = timeout_of(Duration::from_secs(2));
    let mut waiting = 0;
    while lab.make(&request).await.verdict == LISTENING {
        waiting += 1;
        assert!(waiting < 200, "the line has no end");
    }
    for side in &sides {
        let start = Instant::now();
        let attempt = lab.make(&Request { consumer: side.clone(), ..request.clone() }).await;
        let told = match side.name.ends_with("ncat") {
            // It does not wait, and what it says of that could be said of anything.
            true => Verdict::Inconclusive(InconclusiveReason::Unexplained),
            false => Verdict::Fail(FailReason::Timeout),
        };
        assert_eq!(attempt.verdict, told, "{}: {attempt:?}", side.name);
        assert!(
            start.elapsed() < request.timeout + patience(Duration::from_secs(4)),
            "{:?}",
            start.elapsed()
        );
        assert_clean(side);
    }
}

#[tokio::test]
async fn an_abandoned_handshake_with_a_socket_leaves_nothing() {
    let folder = folder();
    let lab = Lab::new("dropped");
    let mount = at(folder.path(), "/s");
    let db = lab.run_with("db", "openbsd", &["-v", &mount]);
    listen(&db, "nc -lkU /s/x", "/s/x");
    let before = contents(folder.path());
    for image in ABLE {
        let side = lab.run_with(image, image, &["-v", &mount]);
        let mut request = at_socket(&side, &db, "/s/x", Connect).await;
        request.payload.expect = Some("never".to_owned());
        request.timeout = Duration::from_secs(1);
        for after in (0..160).step_by(40).map(Duration::from_millis) {
            let _ = tokio::time::timeout(after, lab.make(&request)).await;
        }
        assert_clean(&side);
    }
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn what_containers_share_is_read_from_what_the_engine_tells_of_them() {
    let (volume, folder) = (Volume::new("kinds"), folder());
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/file.sock"), "").unwrap();
    let lab = Lab::new("kinds");
    let (whole, sub) = (at(folder.path(), "/srv"), at(&folder.path().join("sub"), "/sub"));
    let file = at(&folder.path().join("sub/file.sock"), "/only.sock");
    let of = ["-v", &volume.at("/run/db"), "-v", &whole, "--tmpfs", "/run/db/fast", "-v", "/anonymous"];
    let db = lab.run_with("db", "openbsd", &[&of[..], &["--mount", "type=tmpfs,destination=/tmp"]].concat());
    let of = ["-v", &volume.at("/v//"), "-v", &sub, "-v", &file, "--tmpfs", "/v/hidden"];
    let web = lab.run_with("web", "busybox", &of);
    for (path, expected) in [
        ("/run/db/x.sock", Some("/v/x.sock")),
        ("/srv/sub/x.sock", Some("/sub/x.sock")),
        ("/srv/sub/file.sock", Some("/only.sock")),
    ] {
        assert_eq!(shared(&web, &db, path).await.ok().as_deref(), expected, "{path}");
    }
    let why = async |path: &str| shared(&web, &db, path).await.unwrap_err();
    assert!(matches!(why("/run/other/x.sock").await, Unshared::NotMounted(_)));
    assert!(matches!(why("/run/db/hidden/x.sock").await, Unshared::Hidden(_)));
    assert!(matches!(why("/srv/x.sock").await, Unshared::NotInConsumer(_)));
    assert!(matches!(why("/anonymous/x.sock").await, Unshared::NotInConsumer(_)));
    assert_eq!(why("/run/db/fast/x.sock").await, Unshared::Private);
    assert_eq!(why("/tmp/x.sock").await, Unshared::Private);
}
