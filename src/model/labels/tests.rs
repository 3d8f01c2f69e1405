//! Goldens of what is read and of every error's words, and what holds for any input.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use insta::Settings;
use proptest::prelude::*;

use super::*;
use crate::model::assess::assess_mistake;
use crate::model::declaration::Mistake;
use crate::model::link::{Endpoint, Handshake, LinkKey, Payload, Target};
use crate::model::workload::Workload;

/// Longest sentence that an error may be.
const MAX_ERROR_BYTES: usize = 4096;
/// Labels of one case that are printed, and links and errors; of the latter the last ones.
const MAX_PRINTED: usize = 8;

/// Labels under the default prefix.
fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| (format!("{DEFAULT_PREFIX}{key}"), (*value).to_owned())).collect()
}

/// The start of a text as one line.
fn line(text: &str) -> String {
    let start: String = text.chars().take(70).flat_map(escape).collect();
    if text.chars().count() > 70 { format!("{start}... ({} bytes)", text.len()) } else { start }
}

fn escape(c: char) -> Vec<char> {
    if text::is_plain(c) { vec![c] } else { c.escape_unicode().collect() }
}

fn print_labels(out: &mut String, labels: &Labels) {
    for (key, value) in labels.iter().take(MAX_PRINTED) {
        writeln!(out, "{}: {}", line(key), line(value)).unwrap();
    }
    if labels.len() > MAX_PRINTED {
        writeln!(out, "({} labels)", labels.len()).unwrap();
    }
}

fn print_link(out: &mut String, link: &Link) {
    let protocol = link.target.endpoint.protocol();
    write!(out, "  {} -> {} ({protocol}) {}", link.name, link.target, link.handshake.as_str()).unwrap();
    let mut add = |name: &str, value: Option<String>| {
        value.into_iter().for_each(|value| write!(out, " {name}={value}").unwrap());
    };
    add("alias", link.alias.clone());
    add("interval", link.interval.map(|time| humantime::format_duration(time).to_string()));
    add("timeout", link.timeout.map(|time| humantime::format_duration(time).to_string()));
    add("send", link.payload.send.as_ref().map(|bytes| bytes.escape_ascii().to_string()));
    add("expect", link.payload.expect.clone());
    out.push('\n');
}

fn print(labels: &Labels) -> String {
    let mut out = String::new();
    print_labels(&mut out, labels);
    let declared = read(DEFAULT_PREFIX, labels);
    let (links, errors) = (&declared.links, &declared.errors);
    let hidden = links.len().saturating_sub(MAX_PRINTED);
    if hidden > 0 {
        writeln!(out, "  ({hidden} links)").unwrap();
    }
    links[hidden..].iter().for_each(|link| print_link(&mut out, link));
    if let Some(accepted) = &declared.accept {
        let names = accepted.iter().map(|one| match one {
            Accept::Any => " anybody".to_owned(),
            Accept::Selector(selector) => format!(" {selector}"),
        });
        let names: String = names.collect();
        writeln!(out, "  accepts{}", if names.is_empty() { " nobody" } else { &names }).unwrap();
    }
    if declared.topology != Topology::default() {
        writeln!(out, "  topology {}", declared.topology.as_str()).unwrap();
    }
    if declared.ignore {
        out.push_str("  ignored\n");
    }
    let hidden = errors.len().saturating_sub(MAX_PRINTED);
    if hidden > 0 {
        writeln!(out, "  ({hidden} errors)").unwrap();
    }
    for error in &errors[hidden..] {
        writeln!(out, "  {} of {}\n    {error}", error.problem.reason(), error.link).unwrap();
    }
    out
}

fn assert_golden(name: &str, cases: Vec<Labels>) {
    let mut settings = Settings::new();
    settings.set_snapshot_path("../../../tests/data/labels");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let printed: Vec<String> = cases.iter().map(print).collect();
    settings.bind(|| insta::assert_snapshot!(name, printed.join("\n")));
}

