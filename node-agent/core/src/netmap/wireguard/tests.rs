use control_protocol::map::{BASE_FILTER, MapResponse, NetPortRange, PortRange, WIREGUARD_DEVICES};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const TV: &str = "100.64.0.9";

fn node(id: u8) -> Node {
    Node {
        id: id.into(),
        stable_id: format!("n{id}"),
        name: format!("node{id}.maru.home.arpa."),
        user: 1,
        key: NodePublic::from_bytes([id; 32]),
        addresses: vec![
            format!("100.64.0.{id}/32").parse().unwrap(),
            format!("fd7a:115c:a1e0::{id}/128").parse().unwrap(),
        ],
        ..Node::default()
    }
}

fn device(id: u8) -> Node {
    Node { allowed_ips: Some(Vec::new()), ..node(id) }
}

/// A peer that is the router of these devices.
fn router(id: u8, devices: &[Node]) -> Node {
    let own = node(id);
    let behind = devices.iter().flat_map(|node| node.addresses.clone());
    Node { allowed_ips: Some(own.addresses.iter().copied().chain(behind).collect()), ..own }
}

fn rule(from: &str, to: &str, ports: (u16, u16)) -> FilterRule {
    let ports = PortRange { first: ports.0, last: ports.1 };
    let dst = NetPortRange { ip: to.to_owned(), ports, ..NetPortRange::default() };
    FilterRule { src_ips: vec![from.to_owned()], dst_ports: vec![dst], ..FilterRule::default() }
}

