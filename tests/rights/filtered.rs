//! The whole job through a filtering proxy: every call of the table is made, and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use regex::Regex;
use tieline::docker::Operation;
use tieline::docker::operation::Purpose;

use super::allowlist::Allowlist;
use crate::engine::stage::Stage;
use crate::proxy::{Fate, Proxy, Request};

/// Lets through what the allowlist says, notes the rest, and once does as if the engine could not tell
/// what it told: then it is pinged.
fn filter(proxy: &Proxy) -> Arc<Mutex<Vec<Request>>> {
    let refused: Arc<Mutex<Vec<Request>>> = Arc::default();
    let (allowlist, noted) = (Allowlist::read(), Arc::clone(&refused));
    let (streaming, forgot) = (AtomicBool::new(false), AtomicBool::new(false));
    proxy.judge(move |request| {
        if !allowlist.allows(request) {
            noted.lock().unwrap().push(request.clone());
            return Fate::Answer(403, "Forbidden");
        }
        let again = request.path == "/events" && streaming.swap(true, Ordering::Relaxed);
        if again && !forgot.swap(true, Ordering::Relaxed) {
            return Fate::Answer(500, "the engine remembers nothing");
        }
        Fate::Pass
    });
    refused
}

fn is(operation: Operation, request: &Request) -> bool {
    let path = Regex::new(&format!("^(?:{})$", operation.path())).unwrap();
    operation.method() == request.method && path.is_match(&request.path)
}

#[test]
fn the_whole_job_takes_what_the_allowlist_allows_and_all_of_it() {
    let proxy = Proxy::start(None);
    let refused = filter(&proxy);
    let host = proxy.host();
    let mut stage = Stage::dark(&["--host", &host, "--prober", "exec,helper"]);
    stage.start_controller();
    stage.eventually("it is ready", || stage.get("/readyz").0 == 200);
    stage.run("app1", &[]);
    let target = format!("{}:80", stage.name("app1"));
    stage.run("app2", &[("link.x", &target), ("link.x.handshake", "exchange"), ("link.y", &target)]);
    stage.await_state("app2", "x", "Ready");
    stage.await_state("app2", "y", "NoListener");
    // Why an exec failed, its exit code tells.
    let labels = [("link.x", target.as_str())];
    stage.run_with("bare", &labels, &[], "tieline-lab/bare:latest", &["sleep", "100000"]);
    let unknown = stage.await_state("bare", "x", "Unknown");
    assert!(unknown["message"].as_str().unwrap().contains("helper: the engine may not be told"), "{unknown}");
    stage.docker(&["rm", "-f", &stage.name("bare")]);
    stage.docker(&["restart", "-t", "0", &stage.name("app1")]);
    stage.await_state("app2", "x", "Ready");
    stage.docker(&["rm", "-f", &stage.name("app2")]);
    stage.eventually("the network is gone", || stage.networks().is_empty());
    let used = |operation| proxy.requests().iter().any(|request| is(operation, request));
    stage.eventually("the engine was pinged", || used(Operation::Ping));

    stage.run("app3", &[("link.x", &target), ("link.x.handshake", "none")]);
    stage.eventually("there is a network", || stage.networks().len() == 1);
    stage.stop_controller();
    let planned = stage.tieline(&["plan", "--host", &host]);
    assert!(planned.status.success(), "{}", String::from_utf8_lossy(&planned.stderr));
    let torn = stage.tieline(&["teardown", "--host", &host]);
    assert!(torn.status.success(), "{}", String::from_utf8_lossy(&torn.stderr));
    assert!(stage.networks().is_empty());

    let of = |purpose| Operation::ALL.into_iter().filter(move |operation| operation.purpose() == purpose);
    let is_helper_s = |request: &Request| of(Purpose::Helper).any(|operation| is(operation, request));
    refused.lock().unwrap().retain(|request| !is_helper_s(request));
    assert_eq!(*refused.lock().unwrap(), [], "the allowlist lacks what the program calls");
    let unused: Vec<Operation> = of(Purpose::Job).filter(|operation| !used(*operation)).collect();
    assert_eq!(unused, [], "the table lists what the program does not call");
}
