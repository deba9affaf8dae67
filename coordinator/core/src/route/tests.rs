use std::collections::BTreeSet;

use ipnet::IpNet;
use proptest::prelude::*;

use super::{
    EXIT, OFFERED_MAX, RouteError, RouteStatus, Routers, UnusableReason, approve, approved,
    offered, reject, statuses,
};
use crate::{
    model::{Node, Owner},
    network::tests::node,
};

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn router(routes: &[&str]) -> Node {
    let mut router = node(1, Owner::User(1));
    router.claims.hostinfo.routable_ips = routes.iter().map(|text| net(text)).collect();
    router
}

fn nobody(_: &IpNet) -> bool {
    false
}

#[test]
fn a_route_is_used_once_it_is_offered_and_approved() {
    let mut router = router(&["192.168.1.0/24", "10.0.0.0/8"]);
    assert_eq!(approved(&router, nobody), []);

    approve(&mut router, &[net("192.168.1.0/24")]).unwrap();
    assert_eq!(approved(&router, nobody), [net("192.168.1.0/24")]);
    assert_eq!(statuses(&router, nobody)[&net("10.0.0.0/8")], RouteStatus::Waiting);

    router.claims.hostinfo.routable_ips.clear();
    assert_eq!(approved(&router, nobody), [], "no longer offered");
    router.claims.hostinfo.routable_ips = vec![net("192.168.1.0/24")];
    assert_eq!(approved(&router, nobody), [net("192.168.1.0/24")], "the approval is remembered");

    reject(&mut router, &[net("192.168.1.0/24")]).unwrap();
    assert_eq!(approved(&router, nobody), []);
}

#[test]
fn the_admin_rejects_what_the_policy_approves() {
    let mut router = router(&["10.0.0.0/8"]);
    assert_eq!(statuses(&router, |_| true)[&net("10.0.0.0/8")], RouteStatus::ApprovedByPolicy);

    reject(&mut router, &[net("10.0.0.0/8")]).unwrap();

    assert_eq!(approved(&router, |_| true), []);
    approve(&mut router, &[net("10.0.0.0/8")]).unwrap();
    assert_eq!(statuses(&router, |_| true)[&net("10.0.0.0/8")], RouteStatus::ApprovedByAdmin);
}

#[test]
fn an_exit_node_is_both_families_or_none() {
    let mut exit = router(&["0.0.0.0/0", "::/0"]);
    approve(&mut exit, &EXIT[..1]).unwrap();
    assert_eq!(approved(&exit, nobody), EXIT, "one stands for both");
    reject(&mut exit, &EXIT[1..]).unwrap();
    assert_eq!(approved(&exit, nobody), []);

    let v4_only = |route: &IpNet| *route == EXIT[0];
    assert_eq!(approved(&router(&["0.0.0.0/0", "::/0"]), v4_only), []);

    let mut half = router(&["0.0.0.0/0"]);
    assert_eq!(approved(&half, |_| true), []);
    let refused = approve(&mut half, &EXIT[..1]).unwrap_err().message().to_string();
    assert!(refused.contains("does not offer ::/0") || refused.contains("together"), "{refused}");
}

#[test]
fn what_is_not_offered_is_not_approved_and_nothing_is_decided() {
    let mut router = router(&["10.0.0.0/8"]);

    let refused = approve(&mut router, &[net("10.0.0.0/8"), net("10.9.0.0/24")]).unwrap_err();

    assert_eq!(router.routes, super::Decisions::default());
    assert_eq!(
        refused.message().to_string(),
        "node-1 does not offer 10.9.0.0/24; it offers 10.0.0.0/8: name one of these, or run \
         `tailscale set --advertise-routes=10.9.0.0/24` there first"
    );
    assert!(
        reject(&mut router, &EXIT)
            .unwrap_err()
            .message()
            .to_string()
            .contains("--advertise-exit-node")
    );
}

