//! Handshakes by `exec` between real containers.

mod helper;
mod helper_mounts;
pub mod lab;
mod noise;
mod ours;
mod socket;

use std::time::{Duration, Instant};

use tieline::model::handshake::{FailReason, InconclusiveReason, Verdict};
use tieline::model::link::Handshake::{Auto, Connect, Exchange};
use tieline::prober::Side;

use crate::patience::{patience, timeout_of};
use lab::{
    FLAVOURS, Lab, assert_clean, cli, eventually, output, processes, request, set_host, spawn,
    wait_for_listener,
};

const PROVEN: Verdict = Verdict::Pass { listening: None, detour: false };
const LISTENING: Verdict = Verdict::Pass { listening: Some(true), detour: false };
const NO_LISTENER: Verdict = Verdict::Pass { listening: Some(false), detour: false };

fn all_flavours(lab: &Lab, options: &[&str]) -> Vec<Side> {
    FLAVOURS.iter().map(|image| lab.run_with(image, image, options)).collect()
}

/// Each side with the next, so that each is consumer once and provider once.
fn ring(sides: &[Side]) -> impl Iterator<Item = (&Side, &Side)> {
    sides.iter().zip(sides.iter().cycle().skip(1))
}

#[tokio::test]
async fn every_flavour_exchanges_tokens_with_every_other() {
    let lab = Lab::new("pairs");
    let sides = all_flavours(&lab, &[]);
    for (port, provider) in (12000..).zip(&sides) {
        for consumer in sides.iter().filter(|consumer| consumer.id != provider.id) {
            let attempt = lab.make(&request(consumer, provider, port, Exchange)).await;
            assert_eq!(
                attempt.verdict, PROVEN,
                "{} -> {}: {}",
                consumer.name, provider.name, attempt.message
            );
            assert!(!attempt.message.contains(&format!(":{port} ")), "on the port: {}", attempt.message);
        }
    }
    sides.iter().for_each(assert_clean);
}

#[tokio::test]
async fn every_flavour_tells_silence_from_refusal() {
    let lab = Lab::new("connect");
    let (db, sides) = (lab.run("db", "ncat"), all_flavours(&lab, &[]));
    // Two listeners with a person's patience: one never says a word, one hangs up at once.
    spawn(&db, "sleep 1000 | ncat -lk 7001");
    spawn(&db, "ncat -lk 7002 -c true");
    wait_for_listener(&db, 7001);
    wait_for_listener(&db, 7002);
    for side in &sides {
        for (port, mode, verdict) in [
            (7001, Connect, LISTENING),
            (7001, Auto, LISTENING),
            (7002, Connect, LISTENING),
            (7003, Connect, Verdict::Fail(FailReason::Refused)),
            (7003, Auto, NO_LISTENER),
        ] {
            let attempt = lab.make(&request(side, &db, port, mode)).await;
            assert_eq!(attempt.verdict, verdict, "{} {mode:?} {port}: {}", side.name, attempt.message);
        }
    }
    sides.iter().for_each(assert_clean);
}

#[tokio::test]
async fn every_flavour_tells_an_unknown_name_from_no_answer() {
    let lab = Lab::new("lost");
    let (db, sides) = (lab.run("db", "busybox"), all_flavours(&lab, &[]));
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = cli(&["inspect", "-f", format, &db.name]);
    let nobody_s = format!("{}.250", address.rsplit_once('.').unwrap().0);
    for side in &sides {
        for (host, reasons) in [
            ("no.such.name".to_owned(), [FailReason::NameNotResolved, FailReason::ByAddressOnly]),
            (nobody_s.clone(), [FailReason::NoRoute, FailReason::Timeout]),
        ] {
            let mut request = request(side, &db, 7001, Auto);
            set_host(&mut request, &host);
            request.timeout = timeout_of(Duration::from_secs(2));
            let start = Instant::now();
            let attempt = lab.make(&request).await;
            let expected = reasons.map(Verdict::Fail);
            assert!(expected.contains(&attempt.verdict), "{}: {:?}", side.name, attempt);
            // Its timeout and a margin, whatever the machine does besides.
            assert!(
                start.elapsed() < request.timeout + patience(Duration::from_secs(3)),
                "{}: {:?}",
                side.name,
                start.elapsed()
            );
        }
    }
    sides.iter().for_each(assert_clean);
    assert_clean(&db);
}

#[tokio::test]
async fn somebody_s_listener_keeps_its_port_and_gets_its_message() {
    let lab = Lab::new("person");
    let (web, sides) = (lab.run("web", "busybox"), all_flavours(&lab, &[]));
    for (flavour, db) in FLAVOURS.into_iter().zip(&sides) {
        let listen = match flavour {
            "openbsd" => "nc -l 12345",
            "ncat" => "ncat -l 12345",
            "minimal" => "nc.openbsd -l 12345",
            _ => "nc -l -p 12345",
        };
        spawn(db, &format!("sleep 1000 | {listen} > /tmp/heard"));
        wait_for_listener(db, 12345);
        let attempt = lab.make(&request(&web, db, 12345, Exchange)).await;
        assert_eq!(attempt.verdict, PROVEN, "{flavour}: {}", attempt.message);
        output(
            &web,
            &format!("echo hello app1 | nc {} 12345 & sleep 0.2; kill $! 2>/dev/null; wait", db.name),
        );
        let heard = || output(db, "while read -r line; do echo $line; done < /tmp/heard");
        eventually("the message", || heard() == "hello app1");
        assert_clean(&web);
    }
}

