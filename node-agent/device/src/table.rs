//! The table of peers: replaced as a whole, read without a lock.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::IpNet;

/// Peers by receiver index, key and address.
pub(crate) struct Table<P> {
    /// By node key.
    pub(crate) by_key: HashMap<[u8; 32], Arc<P>>,
    /// By the upper 24 bits of the receiver index.
    pub(crate) by_index: HashMap<u32, Arc<P>>,
    /// By disco key, which several peers may claim.
    pub(crate) by_discovery: HashMap<[u8; 32], Vec<Arc<P>>>,
    /// By IP address.
    pub(crate) routes: Routes<P>,
}

impl<P> Default for Table<P> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            by_index: HashMap::new(),
            by_discovery: HashMap::new(),
            routes: Routes::default(),
        }
    }
}

/// Longest-prefix match, with one hash map per prefix length. In a mesh nearly every prefix is a single address, so that a
/// look-up is one hash.
pub(crate) struct Routes<P> {
    v4: Vec<(u8, HashMap<Ipv4Addr, Arc<P>>)>,
    v6: Vec<(u8, HashMap<Ipv6Addr, Arc<P>>)>,
}

impl<P> Default for Routes<P> {
    fn default() -> Self {
        Self { v4: Vec::new(), v6: Vec::new() }
    }
}

impl<P> Routes<P> {
    /// Routes `net` to `peer`; replaces an earlier route.
    pub(crate) fn insert(&mut self, net: IpNet, peer: Arc<P>) {
        match net {
            IpNet::V4(net) => level(&mut self.v4, net.prefix_len()).insert(net.network(), peer),
            IpNet::V6(net) => level(&mut self.v6, net.prefix_len()).insert(net.network(), peer),
        };
    }

    /// The peer that owns `address`.
    pub(crate) fn find(&self, address: IpAddr) -> Option<&Arc<P>> {
        match address {
            IpAddr::V4(address) => self.v4.iter().find_map(|(len, peers)| {
                let mask = u32::MAX.checked_shl(32 - u32::from(*len)).unwrap_or(0);
                peers.get(&Ipv4Addr::from_bits(address.to_bits() & mask))
            }),
            IpAddr::V6(address) => self.v6.iter().find_map(|(len, peers)| {
                let mask = u128::MAX.checked_shl(128 - u32::from(*len)).unwrap_or(0);
                peers.get(&Ipv6Addr::from_bits(address.to_bits() & mask))
            }),
        }
    }
}

/// The map of one prefix length; longest first.
fn level<K, P>(levels: &mut Vec<(u8, HashMap<K, Arc<P>>)>, len: u8) -> &mut HashMap<K, Arc<P>> {
    let at = levels.partition_point(|(other, _)| *other > len);
    if levels.get(at).is_none_or(|(other, _)| *other != len) {
        levels.insert(at, (len, HashMap::new()));
    }
    &mut levels[at].1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The owner is that of the longest prefix that holds the address; of equal ones the last.
        #[test]
        fn finds_what_a_linear_search_finds(
            nets in prop::collection::vec((any::<u32>(), 0..=32_u8), 0..12),
            wide in prop::collection::vec((any::<u128>(), 0..=128_u8), 0..12),
            probe: u32,
            wide_probe: u128,
        ) {
            let mut routes = Routes::default();
            // Few high bits, so that prefixes do meet.
            let v4 = nets.iter().map(|(bits, len)| (IpAddr::V4(Ipv4Addr::from_bits(bits & 0xc000_0003)), *len));
            let v6 = wide.iter().map(|(bits, len)| (IpAddr::V6(Ipv6Addr::from_bits(bits & (3 << 126))), *len));
            let nets: Vec<IpNet> = v4.chain(v6).map(|(ip, len)| IpNet::new(ip, len).unwrap().trunc()).collect();
            for (at, net) in nets.iter().enumerate() {
                routes.insert(*net, Arc::new(at));
            }
            for address in [
                IpAddr::V4(Ipv4Addr::from_bits(probe & 0xc000_0003)),
                IpAddr::V6(Ipv6Addr::from_bits(wide_probe & (3 << 126))),
            ] {
                let expected = nets.iter().enumerate()
                    .filter(|(_, net)| net.contains(&address))
                    .max_by_key(|(at, net)| (net.prefix_len(), *at))
                    .map(|(at, _)| at);
                prop_assert_eq!(routes.find(address).map(|found| **found), expected);
            }
        }
    }
}