#[test]
fn nobody_routes_the_networks_own_addresses_or_those_of_nobody() {
    for (route, reason) in [
        ("100.64.0.2/32", UnusableReason::Mesh),
        ("100.0.0.0/8", UnusableReason::Mesh),
        ("0.0.0.0/1", UnusableReason::Mesh),
        ("fd7a:115c:a1e0::2/128", UnusableReason::Mesh),
        ("fd00::/8", UnusableReason::Mesh),
        ("127.0.0.1/32", UnusableReason::Nowhere),
        ("169.254.1.0/24", UnusableReason::Nowhere),
        ("224.0.0.0/4", UnusableReason::Nowhere),
        ("fe80::/64", UnusableReason::Nowhere),
        ("ff02::1/128", UnusableReason::Nowhere),
        ("::1/128", UnusableReason::Nowhere),
    ] {
        let mut router = router(&[route]);
        assert_eq!(approved(&router, |_| true), [], "{route}");
        let refused = approve(&mut router, &[net(route)]).unwrap_err();
        assert_eq!(refused, RouteError::Unusable { route: net(route), reason });
    }
    let via = "fd7a:115c:a1e0:b1a:0:7:a00:0/120";
    assert_eq!(approved(&router(&[via]), |_| true), [net(via)]);
}

#[test]
fn a_node_offers_so_many_routes_and_no_more() {
    let many: Vec<String> = (0..200).map(|third| format!("10.0.{third}.7/24")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.extend(["10.0.3.0/24", "0.0.0.0/0", "::/0"]);

    let offered = offered(&router(&many));

    assert_eq!(offered.len(), OFFERED_MAX);
    assert!(offered.contains(&net("10.0.3.0/24")), "as a network");
    assert!(EXIT.iter().all(|exit| offered.contains(exit)));
}

#[test]
fn a_router_that_returns_does_not_take_back_what_works() {
    let lan = [net("192.168.1.0/24")];
    let routes = || [(1, &lan[..]), (2, &lan[..]), (3, &lan[..])];
    let elect = |online: &[u64], before: Option<&Routers>| {
        Routers::elect(routes(), &online.iter().copied().collect(), before)
    };

    let first = elect(&[1, 2, 3], None);
    assert_eq!(first.of(&lan[0]), [1, 2, 3]);
    let second = elect(&[2, 3], Some(&first));
    assert_eq!(second.of(&lan[0]), [2, 3, 1]);
    let back = elect(&[1, 2, 3], Some(&second));
    assert_eq!(back.of(&lan[0]), [2, 3, 1]);
    let nobody = elect(&[], Some(&back));
    assert_eq!(nobody.of(&lan[0]), [2, 3, 1], "tunnels outlive the coordinator's sight of them");
    assert!(nobody.of(&EXIT[0]).is_empty());
}

fn any_net() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(ip, len)| IpNet::new(ip.into(), len));
    let v6 = (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(ip, len)| IpNet::new(ip.into(), len));
    prop_oneof![v4, v6].prop_map(Result::unwrap)
}

proptest! {
    /// Whatever a node offers and the admin says, what is used was offered, leads to no other node and out by both
    /// families or none; and every decision that is taken can be taken back.
    #[test]
    fn what_is_used_was_offered_and_leads_to_no_node(
        offers in prop::collection::vec(any_net(), 0..80),
        wanted in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        by_policy in any::<bool>(),
    ) {
        let mut router = node(1, Owner::User(1));
        router.claims.hostinfo.routable_ips = offers;
        let offers = offered(&router);
        for index in wanted.iter().filter(|_| !offers.is_empty()) {
            let _ = approve(&mut router, &[*index.get(&offers)]);
        }

        let used: BTreeSet<IpNet> = approved(&router, |_| by_policy).into_iter().collect();

        prop_assert!(used.iter().all(|route| offers.contains(route) && *route == route.trunc()));
        prop_assert_eq!(used.contains(&EXIT[0]), used.contains(&EXIT[1]));
        for route in used.iter().filter(|route| !EXIT.contains(route)) {
            for address in ["100.64.0.1", "100.127.255.254", "fd7a:115c:a1e0::6440:1"] {
                prop_assert!(!route.contains(&address.parse::<std::net::IpAddr>().unwrap()));
            }
        }
        for route in used {
            reject(&mut router, &[route]).unwrap();
        }
        prop_assert_eq!(approved(&router, |_| by_policy), []);
    }
}
