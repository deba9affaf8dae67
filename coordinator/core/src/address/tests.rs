use std::{collections::BTreeSet, net::Ipv4Addr};

use common::mesh;
use proptest::prelude::*;

use super::{Addresses, RESERVED_V4, allocate};

#[test]
fn the_first_node_gets_the_first_address() {
    let got = allocate(mesh::V4, None, |_| false).unwrap();

    assert_eq!(got.v4, Ipv4Addr::new(100, 64, 0, 1));
    assert_eq!(got.v6.to_string(), "fd7a:115c:a1e0::6440:1");
}

#[test]
fn reserved_ranges_are_stepped_over() {
    let after =
        |last: [u8; 4]| allocate(mesh::V4, Some(Ipv4Addr::from(last)), |_| false).unwrap().v4;

    assert_eq!(after([100, 99, 255, 255]), Ipv4Addr::new(100, 100, 1, 0));
    assert_eq!(after([100, 100, 99, 255]), Ipv4Addr::new(100, 100, 101, 0));
    assert_eq!(after([100, 115, 91, 255]), Ipv4Addr::new(100, 115, 94, 0));
    assert_eq!(after([100, 127, 255, 254]), Ipv4Addr::new(100, 64, 0, 1));
}

#[test]
fn a_full_range_gives_nothing() {
    assert_eq!(allocate(mesh::V4, Some(Ipv4Addr::new(100, 100, 0, 9)), |_| true), None);
}

proptest! {
    #[test]
    fn what_is_given_is_free_and_in_range(
        last in prop::option::of(any::<u32>()),
        used in prop::collection::btree_set(0x6440_0000_u32..0x6440_0040, 0..64),
    ) {
        let used: BTreeSet<Ipv4Addr> = used.into_iter().map(Ipv4Addr::from).collect();

        let Addresses { v4, v6 } = allocate(mesh::V4, last.map(Ipv4Addr::from), |address| used.contains(&address)).unwrap();

        prop_assert!(mesh::V4.contains(&v4) && mesh::V6.contains(&v6));
        prop_assert!(!RESERVED_V4.iter().any(|net| net.contains(&v4)));
        prop_assert!(!used.contains(&v4));
        prop_assert!(v4 != mesh::V4.network() && v4 != mesh::V4.broadcast());
    }
}
