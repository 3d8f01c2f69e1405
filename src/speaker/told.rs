//! What a side tells of itself, in the lines that [`crate::model::handshake::transcript`] reads.

use std::net::IpAddr;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::model::handshake::transcript::{End, Socket};

/// The stream on which a side tells how it fares. Where nobody reads it any more, nobody needs to know.
pub struct Told<E> {
    stderr: E,
    /// Where the side's own connection leads, and how far it is.
    socket: Option<(Socket, Option<IpAddr>)>,
}

impl<E: AsyncWrite + Unpin> Told<E> {
    /// One that has told nothing yet.
    pub fn new(stderr: E) -> Self {
        Self { stderr, socket: None }
    }

    /// Says one of the lines that programs read.
    pub async fn say(&mut self, words: &str) {
        self.write(&format!("\ntieline: {words}\n")).await;
    }

    /// Says something for people.
    pub async fn complain(&mut self, words: &str) {
        self.write(&format!("{words}\n")).await;
    }

    /// Keeps in mind that a connection is being made.
    pub fn connects(&mut self, to: Option<IpAddr>) {
        self.socket = Some((Socket::Connecting, to));
    }

    /// Says that it is made.
    pub async fn connected(&mut self, to: Option<IpAddr>) {
        self.socket = Some((Socket::Connected, to));
        self.say_peer().await;
    }

    /// Says where the connection leads, if anywhere.
    pub async fn say_peer(&mut self) {
        match self.socket {
            Some((_, Some(address))) => self.say(&format!("peer {address}")).await,
            Some((Socket::Connected, None)) => self.say("peer socket").await,
            _ => {}
        }
    }

    /// Says how it ended; `None` is before it came to any end.
    pub async fn end(&mut self, end: Option<End>) {
        let words = match end {
            Some(End::Open) => "open".to_owned(),
            Some(End::Exit(code)) => format!("exit {code}"),
            Some(End::Busy) => "exit busy".to_owned(),
            Some(End::Lacks(what)) => format!("lacks {what}"),
            Some(End::Failed(reason)) => format!("failed {}", reason.as_str()),
            Some(End::Untold(reason)) => format!("untold {}", reason.as_str()),
            Some(End::Bound(_)) | None => self.bound(),
        };
        self.say(&words).await;
    }

    /// The states as the kernel's tables have them: 02 is connecting, 01 connected.
    fn bound(&self) -> String {
        let Some((socket, address)) = self.socket else { return "bound".to_owned() };
        let state = if socket == Socket::Connected { "01" } else { "02" };
        format!("bound {state} {}", address.map_or(String::new(), |address| address.to_string()))
    }

    async fn write(&mut self, text: &str) {
        let _ = self.stderr.write_all(text.as_bytes()).await;
        let _ = self.stderr.flush().await;
    }
}
