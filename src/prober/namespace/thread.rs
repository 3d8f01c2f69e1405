//! A thread for one side of one handshake. Who has entered a namespace stays there: it does nothing else, and
//! ends with its role.

use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::super::Side;
use super::super::handshake::Trouble;
use super::super::overdue::Overdue;
use super::{entry, files, user};
use crate::docker::Error;
use crate::docker::place::Place;
use crate::docker::process::{Output, Process};
use crate::model::handshake::InconclusiveReason;
use crate::model::handshake::role::Role;
use crate::speaker::names::Names;
use crate::speaker::root::Root;
use crate::speaker::{self, Streams, Surroundings};

/// How much of a stream may wait to be read.
const PIPE_BYTES: usize = 16 * 1024;

/// Has `role` played in the namespace of `side`. The thread ends with the role, or when the process is dropped.
///
/// # Errors
/// If the namespace cannot be entered, or an earlier thread for this container does not end.
pub async fn speak(
    threads: &Overdue,
    place: Place,
    side: &Side,
    role: Role,
    bound: Duration,
) -> Result<Process, Trouble> {
    let (speaking, interest) = threads.begin(side, bound)?;
    let (stdin, their_stdin) = duplex(PIPE_BYTES);
    let (stdout, their_stdout) = duplex(PIPE_BYTES);
    let (stderr, their_stderr) = duplex(PIPE_BYTES);
    let streams = Streams { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr };
    let dropped = CancellationToken::new();
    let (entered_tx, entered) = oneshot::channel();
    let speaker = Speaker { place, side: side.clone(), role, bound, dropped: dropped.clone() };
    let started = std::thread::Builder::new().name("tieline-side".to_owned()).spawn(move || {
        // It may wait for a file for ever, and then this is never dropped.
        let _speaking = speaking;
        speaker.run(streams, entered_tx);
    });
    // Nobody waits for its end: it comes by itself, and by then others may wait for what it has told.
    drop(started.map_err(|error| cannot(side, &error))?);
    match entered.await {
        Ok(entered) => entered?,
        Err(_) => return Err(cannot(side, &"it died")),
    }
    let guard = (dropped.drop_guard(), interest);
    let output = stream::select(pieces(stdout, Output::Stdout), pieces(stderr, Output::Stderr));
    let output = output.map(move |piece| {
        // Lives as long as the stream.
        let _ = &guard;
        Ok::<_, Error>(piece)
    });
    Ok(Process::new(Box::pin(stdin), Box::pin(output), Box::pin(async { Ok(None) })))
}

struct Speaker {
    place: Place,
    side: Side,
    role: Role,
    bound: Duration,
    dropped: CancellationToken,
}

impl Speaker {
    fn run(
        self,
        streams: Streams<DuplexStream, DuplexStream, DuplexStream>,
        entered: oneshot::Sender<Result<(), Trouble>>,
    ) {
        let surroundings = match self.move_over() {
            Ok(surroundings) => surroundings,
            Err(trouble) => return drop(entered.send(Err(trouble))),
        };
        // Made here, so that all of it is in the namespace.
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(entered.send(Err(cannot(&self.side, &error)))),
        };
        if entered.send(Ok(())).is_err() {
            return;
        }
        runtime.block_on(async {
            tokio::select! {
                () = speaker::play_in(&self.role, self.bound, streams, &surroundings) => {}
                () = self.dropped.cancelled() => {}
            }
        });
    }
}

impl Speaker {
    /// Puts this thread where the container's program would be that plays the role. A socket's file is in no
    /// network, and whose program it is counts for it alone.
    fn move_over(&self) -> Result<Surroundings, Trouble> {
        if let Role::SocketClient { .. } = self.role {
            let root = user::stand_in_for(&self.place, &self.side)?;
            return Ok(Surroundings { names: Names::new("", ""), root: Some(Root::whole(root)) });
        }
        let found = entry::enter(&self.place, &self.side)?;
        Ok(Surroundings { names: files::names(&self.place, found), root: None })
    }
}

fn cannot(side: &Side, error: &dyn std::fmt::Display) -> Trouble {
    let message = format!("{}: no thread can speak for it: {error}", side.name);
    Trouble::new(InconclusiveReason::Unexplained, message)
}

fn pieces(stream: DuplexStream, piece: fn(Vec<u8>) -> Output) -> impl Stream<Item = Output> + Send {
    Box::pin(stream::unfold(stream, move |mut stream| async move {
        let mut bytes = vec![0; PIPE_BYTES];
        let length = stream.read(&mut bytes).await.unwrap_or(0);
        bytes.truncate(length);
        (length > 0).then(|| (piece(bytes), stream))
    }))
}
