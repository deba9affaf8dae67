//! Which networks a node may route: the facts that coordinator and agent share.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::mesh;

/// What an exit node routes, both or neither.
pub const EXIT: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
];

/// IPv6 addresses of IPv4 subnets behind a router ("4via6", `net/tsaddr`), in a part of the mesh's range without nodes.
pub const VIA: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd7a, 0x115c, 0xa1e0, 0x0b1a, 0, 0, 0, 0), 64);

/// Addresses that are not routable: loopback, link-local, multicast.
pub const NOWHERE: [IpNet; 6] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 3)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8)),
];

/// The networks of private addresses (RFC 1918 and RFC 4193).
pub const PRIVATE: [IpNet; 4] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7)),
];

/// Whether two networks have an address in common.
#[must_use]
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// Whether this is an address of the internet: not private, of the mesh, of a carrier's NAT, or of no route.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    mesh::is_outside(address)
        && !address.is_unspecified()
        && !is_nowhere(address)
        && !PRIVATE.iter().any(|net| net.contains(&address))
}

/// Whether no route may lead to this address.
#[must_use]
pub fn is_nowhere(address: IpAddr) -> bool {
    NOWHERE.iter().any(|net| net.contains(&address))
}