/// The map of a router, node 1, with a TV that may do what `allow` says.
fn map(full_tunnel: bool, allow: &[FilterRule], filter: Vec<FilterRule>) -> Netmap {
    let mut own = node(1);
    let value = json!({ "Node": 9, "FullTunnel": full_tunnel, "Allow": allow });
    own.cap_map.insert(WIREGUARD_DEVICES.to_owned(), vec![value, json!("not one")]);
    let message = MapResponse {
        node: Some(own),
        domain: "maru.home.arpa".to_owned(),
        peers: Some(vec![node(2), device(9)]),
        packet_filters: Some([(BASE_FILTER.to_owned(), Some(filter))].into()),
        ..MapResponse::default()
    };
    let mut netmap = Netmap::default();
    netmap.apply_first(message).unwrap();
    netmap
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn everywhere() -> Ranges {
    EXIT.into_iter().collect()
}

/// Whether a device of the plan may open a port of TCP.
fn opens(plan: &WireguardPlan, from: &str, to: &str, port: u16) -> bool {
    plan.rules.iter().any(|rule| {
        rule.sources.contains(ip(from))
            && rule.destinations.contains(ip(to))
            && rule.protocols.contains(&6)
            && (rule.ports.0..=rule.ports.1).contains(&port)
    })
}

#[test]
fn a_device_opens_what_its_own_rules_name_and_others_what_the_filter_names() {
    let allow = [rule(TV, "100.64.0.1", (80, 80)), rule("100.64.0.2", "100.64.0.1", (22, 22))];
    let filter =
        vec![rule("100.64.0.2", TV, (443, 443)), rule("100.64.0.2", "100.64.0.1", (8080, 8080))];
    let plan = map(false, &allow, filter).wireguard(&RouteChoice::default(), &everywhere());
    assert_eq!(plan.devices.len(), 1);
    assert_eq!(
        (plan.devices[0].stable_id.as_str(), plan.devices[0].name.as_str()),
        ("n9", "node9")
    );
    assert!(opens(&plan, TV, "100.64.0.1", 80));
    assert!(opens(&plan, "100.64.0.2", TV, 443));
    for (from, to, port) in [
        (TV, "100.64.0.1", 81),
        (TV, "100.64.0.2", 80),
        // A rule for somebody else's address is none of the device's; what peers may do here is the tunnel's matter.
        ("100.64.0.2", "100.64.0.1", 22),
        ("100.64.0.2", "100.64.0.1", 8080),
        ("100.64.0.2", TV, 80),
    ] {
        assert!(!opens(&plan, from, to, port), "{from} {to} {port}");
    }
}

#[test]
fn a_device_knows_of_whom_it_may_open_something_on_or_who_may_on_it() {
    let allow = [rule(TV, "100.64.0.2", (80, 80))];
    let filter = vec![rule("100.64.0.3", TV, (443, 443)), rule("100.64.0.4", "*", (1, 1))];
    let plan = map(false, &allow, filter).wireguard(&RouteChoice::default(), &Ranges::default());
    for (address, is_shown) in [
        (TV, true),
        ("fd7a:115c:a1e0::9", true),
        ("100.64.0.2", true),
        ("100.64.0.3", true),
        ("100.64.0.4", true),
        ("100.64.0.5", false),
        ("fd7a:115c:a1e0::2", false),
    ] {
        for asker in [TV, "fd7a:115c:a1e0::9"] {
            assert_eq!(plan.shows(ip(asker), ip(address)), is_shown, "{address}");
        }
        assert!(!plan.shows(ip("100.64.0.8"), ip(address)), "one that is not served");
    }
}

#[test]
fn what_is_open_is_the_mesh_and_never_this_machines_networks() {
    let all = [
        rule(TV, "0.0.0.0-255.255.255.255", (0, u16::MAX)),
        rule("fd7a:115c:a1e0::9", "::/0", (0, u16::MAX)),
    ];
    let served =
        RouteChoice { offered: vec!["192.168.9.0/24".parse().unwrap()], ..RouteChoice::default() };
    let reached = |plan: &WireguardPlan, to: &str| {
        let from = if ip(to).is_ipv4() { TV } else { "fd7a:115c:a1e0::9" };
        opens(plan, from, to, 80)
    };
    let narrow = map(false, &all, Vec::new()).wireguard(&RouteChoice::default(), &everywhere());
    let full = map(true, &all, Vec::new()).wireguard(&RouteChoice::default(), &everywhere());
    for (to, by_narrow, by_full) in [
        ("100.64.0.2", true, true),
        ("fd7a:115c:a1e0::2", true, true),
        ("8.8.8.8", false, true),
        ("2001:db8::1", false, true),
        ("192.168.9.2", false, false),
        ("10.0.0.1", false, false),
        ("fd00::1", false, false),
        ("fe80::1", false, false),
        ("127.0.0.1", false, false),
        ("224.0.0.1", false, false),
        ("255.255.255.255", false, false),
        ("0.0.0.0", false, false),
    ] {
        assert_eq!((reached(&narrow, to), reached(&full, to)), (by_narrow, by_full), "{to}");
    }
    // A subnet that this node offers, once it is approved.
    let mut netmap = map(false, &all, Vec::new());
    assert!(!reached(&netmap.wireguard(&served, &everywhere()), "192.168.9.2"), "not approved");
    let own = netmap.node.as_mut().unwrap();
    own.allowed_ips = Some([own.addresses.clone(), served.offered.clone()].concat());
    assert!(reached(&netmap.wireguard(&served, &everywhere()), "192.168.9.2"));
    assert!(!reached(&netmap.wireguard(&served, &everywhere()), "192.168.8.2"));
}

#[test]
fn a_full_tunnel_ends_where_this_machine_or_its_house_begins() {
    let all = [
        rule(TV, "0.0.0.0-255.255.255.255", (0, u16::MAX)),
        rule("fd7a:115c:a1e0::9", "::/0", (0, u16::MAX)),
    ];
    let netmap = map(true, &all, Vec::new());
    let house = ["203.0.113.7/32", "2001:db8::/64"].map(|net| net.parse::<IpNet>().unwrap());
    let outside = everywhere().without(&house.into_iter().collect());
    let choice = RouteChoice::default();
    let [open, shut] = [&outside, &Ranges::default()].map(|it| netmap.wireguard(&choice, it));
    for (to, by_open) in [
        ("203.0.113.8", true),
        ("203.0.113.7", false),
        ("2001:db8:0:1::2", true),
        ("2001:db8::2", false),
    ] {
        let from = if ip(to).is_ipv4() { TV } else { "fd7a:115c:a1e0::9" };
        let found = [&open, &shut].map(|plan| opens(plan, from, to, 80));
        assert_eq!(found, [by_open, false], "{to}");
    }
    assert!(opens(&shut, TV, "100.64.0.2", 80), "the mesh");

    // Nor for a router that is an exit node, too. A subnet that it routes is named by the policy.
    let mut netmap = netmap;
    let mut with_routes = |offered: Vec<IpNet>| {
        let own = netmap.node.as_mut().unwrap();
        own.allowed_ips = Some([own.addresses.clone(), offered.clone()].concat());
        let plan = netmap.wireguard(&RouteChoice { offered, ..RouteChoice::default() }, &outside);
        opens(&plan, "fd7a:115c:a1e0::9", "2001:db8::2", 80)
    };
    assert!(!with_routes(EXIT.to_vec()));
    assert!(with_routes(vec![house[1]]));
}

#[test]
fn a_device_that_is_expired_or_takes_anothers_address_is_not_served() {
    let all = [rule(TV, "*", (0, u16::MAX))];
    let served = |change: &dyn Fn(&mut Netmap)| {
        let mut netmap = map(false, &all, Vec::new());
        change(&mut netmap);
        let plan = netmap.wireguard(&RouteChoice::default(), &everywhere());
        assert!(plan.devices.len() == 1 || plan.rules.is_empty());
        plan.devices.len()
    };
    assert_eq!(served(&|_| {}), 1);
    assert_eq!(served(&|map| map.peers.get_mut(&9).unwrap().expired = true), 0);
    assert_eq!(served(&|map| drop(map.peers.remove(&9))), 0);
    assert_eq!(served(&|map| map.peers.get_mut(&9).unwrap().allowed_ips = None), 0);
    for taken in ["100.64.0.1/32", "100.64.0.2/32"] {
        let take = |map: &mut Netmap| {
            map.peers.get_mut(&9).unwrap().addresses = vec![taken.parse().unwrap()];
        };
        assert_eq!(served(&take), 0, "{taken}");
    }
}

#[test]
fn packets_of_a_device_count_as_the_devices_and_never_as_its_routers() {
    let mut netmap = Netmap::default();
    let peers = Some(vec![router(1, &[device(9)]), device(9), device(8)]);
    let message = MapResponse { node: Some(node(2)), peers, ..MapResponse::default() };
    netmap.apply_first(message).unwrap();
    let caller = |netmap: &Netmap, address: &str| netmap.caller(ip(address)).map(|it| it.stable_id);
    let choice = RouteChoice::default();
    let ways = |netmap: &Netmap| netmap.tunnel_peers(&choice)[0].allowed_ips.len();
    assert_eq!(caller(&netmap, TV).as_deref(), Some("n9"));
    assert_eq!(caller(&netmap, "fd7a:115c:a1e0::9").as_deref(), Some("n9"));
    assert_eq!(caller(&netmap, "100.64.0.1").as_deref(), Some("n1"));
    assert_eq!(caller(&netmap, "100.64.0.8"), None, "it has no router");
    assert_eq!((netmap.tunnel_peers(&choice).len(), ways(&netmap)), (1, 4), "through its router");

    netmap.peers.get_mut(&9).unwrap().expired = true;
    assert_eq!(caller(&netmap, TV), None);
    assert_eq!(ways(&netmap), 2);

    // On the router itself.
    let netmap = map(false, &[], Vec::new());
    assert_eq!(caller(&netmap, TV).as_deref(), Some("n9"));
    let thief = router(2, &[device(9)]);
    let mut stolen = netmap.clone();
    stolen.peers.insert(2, thief);
    assert!(
        !stolen.tunnel_peers(&choice)[0].allowed_ips.contains(&"100.64.0.9/32".parse().unwrap())
    );
}

proptest! {
    /// What remains without ranges, and what is common with them, is what each address says alone.
    #[test]
    fn ranges_are_cut_as_each_address_says(
        of in prop::collection::vec((any::<u32>(), 0..=32_u8), 0..6),
        others in prop::collection::vec((any::<u32>(), 0..=32_u8), 0..6),
        probe: u32,
    ) {
        let nets = |list: &[(u32, u8)]| list.iter().map(|(bits, len)| {
            IpNet::new(std::net::Ipv4Addr::from_bits(bits & 0xc000_0003).into(), *len).unwrap().trunc()
        }).collect::<Ranges>();
        let (of, others) = (nets(&of), nets(&others));
        for bits in [probe, probe & 0xc000_0003, 0, u32::MAX] {
            let address = IpAddr::from(std::net::Ipv4Addr::from_bits(bits));
            let (first, second) = (of.contains(address), others.contains(address));
            prop_assert_eq!(of.within(&others).contains(address), first && second);
            prop_assert_eq!(of.without(&others).contains(address), first && !second);
        }
    }

    /// No text of a rule opens an address outside the mesh.
    #[test]
    fn no_rule_opens_more_than_the_mesh(from in ".{0,30}", to in "[0-9a-f.:/*-]{0,30}") {
        let plan = map(false, &[rule(&from, &to, (0, u16::MAX)), rule("*", &to, (0, u16::MAX))], Vec::new())
            .wireguard(&RouteChoice::default(), &everywhere());
        let mesh: Ranges = [IpNet::V4(mesh::V4), mesh::V6.into()].into_iter().collect();
        for rule in plan.rules {
            prop_assert!(rule.destinations.without(&mesh) == Ranges::default());
        }
    }
}
