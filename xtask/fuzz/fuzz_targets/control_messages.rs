//! Bodies of the control protocol, the framing of its map stream, and the compressed maps in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

use common::mesh;
use control_protocol::{
    admit::AdmitRequest,
    certificate::{CertificateRequest, CertificateResponse},
    frame,
    key_response::KeyResponse,
    map::{DerpMap, MapRequest, MapResponse},
    register::{RegisterRequest, RegisterResponse},
};
use node_agent_core::{
    filter::PacketFilter,
    netmap::{self, Netmap, RouteChoice},
};

/// However a map stream is cut, the same bodies come.
fn framing(cuts: &[u8], body: &[u8]) {
    let read = |pieces: Vec<&[u8]>| {
        let mut decoder = frame::Decoder::new(1 << 12);
        let mut bodies = Vec::new();
        for piece in pieces {
            decoder.handle_bytes(piece);
            loop {
                match decoder.poll_body() {
                    Ok(Some(body)) => bodies.push(body.to_vec()),
                    Ok(None) => break,
                    Err(_) => return (bodies, false),
                }
            }
        }
        (bodies, true)
    };
    let whole = read(vec![body]);
    assert_eq!(read(fuzz::pieces(cuts, body)), whole);
    assert_eq!(read(body.chunks(1).collect()), whole);
}

/// Nothing that a map says leads out of the mesh, or lets in what no rule names.
fn map(body: &[u8]) {
    drop(netmap::decode(body));
    let Some(message) = fuzz::json::<MapResponse>(body) else { return };
    let compressed = zstd::bulk::compress(body, 1).unwrap();
    assert_eq!(netmap::decode(&compressed).as_ref(), Some(&message));
    let mut netmap = Netmap::default();
    let first = netmap.apply_first(message.clone());
    assert_eq!(first.is_ok(), message.node.is_some());
    netmap.apply(message.clone());
    netmap.apply(message);
    let own = netmap.addresses();
    for peer in netmap.tunnel_peers(&RouteChoice::default()) {
        for net in &peer.allowed_ips {
            assert!(mesh::contains(net.addr()) && net.prefix_len() == net.max_prefix_len());
            assert!(!own.contains(&net.addr()), "a peer has this node's address");
        }
    }
    let all = RouteChoice { accepts_subnets: true, ..RouteChoice::default() };
    for (net, _) in netmap.routes(&all) {
        assert!(
            net.prefix_len() >= 7 && !net.contains(&std::net::IpAddr::V4(mesh::RESOLVER)),
            "{net}"
        );
    }
    drop((netmap.zone(&[]), netmap.gateway(), netmap.key_expiry(), netmap.is_expired(None)));
    for address in own {
        assert_eq!(netmap.caller(address), None, "this node calls itself");
    }
    let rules = netmap.rules();
    let filter = PacketFilter::compile(&rules, &[]);
    let stranger = "192.0.2.1".parse().unwrap();
    if rules.iter().all(|rule| rule.dst_ports.is_empty()) {
        assert!(!filter.allows_port(stranger, "100.64.0.1".parse().unwrap(), 6, 80));
    }
}

fuzz_target!(|input: &[u8]| {
    let (cuts, body) = fuzz::cuts(input);
    framing(cuts, body);
    fuzz::json::<RegisterRequest>(body);
    fuzz::json::<RegisterResponse>(body);
    fuzz::json::<MapRequest>(body);
    fuzz::json::<KeyResponse>(body);
    fuzz::json::<DerpMap>(body);
    fuzz::json::<AdmitRequest>(body);
    fuzz::json::<CertificateRequest>(body);
    fuzz::json::<CertificateResponse>(body);
    map(body);
});
