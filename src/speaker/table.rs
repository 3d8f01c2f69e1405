//! The holder of a port: by the kernel's answer, else by its tables of sockets.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::time::Duration;

use tokio::time::Instant;

use super::diag;
use crate::model::handshake::role::Transport;

/// How the table writes `::1`.
const LOOPBACK_6: &str = "00000000000000000000000001000000:";
/// How the table of IPv6 begins an address of IPv4.
const MAPPED: &str = "0000000000000000FFFF0000";

/// How much of a table is read. The kernel counts its rows anew for each page of it.
const MAX_TABLE_BYTES: usize = 1024 * 1024;
/// How long a table is read.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether somebody in this thread's network namespace has `port`. To try and take it would tell as well, and
/// might be in the way of whoever is about to.
///
/// # Errors
/// If the kernel does not answer and its tables are too long.
pub fn is_held(transport: Transport, port: u16) -> io::Result<bool> {
    diag::is_held(transport, port).or_else(|_| is_in_tables(transport, port))
}

fn is_in_tables(transport: Transport, port: u16) -> io::Result<bool> {
    let name = transport.as_str();
    for table in [format!("/proc/thread-self/net/{name}"), format!("/proc/thread-self/net/{name}6")] {
        let rows = match File::open(table) {
            Ok(file) => read(file)?,
            // Without IPv6.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if has(&rows, transport, port) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A whole table, by pieces, so that a deadline can be kept.
fn read(mut table: impl Read) -> io::Result<String> {
    let start = Instant::now();
    let (mut rows, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let length = table.read(&mut piece)?;
        if length == 0 {
            return Ok(String::from_utf8_lossy(&rows).into_owned());
        }
        rows.extend_from_slice(&piece[..length]);
        if rows.len() > MAX_TABLE_BYTES || start.elapsed() > PATIENCE {
            return Err(io::Error::other("too many sockets to look at each"));
        }
    }
}

/// Whether a table has a socket that listens on `port`. One of udp does that unless it is the loopback's or a
/// client's.
fn has(rows: &str, transport: Transport, port: u16) -> bool {
    let suffix = format!(":{port:04X}");
    rows.lines().skip(1).any(|row| {
        let mut cells = row.split_ascii_whitespace();
        let (Some(here), Some(there), Some(state)) = (cells.nth(1), cells.next(), cells.next()) else {
            return false;
        };
        let v4 = here.strip_prefix(MAPPED).unwrap_or(here);
        let loopback = v4.find(':') == Some(8) && v4[..8].ends_with("7F") || here.starts_with(LOOPBACK_6);
        let listens = match transport {
            Transport::Tcp => state == "0A",
            Transport::Udp => !loopback && there.ends_with(":0000"),
        };
        here.ends_with(&suffix) && listens
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22601 1 0
   1: 0100007F:0050 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 22602 1 0
";

    #[test]
    fn who_listens_has_a_port_and_who_is_connected_from_it_has_not() {
        assert!(has(TCP, Transport::Tcp, 8080));
        assert!(!has(TCP, Transport::Tcp, 80));
        assert!(!has(TCP, Transport::Tcp, 8081));
    }

    #[test]
    fn a_table_is_read_up_to_its_limit_and_for_so_long() {
        assert_eq!(read(TCP.as_bytes()).unwrap(), TCP);
        assert!(read(io::repeat(b'x')).is_err());
        let slow = std::iter::repeat_with(|| {
            std::thread::sleep(PATIENCE / 4);
            b"row\n".as_slice()
        });
        struct Slow<I>(I);
        impl<I: Iterator<Item = &'static [u8]>> Read for Slow<I> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.next().unwrap().read(buffer)
            }
        }
        assert!(read(Slow(slow)).is_err());
    }

    #[test]
    fn the_tables_and_the_kernel_s_answer_say_the_same() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_in_tables(Transport::Tcp, port).unwrap() && is_held(Transport::Tcp, port).unwrap());
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(is_in_tables(Transport::Udp, port).unwrap() && is_held(Transport::Udp, port).unwrap());
    }

    #[test]
    fn of_udp_neither_the_loopback_s_nor_a_client_s_has_a_port_for_others() {
        let row = |here: &str, there: &str| format!("head\n 1: {here} {there} 07 0:0 0:0 0 0 0 1 1 0\n");
        for (here, there, held) in [
            ("00000000:14B4", "00000000:0000", true),
            ("0200D50A:14B4", "00000000:0000", true),
            ("00000000000000000000000000000000:14B4", "00000000000000000000000000000000:0000", true),
            ("0100007F:14B4", "00000000:0000", false),
            ("0B00007F:14B4", "00000000:0000", false),
            ("0000000000000000FFFF00000100007F:14B4", "00000000000000000000000000000000:0000", false),
            ("0000000000000000FFFF00000200D50A:14B4", "00000000000000000000000000000000:0000", true),
            ("00000000000000000000000001000000:14B4", "00000000000000000000000000000000:0000", false),
            ("0200D50A:14B4", "0300D50A:0035", false),
        ] {
            assert_eq!(has(&row(here, there), Transport::Udp, 5300), held, "{here} {there}");
        }
    }
}
