//! The reply of the provider's own program, and whether it is what the link expects.
//!
//! Anybody may write a pattern that takes long to match. So patterns are matched on a thread for such work,
//! one at a time, and only where the result is likely to be another one than before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use regex::bytes::Regex;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Trouble;
use super::running::Running;
use crate::model::handshake::InconclusiveReason;
use crate::model::handshake::transcript::Transcript;
use crate::model::labels::expectation;

/// How many bytes of a reply are matched. The largest pattern needs tens of milliseconds for so many.
const MAX_REPLY_BYTES: usize = 4 * 1024;
/// Patterns that are matched at once, of all handshakes: more than one core they never cost.
const AT_ONCE: usize = 1;
/// How long nothing has to come before the reply so far is matched.
const QUIET: Duration = Duration::from_millis(20);
/// How many times as long as a match took the next one of the same reply is put off, unless the reply has
/// doubled: pieces with pauses between them cost a tenth of a core at most.
const RESTS: u32 = 10;

static MATCHES: Semaphore = Semaphore::const_new(AT_ONCE);

/// The reply that a handshake waits for.
pub(super) struct Answer {
    expected: Option<Arc<Regex>>,
    /// How many bytes of the reply were matched, in vain so far.
    matched: usize,
    /// Delay of the next match after a pause.
    rest: Duration,
    has_come: bool,
}

impl Answer {
    /// A reply that has to match `pattern`; without one, the connection alone is waited for.
    pub async fn expected(pattern: Option<&str>) -> Result<Self, Trouble> {
        let expected = match pattern.map(str::to_owned) {
            // It was checked when the label was read.
            Some(pattern) => match at_leisure(move || expectation(&pattern)).await {
                Some(Ok(regex)) => Some(Arc::new(regex)),
                Some(Err(fault)) => return Err(unusable(&fault.fix)),
                None => return Err(unusable("it could not be compiled")),
            },
            None => None,
        };
        Ok(Self { expected, matched: 0, rest: QUIET, has_come: false })
    }

    /// Takes output until the reply is as expected, or until nothing can come any more that makes it so.
    /// Nothing is lost when the returned future is dropped.
    pub async fn hear(&mut self, client: &mut Running<'_>) -> Result<(), Trouble> {
        if self.expected.is_none() {
            return client.hear_until(|heard| heard.connected() || heard.end().is_some()).await;
        }
        loop {
            let length = matchable(client.heard()).len();
            let is_whole = client.ended() || length == MAX_REPLY_BYTES;
            if is_whole || length >= 2 * self.matched {
                self.look(client.heard()).await;
            }
            if self.has_come || is_whole {
                return Ok(());
            }
            if length == self.matched {
                client.hear().await?;
                continue;
            }
            match timeout(self.rest, client.hear()).await {
                Ok(heard) => drop(heard?),
                Err(_) => self.look(client.heard()).await,
            }
        }
    }

    /// Whether the reply is as expected, all of it that was heard.
    pub async fn has_come(&mut self, heard: &Transcript) -> bool {
        self.look(heard).await;
        self.has_come
    }

    /// Whether more of the reply was heard than is matched.
    pub fn is_cut(&self, heard: &Transcript) -> bool {
        self.expected.is_some() && heard.stdout().len() >= MAX_REPLY_BYTES
    }

    /// Matches the reply so far, unless it was matched already.
    async fn look(&mut self, heard: &Transcript) {
        let reply = matchable(heard);
        let Some(expected) = self.expected.clone().filter(|_| !self.has_come && reply.len() > self.matched)
        else {
            return;
        };
        let (length, reply) = (reply.len(), reply.to_vec());
        let matching = move || {
            let start = Instant::now();
            (expected.is_match(&reply), start.elapsed())
        };
        if let Some((has_come, took)) = at_leisure(matching).await {
            self.has_come = has_come;
            self.rest = QUIET.max(took * RESTS);
        }
        self.matched = length;
    }
}

/// The part of a reply that is matched. Output from before the client is up is the engine's.
fn matchable(heard: &Transcript) -> &[u8] {
    let reply = if heard.up() { heard.stdout() } else { &[] };
    &reply[..reply.len().min(MAX_REPLY_BYTES)]
}

/// Runs `work`, which may take long, on a thread for blocking work, one piece at a time. `None` if it panicked.
async fn at_leisure<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    // It goes with the work, which goes on where nobody waits for it any more.
    let permit = MATCHES.acquire().await.ok()?;
    let work = move || {
        let _permit = permit;
        work()
    };
    spawn_blocking(work).await.ok()
}

