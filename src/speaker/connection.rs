//! A connection, and what is said over it.

use std::io::{self, ErrorKind};

use rustix::net::{Shutdown, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, UnixStream};

use super::Ends;
use crate::model::handshake::transcript::End;
use crate::model::handshake::{FailReason, InconclusiveReason};

/// What goes into one datagram.
const DATAGRAM: usize = 1400;

/// A connection to one peer.
pub enum Connection {
    Tcp(TcpStream),
    /// Datagrams to and from one peer.
    Udp(UdpSocket),
    Unix(UnixStream),
}

/// What ends the talk over a connection, besides the peer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// That there is no more to say.
    Said,
    /// Nothing: what the peer answers is waited for.
    Answered,
}

impl Connection {
    /// Says what comes on stdin and puts what is heard on stdout.
    pub async fn talk<I, O>(&self, until: Until, ends: &mut Ends<I, O>) -> End
    where
        I: AsyncRead + Unpin,
        O: AsyncWrite + Unpin,
    {
        let Ends { stdin, stdout } = ends;
        let saying = async {
            while let Some(piece) = stdin.piece().await {
                self.say(&piece).await?;
            }
            io::Result::Ok(())
        };
        let hearing = async {
            let mut bytes = vec![0; 64 * 1024];
            while let Some(length) = self.hear(&mut bytes).await? {
                stdout.write_all(&bytes[..length]).await?;
                stdout.flush().await?;
            }
            io::Result::Ok(())
        };
        tokio::pin!(saying, hearing);
        let said = tokio::select! {
            // What was there to be said is said before the peer's end is taken for the end of all.
            biased;
            said = &mut saying => said,
            heard = &mut hearing => return ended(heard),
        };
        match said {
            Ok(()) if until == Until::Said => End::Exit(0),
            Ok(()) => {
                self.finish();
                ended(hearing.await)
            }
            Err(error) => {
                // Who takes no more may have answered before.
                if !matches!(self, Self::Udp(_)) {
                    let _ = hearing.await;
                }
                failed(&error)
            }
        }
    }

    async fn say(&self, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            let said = match self {
                Self::Udp(socket) => socket.send(&left[..left.len().min(DATAGRAM)]).await?,
                Self::Tcp(stream) => {
                    stream.writable().await?;
                    or_later(stream.try_write(left))?
                }
                Self::Unix(stream) => {
                    stream.writable().await?;
                    or_later(stream.try_write(left))?
                }
            };
            left = &left[said..];
        }
        Ok(())
    }

    /// How much was heard; `None` is the peer's end. Datagrams have none.
    async fn hear(&self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let heard = match self {
                Self::Udp(socket) => return socket.recv(bytes).await.map(Some),
                Self::Tcp(stream) => {
                    stream.readable().await?;
                    stream.try_read(bytes)
                }
                Self::Unix(stream) => {
                    stream.readable().await?;
                    stream.try_read(bytes)
                }
            };
            match heard {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                heard => return heard.map(|length| (length > 0).then_some(length)),
            }
        }
    }

    /// Says that no more will be said. Who has gone cannot be told, and need not be.
    fn finish(&self) {
        let _ = match self {
            Self::Udp(_) => Ok(()),
            Self::Tcp(stream) => shutdown(stream, Shutdown::Write),
            Self::Unix(stream) => shutdown(stream, Shutdown::Write),
        };
    }
}

fn or_later(said: io::Result<usize>) -> io::Result<usize> {
    match said {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        said => said,
    }
}

fn ended(heard: io::Result<()>) -> End {
    heard.map_or_else(|error| failed(&error), |()| End::Exit(0))
}

/// What an error of a connection, made or in the making, tells of the path.
pub fn failed(error: &io::Error) -> End {
    match error.kind() {
        ErrorKind::ConnectionRefused => End::Failed(FailReason::Refused),
        // The last is what the kernel says of an address of IPv6 where this side has none.
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => {
            End::Failed(FailReason::NoRoute)
        }
        ErrorKind::TimedOut => End::Failed(FailReason::Timeout),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            End::Failed(FailReason::Reset)
        }
        ErrorKind::PermissionDenied => End::Untold(InconclusiveReason::PermissionDenied),
        _ => End::Untold(InconclusiveReason::Unexplained),
    }
}
