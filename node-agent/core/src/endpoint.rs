//! Endpoints: which addresses are valid on the underlay.
//!
//! Datagrams of the tunnel must not be routed through the tunnel, in a loop. So mesh addresses are never endpoints, whether
//! a peer, a STUN server or a received packet names them. The mesh uses 100.64.0.0/10, as carriers do for their customers'
//! routers (RFC 6598): such a router is reached at its carrier's NAT, or over the relay.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use common::mesh;
use ipnet::{Ipv4Net, Ipv6Net};

/// "This network" (RFC 1122, section 3.2.1.3), with the unspecified address.
pub(crate) const THIS_NETWORK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8);
/// IPv4 addresses behind a translator (RFC 6052).
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
/// IPv4-compatible addresses, deprecated (RFC 4291, section 2.5.5.1), with `::` and `::1`.
pub(crate) const COMPATIBLE: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96);

/// Whether `address` can be another machine's endpoint: not a mesh, loopback, multicast, broadcast or unspecified address, also
/// not embedded in IPv6, and not port 0.
#[must_use]
pub fn is_usable(address: SocketAddr) -> bool {
    address.port() != 0 && is_underlay(address.ip())
}

/// The same for an address without a port.
#[must_use]
pub fn is_underlay(address: IpAddr) -> bool {
    if mesh::contains(address) {
        return false;
    }
    match address {
        IpAddr::V4(v4) => {
            !(THIS_NETWORK.contains(&v4)
                || v4.is_loopback()
                || v4.is_multicast()
                || v4.is_broadcast())
        }
        IpAddr::V6(v6) if COMPATIBLE.contains(&v6) || v6.is_multicast() => false,
        IpAddr::V6(v6) => embedded(v6).is_none_or(|v4| is_underlay(v4.into())),
    }
}

/// The IPv4 address that is embedded in an IPv6 address.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    let v4 = Ipv4Addr::new(a, b, c, d);
    NAT64.contains(&address).then_some(v4).or_else(|| address.to_ipv4_mapped())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usable(text: &str) -> bool {
        is_usable(text.parse().unwrap())
    }

    #[test]
    fn addresses_of_other_machines_are_used() {
        for text in [
            "192.0.2.1:41641",
            "10.0.0.1:1",
            "172.16.0.1:41641",
            "192.168.1.255:41641",
            "169.254.7.7:41641",
            "100.63.255.255:41641",
            "100.128.0.0:41641",
            "[2001:db8::1]:41641",
            "[fd00::1]:41641",
            "[fe80::1]:41641",
            "[fd7a:115c:a1e1::1]:41641",
            "[::ffff:192.0.2.1]:41641",
            "[64:ff9b::192.0.2.1]:41641",
        ] {
            assert!(usable(text), "{text}");
        }
    }

    #[test]
    fn addresses_of_the_mesh_of_this_machine_and_of_many_are_not() {
        for address in [
            "100.64.0.0",
            "100.64.0.2",
            "100.100.100.100",
            "100.115.92.1",
            "100.127.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.9.9.9",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
        ] {
            for text in [
                format!("{address}:41641"),
                format!("[::ffff:{address}]:41641"),
                format!("[64:ff9b::{address}]:41641"),
                format!("[::{address}]:41641"),
            ] {
                assert!(!usable(&text), "{text}");
            }
        }
        for text in [
            "[fd7a:115c:a1e0::]:41641",
            "[fd7a:115c:a1e0::2]:41641",
            "[fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff]:41641",
            "[::]:41641",
            "[::1]:41641",
            "[ff02::1]:41641",
            "192.0.2.1:0",
            "[2001:db8::1]:0",
        ] {
            assert!(!usable(text), "{text}");
        }
    }

    proptest! {
        /// Whatever the address, it and its mapped form are judged alike, and what the kernel would route to the mesh or
        /// to this machine is refused.
        #[test]
        fn no_form_of_an_address_is_judged_otherwise(
            bits in prop_oneof![
                any::<u32>(),
                (0..1_u32 << 22).prop_map(|low| 100 << 24 | 64 << 16 | low),
                (0..1_u32 << 24).prop_map(|low| 127 << 24 | low),
            ],
            port: u16,
        ) {
            let v4 = Ipv4Addr::from_bits(bits);
            let told = is_usable((v4, port).into());
            prop_assert_eq!(told, is_usable((v4.to_ipv6_mapped(), port).into()));
            let refused = mesh::contains(v4.into()) || v4.is_loopback() || v4.is_multicast()
                || v4.is_unspecified() || v4.is_broadcast();
            prop_assert!(!(told && refused));
        }
    }
}
