//! What is proven besides a connection: an answer, datagrams, and that a name leads where it should.

use super::stage::{IMAGE, Stage};

const REDIS: &str = "tieline-lab/redis";
const NGINX: &str = "tieline-lab/nginx";
const FULL: &str = "tieline-lab/busybox-full";

#[test]
fn real_servers_answer_as_the_link_says_or_the_link_is_not_ready() {
    let stage = Stage::with(&["--interval", "1s"]);
    stage.run_with("cache", &[], &[], REDIS, &["redis-server", "--protected-mode", "no", "--save", ""]);
    stage.run_with("front", &[], &[], NGINX, &["nginx", "-c", "/etc/nginx.conf"]);
    let (cache, front) = (format!("{}:6379", stage.name("cache")), format!("{}:80", stage.name("front")));
    stage.run(
        "app",
        &[
            ("link.cache", &cache),
            ("link.cache.send", r"PING\r\n"),
            ("link.cache.expect", r"^\+PONG\r\n"),
            ("link.front", &front),
            ("link.front.send", r"GET / HTTP/1.0\r\n\r\n"),
            ("link.front.expect", "^HTTP/1.1 200 OK"),
            ("link.wrong", &front),
            ("link.wrong.send", r"GET / HTTP/1.0\r\n\r\n"),
            ("link.wrong.expect", "^HTTP/1.1 404"),
            ("link.wrong.timeout", "1s"),
        ],
    );
    for link in ["cache", "front"] {
        let link = stage.await_state("app", link, "Ready");
        assert_eq!(link["conditions"][4]["status"], "True", "its own program answered");
    }
    let wrong = stage.await_state("app", "wrong", "Unreachable");
    assert_eq!(wrong["conditions"][3]["reason"], "ReplyMismatch");
    let message = wrong["message"].as_str().unwrap();
    assert!(message.contains("HTTP/1.1 200 OK"), "it says what came instead: {message}");

    stage.pause("cache");
    stage.await_state("app", "cache", "Unknown");
    stage.docker(&["unpause", &stage.name("cache")]);
    stage.await_state("app", "cache", "Ready");
}

#[test]
fn a_datagram_that_nobody_answers_proves_nothing() {
    let stage = Stage::with(&["--interval", "1s"]);
    stage.run_with("dns", &[], &[], FULL, &["sleep", "100000"]);
    let target = format!("udp://{}:5300", stage.name("dns"));
    stage.run_with(
        "app",
        &[
            ("link.auto", &target),
            ("link.asked", &target),
            ("link.asked.send", "ping"),
            ("link.asked.expect", "^ping"),
            ("link.asked.timeout", "2s"),
            ("link.beside", &target),
            ("link.beside.handshake", "exchange"),
        ],
        &[],
        FULL,
        &["sleep", "100000"],
    );
    stage.await_state("app", "beside", "Ready");
    let link = stage.await_state("app", "auto", "NoListener");
    assert_eq!(link["conditions"][3]["status"], "True", "the path works");
    stage.await_state("app", "asked", "NoListener");
    // One that takes everything and answers nothing, and then one that answers.
    let serve = |program: &str| {
        let line = format!("killall udpsvd; exec udpsvd 0.0.0.0 5300 {program}");
        stage.docker(&["exec", "-d", &stage.name("dns"), "sh", "-c", &line]);
    };
    serve("true");
    stage.await_state("app", "auto", "Ready");
    let link = stage.await_state("app", "asked", "Unreachable");
    assert_eq!(link["conditions"][3]["reason"], "NoReply");
    serve("cat");
    stage.await_state("app", "asked", "Ready");
}

#[test]
fn a_name_that_leads_to_somebody_else_is_no_proof() {
    let stage = Stage::with(&["--interval", "1s"]);
    // Somebody who takes every connection.
    let open = ["httpd", "-f", "-p", "8080"];
    stage.run_with("stranger", &[], &[], IMAGE, &open);
    stage.run_with("app1", &[], &[], IMAGE, &open);
    let stranger =
        stage.docker(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", &stage.name("stranger")]);
    let hosts = format!("--add-host={}:{}", stage.name("app1"), stranger.trim());
    let target = format!("{}:8080", stage.name("app1"));
    stage.run_with("app2", &[("link.web", &target)], &[&hosts], IMAGE, &["sleep", "100000"]);
    let link = stage.await_state("app2", "web", "Unreachable");
    assert_eq!(link["conditions"][3]["reason"], "NameLeadsElsewhere");
    let message = link["message"].as_str().unwrap();
    assert!(message.contains(stranger.trim()), "it says where it leads: {message}");
}

#[test]
fn the_name_that_is_proven_is_the_one_that_the_label_says() {
    let stage = Stage::with(&["--interval", "1s"]);
    let service = |name: &str| {
        let number = "container-number=1".to_owned();
        let labels = [format!("project={}", stage.id), format!("service={name}"), number];
        labels.map(|label| format!("--label=com.docker.compose.{label}"))
    };
    let [db, web] = ["db", "web"].map(service);
    stage.run_with("db-1", &[], &[&db[0], &db[1], &db[2]], IMAGE, &["httpd", "-f", "-p", "8080"]);
    // The container's own name is right, but no program looks for a service by that.
    let flags = [&web[0], &web[1], &web[2], "--add-host=db:127.0.0.1"];
    stage.run_with("web-1", &[("link", "db:8080")], &flags, IMAGE, &["httpd", "-f", "-p", "8080"]);
    let consumer = format!("{}/web", stage.id);
    stage.eventually("it is told where the name leads", || {
        let links = stage.links();
        let found = links.iter().find(|link| link["consumer"] == consumer.as_str());
        found.is_some_and(|link| {
            link["conditions"][3]["reason"] == "NameLeadsElsewhere"
                && link["message"].as_str().unwrap().contains("db leads to 127.0.0.1")
        })
    });
}

#[test]
fn a_name_that_is_not_known_while_the_address_works_is_a_finding_of_its_own() {
    let stage = Stage::with(&["--interval", "1s"]);
    stage.run_with("app1", &[], &[], IMAGE, &["httpd", "-f", "-p", "8080"]);
    let target = format!("{}:8080", stage.name("app1"));
    stage.run("app2", &[("link.web", &target), ("link.web.timeout", "5s")]);
    stage.await_state("app2", "web", "Ready");
    // Its resolver is taken away from it.
    stage.shell("app2", "echo nameserver 127.0.0.99 >/etc/resolv.conf");
    let link = stage.await_state("app2", "web", "Unreachable");
    assert_eq!(link["conditions"][3]["reason"], "ByAddressOnly", "{link}");
}

#[test]
fn a_name_that_leads_over_another_common_network_is_told_and_good() {
    let stage = Stage::with(&["--interval", "1s"]);
    let network = stage.name("common");
    stage.docker(&["network", "create", "--label", &stage.owner_label(), &network]);
    let flags = ["--network", network.as_str()];
    stage.run_with("app1", &[], &flags, IMAGE, &["httpd", "-f", "-p", "8080"]);
    let target = format!("{}:8080", stage.name("app1"));
    let links = [("link.web", target.as_str()), ("link.both", &target), ("link.both.handshake", "exchange")];
    stage.run_with("app2", &links, &flags, IMAGE, &["sleep", "100000"]);
    for name in ["web", "both"] {
        stage.await_state("app2", name, "Ready");
        // Where the tokens are quicker than a look at the socket, the next handshake tells.
        stage.eventually("it is told", || {
            let link = stage.link("app2", name).unwrap();
            link["state"] == "Ready" && link["conditions"][3]["reason"] == "PassedOverAnotherNetwork"
        });
    }
}
