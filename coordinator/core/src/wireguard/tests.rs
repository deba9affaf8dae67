use control_protocol::key::NodePublic;
use control_protocol::map::{FilterRule, NetPortRange, PortRange, SERVER_URL, WireguardRouter};
use coordinator_api::WireguardProblem;
use proptest::prelude::*;

use super::{RouterError, Tunnel, choose_router, is_endpoint, is_key, is_routed, narrow, problem};
use crate::{
    model::{Node, Owner},
    network::tests::node,
    policy::AddressRanges,
};

const NOW: i64 = 1_000_000;

fn router(id: u64) -> Node {
    let mut router = node(id, Owner::tags(vec!["tag:home".to_owned()]));
    let key = NodePublic::from_bytes([9; 32]);
    router.claims.hostinfo.maru_wireguard = Some(WireguardRouter { key, port: 51820 });
    router
}

/// A router that the admin marked as home.
fn home(id: u64) -> Node {
    let mut home = router(id);
    home.capabilities.insert(SERVER_URL.to_owned(), Vec::new());
    home
}

fn device(id: u64, router: u64) -> Node {
    let mut device = node(id, Owner::User(1));
    let router_key = NodePublic::from_bytes([9; 32]);
    let tunnel =
        Tunnel { router, router_key, endpoint: None, full_tunnel: false, keepalive: false };
    device.wireguard = Some(tunnel);
    device
}

#[test]
fn a_router_is_a_tagged_node_that_offers_it() {
    let mut of_alice = router(2);
    of_alice.owner = Owner::User(1);
    let silent = node(3, Owner::tags(vec!["tag:nas".to_owned()]));
    let mut device = device(4, 1);
    device.owner = Owner::tags(vec!["tag:tv".to_owned()]);
    device.claims.hostinfo.maru_wireguard = router(1).claims.hostinfo.maru_wireguard;
    let mut expired = router(5);
    expired.times.expires = Some(NOW);
    let nodes = [home(1), of_alice, silent, device, expired, router(6)];
    let choose = |nodes: &[Node], named: Option<usize>| {
        choose_router(nodes, named.map(|at| &nodes[at]), NOW).map(|(node, _)| node.id)
    };

    assert_eq!(choose(&nodes, None), Ok(1), "home");
    assert_eq!(choose(&nodes, Some(0)), Ok(1));
    assert_eq!(choose(&nodes, Some(5)), Ok(6), "the admin named it");
    assert_eq!(choose(&nodes, Some(1)), Err(RouterError::Untagged("node-2".to_owned())));
    assert_eq!(choose(&nodes, Some(2)), Err(RouterError::NotOffered("node-3".to_owned())));
    assert_eq!(choose(&nodes, Some(3)), Err(RouterError::Untagged("node-4".to_owned())));
    assert_eq!(choose(&nodes, Some(4)), Err(RouterError::NotOffered("node-5".to_owned())));
}

/// A member whom `tagOwners` lists tags her own node, and says in its Hostinfo that it is a router.
#[test]
fn nobody_becomes_the_router_by_offering_itself() {
    let choose = |nodes: &[Node]| choose_router(nodes, None, NOW).map(|(node, _)| node.id);

    assert_eq!(choose(&[router(1)]), Err(RouterError::NoHome));
    let mut upgraded = home(2);
    upgraded.claims.hostinfo.maru_wireguard = None;
    let silent = Err(RouterError::NotOffered("node-2".to_owned()));
    assert_eq!(choose(&[router(1), upgraded]), silent, "home says nothing yet");
    assert_eq!(choose(&[router(1), home(2)]), Ok(2));
    let mut of_alice = home(2);
    of_alice.owner = Owner::User(1);
    assert_eq!(choose(&[router(1), of_alice]), Err(RouterError::NoHome));
    let mut former = home(2);
    former.times.expires = Some(NOW);
    assert_eq!(choose(&[former, home(3)]), Ok(3));
    let both = ["node-2", "node-3"].map(str::to_owned).to_vec();
    assert_eq!(choose(&[home(2), home(3)]), Err(RouterError::SeveralHomes(both)));
}

