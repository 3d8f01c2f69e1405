//! Clients: told by their first line to begin, they connect and then do as their manner is.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket, UnixStream};
use tokio::time::{Instant, sleep, timeout_at};

use super::Ends;
use super::connection::{Connection, Until, failed};
use super::names::{Names, any};
use super::root::{self, Root};
use super::told::Told;
use crate::model::handshake::role::{Manner, Transport};
use crate::model::handshake::transcript::{End, Socket};
use crate::model::handshake::{FailReason, InconclusiveReason};

/// How often a unix socket is tried that takes no more connections just now.
const CROWDED: Duration = Duration::from_millis(10);

/// How a host becomes addresses.
pub struct Lookup<'a> {
    pub host: &'a str,
    pub names: &'a Names,
    /// For how long.
    pub patience: Duration,
}

/// Plays the client of a port.
pub async fn play<I, O, E>(
    transport: Transport,
    lookup: &Lookup<'_>,
    deadline: Instant,
    manner: Manner,
    ends: &mut Ends<I, O>,
    told: &mut Told<E>,
) -> End
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    told.say("up").await;
    let Some(line) = ends.stdin.line().await else { return End::Exit(1) };
    let Ok(port) = line.trim().parse() else {
        told.complain(&format!("{line:?} is no port")).await;
        return End::Untold(InconclusiveReason::Unexplained);
    };
    once(reach(transport, lookup, port, deadline, told), manner, ends).await
}

/// Plays the client of a unix socket.
pub async fn play_socket<I, O, E>(
    path: &str,
    root: Option<&Root>,
    manner: Manner,
    ends: &mut Ends<I, O>,
    told: &mut Told<E>,
) -> End
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    told.say("up").await;
    if ends.stdin.line().await.is_none() {
        return End::Exit(1);
    }
    once(reach_socket(path, root, told), manner, ends).await
}

/// Nobody waits any more for a connection to be made. Who asks stays for the answer.
async fn given_up<I: AsyncRead + Unpin, O>(manner: Manner, ends: &mut Ends<I, O>) -> End {
    match manner {
        Manner::Ask => std::future::pending().await,
        Manner::Knock | Manner::Talk => ends.stdin.end().await,
    }
    End::Bound(Socket::Connecting)
}

/// Once the peer is reached, does as the manner is.
async fn once<I, O>(
    reached: impl Future<Output = Result<Connection, End>>,
    manner: Manner,
    ends: &mut Ends<I, O>,
) -> End
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
{
    let reached = tokio::select! {
        biased;
        reached = reached => reached,
        end = given_up(manner, ends) => return end,
    };
    match (reached, manner) {
        (Err(end), _) => end,
        (Ok(_), Manner::Knock) => End::Open,
        (Ok(connection), Manner::Talk) => connection.talk(Until::Said, ends).await,
        (Ok(connection), Manner::Ask) => connection.talk(Until::Answered, ends).await,
    }
}

/// Connects to the first address of the host that lets it.
async fn reach<E: AsyncWrite + Unpin>(
    transport: Transport,
    lookup: &Lookup<'_>,
    port: u16,
    deadline: Instant,
    told: &mut Told<E>,
) -> Result<Connection, End> {
    let until = Instant::now() + lookup.patience;
    let addresses = match timeout_at(until, lookup.names.resolve(lookup.host, until)).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(why)) => {
            told.complain(&why).await;
            return Err(End::Failed(FailReason::NameNotResolved));
        }
        Err(_) => return Err(End::Failed(FailReason::NameNotResolved)),
    };
    let mut end = End::Failed(FailReason::NameNotResolved);
    for (index, address) in addresses.iter().enumerate() {
        told.connects(Some(*address));
        // The last one may take all that is left.
        let others = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let until = Instant::now() + deadline.saturating_duration_since(Instant::now()) / others;
        match timeout_at(until, connect(transport, *address, port)).await {
            Ok(Ok(connection)) => {
                told.connected(Some(*address)).await;
                return Ok(connection);
            }
            Ok(Err(error)) => {
                told.complain(&format!("{}: {error}", SocketAddr::new(*address, port))).await;
                end = failed(&error);
            }
            Err(_) => end = End::Bound(Socket::Connecting),
        }
    }
    told.say_peer().await;
    Err(end)
}

async fn connect(transport: Transport, address: IpAddr, port: u16) -> io::Result<Connection> {
    match transport {
        Transport::Tcp => TcpStream::connect((address, port)).await.map(Connection::Tcp),
        Transport::Udp => {
            let socket = UdpSocket::bind((any(address), 0)).await?;
            socket.connect((address, port)).await?;
            Ok(Connection::Udp(socket))
        }
    }
}

async fn reach_socket<E: AsyncWrite + Unpin>(
    path: &str,
    root: Option<&Root>,
    told: &mut Told<E>,
) -> Result<Connection, End> {
    told.connects(None);
    loop {
        let error = match connect_socket(path, root).await {
            Ok(stream) => {
                told.connected(None).await;
                return Ok(Connection::Unix(stream));
            }
            // Its queue is full, which an address would not tell at once.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                sleep(CROWDED).await;
                continue;
            }
            Err(error) => error,
        };
        if error.raw_os_error() == Some(root::LEADS_OUT.raw_os_error()) {
            told.complain("a symbolic link leads to what a helper has not mounted").await;
            return Err(End::Untold(InconclusiveReason::Unsupported));
        }
        told.complain(&error.to_string()).await;
        if error.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error()) {
            return Err(End::Untold(InconclusiveReason::SocketNoStream));
        }
        return Err(match error.kind() {
            // An old kernel cannot keep links below another root.
            ErrorKind::Unsupported => End::Untold(InconclusiveReason::Unsupported),
            ErrorKind::NotFound | ErrorKind::NotADirectory => End::Failed(FailReason::SocketMissing),
            ErrorKind::PermissionDenied => End::Failed(FailReason::SocketDenied),
            _ => failed(&error),
        });
    }
}

/// Below another root, links lead where they lead there; the socket that they lead to is then taken by the hold
/// on it, so that it can be no other.
async fn connect_socket(path: &str, root: Option<&Root>) -> io::Result<UnixStream> {
    let Some(root) = root else { return UnixStream::connect(path).await };
    let socket = root.hold(path)?;
    UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await
}
