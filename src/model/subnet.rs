//! The allocator of subnets: first fit in the pool, clear of everything that is known to be taken.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Prefix length of a network in topology `pair`.
pub const PAIR_PREFIX: u8 = 28;
/// Prefix length of a network in topology `shared`.
pub const SHARED_PREFIX: u8 = 24;

/// How many containers fit into `subnet`: all addresses but the network's own, the broadcast
/// address and the bridge's gateway.
pub fn capacity(subnet: Ipv4Net) -> usize {
    let addresses = 1usize << (32 - subnet.prefix_len());
    addresses.saturating_sub(3)
}

/// How many more networks of topology `pair` fit into `pool`.
pub fn count_free(pool: Ipv4Net, taken: &[Ipv4Net]) -> usize {
    let slot =
        |address: Ipv4Addr| usize::try_from(u32::from(address) >> (32 - PAIR_PREFIX)).unwrap_or(usize::MAX);
    let (first, last) = (slot(pool.network()), slot(pool.broadcast()));
    let mut blocks: Vec<(usize, usize)> = taken
        .iter()
        .filter(|net| overlap(**net, pool))
        .map(|net| (slot(net.network()).max(first), slot(net.broadcast()).min(last)))
        .collect();
    blocks.sort_unstable();
    let mut free = 0;
    let mut next = first;
    for (from, to) in blocks {
        free += from.saturating_sub(next);
        next = next.max(to + 1);
    }
    free + (last + 1).saturating_sub(next)
}

/// The subnets of length `prefix` in `pool` that overlap none of `taken`, from the first on.
pub fn free(pool: Ipv4Net, prefix: u8, taken: &[Ipv4Net]) -> impl Iterator<Item = Ipv4Net> {
    let relevant: Vec<Ipv4Net> = taken.iter().copied().filter(|net| overlap(*net, pool)).collect();
    pool.subnets(prefix)
        .into_iter()
        .flatten()
        .filter(move |candidate| !relevant.iter().any(|net| overlap(*net, *candidate)))
}

/// Two CIDR blocks overlap exactly when one contains the other. Host bits do not count: the engine
/// accepts a subnet that has them.
fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.trunc().contains(&b.trunc()) || b.trunc().contains(&a.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_free(pool: Ipv4Net, prefix: u8, taken: &[Ipv4Net]) -> Option<Ipv4Net> {
        free(pool, prefix, taken).next()
    }

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_block_that_touches_nothing_is_taken() {
        let pool = net("10.213.0.0/16");
        assert_eq!(first_free(pool, 28, &[]), Some(net("10.213.0.0/28")));
        let taken = [net("10.213.0.0/28"), net("10.213.0.17/28"), net("192.168.0.0/24")];
        assert_eq!(first_free(pool, 28, &taken), Some(net("10.213.0.32/28")));
        assert_eq!(first_free(pool, 24, &taken), Some(net("10.213.1.0/24")));
    }

    #[test]
    fn a_taken_block_wider_than_the_pool_leaves_nothing() {
        assert_eq!(first_free(net("10.213.0.0/24"), 28, &[net("10.0.0.0/8")]), None);
        assert_eq!(count_free(net("10.213.0.0/24"), &[net("10.0.0.0/8")]), 0);
    }

    #[test]
    fn what_is_left_is_what_could_be_taken() {
        let pool = net("10.213.0.0/24");
        let taken =
            [net("10.213.0.0/28"), net("10.213.0.8/30"), net("10.213.0.64/26"), net("10.213.0.70/32")];
        assert_eq!(count_free(pool, &taken), free(pool, PAIR_PREFIX, &taken).count());
        assert_eq!(count_free(pool, &[]), 16);
    }

    #[test]
    fn a_pool_smaller_than_the_block_has_none() {
        assert_eq!(first_free(net("10.213.0.0/26"), 24, &[]), None);
    }

    #[test]
    fn the_engine_keeps_three_addresses_of_a_subnet() {
        assert_eq!(capacity(net("10.213.0.0/28")), 13);
        assert_eq!(capacity(net("10.213.0.0/24")), 253);
        assert_eq!(capacity(net("10.213.0.0/31")), 0);
    }
}
