//! What one script wrote, read as it comes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{FailReason, InconclusiveReason};
use crate::model::labels::is_plain;

/// How a script says that it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The client is connected; `nc` was ended.
    Open,
    /// `nc` ended by itself with this exit code.
    Exit(u8),
    /// No port was free.
    Busy,
    /// Time was up; the state of the client's socket.
    Bound(Socket),
    /// The container lacks this.
    Lacks(String),
    /// The path does not work, and why.
    Failed(FailReason),
    /// Nothing was learned of the path, and why.
    Untold(InconclusiveReason),
}

/// The state of the client's socket when time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// There is none: the name was still being looked up.
    Missing,
    /// Nobody answered so far.
    Connecting,
    /// Connected.
    Connected,
}

/// The output of one script. `nc` writes to the same stderr; the script's own lines have a mark.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The script's own lines so far, without the mark. A line counts once it is whole.
    marks: Vec<String>,
    /// How much of stderr was searched for them: a flood must not be read again with each piece.
    searched: usize,
}

const MARK: &str = "tieline: ";

/// Lines of a script's own that are kept: each question goes through all of them. A script says fewer than ten.
const MAX_MARKS: usize = 64;

impl Transcript {
    /// More of stdout.
    pub fn hear_stdout(&mut self, bytes: &[u8]) {
        self.stdout.extend_from_slice(bytes);
    }

    /// More of stderr.
    pub fn hear_stderr(&mut self, bytes: &[u8]) {
        self.stderr.extend_from_slice(bytes);
        if !bytes.contains(&b'\n') {
            return;
        }
        while let Some(length) = self.stderr[self.searched..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.stderr[self.searched..self.searched + length]);
            let mark = line.strip_prefix(MARK).filter(|_| self.marks.len() < MAX_MARKS);
            self.marks.extend(mark.map(|mark| mark.trim().to_owned()));
            self.searched += length + 1;
        }
    }

    /// All of stdout so far.
    pub fn stdout(&self) -> &[u8] {
        &self.stdout
    }

    /// All of stderr so far.
    pub fn stderr(&self) -> &[u8] {
        &self.stderr
    }

    /// The port that the listener has.
    pub fn ready(&self) -> Option<u16> {
        self.marks.iter().find_map(|mark| mark.strip_prefix("ready ")?.parse().ok())
    }

    /// The script's process in its container.
    pub fn pid(&self) -> Option<u32> {
        self.marks.iter().find_map(|mark| mark.strip_prefix("pid ")?.parse().ok())
    }

    /// Whether the client waits to be told its port.
    pub fn up(&self) -> bool {
        self.marks.iter().any(|mark| mark == "up")
    }

    /// Whether somebody has the port that was asked about.
    pub fn held(&self) -> bool {
        self.marks.iter().any(|mark| mark == "held")
    }

    /// The address that the client is, or was, connected to; where it is still connecting, the one that it
    /// tries.
    pub fn peer(&self) -> Option<IpAddr> {
        let addresses = self.marks.iter().filter_map(|mark| match mark.split_once(' ')? {
            ("peer", address) => Some(address),
            ("bound", socket) => Some(socket.split_once(' ')?.1),
            _ => None,
        });
        addresses.filter_map(read_address).next_back()
    }

    /// Whether the client may have been connected: one whose name was not found, for instance, never was.
    pub fn was_connected(&self) -> bool {
        let never = [End::Bound(Socket::Missing), End::Bound(Socket::Connecting)];
        self.connected() || self.end().is_none_or(|end| !never.contains(&end))
    }

    /// Whether the client told that it is connected.
    pub fn connected(&self) -> bool {
        self.marks.iter().any(|mark| mark.starts_with("peer "))
    }

    /// How the script ended; `None` while it runs, or where it was cut off.
    pub fn end(&self) -> Option<End> {
        self.marks.iter().find_map(|mark| read_end(mark))
    }

    /// The words of `nc` itself, cut and escaped for a message.
    pub fn complaint(&self) -> String {
        excerpt(self.words().as_bytes())
    }

    /// The words of `nc` itself, uncut, on one line.
    pub fn words(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let own = |line: &&str| !line.is_empty() && !line.starts_with(MARK);
        let mut lines: Vec<_> = text.lines().map(str::trim).filter(own).collect();
        // A listener says the same of each port.
        lines.dedup();
        lines.join("; ")
    }
}

/// An address as people write it, or as the kernel's tables do: the bytes of each word the wrong way round.
fn read_address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let word = |hex: &str| u32::from_str_radix(hex, 16).ok().map(u32::swap_bytes);
    if text.len() == 8 {
        return Some(Ipv4Addr::from(word(text)?).into());
    }
    let words = [text.get(..8)?, text.get(8..16)?, text.get(16..24)?, text.get(24..32)?];
    let address =
        words.into_iter().try_fold(0, |address: u128, hex| Some(address << 32 | u128::from(word(hex)?)))?;
    Some(Ipv6Addr::from_bits(address).to_canonical())
}

fn read_end(mark: &str) -> Option<End> {
    let (word, rest) = mark.split_once(' ').unwrap_or((mark, ""));
    match (word, rest) {
        ("open", _) => Some(End::Open),
        ("exit", "busy") => Some(End::Busy),
        ("exit", code) => code.parse().ok().map(End::Exit),
        ("bound", "") => Some(End::Bound(Socket::Missing)),
        ("bound", socket) if socket.starts_with("02") => Some(End::Bound(Socket::Connecting)),
        ("bound", _) => Some(End::Bound(Socket::Connected)),
        ("lacks", what) => Some(End::Lacks(what.to_owned())),
        ("failed", reason) => FailReason::named(reason).map(End::Failed),
        ("untold", reason) => InconclusiveReason::named(reason).map(End::Untold),
        _ => None,
    }
}

