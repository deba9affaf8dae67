//! The addresses of `autogroup:internet`.

use ipnet::IpNet;

use crate::{
    Node,
    addresses::{AddressSet, spans},
};

/// The internet, in ranges with both ends included, prefixes and addresses: every address but those of private networks
/// (RFC 1918), of this machine and this link (RFC 1122, RFC 3927), of carriers' NATs, which the mesh is in (RFC 6598), of
/// groups and reserved ones (RFC 1112); of IPv6, global unicast (RFC 4291, section 2.4) and what gateways translate
/// (RFC 6052). 0.0.0.0 and :: are among them: a stock exit node answers DNS for nodes that may reach port 53 there
/// (`ipn/ipnlocal/peerapi.go`).
pub const INTERNET: [&str; 10] = [
    "0.0.0.0-9.255.255.255",
    "11.0.0.0-100.63.255.255",
    "100.128.0.0-126.255.255.255",
    "128.0.0.0-169.253.255.255",
    "169.255.0.0-172.15.255.255",
    "172.32.0.0-192.167.255.255",
    "192.169.0.0-223.255.255.255",
    "::",
    "2000::/3",
    "64:ff9b::/96",
];

/// The destinations of the internet at `node`: all of it if it is an approved exit node, nothing else.
pub(crate) fn at(node: &Node) -> Vec<String> {
    if is_exit(node) { INTERNET.map(str::to_owned).to_vec() } else { Vec::new() }
}

/// Whether a node is an approved exit node, for both families.
pub(crate) fn is_exit(node: &Node) -> bool {
    let leads_out = |is_v4: bool| {
        let mut routes = node.approved_routes.iter();
        routes.any(|route| route.prefix_len() == 0 && route.addr().is_ipv4() == is_v4)
    };
    leads_out(true) && leads_out(false)
}

/// Whether the whole prefix is of the internet.
pub(crate) fn holds(prefix: &IpNet) -> bool {
    let internet: AddressSet = INTERNET.iter().flat_map(|text| spans(text)).collect();
    internet.holds(&(*prefix).into())
}
