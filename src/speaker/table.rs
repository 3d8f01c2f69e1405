//! The kernel's tables of sockets.

use std::fs;

use crate::model::handshake::role::Transport;

/// How the table writes `::1`.
const LOOPBACK_6: &str = "00000000000000000000000001000000:";
/// How the table of IPv6 begins an address of IPv4.
const MAPPED: &str = "0000000000000000FFFF0000";

/// Whether somebody in this thread's network namespace has `port`. To try and take it would tell as well, and
/// might be in the way of whoever is about to.
pub fn is_held(transport: Transport, port: u16) -> bool {
    let name = transport.as_str();
    let tables = [format!("/proc/thread-self/net/{name}"), format!("/proc/thread-self/net/{name}6")];
    tables.iter().any(|table| fs::read_to_string(table).is_ok_and(|rows| has(&rows, transport, port)))
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
