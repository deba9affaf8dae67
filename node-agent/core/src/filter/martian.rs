//! Martians: addresses that no packet between two machines may have (RFC 1812, section 5.3.7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// "This network" (RFC 1122): with it the unspecified address.
const THIS_NETWORK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8);
/// Reserved (RFC 1112): with it the broadcast address.
const RESERVED: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(240, 0, 0, 0), 4);
/// IPv4 addresses as nobody writes them any more (RFC 4291, section 2.5.5.1); `::` and `::1` are here too.
const COMPATIBLE: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96);

/// Whether `address` can be neither source nor destination of a packet in the tunnel, which has two ends and no third.
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