#[test]
fn valid_labels() {
    let cases: &[&[(&str, &str)]] = &[
        &[],
        &[("link", "app1:12345")],
        &[("link", "app1:12345, shop/db:80 [role=db]:5432\nunix://app1/run/x.sock,udp://dns:53")],
        &[("link", "[role=db,tier = 1]:5432,[com.example/a=http://x:80/b, empty=]:1 tcp://App_1.x:65535")],
        &[("link", "unix://[role=db]/run/my.sock unix://shop/db/run/x.sock")],
        &[("link", "[role=db:5432, app1:80")],
        &[("link.db", " shop/postgres:5432 "), ("link.0-a", "app1:1")],
        &[
            ("link.db", "pg:5432"),
            ("link.db.handshake", "connect"),
            ("link.db.interval", "1m30s"),
            ("link.db.timeout", "500ms"),
            ("link.db.send", r"PING\r\n\t\\\x00\xfFä"),
            ("link.db.expect", r"(?i)^\+pong\s\w+ \d{3}"),
        ],
        &[
            ("link", "app1:12345 my.host:80"),
            ("link.app1-12345.handshake", "exchange"),
            ("link.my.host-80.interval", "24h"),
            ("link.my.host-80.timeout", "100ms"),
        ],
        &[("link.dns", "udp://dns:53"), ("link.dns.send", "x"), ("link.dns.expect", ".")],
        &[("link.timeout", "app1:80"), ("link.timeout.timeout", "60s"), ("link.timeout.handshake", "none")],
        &[("accept", "*"), ("topology", "shared")],
        &[("accept", "none"), ("topology", "pair"), ("ignore", "false")],
        &[("accept", "web, shop/cart [role=front,tier=1] *")],
        &[("link", "broken"), ("lnk", ""), ("accept", "*"), ("topology", "shared"), ("ignore", "true")],
    ];
    assert_golden("valid", cases.iter().map(|case| labels(case)).collect());
}

