//! Why the path to a peer is not direct.

use std::net::SocketAddr;

use control_protocol::map::Node;
use node_agent_api::RelayReason;

use crate::{agent::EndpointReport, endpoints::STUN};

/// What keeps the path to `peer` from being direct, by what both report.
pub(super) fn reason(own: &EndpointReport, peer: &Node) -> RelayReason {
    let seen =
        || own.endpoints.iter().filter(|(_, kind)| *kind == STUN).map(|(address, _)| *address);
    let shares = |address: &SocketAddr| {
        own.endpoints.iter().any(|(own, _)| own.is_ipv4() == address.is_ipv4())
    };
    let several = |v4: bool| seen().filter(|address| address.is_ipv4() == v4).count() > 1;
    if seen().next().is_none() {
        RelayReason::NoUdpHere
    } else if peer.endpoints.is_empty() {
        RelayReason::NoUdpThere
    } else if !peer.endpoints.iter().any(shares) {
        RelayReason::NoCommonFamily
    } else if several(true) || several(false) {
        RelayReason::SymmetricNatHere
    } else {
        RelayReason::NoAnswer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_both_report() {
        let local = 1;
        let own = |endpoints: &[(&str, i64)]| EndpointReport {
            endpoints: endpoints
                .iter()
                .map(|(text, kind)| (text.parse().unwrap(), *kind))
                .collect(),
            home: None,
        };
        let peer = |endpoints: &[&str]| Node {
            endpoints: endpoints.iter().map(|text| text.parse().unwrap()).collect(),
            ..Node::default()
        };
        let open = own(&[("203.0.113.1:41641", STUN), ("192.168.1.2:41641", local)]);
        let there = peer(&["198.51.100.1:41641"]);
        let blocked = own(&[("192.168.1.2:41641", local)]);
        let symmetric = own(&[("203.0.113.1:7000", STUN), ("203.0.113.1:7001", STUN)]);
        let both = own(&[("203.0.113.1:7000", STUN), ("[2001:db8::1]:7001", STUN)]);
        assert_eq!(reason(&open, &there), RelayReason::NoAnswer);
        assert_eq!(reason(&both, &there), RelayReason::NoAnswer, "one address of each family");
        assert_eq!(reason(&blocked, &there), RelayReason::NoUdpHere);
        assert_eq!(reason(&open, &peer(&[])), RelayReason::NoUdpThere);
        assert_eq!(reason(&open, &peer(&["[2001:db8::1]:41641"])), RelayReason::NoCommonFamily);
        assert_eq!(reason(&symmetric, &there), RelayReason::SymmetricNatHere);
    }
}
