//! Containers whose `nc` is not what it seems.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use tieline::docker::process::MAX_OUTPUT_BYTES;
use tieline::model::handshake::{InconclusiveReason, Verdict};
use tieline::model::link::Handshake::{Connect, Exchange};
use tieline::prober::{Request, Side};

use super::PROVEN;
use super::lab::{Lab, assert_clean, cli, eventually, output, request};
use crate::patience::{patience, timeout_of};

/// Puts a script in the place of `nc`. It passes for netcat-openbsd at the first look, and does what it
/// wants at every other.
fn replace_nc(side: &Side, body: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("nc");
    fs::write(&file, format!("#!/bin/sh\ncase $1 in -h) echo OpenBSD netcat; exit ;; esac\n{body}\n"))
        .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    cli(&["cp", file.to_str().unwrap(), &format!("{}:/bin/nc", side.id.as_str())]);
}

#[tokio::test]
async fn a_flood_of_output_is_read_up_to_its_limit_and_told() {
    let lab = Lab::new("flood");
    let (web, db) = (lab.run("web", "openbsd"), lab.run("db", "busybox"));
    replace_nc(&web, "while :; do echo noise; done");
    // The look for an nc meets the flood too, and is ended.
    let first = lab.make(&request(&web, &db, 7001, Connect)).await;
    assert!(matches!(first.verdict, Verdict::Inconclusive(_) | Verdict::Fail(_)), "{first:?}");
    for stream in ["", ">&2"] {
        replace_nc(
            &web,
            &format!("while :; do echo noise noise noise noise noise noise noise {stream}; done"),
        );
        for mode in [Connect, Exchange] {
            let mut request = request(&web, &db, 7001, mode);
            request.timeout = timeout_of(Duration::from_secs(1));
            let start = Instant::now();
            let attempt = lab.make(&request).await;
            assert!(!matches!(attempt.verdict, Verdict::Pass { .. }), "{attempt:?}");
            assert!(
                start.elapsed() < request.timeout + patience(Duration::from_secs(4)),
                "{:?}",
                start.elapsed()
            );
            assert!(attempt.message.len() < 1000, "{}", attempt.message);
            if stream == ">&2" && mode == Connect {
                assert_eq!(attempt.verdict, Verdict::Inconclusive(InconclusiveReason::ExecFailed));
                assert!(
                    attempt.message.contains(&format!("only {MAX_OUTPUT_BYTES} bytes")),
                    "{}",
                    attempt.message
                );
            }
        }
    }
    assert_clean(&web);
    assert_clean(&db);
}

#[tokio::test]
async fn what_one_container_says_of_its_nc_is_nobody_else_s_matter() {
    let lab = Lab::new("liars");
    let liar = |name: &str, body: &str| {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let file = dir.path().join("sh");
        fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let mount = format!("{}:/evil", dir.path().display());
        let side = lab.run_with(name, "busybox", &["-e", "PATH=/evil:/bin", "-v", &mount]);
        (side, dir)
    };
    // All containers have the same image.
    let (web, db) = (lab.run("web", "busybox"), lab.run("db", "busybox"));
    let (hangs, _hangs) = liar("hangs", "exec sleep 1000");
    let (denies, _denies) = liar("denies", "echo 'tieline: done'");
    let slow = Request { timeout: Duration::from_secs(30), ..request(&hangs, &db, 7001, Exchange) };
    let (theirs, ours) = tokio::join!(lab.make(&slow), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let denied = lab.make(&request(&denies, &db, 7001, Exchange)).await;
        assert_eq!(denied.verdict, Verdict::Inconclusive(InconclusiveReason::NoNetcat), "{denied:?}");
        lab.make(&request(&web, &db, 7001, Exchange)).await
    });
    assert_eq!(ours.verdict, PROVEN, "{ours:?}");
    assert_eq!(theirs.verdict, Verdict::Inconclusive(InconclusiveReason::ExecFailed), "{theirs:?}");
    assert!(theirs.message.starts_with(&hangs.name), "{theirs:?}");
}

#[tokio::test]
async fn a_client_that_never_connects_costs_the_provider_a_high_port_for_seconds() {
    let lab = Lab::new("idle");
    let (web, db) = (lab.run("web", "openbsd"), lab.run("db", "busybox"));
    replace_nc(&web, "exec sleep 1000");
    let mut request = request(&web, &db, 7001, Exchange);
    request.timeout = Duration::from_secs(40);
    let start = Instant::now();
    let own_listener = async {
        let db = db.clone();
        let listen = move || {
            eventually("our listener", || output(&db, "netstat -ltn").contains(":6"));
            // It would have ended at once if somebody had the port.
            output(&db, "nc -l -p 7001 </dev/null & sleep 1; kill $! && echo free; wait")
        };
        tokio::task::spawn_blocking(listen).await.unwrap()
    };
    let (attempt, own) = tokio::join!(lab.make(&request), own_listener);
    assert_eq!(own, "free", "its port was taken from it");
    assert!(!matches!(attempt.verdict, Verdict::Pass { .. }), "{attempt:?}");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_clean(&web);
    assert_clean(&db);
}
