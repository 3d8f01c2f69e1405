//! The listener: has a port that nobody else has, and serves one peer.

use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::Ends;
use super::connection::{Connection, Until, failed};
use super::table;
use super::told::Told;
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
    if asked.is_some_and(|port| table::is_held(transport, port)) {
        told.say("held").await;
    }
    let mut end = End::Busy;
    for port in ports {
        match bind(transport, *port).await {
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

/// Takes a port that nobody has: on Linux what is bound here can be shared only with those who listen on
/// nothing.
async fn bind(transport: Transport, port: u16) -> io::Result<Bound> {
    let any = (Ipv4Addr::UNSPECIFIED, port);
    match transport {
        Transport::Tcp => TcpListener::bind(any).await.map(Bound::Tcp),
        Transport::Udp => UdpSocket::bind(any).await.map(Bound::Udp),
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
