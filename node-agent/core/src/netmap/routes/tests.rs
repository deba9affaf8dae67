use control_protocol::{key::NodePublic, map::MapResponse};
use proptest::prelude::*;

use super::*;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn node(id: u8, name: &str, routes: &[&str]) -> Node {
    let address = net(&format!("100.64.0.{id}/32"));
    let routes = routes.iter().map(|text| net(text));
    Node {
        id: id.into(),
        stable_id: format!("n{id}"),
        name: format!("{name}.maru.home.arpa."),
        key: NodePublic::from_bytes([id; 32]),
        addresses: vec![address],
        allowed_ips: Some(std::iter::once(address).chain(routes).collect()),
        ..Node::default()
    }
}

fn netmap(peers: Vec<Node>) -> Netmap {
    let mut netmap = Netmap::default();
    let response = MapResponse {
        node: Some(node(1, "laptop", &["192.168.9.0/24", "10.9.0.0/16"])),
        domain: "maru.home.arpa".to_owned(),
        peers: Some(peers),
        ..MapResponse::default()
    };
    netmap.apply_first(response).unwrap();
    netmap
}

fn accepting() -> RouteChoice {
    RouteChoice { accepts_subnets: true, ..RouteChoice::default() }
}

fn through(exit: &str) -> RouteChoice {
    RouteChoice { exit_node: Some(exit.to_owned()), ..RouteChoice::default() }
}

fn used(netmap: &Netmap, choice: &RouteChoice) -> Vec<String> {
    let routes = netmap.routes(choice);
    routes.iter().map(|(net, peer)| format!("{net} {}", peer.stable_id)).collect()
}

#[test]
fn only_chosen_routes_are_used_and_the_way_out_is_the_chosen_nodes() {
    let lan = "192.168.1.0/24";
    let netmap = netmap(vec![
        node(2, "router", &[lan, "0.0.0.0/0", "::/0"]),
        node(3, "exit", &[lan, "0.0.0.0/0", "::/0"]),
    ]);

    assert_eq!(used(&netmap, &RouteChoice::default()), [""; 0]);
    assert_eq!(used(&netmap, &accepting()), ["192.168.1.0/24 n2"]);
    for name in ["exit", "EXIT", "n3", "100.64.0.3"] {
        assert_eq!(used(&netmap, &through(name)), ["0.0.0.0/0 n3", "::/0 n3"], "{name}");
    }
    assert_eq!(used(&netmap, &through("gone")), [""; 0]);
    assert_eq!(used(&netmap, &through("laptop")), [""; 0], "this device itself");
    let peers = netmap.tunnel_peers(&through("exit"));
    assert_eq!(peers[0].allowed_ips, [net("100.64.0.2/32")]);
    assert_eq!(peers[1].allowed_ips.len(), 3);
}

#[test]
fn a_name_of_two_nodes_is_no_exit_node() {
    let mut other = node(3, "exit", &["0.0.0.0/0", "::/0"]);
    let netmap = |stable_id: &str| {
        other.stable_id = stable_id.to_owned();
        netmap(vec![node(2, "exit2", &["0.0.0.0/0", "::/0"]), other.clone()])
    };
    let mut netmap = netmap;
    assert!(netmap("n3").exit_node(&through("exit2")).is_some());
    assert!(netmap("exit2").exit_node(&through("exit2")).is_none());
}

#[test]
fn no_route_takes_over_the_mesh_this_machine_or_the_internet() {
    for route in [
        "100.64.0.9/32",
        "100.64.0.0/10",
        "100.100.100.100/32",
        "fd7a:115c:a1e0::/48",
        "fc00::/7",
        "127.0.0.1/32",
        "169.254.169.254/32",
        "fe80::/64",
        "224.0.0.0/4",
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1",
        "128.0.0.0/1",
        "8.0.0.0/8",
        "2000::/3",
        "2001::/16",
        "192.168.1.7/24",
    ] {
        let netmap = netmap(vec![node(2, "router", &[route])]);
        assert_eq!(used(&netmap, &accepting()), [""; 0], "{route}");
    }
    for route in
        ["10.0.0.0/8", "203.0.113.0/24", "fd42::/64", "2001:db8::/32", "fd7a:115c:a1e0:b1a::/96"]
    {
        let netmap = netmap(vec![node(2, "router", &[route])]);
        assert_eq!(used(&netmap, &accepting()), [format!("{route} n2")], "{route}");
    }
}

#[test]
fn a_router_serves_what_it_offers_and_the_coordinator_approved() {
    let peer = node(2, "router", &["192.168.9.0/24", "192.168.8.0/24"]);
    let offered = vec![net("192.168.9.0/24"), net("192.168.7.0/24")];
    let choice = RouteChoice { offered, ..accepting() };
    let netmap = netmap(vec![peer]);
    assert_eq!(netmap.served(&choice), [net("192.168.9.0/24")]);
    assert_eq!(netmap.served(&accepting()), []);
    assert_eq!(used(&netmap, &choice), ["192.168.8.0/24 n2"], "its own subnet is nobody else's");
}

proptest! {
    /// Whatever a coordinator sends: the number of routes is bounded, and none holds an address of the mesh's nodes or this
    /// machine.
    #[test]
    fn any_map_leaves_mesh_and_machine_alone(
        routes in prop::collection::vec((any::<u32>(), 0..=32_u8), 0..600),
    ) {
        let texts: Vec<String> = routes
            .iter()
            .map(|(bits, len)| format!("{}/{len}", std::net::Ipv4Addr::from_bits(*bits)))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let netmap = netmap(vec![node(2, "router", &texts)]);
        let routes = netmap.routes(&accepting());
        prop_assert!(routes.len() <= SUBNETS_MAX);
        for address in ["100.64.0.9", "100.100.100.100", "127.0.0.1", "169.254.1.1", "224.0.0.251"] {
            let address: IpAddr = address.parse().unwrap();
            prop_assert!(!routes.iter().any(|(net, _)| net.contains(&address)));
        }
    }
}

#[test]
fn an_exit_node_forwards_to_the_internet_alone_and_a_router_to_its_subnets() {
    let mut netmap = netmap(Vec::new());
    let offered = ["10.9.0.0/16", "10.8.0.0/16", "0.0.0.0/0", "::/0"].map(net).to_vec();
    let choice = RouteChoice { offered, ..RouteChoice::default() };
    let house: Ranges = ["203.0.113.0/24", "2001:db8:1::/64"].map(net).into_iter().collect();
    let outside = EXIT.into_iter().collect::<Ranges>().without(&house);
    let reached = |netmap: &Netmap, address: &str| {
        netmap.forwards(&choice, &outside).contains(address.parse().unwrap())
    };
    // 10.8.0.0/16 and the way out are not approved.
    for (address, is) in [("10.9.1.1", true), ("10.8.1.1", false), ("9.9.9.9", false)] {
        assert_eq!(reached(&netmap, address), is, "{address}");
    }
    let own = netmap.node.as_mut().unwrap();
    own.allowed_ips.as_mut().unwrap().extend(EXIT);
    for address in ["10.9.1.1", "9.9.9.9", "2001:db8:2::1"] {
        assert!(reached(&netmap, address), "{address}");
    }
    for address in [
        "10.8.1.1",
        "192.168.1.1",
        "fd00::1",
        "203.0.113.7",
        "2001:db8:1::7",
        "100.64.0.7",
        "169.254.169.254",
        "0.1.2.3",
    ] {
        assert!(!reached(&netmap, address), "{address}");
    }
}