#[test]
fn a_device_whose_router_is_no_more_is_out_and_one_whose_router_is_silent_is_told() {
    let seen = |change: fn(&mut Node)| {
        let (mut router, device) = (router(1), device(2, 1));
        change(&mut router);
        let nodes = [router, device];
        (problem(&nodes[1], &nodes, NOW), is_routed(&nodes[1], &nodes, NOW))
    };

    assert_eq!(seen(|_| ()), (None, true));
    let gone = (Some(WireguardProblem::RouterGone), false);
    assert_eq!(seen(|router| router.id = 7), gone, "removed");
    assert_eq!(seen(|router| router.times.expires = Some(NOW)), gone);
    let untagged = (Some(WireguardProblem::RouterUntagged), false);
    assert_eq!(seen(|router| router.owner = Owner::User(1)), untagged);
    let silent = (Some(WireguardProblem::NotOffered), true);
    assert_eq!(seen(|router| router.claims.hostinfo.maru_wireguard = None), silent);
    let key = |router: &mut Node| {
        let offer = router.claims.hostinfo.maru_wireguard.as_mut().unwrap();
        offer.key = NodePublic::from_bytes([8; 32]);
    };
    assert_eq!(seen(key), (Some(WireguardProblem::OtherKey), true));
    assert_eq!(problem(&router(1), &[] as &[Node], NOW), None, "no WireGuard device");
}

#[test]
fn an_endpoint_is_a_host_and_a_port_and_fits_one_line() {
    for good in ["home.example.org:51820", "192.0.2.1:1", "[2001:db8::1]:65535"] {
        assert!(is_endpoint(good), "{good}");
    }
    let long = format!("{}:1", "a".repeat(254));
    for bad in [
        "",
        "home",
        "home:",
        "home:0",
        "home:65536",
        "home:+1",
        ":1",
        "2001:db8::1:51820",
        "[::1:1",
        "[home]:1",
        "a b:1",
        "home\n:1",
        "home:1\n[Peer]",
        "höme:1",
        long.as_str(),
    ] {
        assert!(!is_endpoint(bad), "{bad}");
    }
}

#[test]
fn a_key_that_anyone_could_have_is_none() {
    assert!(is_key(&NodePublic::from_bytes([9; 32])));
    // The points of order 1, 2 and 8 (RFC 7748, section 6.1).
    let mut one = [0; 32];
    one[0] = 1;
    let eight = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    let mut order_8 = [0; 32];
    hex::decode_to_slice(eight, &mut order_8).unwrap();
    for weak in [[0; 32], one, order_8] {
        assert!(!is_key(&NodePublic::from_bytes(weak)), "{weak:?}");
    }
}

fn ranges(texts: &[&str]) -> AddressRanges {
    AddressRanges::of(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn text() -> impl Strategy<Value = String> {
    let octet = 0_u8..8;
    let range = (octet.clone(), octet.clone())
        .prop_map(|(a, b)| format!("100.64.0.{}-100.64.0.{}", a.min(b), a.max(b)));
    prop_oneof![
        Just("*".to_owned()),
        octet.prop_map(|last| format!("100.64.0.{last}")),
        range,
        (29_u8..=32).prop_map(|len| format!("100.64.0.0/{len}")),
        Just("fd7a:115c:a1e0::/48".to_owned()),
    ]
}

proptest! {
    /// What is left of rules opens exactly what they opened, from these sources to these places, and nothing else.
    #[test]
    fn narrowed_rules_open_what_they_opened_and_no_more(
        rules in prop::collection::vec((prop::collection::vec(text(), 1..3), prop::collection::vec(text(), 1..3)), 0..4),
        place in text().prop_filter("no place is everywhere", |place| place != "*"),
        own in 0_u8..8,
    ) {
        let rules: Vec<FilterRule> = rules
            .into_iter()
            .map(|(src_ips, to)| {
                let port = |ip| NetPortRange { ip, bits: None, ports: PortRange::ALL };
                let dst_ports = to.into_iter().map(port).collect();
                FilterRule { src_ips, dst_ports, ..FilterRule::default() }
            })
            .collect();
        let from = [format!("100.64.0.{own}"), "fd7a:115c:a1e0::9".to_owned()];
        let from = from.map(|ip| ip.parse().unwrap());
        let places = ranges(&[&place]);

        let left = narrow(&rules, Some(from), &places);

        let opens = |rules: &[FilterRule], source, to| {
            rules.iter().any(|rule| {
                let dst = AddressRanges::of(rule.dst_ports.iter().map(|port| &port.ip));
                AddressRanges::of(&rule.src_ips).contain(&[source]) && dst.contain(&[to])
            })
        };
        let all = (0_u8..8).map(|last| format!("100.64.0.{last}"));
        let all: Vec<std::net::IpAddr> =
            all.chain(["fd7a:115c:a1e0::9".to_owned()]).map(|ip| ip.parse().unwrap()).collect();
        for source in &all {
            for to in &all {
                let expected = from.contains(source)
                    && places.contain(&[*to])
                    && opens(&rules, *source, *to);
                prop_assert_eq!(opens(&left, *source, *to), expected, "{} {}", source, to);
            }
        }
    }
}
