//! Martians: addresses that no packet between two machines may have (RFC 1812, section 5.3.7).

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use crate::endpoint::{COMPATIBLE, THIS_NETWORK};

/// Reserved (RFC 1112), with the broadcast address.
const RESERVED: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(240, 0, 0, 0), 4);

/// Whether `address` is invalid as source and destination of a packet in the tunnel, which is a point-to-point link.
pub(super) fn is_martian(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            THIS_NETWORK.contains(&address)
                || RESERVED.contains(&address)
                || address.is_loopback()
                || address.is_multicast()
        }
        IpAddr::V6(address) => {
            COMPATIBLE.contains(&address)
                || address.to_ipv4_mapped().is_some()
                || address.is_multicast()
        }
    }
}
