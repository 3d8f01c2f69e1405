//! The kernel's own answer to who has a port (sock_diag(7)). It names the sockets of one port only, where the tables in
//! `/proc/net` have every socket and take a minute to read where there are a hundred thousand.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

use crate::model::handshake::role::Transport;

/// How much of an answer is read. A port that many sockets share may have a long one.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// How long one part of the answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

// linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h and netinet/in.h.
const HEADER: usize = 16;
const REQUEST: usize = 56;
const NLM_F_REQUEST_DUMP: u16 = 0x1 | 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const TCP_LISTEN: u8 = 10;

/// Whether somebody in this thread's network namespace has `port`.
///
/// # Errors
/// If the kernel does not tell. Some have no such modules.
pub fn is_held(transport: Transport, port: u16) -> io::Result<bool> {
    Ok(ask(AddressFamily::INET, transport, port)? || ask(AddressFamily::INET6, transport, port)?)
}

fn ask(family: AddressFamily, transport: Transport, port: u16) -> io::Result<bool> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    let family = u8::try_from(family.as_raw()).map_err(|_| Errno::AFNOSUPPORT)?;
    sendto(&socket, &request(family, transport, port), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let (mut buffer, mut read) = (vec![0; 32 * 1024], 0);
    while read < MAX_ANSWER_BYTES {
        let (length, _) = recv(&socket, &mut buffer, RecvFlags::empty())?;
        read += length;
        if let Some(held) = answer(&buffer[..length], transport)? {
            return Ok(held);
        }
    }
    Err(io::Error::other("too many sockets have the port"))
}

/// A request for the sockets of a port: of tcp those that listen, of udp all.
fn request(family: u8, transport: Transport, port: u16) -> Vec<u8> {
    let (protocol, states) = match transport {
        Transport::Tcp => (IPPROTO_TCP, 1 << TCP_LISTEN),
        Transport::Udp => (IPPROTO_UDP, u32::MAX),
    };
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    bytes.extend((u32::try_from(HEADER + REQUEST).unwrap_or_default()).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, protocol, 0, 0]);
    bytes.extend(states.to_ne_bytes());
    bytes.extend(port.to_be_bytes());
    bytes.resize(HEADER + REQUEST, 0);
    bytes
}

/// The finding of one part of the answer; `None` where more is to come.
fn answer(mut bytes: &[u8], transport: Transport) -> io::Result<Option<bool>> {
    while let (Some(length), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let message = bytes.get(HEADER..length).ok_or(Errno::BADMSG)?;
        match kind {
            NLMSG_ERROR | NLMSG_DONE => {
                let code = word(message, 0).map_or(0, u32::cast_signed);
                if code < 0 {
                    return Err(io::Error::from_raw_os_error(-code));
                }
                return Ok(Some(false));
            }
            _ if listens(message, transport) => return Ok(Some(true)),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(None)
}

/// Whether a socket listens for others. One of udp does that unless it is the loopback's or a client's.
fn listens(socket: &[u8], transport: Transport) -> bool {
    let there = socket.get(6..8);
    let here = socket.get(8..24).and_then(|here| <[u8; 16]>::try_from(here).ok());
    let (Some(there), Some(here)) = (there, here) else { return false };
    match transport {
        Transport::Tcp => socket[1] == TCP_LISTEN,
        Transport::Udp => there == [0, 0] && !address(socket[0], here).is_loopback(),
    }
}

/// An address of one family in the room for either.
fn address(family: u8, bytes: [u8; 16]) -> IpAddr {
    let [a, b, c, d, ..] = bytes;
    match AddressFamily::from_raw(family.into()) {
        AddressFamily::INET => IpAddr::from([a, b, c, d]),
        // One of IPv4 may be written so.
        _ => IpAddr::from(bytes).to_canonical(),
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn a_port_is_held_by_who_listens_and_by_nobody_else() {
        for any in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(any) else { continue };
            let port = listener.local_addr().unwrap().port();
            let client = TcpStream::connect(("localhost", port)).unwrap();
            assert!(is_held(Transport::Tcp, port).unwrap(), "{any}");
            let theirs = client.local_addr().unwrap().port();
            assert!(!is_held(Transport::Tcp, theirs).unwrap(), "{any}");
            drop(listener);
            assert!(!is_held(Transport::Tcp, port).unwrap(), "{any}");
        }
        for (any, held) in [
            ("0.0.0.0:0", true),
            ("[::]:0", true),
            ("127.0.0.1:0", false),
            ("[::1]:0", false),
            ("[::ffff:127.0.0.1]:0", false),
        ] {
            let Ok(socket) = UdpSocket::bind(any) else { continue };
            let port = socket.local_addr().unwrap().port();
            assert_eq!(is_held(Transport::Udp, port).unwrap(), held, "{any}");
        }
        let client = UdpSocket::bind("0.0.0.0:0").unwrap();
        client.connect("127.0.0.1:9").unwrap();
        assert!(!is_held(Transport::Udp, client.local_addr().unwrap().port()).unwrap());
    }

    #[test]
    fn an_answer_is_an_end_an_error_a_socket_or_nonsense() {
        let message = |kind: u16, body: &[u8]| {
            let length = u32::try_from(HEADER + body.len()).unwrap();
            [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat()
        };
        let done = message(NLMSG_DONE, &[0; 4]);
        let other = message(SOCK_DIAG_BY_FAMILY, &[2, 1, 0, 0, 0, 80, 1, 1]);
        assert_eq!(answer(&done, Transport::Tcp).unwrap(), Some(false));
        assert_eq!(answer(&[other.clone(), done].concat(), Transport::Tcp).unwrap(), Some(false));
        assert_eq!(answer(&other, Transport::Tcp).unwrap(), None);
        let missing = message(NLMSG_ERROR, &(-2_i32).to_ne_bytes());
        assert_eq!(answer(&missing, Transport::Tcp).unwrap_err().kind(), io::ErrorKind::NotFound);
        let mut short = message(SOCK_DIAG_BY_FAMILY, &[0; 72]);
        short.truncate(20);
        assert!(answer(&short, Transport::Udp).is_err());
        short[..4].copy_from_slice(&[0; 4]);
        assert!(answer(&short, Transport::Udp).is_err(), "a message without a length would be read for ever");
    }
}