fn broken_cases() -> Vec<Labels> {
    let long = "a".repeat(64 * 1024);
    let socket = format!("unix://app1/{}", "x".repeat(MAX_SOCKET_PATH_BYTES));
    let many: Vec<String> = (1..=MAX_LINKS + 1).map(|port| format!("app:{port}")).collect();
    let many = many.join(",");
    let too_many = "x ".repeat(MAX_ERRORS);
    let friends: Vec<String> = (0..MAX_ACCEPTED + 9).map(|n| format!("app{n}")).collect();
    let friends = friends.join(" ");
    let chatty: Vec<String> = (0..=MAX_SELECTOR_LABELS).map(|n| format!("k{n}=v")).collect();
    let chatty = format!("[{}] [k={}]", chatty.join(","), "v".repeat(MAX_SELECTOR_BYTES));
    let chatty_target = chatty.replace(']', "]:80");
    let cases: &[&[(&str, &str)]] = &[
        // Keys.
        &[("lnk", "app1:80")],
        &[("Link", "app1:80")],
        &[("links.db", "app1:80")],
        &[("accept.db", "app1")],
        &[("frobnicate", "yes")],
        &[("", "x")],
        &[("consumer", "shop/web")],
        &[(&long, "x")],
        &[("link.", "app1:80")],
        &[("link.DB", "app1:80"), ("link.DB.timeout", "5")],
        &[("link.my_db", "app1")],
        &[("link.my.db", "app1:80")],
        &[("link.\u{202e}evil\n", "app1:80")],
        &[("link.db", "db:5432"), ("link.db.handshke", "auto"), ("link.web", "web:80")],
        &[("link.db", "db:5432"), ("link.db.retries", "3"), ("link.db.Interval", "30s")],
        &[("link.db.handshke", "auto")],
        &[("link.db.timeout", "5s")],
        &[("link", "db:5432"), ("link.db.timeout", "5s"), ("link.web.timeout", "5s")],
        &[("link.timeout", "5s")],
        // Links as a whole.
        &[("link", "")],
        &[("link", " , ")],
        &[("link.db", "")],
        &[("link.db", "app1:80, app2:80")],
        &[("link", &long)],
        &[("link.db", &long)],
        &[("link", "app1:80 app1:80 udp://app1:80"), ("link.app1-80", "app2:80")],
        &[("link", &many)],
        &[("link", "app1 app2:80"), ("link.db", "app1:db"), ("link.web", "web:80")],
        // Schemes and selectors.
        &[("link", "http://app1:80")],
        &[("link", "TCP://app1:80 udb://app1:80 ://app1:80")],
        &[("link", ":80")],
        &[("link", "/app1:80 a/b/c:80 shop/:80")],
        &[("link", "*:80 app*:80")],
        &[("link", "-app:80 role=db:80 app[1]:80 app@home:80")],
        &[("link", "\u{430}pp1:80 app\u{200b}1:80")],
        &[("link", "[]:80 [role]:80 [=db]:80 [role=db,]:80 [a=1,a=2]:80")],
        &[("link", "[role=db tier=1]:80 [rôle=db]:80 [role=db")],
        &[("link", "[role=db]x:80 [role=db]/x [role=db]")],
        // Ports.
        &[("link", "app1 app1: 5432 udp://dns")],
        &[("link", "app1:db"), ("link.pg", "udp://shop/db:My_Alias")],
        &[("link", "app1:0 app1:65536 app1:99999999999999999999 app1:080")],
        &[("link", "app1:+80 app1:-1 app1:８０ app1:80-90")],
        &[("link", "app1:80:tcp udp://app1:80/tcp app1:80/udp")],
        &[("link", "app1:8080:80 app1:80:web app1:web:80 app1:80/path app1::80 app1::")],
        // Sockets.
        &[("link", "unix:///run/x.sock unix://app1 unix://app1/ unix://app1:80/run/x.sock")],
        &[("link", &socket)],
        &[(
            "link",
            "unix://app1/run/../x.sock unix://app1/run/ unix://app1/run/\u{7}x unix://[role=db]run/x",
        )],
        // Options.
        &[("link.a", "a:1"), ("link.a.handshake", "conect")],
        &[("link.a", "a:1"), ("link.a.handshake", "tcp"), ("link.b", "b:1"), ("link.b.handshake", "")],
        &[("link.a", "a:1"), ("link.a.interval", "30"), ("link.a.timeout", "soon")],
        &[("link.a", "a:1"), ("link.a.interval", "0"), ("link.a.timeout", "")],
        &[("link.a", "a:1"), ("link.a.interval", "500ms"), ("link.a.timeout", "2m")],
        &[("link.a", "a:1"), ("link.a.interval", "18446744073709551615s1000000000ns")],
        &[("link.a", "a:1"), ("link.a.send", r"PING\q"), ("link.b", "b:1"), ("link.b.send", r"\x4")],
        &[("link.a", "a:1"), ("link.a.send", r"\0"), ("link.b", "b:1"), ("link.b.send", "PING\\")],
        &[("link.a", "a:1"), ("link.a.send", ""), ("link.a.expect", "")],
        &[("link.a", "a:1"), ("link.a.expect", "(PONG"), ("link.b", "b:1"), ("link.b.expect", r"\w{4000}")],
        &[("link.a", "udp://a:1"), ("link.a.send", "x")],
        &[("link.a", "udp://a:1"), ("link.a.send", "x"), ("link.a.expect", "*")],
        &[("link.a", "a:1"), ("link.a.send", &long)],
        // Providers.
        &[("accept", "")],
        &[("accept", "none, app1 *")],
        &[("accept", "app2:80 tcp://app3 [role=db]:80 a/b/c web")],
        &[("accept", "[role=db]x [role=db")],
        &[("accept", &long)],
        &[("accept", &friends)],
        &[("accept", &chatty), ("link", &chatty_target)],
        &[("acept", "none"), ("accept", "app1")],
        &[("topology", "paired")],
        &[("topology", "star"), ("ignore", "True")],
        &[("ignore", "1"), ("link", "app1:80")],
        &[("link", &too_many)],
    ];
    let mut cases: Vec<Labels> = cases.iter().map(|case| labels(case)).collect();
    cases.push(Labels::from([("Tieline.link".to_owned(), "app1:80".to_owned())]));
    cases.push(Labels::from([("Tieline.accept".to_owned(), "none".to_owned())]));
    let mut compose = labels(&[("link", "app1:80")]);
    compose.insert("com.docker.compose.project".to_owned(), "shop".to_owned());
    compose.insert("com.docker.compose.service".to_owned(), "$(reboot)\u{1b}[31m".to_owned());
    cases.push(compose);
    cases.push((0..MAX_CONTAINER_LABEL_BYTES / 64).map(|n| (format!("x{n}"), String::new())).collect());
    cases
}

#[test]
fn every_error_has_words() {
    let cases = broken_cases();
    let seen: BTreeSet<Problem> =
        cases.iter().flat_map(|case| read(DEFAULT_PREFIX, case).errors).map(|error| error.problem).collect();
    let unseen: Vec<_> = Problem::ALL.iter().filter(|problem| !seen.contains(problem)).collect();
    assert_eq!(unseen, [&Problem::SelfLink], "a problem without a case");
    assert_golden("errors", cases);
}

fn link(text: &str) -> Link {
    let declared = read(DEFAULT_PREFIX, &labels(&[("link", text)]));
    assert_eq!(declared.errors, []);
    Link::clone(&declared.links[0])
}

