//! Allocates addresses to nodes.
//!
//! IPv4 addresses are allocated in order from 100.64.0.0/10 (RFC 6598), the only range that stock clients accept. A freed
//! address is reused last, since policies and bookmarks outlive devices. The IPv6 address has the IPv4 address in its last
//! 32 bits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::mesh;
use ipnet::Ipv4Net;

/// Parts of [`mesh::V4`] that are not allocated.
pub const RESERVED_V4: [Ipv4Net; 3] = [mesh::SERVICES_NET, mesh::RESOLVER_NET, mesh::CHROMEOS_NET];

/// Addresses of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Addresses {
    /// In [`mesh::V4`].
    pub v4: Ipv4Addr,
    /// In [`mesh::V6`].
    pub v6: Ipv6Addr,
}

impl Addresses {
    /// The addresses that belong to an IPv4 address.
    #[must_use]
    pub fn of(v4: Ipv4Addr) -> Self {
        let base = u128::from(mesh::V6.addr());
        Self { v4, v6: Ipv6Addr::from(base | u128::from(u32::from(v4))) }
    }

    /// Both.
    #[must_use]
    pub fn both(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

/// Finds the first free addresses of `pool` after `last`, wrapping around; `None` if all are used.
pub fn allocate(
    pool: Ipv4Net,
    last: Option<Ipv4Addr>,
    is_used: impl Fn(Ipv4Addr) -> bool,
) -> Option<Addresses> {
    let first = u32::from(pool.network()) + 1;
    let end = u32::from(pool.broadcast());
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