fn unusable(why: &str) -> Trouble {
    Trouble::new(InconclusiveReason::Unsupported, format!("expect: {why}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::StreamExt;
    use futures_util::stream::{self, Stream};
    use tokio::time::sleep;

    use super::super::super::Side;
    use super::*;
    use crate::docker::Error;
    use crate::docker::process::{Output, Process};
    use crate::model::container::ContainerId;

    /// Takes about a second to match, and is nearly as large as it may be.
    const DEAR: &str = "(?:[01]{1,130}[01]{1,130})*[^01]";

    fn side() -> Side {
        Side { id: ContainerId("1".into()), name: "db".into(), address: None }
    }

    fn up() -> Output {
        Output::Stderr(b"\ntieline: up\n".to_vec())
    }

    fn client(side: &Side, output: impl Stream<Item = Output> + Send + 'static) -> Running<'_> {
        let output = stream::iter([up()]).chain(output).map(Ok::<_, Error>);
        let exit = Box::pin(async { Ok(None) });
        Running::ours(side, Process::new(Box::pin(tokio::io::sink()), Box::pin(output), exit))
    }

    /// Pieces of a reply, after which the provider stays.
    fn pieces(pieces: Vec<Vec<u8>>) -> impl Stream<Item = Output> {
        stream::iter(pieces.into_iter().map(Output::Stdout)).chain(stream::pending())
    }

    #[tokio::test]
    async fn an_answer_is_found_in_pieces_and_whether_or_not_the_provider_hangs_up() {
        let side = side();
        for (pattern, whole) in [(r"^\+PONG\r\n", "+PONG\r\n"), ("^bye$", "bye"), ("b.*e", "b and e")] {
            for size in 1..=whole.len() {
                let cut: Vec<Vec<u8>> = whole.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
                let mut answer = Answer::expected(Some(pattern)).await.unwrap();
                let mut stays = client(&side, pieces(cut.clone()));
                answer.hear(&mut stays).await.unwrap();
                assert!(answer.has_come(stays.heard()).await, "{pattern} by {size}");
                let mut answer = Answer::expected(Some(pattern)).await.unwrap();
                let mut goes = client(&side, stream::iter(cut.into_iter().map(Output::Stdout)));
                answer.hear(&mut goes).await.unwrap();
                assert!(answer.has_come(goes.heard()).await, "{pattern} by {size}");
            }
        }
    }

    #[tokio::test]
    async fn another_answer_is_listened_to_until_it_ends_or_is_too_long() {
        let side = side();
        let mut answer = Answer::expected(Some("yes|.*")).await.unwrap();
        let mut silent = client(&side, stream::empty());
        answer.hear(&mut silent).await.unwrap();
        assert!(!answer.has_come(silent.heard()).await, "nothing came");

        let mut answer = Answer::expected(Some("yes")).await.unwrap();
        let mut other = client(&side, pieces(vec![b"no".to_vec()]));
        assert!(timeout(Duration::from_millis(200), answer.hear(&mut other)).await.is_err());
        assert!(!answer.has_come(other.heard()).await && !answer.is_cut(other.heard()));

        let mut answer = Answer::expected(Some("yes")).await.unwrap();
        let mut long = client(&side, stream::repeat(Output::Stdout(b"no, ".to_vec())));
        answer.hear(&mut long).await.unwrap();
        assert!(!answer.has_come(long.heard()).await && answer.is_cut(long.heard()));
    }

    #[tokio::test]
    async fn what_is_dear_to_match_keeps_nobody_waiting() {
        let ticks = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ticks);
        let ticking = tokio::spawn(async move {
            loop {
                sleep(Duration::from_millis(1)).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let side = side();
        let start = Instant::now();
        let mut answer = Answer::expected(Some(DEAR)).await.unwrap();
        let mut client = client(&side, pieces(vec![vec![b'0'; 64]; 512]));
        answer.hear(&mut client).await.unwrap();
        assert!(!answer.has_come(client.heard()).await);
        // This task and the ticks share one thread.
        let ticks = ticks.load(Ordering::Relaxed);
        assert!(ticks > 10, "{ticks} ticks in {:?}", start.elapsed());
        ticking.abort();
    }

    #[tokio::test]
    async fn output_without_end_does_not_outlast_the_time() {
        let side = side();
        let mut client = client(&side, stream::repeat(Output::Stderr(vec![b'x'; 64])));
        let heard = client.hear_until(|heard| heard.end().is_some());
        assert!(timeout(Duration::from_millis(100), heard).await.is_err());
    }
}
