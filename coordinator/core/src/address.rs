//! Which addresses a node gets.
//!
//! IPv4 is taken in order from 100.64.0.0/10 (RFC 6598), because stock clients accept no other range, and an address
//! that was given up is not given out again before all the others were: policies and bookmarks outlive devices. IPv6
//! carries the IPv4 address in its last 32 bits, so one search finds both.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Where nodes' IPv4 addresses come from (RFC 6598).
pub const RANGE_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10);

/// Where nodes' IPv6 addresses come from.
pub const RANGE_V6: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd7a, 0x115c, 0xa1e0, 0, 0, 0, 0, 0), 48);

/// Parts of [`RANGE_V4`] that no node gets.
///
/// The first and the third belong to Tailscale's own services and to `ChromeOS` (`net/tsaddr`), the second to the resolver
/// of the mesh, 100.100.100.100.
pub const RESERVED_V4: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::new(100, 100, 0, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(100, 100, 100, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(100, 115, 92, 0), 23),
];

/// Addresses of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Addresses {
    /// In [`RANGE_V4`].
    pub v4: Ipv4Addr,
    /// In [`RANGE_V6`].
    pub v6: Ipv6Addr,
}

impl Addresses {
    /// The addresses that go with an IPv4 address.
    #[must_use]
    pub fn of(v4: Ipv4Addr) -> Self {
        let base = u128::from(RANGE_V6.addr());
        Self { v4, v6: Ipv6Addr::from(base | u128::from(u32::from(v4))) }
    }
}

/// Finds the first free addresses after `last`, going round once; `None` if every address is used.
pub fn allocate(last: Option<Ipv4Addr>, is_used: impl Fn(Ipv4Addr) -> bool) -> Option<Addresses> {
    let first = u32::from(RANGE_V4.network()) + 1;
    let end = u32::from(RANGE_V4.broadcast());
    let start = last
        .map(u32::from)
        .filter(|&last| last >= first && last < end)
        .map_or(first, |last| last + 1);
    (start..end)
        .chain(first..start)
        .map(Ipv4Addr::from)
        .find(|&address| !RESERVED_V4.iter().any(|net| net.contains(&address)) && !is_used(address))
        .map(Addresses::of)
}

#[cfg(test)]
mod tests;