/// How many characters of what was read a message shows.
const MAX_EXCERPT_CHARS: usize = 160;
/// How many of these are the last ones of the text: the innermost reason of an error is at its end.
const EXCERPT_END: usize = 100;

/// Text for one line of a log: cut in the middle, and without characters that a terminal obeys.
pub fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let (text, count) = (text.trim(), text.trim().chars().count());
    if count <= MAX_EXCERPT_CHARS {
        return text.chars().flat_map(escape).collect();
    }
    let first = text.chars().take(MAX_EXCERPT_CHARS - EXCERPT_END);
    let last = text.chars().skip(count - EXCERPT_END);
    first.flat_map(escape).chain(['…']).chain(last.flat_map(escape)).collect()
}

fn escape(character: char) -> Vec<char> {
    if is_plain(character) { vec![character] } else { character.escape_debug().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(stderr: &str) -> Transcript {
        let mut transcript = Transcript::default();
        transcript.hear_stderr(stderr.as_bytes());
        transcript
    }

    #[test]
    fn marks_are_told_from_what_nc_says() {
        let transcript = heard("nc: bad address 'db'\n\ntieline: exit 1\n");
        assert_eq!(transcript.end(), Some(End::Exit(1)));
        assert_eq!(transcript.complaint(), "nc: bad address 'db'");
    }

    #[test]
    fn a_mark_counts_once_its_line_is_whole() {
        let mut transcript = heard("\ntieline: ready 61");
        assert_eq!(transcript.ready(), None);
        transcript.hear_stderr(b"234\ntieline: pid 7\n");
        assert_eq!(transcript.ready(), Some(61234));
        assert_eq!(transcript.pid(), Some(7));
        assert_eq!(transcript.end(), None);
        assert!(!transcript.up());
        assert!(heard("\ntieline: up\n").up());
    }

    #[test]
    fn marks_without_end_are_not_kept() {
        let transcript = heard(&"tieline: peer 1\n".repeat(10 * MAX_MARKS));
        assert_eq!(transcript.marks.len(), MAX_MARKS);
    }

    #[test]
    fn every_end_is_read() {
        let ends = [
            ("open", End::Open),
            ("exit 143", End::Exit(143)),
            ("exit busy", End::Busy),
            ("bound", End::Bound(Socket::Missing)),
            ("bound ", End::Bound(Socket::Missing)),
            ("bound 02", End::Bound(Socket::Connecting)),
            ("bound 01", End::Bound(Socket::Connected)),
            ("bound 02 0200D50A", End::Bound(Socket::Connecting)),
            ("lacks /proc", End::Lacks("/proc".into())),
            ("failed Refused", End::Failed(FailReason::Refused)),
            ("untold PortBusy", End::Untold(InconclusiveReason::PortBusy)),
        ];
        for (mark, end) in ends {
            assert_eq!(heard(&format!("\ntieline: {mark}\n")).end(), Some(end), "{mark}");
        }
    }

    #[test]
    fn where_a_connection_led_is_read() {
        for (mark, address) in [
            ("peer 0200D50A", "10.213.0.2"),
            ("peer 0000000000000000FFFF00000200D50A", "10.213.0.2"),
            ("peer 10.213.0.2", "10.213.0.2"),
            ("bound 02 0100007F", "127.0.0.1"),
            ("peer 00000000000000000000000001000000", "::1"),
        ] {
            assert_eq!(
                heard(&format!("\ntieline: {mark}\n")).peer(),
                Some(address.parse().unwrap()),
                "{mark}"
            );
        }
        assert!(heard("\ntieline: peer socket\n").connected(), "a socket has no address");
        assert!(!heard("\ntieline: bound 02 0100007F\n").connected());
        for mark in ["peer", "peer x", "peer socket", "peer unknown", "bound 02", "bound"] {
            assert_eq!(heard(&format!("\ntieline: {mark}\n")).peer(), None, "{mark}");
        }
    }

    #[test]
    fn an_excerpt_is_one_short_line_that_no_terminal_obeys() {
        assert_eq!(excerpt(b" a\x1b[31m\nb\xff "), "a\\u{1b}[31m\\nb\u{fffd}");
        assert_eq!(excerpt("\u{202e}evil\u{200b} 'q'".as_bytes()), "\\u{202e}evil\\u{200b} 'q'");
        assert_eq!(excerpt(&[b'x'; 500]).chars().count(), MAX_EXCERPT_CHARS + 1);
    }

    #[test]
    fn an_excerpt_keeps_the_innermost_reason_of_an_engine_s_error() {
        let error = "failed to create task for container: failed to create shim task: OCI runtime create failed: \
            runc create failed: unable to start container process: exec: \"/usr/local/bin/tieline\": stat \
            /usr/local/bin/tieline: no such file or directory: unknown";
        let shown = excerpt(error.as_bytes());
        assert!(shown.starts_with("failed to create task for container: "), "{shown}");
        assert!(shown.contains('…') && shown.ends_with(": no such file or directory: unknown"), "{shown}");
        let whole = "é".repeat(MAX_EXCERPT_CHARS);
        assert_eq!(excerpt(whole.as_bytes()), whole);
        let longer = format!("{}ü", "é".repeat(MAX_EXCERPT_CHARS));
        assert!(excerpt(longer.as_bytes()).ends_with("éü"));
    }
}
