//! The routes that the controller's own network namespace has: subnets stay clear of them.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Where Linux shows its IPv4 routes (proc(5)).
const TABLE: &str = "/proc/net/route";

/// Every route but the default one; none where they cannot be read.
pub fn read() -> Vec<Ipv4Net> {
    parse(&std::fs::read_to_string(TABLE).unwrap_or_default())
}

fn parse(table: &str) -> Vec<Ipv4Net> {
    table.lines().skip(1).filter_map(route).filter(|net| net.prefix_len() > 0).collect()
}

/// Addresses stand in the table as hexadecimal numbers in the machine's own byte order.
fn route(line: &str) -> Option<Ipv4Net> {
    let mut fields = line.split_ascii_whitespace();
    let address = |text: &str| Some(Ipv4Addr::from(u32::from_str_radix(text, 16).ok()?.to_ne_bytes()));
    let destination = address(fields.nth(1)?)?;
    let mask = address(fields.nth(5)?)?;
    Ipv4Net::with_netmask(destination, mask).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn the_default_route_is_no_obstacle() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
            nonsense\n";
        assert_eq!(parse(table), ["172.17.0.0/16".parse().unwrap()]);
    }
}
