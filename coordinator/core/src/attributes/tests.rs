use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::Owner;

#[test]
fn services_are_those_of_the_peer_api_one_of_each_kind() {
    let service = |proto: &str, port| Service {
        proto: proto.to_owned(),
        port,
        description: "a secret project".to_owned(),
    };
    let offered = ["tcp", "peerapi6", "peerapi4", "peerapi4", "peerapi-dns-proxy", "udp"];
    let hostinfo = Hostinfo {
        services: offered.iter().zip(1..).map(|(proto, port)| service(proto, port)).collect(),
        ..Hostinfo::default()
    };

    let seen = services(&hostinfo);

    let seen: Vec<_> =
        seen.iter().map(|it| (it.proto.as_str(), it.port, it.description.as_str())).collect();
    assert_eq!(seen, [("peerapi4", 3, ""), ("peerapi6", 2, ""), ("peerapi-dns-proxy", 5, "")]);
}

proptest! {
    #[test]
    fn nothing_that_a_policy_says_takes_away_what_every_node_is_told(
        names in proptest::collection::vec("[a-z-]{1,30}|default-auto-update|maru/x", 0..8),
    ) {
        let attributes: CapMap = names.iter().map(|name| (name.clone(), vec![json!(true)])).collect();
        let node = crate::network::tests::node(7, Owner::User(1));

        let told = own(&node, attributes);

        prop_assert_eq!(&told["default-auto-update"], &vec![json!(false)]);
        prop_assert!(told.contains_key("disable-captive-portal-detection"));
        prop_assert!(told.contains_key("cache-network-maps"));
        prop_assert!(names.iter().all(|name| told.contains_key(name)));
    }
}

#[test]
fn peers_are_told_what_is_ours_and_nothing_else() {
    let mut node = crate::network::tests::node(7, Owner::User(1));
    for name in ["maru/gateway-identity", "https://tailscale.com/cap/is-admin"] {
        node.capabilities.insert(name.to_owned(), vec![json!("value")]);
    }

    assert_eq!(for_peers(&node).into_keys().collect::<Vec<_>>(), ["maru/gateway-identity"]);
    assert!(own(&node, CapMap::new()).contains_key("https://tailscale.com/cap/is-admin"));
}