#[test]
fn a_key_that_is_nearly_accept_admits_nobody() {
    let accept = |key: &str| {
        let labels = Labels::from([(key.to_owned(), "web".to_owned())]);
        read(DEFAULT_PREFIX, &labels).accept.map(|accepted| accepted.len())
    };
    for key in ["acept", "Accept", "accepts", "acccept", "except", "accept.web"] {
        assert_eq!(accept(&format!("tieline.{key}")), Some(0), "{key}");
    }
    assert_eq!(accept("Tieline.accept"), Some(0));
    assert_eq!(accept("tieline.accept"), Some(1));
    for key in ["topologi", "ignored", "lnk", "x"] {
        assert_eq!(accept(&format!("tieline.{key}")), None, "{key}");
    }
    let both = labels(&[("acept", "none"), ("accept", "*")]);
    assert_eq!(read(DEFAULT_PREFIX, &both).accept, Some(Vec::new()), "until it is corrected");
}

#[test]
fn self_link_names_its_label() {
    let plain = link("web:80");
    assert_eq!(
        LabelError::self_link(DEFAULT_PREFIX, &plain).to_string(),
        "tieline.link: \"web:80\" is the workload that declares this link; name another workload, or remove this \
         link: what runs in one workload reaches itself already"
    );
    let named = Link { alias: Some("me".to_owned()), ..plain };
    assert_eq!(LabelError::self_link("x.", &named).label, "x.link.me");
}

#[test]
fn link_holds_what_was_declared() {
    let expected = Link {
        name: "role-db-5432".to_owned(),
        alias: None,
        target: Target {
            selector: Selector::Labels(vec![("role".to_owned(), "db".to_owned())]),
            endpoint: Endpoint::Tcp(5432),
        },
        handshake: Handshake::Auto,
        interval: None,
        timeout: None,
        payload: Payload::default(),
    };
    assert_eq!(link("tcp://[ role = db ]:5432"), expected);
}

#[test]
fn an_expectation_is_as_large_as_people_write_them() {
    for good in [
        r"\w{100}",
        r"^HTTP/1\.[01] 200 ",
        r"(?i)^\+pong\b.{0,200}$",
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
        r"(?-u:\xff)(?P<user>.)(?i-u)\(?u",
        "grüß",
    ] {
        assert!(expectation(good).is_ok(), "{good}");
    }
    let long = "a?".repeat(600);
    for huge in
        [r".{0,1000}", r"((a{0,60}){0,60}){0,60}", r"[01]{7000}", &long, r"(?u)\w", r"a(?iu:\pL)", r"\pL"]
    {
        assert_eq!(expectation(huge).unwrap_err().problem, Problem::InvalidRegex, "{huge}");
    }
}

#[test]
fn a_reply_is_matched_byte_by_byte() {
    for (pattern, reply) in
        [(r"^.\xff.$", &b"\x00\xff\xfe"[..]), ("grüß", "grüß".as_bytes()), (r"^\W\W$", "ü".as_bytes())]
    {
        assert!(expectation(pattern).unwrap().is_match(reply), "{pattern}");
    }
}

/// A pattern that would be dear to compile is refused as soon as its program is over the limit.
#[test]
fn an_expectation_that_is_dear_to_compile_is_refused() {
    for dear in [format!("(?:{}){{0,1000}}", "a?".repeat(500)), format!("(?iu){}", r"\pL".repeat(300))] {
        assert!(expectation(&dear).is_err(), "{dear}");
    }
}

#[test]
fn other_prefix_is_read_and_shown() {
    let found = Labels::from([
        ("tieline.link".to_owned(), "app1:80".to_owned()),
        ("acme.link".to_owned(), "app2:db".to_owned()),
    ]);
    let declared = read("acme.", &found);
    assert_eq!(declared.links, []);
    assert!(declared.errors[0].to_string().contains("write acme.link.db: \"app2:5432\""));
}

fn hostile_value() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "app1",
        "shop",
        "/",
        ":",
        "80",
        "[",
        "]",
        "=",
        ",",
        " ",
        "*",
        "none",
        "tcp://",
        "udp://",
        "unix://",
        "..",
        "\\x",
        "\\",
        "s",
        "ms",
        "1",
        "99999999999999999999",
        "\u{0}",
        "\u{202e}",
        "ä",
        "🦀",
        "(",
        "true",
        "-",
        "+",
    ]);
    prop_oneof![
        any::<String>(),
        prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat()),
        (any::<char>(), 0..70_000usize).prop_map(|(c, length)| String::from(c).repeat(length)),
    ]
}

