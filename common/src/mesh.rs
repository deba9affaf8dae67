//! The address ranges of the mesh, and its domain.
//!
//! They are Tailscale's (`net/tsaddr`), since stock clients accept no others: the IPv4 range of carrier-grade NAT (RFC 6598)
//! and a unique local IPv6 prefix (RFC 4193).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// The IPv4 range of the mesh, 100.64.0.0/10.
pub const V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10);

/// The IPv6 range of the mesh, fd7a:115c:a1e0::/48.
pub const V6: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd7a, 0x115c, 0xa1e0, 0, 0, 0, 0, 0), 48);

/// The default domain of a network.
pub const DOMAIN: &str = "maru.home.arpa";

/// Address of each node's own resolver, 100.100.100.100.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 100);

/// The part of [`V4`] around [`RESOLVER`].
pub const RESOLVER_NET: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 100, 100, 0), 24);

/// The part of [`V4`] that Tailscale's own services use, 100.100.0.0/24.
pub const SERVICES_NET: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 100, 0, 0), 24);

/// The part of [`V4`] that `ChromeOS` uses between itself and its virtual machines, 100.115.92.0/23.
pub const CHROMEOS_NET: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 115, 92, 0), 23);

/// Whether `address` is in [`V4`] or [`V6`]. An IPv4-mapped IPv6 address is not.
#[must_use]
pub fn contains(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => V4.contains(&address),
        IpAddr::V6(address) => V6.contains(&address),
    }
}

/// Whether `address` is outside the mesh, also if it is an IPv4-mapped IPv6 address.
#[must_use]
pub fn is_outside(address: IpAddr) -> bool {
    !contains(address.to_canonical())
}

/// [`V4`] without some parts, as inclusive ranges in ascending order.
#[must_use]
pub fn v4_without(parts: &[Ipv4Net]) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let mut parts: Vec<_> = parts.iter().filter(|part| V4.contains(*part)).collect();
    parts.sort();
    let (mut next, last) = (u32::from(V4.network()), u32::from(V4.broadcast()));
    let mut ranges = Vec::with_capacity(parts.len() + 1);
    for part in parts {
        let (from, to) = (u32::from(part.network()), u32::from(part.broadcast()));
        if next < from {
            ranges.push((next.into(), (from - 1).into()));
        }
        next = next.max(to + 1);
    }
    if next <= last {
        ranges.push((next.into(), last.into()));
    }
    ranges
}

#[cfg(test)]
mod tests;
