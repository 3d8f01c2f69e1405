//! Mounts of helpers: one of the container's, which they neither run programs from nor remove.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use tieline::model::handshake::{FailReason, InconclusiveReason, Verdict};
use tieline::model::link::Handshake::Connect;
use tieline::prober::{Request, Route, Side};

use super::LISTENING;
use super::helper::{Bench, request};
use super::lab::{cli, eventually, spawn};

/// A handshake by the socket at a path of the consumer.
fn at(path: &str, consumer: &Side, provider: &Side) -> Request {
    Request { route: Route::Socket(path.to_owned()), ..request(consumer, provider, 1, Connect) }
}

/// The name of the volume that a container has at a path, and its folder on this machine.
fn volume_at(side: &Side, path: &str) -> (String, PathBuf) {
    let format = format!(
        "{{{{range .Mounts}}}}{{{{if eq .Destination {path:?}}}}}{{{{.Name}}}} {{{{.Source}}}}{{{{end}}}}{{{{end}}}}"
    );
    let told = cli(&["inspect", "-f", &format, &side.name]);
    let (name, folder) = told.split_once(' ').unwrap();
    (name.to_owned(), folder.into())
}

/// The anonymous volumes here are removed by nobody, as the engine does it without `-v`.
struct Volumes(Vec<String>);

impl Drop for Volumes {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["volume", "rm", "-f"]).args(&self.0).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_s_end_removes_no_volume_of_a_container_that_went_before() {
    let bench = Bench::new("helper-volumes");
    // One volume of the consumer's own, and one that both have, which holds the socket.
    let db = bench.lab.run_with("db", "ncat", &["-v", "/shared"]);
    let web = bench.lab.run_with("web", "bare", &["-v", "/data", "--volumes-from", &db.name]);
    let kept = [volume_at(&web, "/data"), volume_at(&web, "/shared")];
    let _volumes = Volumes(kept.iter().map(|(name, _)| name.clone()).collect());
    for (_, folder) in &kept {
        fs::write(folder.join("precious"), "data").unwrap();
    }
    // Not in one of the containers, so that the helper is the last of all to end.
    let listener = std::os::unix::net::UnixListener::bind(kept[1].1.join("s")).unwrap();
    let mut request = at("/shared/s", &web, &db);
    bench.expect(&request, LISTENING).await;
    bench.assert_nothing_left(&[]);
    // It never comes: the helper waits for it.
    request.payload.expect = Some("never".to_owned());
    let removed = async {
        while !bench.helpers().contains(" Up ") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        cli(&["rm", "-f", &web.name, &db.name]);
        assert!(bench.helpers().contains(" Up "), "the helper ended before the containers were gone");
        // Now it ends by itself, and the engine removes it.
        drop(listener);
    };
    let (attempt, ()) = tokio::join!(bench.make(&request), removed);
    assert_eq!(
        attempt.verdict,
        Verdict::Inconclusive(InconclusiveReason::ContainerNotRunning),
        "{attempt:?}"
    );
    bench.assert_nothing_left(&[]);
    for (name, folder) in &kept {
        assert_eq!(fs::read_to_string(folder.join("precious")).unwrap_or_default(), "data", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_mounts_is_never_the_program_that_runs() {
    let bench = Bench::new("helper-program");
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let theirs = folder.path().join("tieline");
    fs::write(&theirs, "#!/usr/local/bin/none\n").unwrap();
    fs::set_permissions(&theirs, Permissions::from_mode(0o755)).unwrap();
    let at_path = |path: &str| format!("{}:{path}", folder.path().display());
    let db = bench.lab.run_with("db", "ncat", &["-v", &at_path("/s")]);
    spawn(&db, "sleep 1000 | ncat -lkU /s/x");
    eventually("the socket", || folder.path().join("x").exists());
    let paths = ["/usr/local/sbin", "/usr/local/bin", "/bin", "/tieline", "/s"].map(at_path);
    let options: Vec<&str> = paths.iter().flat_map(|path| ["-v", path]).collect();
    // Its own program is not found any more in /bin.
    let name = format!("{}-web", bench.lab.name());
    let id = cli(&[
        &["create", "--network", bench.lab.name(), "--name", &name][..],
        &options,
        &["-v", "/bin/busybox:/sleep:ro", "tieline-lab/bare", "/sleep", "100000"],
    ]
    .concat());
    cli(&["start", &id]);
    let web = Side { id: tieline::model::container::ContainerId(id), name, ..db.clone() };
    for path in ["/s/x", "/usr/local/bin/x", "/tieline/x"] {
        bench.expect(&at(path, &web, &db), LISTENING).await;
    }
    bench.assert_nothing_left(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn symbolic_links_lead_where_they_lead_in_the_container_or_nowhere() {
    let bench = Bench::new("helper-links");
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (target, link) in [
        ("/run/db/s", "absolute"),
        ("s", "relative"),
        ("/run/db/gone", "dangling"),
        ("/run/other/s", "other"),
        ("/usr/local/bin/tieline", "program"),
        ("/proc/self/fd/0", "magic"),
    ] {
        symlink(target, folder.path().join(link)).unwrap();
    }
    let mounted = [&folder, &other].map(|folder| {
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        folder.path().display().to_string()
    });
    let volumes = [format!("{}:/run/db", mounted[0]), format!("{}:/run/other", mounted[1])];
    let options = ["-v", &volumes[0], "-v", &volumes[1]];
    let db = bench.lab.run_with("db", "ncat", &options);
    spawn(&db, "sleep 1000 | ncat -lkU /run/db/s");
    spawn(&db, "sleep 1000 | ncat -lkU /run/other/s");
    eventually("the sockets", || [&folder, &other].iter().all(|folder| folder.path().join("s").exists()));
    let web = bench.lab.run_with("web", "bare", &options);
    let elsewhere = Verdict::Inconclusive(InconclusiveReason::Unsupported);
    for (path, verdict) in [
        ("absolute", LISTENING),
        ("relative", LISTENING),
        ("dangling", Verdict::Fail(FailReason::SocketMissing)),
        // The container has it, and the helper has not.
        ("other", elsewhere),
        ("program", elsewhere),
        ("magic", elsewhere),
    ] {
        bench.expect(&at(&format!("/run/db/{path}"), &web, &db), verdict).await;
    }
    bench.assert_nothing_left(&[&web]);
}