#[tokio::test]
async fn a_user_without_the_right_to_a_port_proves_the_path_on_another() {
    let lab = Lab::new("user");
    let low_ports_are_root_s = "net.ipv4.ip_unprivileged_port_start=1024";
    let nobody =
        ["--user", "1000:1000", "--cap-drop", "ALL", "--read-only", "--sysctl", low_ports_are_root_s];
    let sides = all_flavours(&lab, &nobody);
    for (consumer, provider) in ring(&sides) {
        let attempt = lab.make(&request(consumer, provider, 80, Exchange)).await;
        assert_eq!(attempt.verdict, PROVEN, "{}: {}", provider.name, attempt.message);
    }
    sides.iter().for_each(assert_clean);
}

#[tokio::test]
async fn what_cannot_be_probed_is_inconclusive() {
    let lab = Lab::new("unknown");
    let (web, db) = (lab.run("web", "busybox"), lab.run("db", "busybox"));
    let (bare, without) = (lab.run("bare", "bare"), lab.run("without", "no-netcat"));
    let (paused, stopped) = (lab.run("paused", "busybox"), lab.run("stopped", "busybox"));
    cli(&["pause", &paused.name]);
    cli(&["kill", &stopped.name]);
    let mut gone = db.clone();
    gone.id.0 = "0".repeat(64);
    for (other, reason) in [
        (&bare, InconclusiveReason::NoShell),
        (&without, InconclusiveReason::NoNetcat),
        (&paused, InconclusiveReason::ContainerPaused),
        (&stopped, InconclusiveReason::ContainerNotRunning),
        (&gone, InconclusiveReason::ContainerNotRunning),
    ] {
        for (consumer, provider) in [(&web, other), (other, &db)] {
            let attempt = lab.make(&request(consumer, provider, 12345, Exchange)).await;
            assert_eq!(attempt.verdict, Verdict::Inconclusive(reason), "{}", attempt.message);
        }
    }
    // A refusal needs nothing of the provider; what it means for the path does.
    let attempt = lab.make(&request(&web, &bare, 12345, Connect)).await;
    assert_eq!(attempt.verdict, Verdict::Fail(FailReason::Refused), "{}", attempt.message);
    let attempt = lab.make(&request(&web, &bare, 12345, Auto)).await;
    assert_eq!(attempt.verdict, Verdict::Inconclusive(InconclusiveReason::NoShell), "{}", attempt.message);
    cli(&["unpause", &paused.name]);
    for side in [&web, &db, &bare, &without, &paused] {
        assert_clean(side);
    }
}

#[tokio::test]
async fn an_abandoned_handshake_leaves_nothing() {
    let lab = Lab::new("abandoned");
    let sides = all_flavours(&lab, &[]);
    for (consumer, provider) in ring(&sides) {
        let mut request = request(consumer, provider, 12345, Exchange);
        assert_eq!(lab.make(&request).await.verdict, PROVEN);
        request.timeout = Duration::from_secs(1);
        for after in (0..160).step_by(20).map(Duration::from_millis) {
            let _ = tokio::time::timeout(after, lab.make(&request)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    sides.iter().for_each(assert_clean);
}

#[tokio::test]
async fn who_is_paused_in_the_middle_is_not_blamed() {
    let lab = Lab::new("pause");
    let (web, db) = (lab.run("web", "busybox"), lab.run("db", "busybox"));
    for side in [&web, &db] {
        let mut request = request(&web, &db, 12345, Exchange);
        set_host(&mut request, "no.such.name");
        // Less than an unknown name takes, and more than a busy engine needs to begin and to pause.
        request.timeout = Duration::from_secs(6);
        let (attempt, ()) = tokio::join!(lab.make(&request), async {
            let side = side.clone();
            let pause = move || {
                // Not while its process is about to begin: engine 20.10 could never unpause it any more.
                eventually("its process", || processes(&side) != ["sleep"]);
                std::thread::sleep(Duration::from_millis(200));
                cli(&["pause", &side.name]);
            };
            tokio::task::spawn_blocking(pause).await.unwrap();
        });
        let paused = Verdict::Inconclusive(InconclusiveReason::ContainerPaused);
        assert_eq!(attempt.verdict, paused, "{}", attempt.message);
        cli(&["unpause", &side.name]);
        assert_clean(&web);
        assert_clean(&db);
    }
}

#[tokio::test]
async fn many_at_once_do_not_get_into_each_other_s_way() {
    let lab = Lab::new("crowd");
    let (web, db) = (lab.run("web", "traditional"), lab.run("db", "openbsd"));
    let mut request = request(&web, &db, 12345, Exchange);
    // Not a matter of speed: eighteen processes at once may take their time.
    request.timeout = Duration::from_secs(20);
    for _ in 0..3 {
        let crowd = (0..6).map(|_| lab.make(&request));
        for attempt in futures_util::future::join_all(crowd).await {
            assert_eq!(attempt.verdict, PROVEN, "{}", attempt.message);
        }
    }
    assert_clean(&web);
    assert_clean(&db);
}
