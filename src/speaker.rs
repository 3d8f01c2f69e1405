//! Our own `nc`: plays a [`Role`] by itself, with sockets of the current thread's network namespace, and
//! tells of it by the same lines as the scripts that play one by somebody else's.
//!
//! It is for containers that have no `nc`, and knows what happened to its connection where those only hint.

pub mod argv;
mod client;
mod connection;
mod diag;
mod dns;
mod input;
mod listener;
pub mod names;
pub mod root;
mod table;
mod told;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use crate::model::handshake::role::Role;
use input::Input;
use names::Names;
use root::Root;
use told::Told;

/// The three standard streams of a side.
pub struct Streams<I, O, E> {
    /// What it is told.
    pub stdin: I,
    /// What it receives.
    pub stdout: O,
    /// How it fares.
    pub stderr: E,
}

/// Plays `role` for at most `bound`. Names are looked up in `names`, by way of this thread's network.
pub async fn play<I, O, E>(role: &Role, bound: Duration, streams: Streams<I, O, E>, names: &Names)
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    play_in(role, bound, streams, &Surroundings { names: names.clone(), root: None }).await;
}

/// What a side finds around it, where that is not what is around its thread.
#[derive(Debug)]
pub struct Surroundings {
    /// Where names are looked up.
    pub names: Names,
    /// Where paths begin.
    pub root: Option<Root>,
}

/// Plays `role` in other surroundings.
pub async fn play_in<I, O, E>(
    role: &Role,
    bound: Duration,
    streams: Streams<I, O, E>,
    surroundings: &Surroundings,
) where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    let Surroundings { names, root } = surroundings;
    let start = Instant::now();
    let mut told = Told::new(streams.stderr);
    let mut ends = Ends { stdin: Input::new(streams.stdin), stdout: streams.stdout };
    let played = async {
        match role {
            Role::Listener { transport, ports, asked, ipv6: _ } => {
                listener::play(*transport, ports, *asked, &mut ends, &mut told).await
            }
            Role::Client { transport, host, ports: _, manner } => {
                // A name that is not found may take ten seconds: by then nobody would be left to try the
                // address.
                let lookup = client::Lookup { host, names, patience: bound / 2 };
                client::play(*transport, &lookup, start + bound, *manner, &mut ends, &mut told).await
            }
            Role::SocketClient { path, manner } => {
                client::play_socket(path, root.as_ref(), *manner, &mut ends, &mut told).await
            }
        }
    };
    let end = timeout_at(start + bound, played).await.ok();
    told.end(end).await;
}

/// What a side hears and where it puts what it receives.
struct Ends<I, O> {
    stdin: Input<I>,
    stdout: O,
}