fn hostile_key() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "link",
        "link.a",
        "link.a.send",
        "link.a.expect",
        "link.a.interval",
        "link.app1-80.timeout",
        "link..",
        "accept",
        "topology",
        "ignore",
    ]);
    prop_oneof![
        4 => known.prop_map(|key| format!("{DEFAULT_PREFIX}{key}")),
        1 => any::<String>().prop_map(|key| format!("{DEFAULT_PREFIX}{key}")),
        1 => any::<String>().prop_map(|key| format!("{DEFAULT_PREFIX}link.{key}")),
        1 => any::<String>(),
    ]
}

fn is_safe(text: &str) -> bool {
    text.chars().all(text::is_plain)
}

proptest! {
    #![proptest_config(super::super::lab::property(256, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/labels/seeds")))]

    #[test]
    fn any_labels_are_read_within_bounds(
        found in prop::collection::btree_map(hostile_key(), hostile_value(), 0..12),
        replicas in 1..40usize,
    ) {
        let declared = read(DEFAULT_PREFIX, &found);
        prop_assert!(declared.links.len() <= MAX_LINKS);
        prop_assert!(declared.errors.len() <= MAX_ERRORS);
        let names: BTreeSet<&str> = declared.links.iter().map(|link| link.name.as_str()).collect();
        prop_assert_eq!(names.len(), declared.links.len());
        prop_assert!(names.iter().all(|name| !name.is_empty() && is_safe(name)));
        for error in &declared.errors {
            let words = error.to_string();
            prop_assert!(words.len() <= MAX_ERROR_BYTES && is_safe(&words), "{}", words);
            prop_assert!(words.starts_with(&format!("{}: ", shown(&error.label))), "which label: {}", words);
            prop_assert!(!error.fix.is_empty() && words.ends_with(&error.fix), "what would be right: {}", words);
            let read = words.contains(&format!("\"{}\" {}", shown(&error.value), error.problem));
            prop_assert!(read || words.contains(&format!(": {}", error.problem)), "what was read: {}", words);
            let mistake = Mistake {
                link: LinkKey { consumer: Workload::Container("app".to_owned()), name: error.link.clone() },
                containers: vec!["app-1".to_owned(); replicas],
                error: error.clone(),
            };
            let message = assess_mistake(&mistake).message;
            prop_assert!(message.starts_with("app-1") && message.contains(&shown(&error.label)), "{}", message);
            prop_assert!(message.chars().count() <= MAX_MESSAGE_CHARS + 3 && is_safe(&message), "{}", message);
            prop_assert!(!error.link.is_empty() && is_safe(&error.link) && error.link.is_ascii());
            prop_assert!(error.label.len() <= MAX_LABEL_BYTES && error.value.len() <= MAX_LABEL_BYTES);
        }
    }

    #[test]
    fn hostile_targets_are_read_as_they_are_printed(text in hostile_value()) {
        if let Ok(target) = parse_target(DEFAULT_PREFIX, &text) {
            prop_assert_eq!(parse_target(DEFAULT_PREFIX, &target.to_string()), Ok(target));
        }
    }

    #[test]
    fn targets_are_read_as_they_are_printed(
        // A blank and a second '=' in one label are taken for a forgotten comma, so they stay apart here.
        text in concat!(
            r"(tcp://|udp://)?",
            r"([a-z0-9][a-z0-9_.-]{0,9}(/[a-z0-9]{1,9})?|\[ ?[a-z./]{1,9} ?=([a-z :/]{0,9}|[a-z:/=]{0,9})\])",
            r":[1-9][0-9]{0,3}",
        ),
    ) {
        let read = parse_target(DEFAULT_PREFIX, &text);
        prop_assert!(read.is_ok(), "{}: {:?}", text, read);
        prop_assert_eq!(parse_target(DEFAULT_PREFIX, &read.clone().unwrap().to_string()), read);
    }

    #[test]
    fn sockets_are_read_as_they_are_printed(
        text in r"unix://([a-z0-9]{1,9}|\[[a-z]{1,9}=[a-z/]{0,9}\])(/[a-zä]{1,9}){1,5}",
    ) {
        let read = parse_target(DEFAULT_PREFIX, &text).unwrap();
        prop_assert_eq!(read.to_string(), text);
    }
}
