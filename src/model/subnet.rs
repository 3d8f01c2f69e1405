//! The allocator of subnets: first fit in the pool, clear of everything that is known to be taken.

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

/// The subnets of length `prefix` in `pool` that overlap none of `taken`, from the first on.
pub fn free(pool: Ipv4Net, prefix: u8, taken: &[Ipv4Net]) -> impl Iterator<Item = Ipv4Net> + use<> {
    let mut ranges = merged(pool, taken).into_iter().peekable();
    // Candidates ascend, as the ranges do: what ends before one of them concerns no later one.
    pool.subnets(prefix).into_iter().flatten().filter(move |candidate| {
        let (first, last) = range(*candidate);
        while ranges.next_if(|(_, to)| *to < first).is_some() {}
        ranges.peek().is_none_or(|(from, _)| *from > last)
    })
}

/// How many more networks of topology `pair` fit into `pool`.
pub fn count_free(pool: Ipv4Net, taken: &[Ipv4Net]) -> usize {
    let slot = |address: u32| usize::try_from(address >> (32 - PAIR_PREFIX)).unwrap_or(usize::MAX);
    let (first, last) = range(pool);
    let mut free = 0;
    let mut next = slot(first);
    for (from, to) in merged(pool, taken) {
        free += slot(from).saturating_sub(next);
        next = next.max(slot(to) + 1);
    }
    free + (slot(last) + 1).saturating_sub(next)
}

/// What of `pool` is taken: ranges of addresses that ascend and do not touch one another.
fn merged(pool: Ipv4Net, taken: &[Ipv4Net]) -> Vec<(u32, u32)> {
    let (first, last) = range(pool);
    let within =
        |(from, to): (u32, u32)| (from <= last && to >= first).then_some((from.max(first), to.min(last)));
    let mut ranges: Vec<(u32, u32)> = taken.iter().filter_map(|net| within(range(*net))).collect();
    ranges.sort_unstable();
    ranges.dedup_by(|next, known| {
        let touching = next.0 <= known.1.saturating_add(1);
        if touching {
            known.1 = known.1.max(next.1);
        }
        touching
    });
    ranges
}

/// The first and the last address. Host bits do not count: the engine accepts a subnet that has them.
fn range(net: Ipv4Net) -> (u32, u32) {
    (net.network().into(), net.broadcast().into())
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

    proptest::proptest! {
        #[test]
        fn what_is_free_overlaps_nothing_and_the_rest_does(
            taken in proptest::collection::vec((0u32..1 << 12, 20u8..=32), 0..12),
            prefix in 24u8..=30,
        ) {
            let taken: Vec<Ipv4Net> = taken
                .into_iter()
                .map(|(offset, length)| Ipv4Net::new_assert((0x0ad5_0000 + offset).into(), length))
                .collect();
            let overlaps = |a: &Ipv4Net| {
                taken.iter().any(|b| b.trunc().contains(a) || a.contains(&b.trunc()))
            };
            let pool = net("10.213.4.0/22");
            let expected: Vec<Ipv4Net> =
                pool.subnets(prefix).unwrap().filter(|subnet| !overlaps(subnet)).collect();
            proptest::prop_assert_eq!(free(pool, prefix, &taken).collect::<Vec<_>>(), expected);
            proptest::prop_assert_eq!(count_free(pool, &taken), free(pool, PAIR_PREFIX, &taken).count());
        }
    }
}
