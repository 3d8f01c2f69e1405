//! What holds for any text in a label and any bytes from a container.

use std::time::Duration;

use proptest::prelude::*;

use super::reading::{self, Arrived};
use super::role::{Manner, Medium, Role, Transport};
use super::script::{self, Command};
use super::token::Token;
use super::tool::{Flavour, PROGRAMS, Tool};
use super::transcript::{Transcript, excerpt};
use super::{FailReason, InconclusiveReason, Verdict};
use crate::model::labels::is_plain;

/// Longest excerpt of anything, in characters: each may be an escape.
const MAX_EXCERPT_CHARS: usize = 161 * 10;

fn flavour() -> impl Strategy<Value = Flavour> {
    prop::sample::select(Flavour::ALL.to_vec())
}

/// What anybody might put where a name belongs.
fn hostile_word() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "$(", ")", "`", ";", "'", "\"", "\\", "\n", " ", "-e", "--", "%s", "${IFS}", "|", "&&", "..",
        "\u{1b}[", "db", "1",
    ]);
    prop_oneof![any::<String>(), prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())]
}

/// What `nc`, a peer or a container may print, with our own marks in it.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "tieline: ",
        "\ntieline: ",
        "ready ",
        "pid ",
        "up",
        "open",
        "exit ",
        "bound ",
        "lacks ",
        "peer ",
        "held",
        "failed ",
        "untold ",
        "Refused",
        "0200D50A",
        "busy",
        "0",
        "1",
        "127",
        "61001",
        "99999999999",
        "\n",
        "\r\n",
        " ",
        "Connection refused",
        "succeeded!",
        ") open",
        "timed out",
        "tieline-handshake-",
        "00000000000000000000000000000001",
        "\u{1b}[31m",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600),
        prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat().into_bytes()),
    ]
}

/// A transcript that heard these bytes in pieces of `size`.
fn heard(stdout: &[u8], stderr: &[u8], size: usize) -> Transcript {
    let mut transcript = Transcript::default();
    stdout.chunks(size).for_each(|piece| transcript.hear_stdout(piece));
    stderr.chunks(size).for_each(|piece| transcript.hear_stderr(piece));
    transcript
}

/// The arguments of a command without those that are `word`, and how many those are.
fn without(command: &Command, word: &str) -> (Vec<String>, usize) {
    let rest: Vec<String> = command.argv.iter().filter(|argument| *argument != word).cloned().collect();
    let count = command.argv.len() - rest.len();
    (rest, count)
}

proptest! {
    #![proptest_config(crate::model::lab::property(256, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/handshakes/seeds")))]

    #[test]
    fn what_a_script_is_given_is_one_argument_and_never_part_of_the_script(
        host in hostile_word(),
        flavour in flavour(),
        ports in prop::collection::vec(1..=u16::MAX, 1..5),
        manner in prop::sample::select(vec![Manner::Knock, Manner::Talk, Manner::Ask]),
    ) {
        let tool = Tool { program: vec!["nc".to_owned()], flavour };
        let render = |host: &str| {
            let (host, ports) = (host.to_owned(), ports.clone());
            let role = Role::Client { transport: Transport::Tcp, host, ports, manner };
            script::play(&tool, &role, Duration::from_secs(3)).unwrap()
        };
        let rendered = render(&host);
        // A word that cannot occur in a script by itself stands in for the host.
        let plain = render("HOST\u{0}");
        prop_assert_eq!(&rendered.env, &plain.env);
        prop_assert_eq!(&rendered.argv[..4], &plain.argv[..4]);
        prop_assert_eq!(&rendered.argv[2], "eval \"$TIELINE\"");
        let (expected, count) = without(&plain, "HOST\u{0}");
        prop_assert_eq!(count, 1);
        let replaced: Vec<String> =
            plain.argv.iter().map(|word| if word == "HOST\u{0}" { host.clone() } else { word.clone() }).collect();
        prop_assert_eq!(&rendered.argv, &replaced);
        prop_assert_eq!(expected.len() + 1, rendered.argv.len());
    }

    #[test]
    fn any_output_is_read_without_an_excess_and_noise_proves_nothing(
        (said, complained) in (noise(), noise()),
        (listened, grumbled) in (noise(), noise()),
        size in 1..64usize,
        flavour in flavour(),
        exit in prop::option::of(any::<i64>()),
        random in any::<(u128, u128)>(),
    ) {
        let client = heard(&said, &complained, size);
        let listener = heard(&listened, &grumbled, size);
        prop_assert_eq!(client.stdout(), &said[..]);
        for transcript in [&client, &listener] {
            let complaint = transcript.complaint();
            prop_assert!(complaint.chars().count() <= MAX_EXCERPT_CHARS && complaint.chars().all(is_plain));
            // Read whole or in pieces, it says the same.
            let _ = (transcript.ready(), transcript.pid(), transcript.up(), transcript.peer(), transcript.end());
        }
        let whole = heard(&said, &complained, usize::MAX);
        prop_assert_eq!(whole.end(), client.end());
        prop_assert_eq!(whole.ready(), client.ready());

        let (request, reply) = (Token::new(random.0), Token::new(random.1));
        let arrived =
            Arrived { request: request.search().found_in(listener.stdout()), reply: reply.search().found_in(client.stdout()) };
        prop_assert_eq!(arrived, Arrived::default(), "noise holds no token");
        let verdict = reading::exchange(arrived, Transport::Tcp, Some(flavour), &client, exit, &listener);
        prop_assert!(!matches!(verdict, Verdict::Pass { .. }), "{:?}", verdict);
        let own_mark = String::from_utf8_lossy(&complained).contains("tieline: ");
        let verdict = reading::knock(Medium::Network(Transport::Tcp), Some(flavour), &client, exit);
        prop_assert!(own_mark || matches!(verdict, Verdict::Inconclusive(_)), "{:?}", verdict);
        let _: [InconclusiveReason; 3] = [
            reading::no_listener(&listener, exit),
            reading::not_told(&client, exit),
            reading::cut_off(&client, exit),
        ];
    }

    #[test]
    fn half_an_exchange_is_a_failure_whatever_else_was_said(
        (said, complained) in (noise(), noise()),
        flavour in flavour(),
        random in any::<u128>(),
        at in any::<prop::sample::Index>(),
    ) {
        let token = Token::new(random);
        let mut bytes = said.clone();
        bytes.splice(at.index(said.len() + 1)..at.index(said.len() + 1), token.line().into_bytes());
        prop_assert!(token.search().found_in(&bytes));
        let client = heard(&bytes, &complained, 7);
        let arrived = Arrived { request: false, reply: token.search().found_in(client.stdout()) };
        let verdict = reading::exchange(arrived, Transport::Tcp, Some(flavour), &client, None, &Transcript::default());
        prop_assert_eq!(verdict, Verdict::Fail(FailReason::RequestLost));
    }

    #[test]
    fn an_excerpt_of_anything_is_short_and_plain(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        let shown = excerpt(&bytes);
        prop_assert!(shown.chars().count() <= MAX_EXCERPT_CHARS && shown.chars().all(is_plain), "{}", shown);
    }

    #[test]
    fn a_tool_is_one_of_the_known_whatever_the_container_says(said in noise(), name in hostile_word()) {
        let said = String::from_utf8_lossy(&said).into_owned();
        let detected = format!("{said}\ntieline: tool {name}\nBusyBox v1 [-iN] [-wN] {said}\ntieline: done\n");
        for tool in Tool::find(&detected) {
            prop_assert!(PROGRAMS.contains(&tool.program.join(" ").as_str()), "{:?}", tool);
        }
    }
}
