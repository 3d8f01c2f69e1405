//! Containers whose `nc` is not what it seems.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use tieline::docker::process::MAX_OUTPUT_BYTES;
use tieline::model::handshake::{InconclusiveReason, Verdict};
use tieline::model::link::Handshake::{Connect, Exchange};
use tieline::prober::Side;

use super::lab::{Lab, assert_clean, cli, request};
use crate::patience::patience;

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
            request.timeout = patience(Duration::from_secs(1));
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
