//! Who sends a request: `X-Forwarded-For` as devices and proxies write it.
#![no_main]

use std::net::IpAddr;

use coordinator_core::forwarded::{ClientAddress, Network, client_address};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let trusted: [Network; 2] = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap());
    let headers: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let told = |peer: [u8; 4], headers: &[&[u8]]| {
        client_address(peer.into(), &trusted, headers.iter().copied())
    };

    // Nobody else's word counts.
    let stranger = IpAddr::from([192, 0, 2, 1]);
    assert_eq!(told([192, 0, 2, 1], &headers), ClientAddress::Untrusted(stranger));
    // What a proxy adds at the end does, whatever stands before it.
    let mut added = headers.clone();
    added.push(b"192.0.2.7");
    assert_eq!(told([10, 0, 0, 1], &added), ClientAddress::Forwarded([192, 0, 2, 7].into()));
    // And alone it is somebody, or nobody.
    match told([10, 0, 0, 1], &headers) {
        ClientAddress::Forwarded(_) | ClientAddress::Missing => {}
        other => panic!("{other:?}"),
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = text.parse::<Network>();
    }
});
