//! The listener: has a port that nobody else has, and serves one peer.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::net::sockopt::set_ipv6_v6only;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

use super::Ends;
use super::connection::{Connection, Until, failed};
use super::table;
use super::told::Told;
use crate::model::handshake::InconclusiveReason;
use crate::model::handshake::role::Transport;
use crate::model::handshake::transcript::{End, Socket};

/// Plays the listener.
pub async fn play<I, O, E>(
    transport: Transport,
    ports: &[u16],
    asked: Option<u16>,
    ends: &mut Ends<I, O>,
    told: &mut Told<E>,
) -> End
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    match asked.map(|port| table::is_held(transport, port)) {
        Some(Ok(true)) => told.say("held").await,
        Some(Err(error)) => {
            told.complain(&error.to_string()).await;
            return End::Untold(InconclusiveReason::Unsupported);
        }
        Some(Ok(false)) | None => {}
    }
    let mut end = End::Busy;
    for port in ports {
        match bind(transport, *port) {
            Ok(bound) => {
                told.say(&format!("ready {port}")).await;
                return serve(bound, ends).await;
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse => end = End::Busy,
            Err(error) => {
                told.complain(&format!("port {port}: {error}")).await;
                end = failed(&error);
            }
        }
    }
    end
}

enum Bound {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

/// How many connections wait to be let in. One is served.
const QUEUE: u32 = 16;

/// Takes a port that nobody has, at the addresses of both families: the provider's name may lead to either. On
/// Linux what is bound here can be shared only with those who listen on nothing.
fn bind(transport: Transport, port: u16) -> io::Result<Bound> {
    match bind_to((Ipv6Addr::UNSPECIFIED, port).into(), transport) {
        Err(error) if error.kind() != ErrorKind::AddrInUse => {
            // Without IPv6 in the kernel there is one family.
            bind_to((Ipv4Addr::UNSPECIFIED, port).into(), transport)
        }
        bound => bound,
    }
}

fn bind_to(address: SocketAddr, transport: Transport) -> io::Result<Bound> {
    let (family, kind) = match (address, transport) {
        (SocketAddr::V4(_), Transport::Tcp) => (AddressFamily::INET, SocketType::STREAM),
        (SocketAddr::V4(_), Transport::Udp) => (AddressFamily::INET, SocketType::DGRAM),
        (SocketAddr::V6(_), Transport::Tcp) => (AddressFamily::INET6, SocketType::STREAM),
        (SocketAddr::V6(_), Transport::Udp) => (AddressFamily::INET6, SocketType::DGRAM),
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if address.is_ipv6() {
        set_ipv6_v6only(&socket, false)?;
    }
    match transport {
        Transport::Tcp => {
            let socket = TcpSocket::from_std_stream(socket.into());
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(QUEUE).map(Bound::Tcp)
        }
        Transport::Udp => {
            rustix::net::bind(&socket, &address)?;
            UdpSocket::from_std(socket.into()).map(Bound::Udp)
        }
    }
}

async fn serve<I, O>(bound: Bound, ends: &mut Ends<I, O>) -> End
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
{
    let Ends { stdin, stdout } = &mut *ends;
    let met = tokio::select! {
        biased;
        met = meet(bound, stdout) => met,
        () = stdin.end() => return End::Bound(Socket::Missing),
    };
    match met {
        Ok(connection) => match connection.talk(Until::Said, ends).await {
            End::Exit(code) => End::Exit(code),
            // However the peer went, it was served.
            _ => End::Exit(1),
        },
        Err(error) => failed(&error),
    }
}

/// Waits for the peer. From then on nobody else is let in.
async fn meet<O: AsyncWrite + Unpin>(bound: Bound, stdout: &mut O) -> io::Result<Connection> {
    match bound {
        Bound::Tcp(listener) => loop {
            match listener.accept().await {
                Ok((stream, _)) => return Ok(Connection::Tcp(stream)),
                // Somebody who was gone before he was let in.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        },
        Bound::Udp(socket) => {
            let mut bytes = vec![0; 64 * 1024];
            let (length, peer) = socket.recv_from(&mut bytes).await?;
            socket.connect(peer).await?;
            stdout.write_all(&bytes[..length]).await?;
            stdout.flush().await?;
            Ok(Connection::Udp(socket))
        }
    }
}
