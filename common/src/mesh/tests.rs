use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use proptest::prelude::*;

use super::{
    CHROMEOS_NET, RESOLVER, RESOLVER_NET, SERVICES_NET, V4, contains, is_outside, v4_without,
};

#[test]
fn both_ends_of_both_ranges_are_in_and_their_neighbours_are_not() {
    for inside in [
        "100.64.0.0",
        "100.127.255.255",
        "fd7a:115c:a1e0::",
        "fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff",
    ] {
        assert!(contains(inside.parse().unwrap()), "{inside}");
    }
    for outside in [
        "100.63.255.255",
        "100.128.0.0",
        "fd7a:115c:a1df:ffff::",
        "fd7a:115c:a1e1::",
        "::ffff:100.64.0.1",
    ] {
        assert!(!contains(outside.parse().unwrap()), "{outside}");
    }
}

#[test]
fn an_ipv4_address_of_the_mesh_leads_there_however_it_is_written() {
    for inside in ["100.64.0.1", "::ffff:100.64.0.1", "fd7a:115c:a1e0::1"] {
        assert!(!is_outside(inside.parse().unwrap()), "{inside}");
    }
    for outside in ["100.128.0.1", "::ffff:100.128.0.1", "fd7a:115c:a1e1::1", "127.0.0.1"] {
        assert!(is_outside(outside.parse().unwrap()), "{outside}");
    }
}

#[test]
fn the_parts_lie_within_the_range() {
    assert!(RESOLVER_NET.contains(&RESOLVER));
    for part in [RESOLVER_NET, SERVICES_NET, CHROMEOS_NET] {
        assert!(V4.contains(&part), "{part}");
    }
}

#[test]
fn ranges_without_their_parts_are_as_wide_as_they_can_be() {
    let ranges = v4_without(&[CHROMEOS_NET, SERVICES_NET]);

    let text: Vec<_> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
    assert_eq!(
        text,
        ["100.64.0.0-100.99.255.255", "100.100.1.0-100.115.91.255", "100.115.94.0-100.127.255.255"]
    );
    assert_eq!(v4_without(&[]), [(V4.network(), V4.broadcast())]);
    assert_eq!(v4_without(&[V4]), []);
}

proptest! {
    /// An address is in a range exactly if it is of the mesh and in none of the parts.
    #[test]
    fn nothing_is_lost_or_added(
        parts in prop::collection::vec((any::<u32>(), 8_u8..=32), 0..6),
        address in any::<u32>(),
        near in 0x6440_0000_u32..0x6480_0000,
    ) {
        let parts: Vec<_> = parts
            .into_iter()
            .map(|(bits, len)| Ipv4Net::new((near & 0xffc0_0000 | bits & 0x003f_ffff).into(), len))
            .map(|net| net.unwrap().trunc())
            .filter(|net| V4.contains(net))
            .collect();
        let ranges = v4_without(&parts);

        for address in [Ipv4Addr::from(address), Ipv4Addr::from(near)] {
            let expected = contains(IpAddr::V4(address))
                && !parts.iter().any(|part| part.contains(&address));
            let found = ranges.iter().any(|(first, last)| (*first..=*last).contains(&address));
            prop_assert_eq!(found, expected, "{} {:?} {:?}", address, parts, ranges);
        }
    }
}
