use std::{
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

use control_protocol::{
    key::NodePublic,
    map::{
        BASE_FILTER, DnsConfig, DnsRecord, FilterRule, MapResponse, NetPortRange, Node, PeerChange,
        PortRange, UserProfile,
    },
};
use ipnet::IpNet;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::names::Zone;

fn node(id: u8, name: &str) -> Node {
    Node {
        id: id.into(),
        stable_id: format!("n{id}"),
        name: format!("{name}.maru.home.arpa."),
        user: 1,
        key: NodePublic::from_bytes([id; 32]),
        addresses: vec![
            format!("100.64.0.{id}/32").parse().unwrap(),
            format!("fd7a:115c:a1e0::{id}/128").parse().unwrap(),
        ],
        machine_authorized: true,
        ..Node::default()
    }
}

fn home() -> Node {
    let mut home = node(1, "home");
    home.tags = vec!["tag:home".to_owned()];
    home.cap_map.insert("maru/gateway-identity".to_owned(), vec![json!("key")]);
    home
}

fn rule(port: u16) -> FilterRule {
    let ports = PortRange { first: port, last: port };
    let dst = NetPortRange { ip: "100.64.0.2".to_owned(), ports, ..NetPortRange::default() };
    FilterRule { src_ips: vec!["*".to_owned()], dst_ports: vec![dst], ..FilterRule::default() }
}

fn first() -> MapResponse {
    let chat = DnsRecord {
        name: "chat.maru.home.arpa".to_owned(),
        value: "100.64.0.1".to_owned(),
        ..DnsRecord::default()
    };
    MapResponse {
        node: Some(node(2, "laptop")),
        domain: "maru.home.arpa".to_owned(),
        peers: Some(vec![home(), node(3, "phone")]),
        packet_filters: Some([(BASE_FILTER.to_owned(), Some(vec![rule(80)]))].into()),
        user_profiles: vec![UserProfile {
            id: 1,
            login_name: "mina".to_owned(),
            ..UserProfile::default()
        }],
        dns_config: Some(DnsConfig { extra_records: vec![chat], ..DnsConfig::default() }),
        ..MapResponse::default()
    }
}

fn netmap() -> Netmap {
    let mut netmap = Netmap::default();
    netmap.apply_first(first()).unwrap();
    netmap
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn keys(netmap: &Netmap) -> Vec<u8> {
    netmap.tunnel_peers(&RouteChoice::default()).iter().map(|peer| peer.key.as_bytes()[0]).collect()
}

#[test]
fn a_stream_must_start_with_this_node() {
    let mut netmap = netmap();
    let before = netmap.clone();
    let empty = MapResponse { domain: "other".to_owned(), ..MapResponse::default() };
    assert_eq!(netmap.apply_first(empty), Err(Error::NoNode));
    assert_eq!(netmap, before);
}

#[test]
fn a_new_stream_forgets_the_peers_and_filters_of_the_last() {
    let mut netmap = netmap();
    let alone = MapResponse { node: Some(node(2, "laptop")), ..MapResponse::default() };
    netmap.apply_first(alone).unwrap();
    assert!(netmap.peers.is_empty());
    assert!(netmap.rules().is_empty());
}

#[test]
fn an_empty_list_of_peers_means_as_before() {
    let mut netmap = netmap();
    netmap.apply(MapResponse { peers: Some(vec![]), ..MapResponse::default() });
    assert_eq!(keys(&netmap), [1, 3]);
}

#[test]
fn peers_come_change_and_go() {
    let mut netmap = netmap();
    let mut phone = node(3, "phone");
    phone.key = NodePublic::from_bytes([9; 32]);
    let response = MapResponse {
        peers_changed: vec![phone, node(4, "tablet")],
        peers_removed: vec![1],
        ..MapResponse::default()
    };
    netmap.apply(response);
    assert_eq!(keys(&netmap), [9, 4]);
}

#[test]
fn a_patch_changes_endpoints_and_online_alone_changes_no_tunnel() {
    let mut netmap = netmap();
    let endpoint: SocketAddr = "192.0.2.1:41641".parse().unwrap();
    let patch = PeerChange {
        node_id: 1,
        endpoints: Some(vec![endpoint]),
        derp_region: 900,
        ..PeerChange::default()
    };
    let response = MapResponse { peers_changed_patch: vec![patch], ..MapResponse::default() };
    netmap.apply(response);
    assert_eq!(netmap.tunnel_peers(&RouteChoice::default())[0].endpoints, [endpoint]);
    assert_eq!(netmap.tunnel_peers(&RouteChoice::default())[0].home_region, Some(900));

    let patch = PeerChange { node_id: 1, online: Some(true), ..PeerChange::default() };
    let (response, before) = (
        MapResponse { peers_changed_patch: vec![patch], ..MapResponse::default() },
        netmap.tunnel_peers(&RouteChoice::default()),
    );
    netmap.apply(response);
    assert_eq!(netmap.tunnel_peers(&RouteChoice::default()), before);
    assert_eq!(netmap.peers[&1].online, Some(true));
}

#[test]
fn filters_are_replaced_by_name_and_an_empty_one_lets_nothing_in() {
    let filters = |list: Vec<(&str, Option<Vec<FilterRule>>)>| MapResponse {
        packet_filters: Some(list.into_iter().map(|(n, r)| (n.to_owned(), r)).collect()),
        ..MapResponse::default()
    };
    let mut netmap = netmap();
    netmap.apply(filters(vec![("more", Some(vec![rule(443)]))]));
    assert_eq!(netmap.rules(), [rule(80), rule(443)]);
    netmap.apply(filters(vec![("base", Some(vec![]))]));
    assert_eq!(netmap.rules(), [rule(443)]);
    netmap.apply(filters(vec![("*", None), ("base", Some(vec![rule(22)]))]));
    assert_eq!(netmap.rules(), [rule(22)]);
    netmap.apply(MapResponse { packet_filter: Some(vec![]), ..MapResponse::default() });
    assert!(netmap.rules().is_empty());
}

#[test]
fn only_mesh_addresses_that_are_not_our_own_are_routed_to_a_peer() {
    let mut netmap = netmap();
    let mut greedy = node(3, "phone");
    greedy.allowed_ips = Some(
        ["100.64.0.3/32", "0.0.0.0/0", "192.168.0.0/16", "100.64.0.2/32", "100.64.0.0/10"]
            .map(|net| net.parse().unwrap())
            .into(),
    );
    netmap.apply(MapResponse { peers_changed: vec![greedy], ..MapResponse::default() });
    let peers = netmap.tunnel_peers(&RouteChoice::default());
    assert_eq!(peers[1].allowed_ips, ["100.64.0.3/32".parse::<IpNet>().unwrap()]);
    assert_eq!(netmap.peer_at(ip("192.168.0.1")), None);
    assert_eq!(netmap.peer_at(ip("100.64.0.2")), None);
}

#[test]
fn a_peer_is_cut_when_the_time_of_its_key_is_over() {
    let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
    let ends = |id, name, time: Option<&str>| Node {
        key_expiry: time.map(str::to_owned),
        ..node(id, name)
    };
    let mut netmap = Netmap::default();
    netmap.apply_first(first()).unwrap();
    let changed = vec![
        ends(3, "phone", Some("2027-01-15T08:00:00Z")),
        ends(4, "tablet", Some("0001-01-01T00:00:00Z")),
        ends(5, "printer", None),
    ];
    netmap.apply(MapResponse { peers_changed: changed, ..MapResponse::default() });

    let cut = netmap.with_expired(at).unwrap();

    let second = std::time::Duration::from_secs(1);
    assert_eq!(netmap.with_expired(at - second), None, "not a second too early");
    assert_eq!(cut.with_expired(at + second), None, "it is marked already");
    assert!(cut.peers[&3].expired && !cut.peers[&4].expired && !cut.peers[&5].expired);
    let keys: Vec<_> =
        cut.tunnel_peers(&RouteChoice::default()).into_iter().map(|peer| peer.key).collect();
    assert!(!keys.contains(&netmap.peers[&3].key) && keys.contains(&netmap.peers[&4].key));
    assert!(cut.peer_at("100.64.0.3".parse().unwrap()).is_none(), "it is nobody any more");
}

#[test]
fn expired_and_keyless_peers_have_no_tunnel() {
    let mut netmap = netmap();
    let expired = Node { expired: true, ..node(3, "phone") };
    let keyless = Node { key: NodePublic::default(), ..node(4, "tablet") };
    netmap.apply(MapResponse { peers_changed: vec![expired, keyless], ..MapResponse::default() });
    assert_eq!(keys(&netmap), [1]);
    assert_eq!(netmap.caller(ip("100.64.0.3")), None);
}

#[test]
fn a_caller_is_the_person_or_the_tagged_node_and_never_this_node() {
    let netmap = netmap();
    let phone = netmap.caller(ip("fd7a:115c:a1e0::3")).unwrap();
    assert_eq!((phone.stable_id.as_str(), phone.user), ("n3", Some((1, "mina".to_owned()))));
    let home = netmap.caller(ip("100.64.0.1")).unwrap();
    assert_eq!((home.user, home.tags), (None, vec!["tag:home".to_owned()]));
    assert_eq!(netmap.caller(ip("100.64.0.2")), None);
    assert_eq!(netmap.caller(ip("100.64.0.77")), None);
}

#[test]
fn the_gateway_is_the_node_that_the_coordinator_names() {
    let gateway = netmap().gateway().unwrap();
    assert_eq!(gateway.host, "chat.maru.home.arpa");
    assert_eq!((gateway.stable_id.as_str(), gateway.identity.as_str()), ("n1", "key"));
    assert_eq!(gateway.addresses, [ip("100.64.0.1")]);
}

#[test]
fn names_come_from_nodes_and_extra_records() {
    let zone = netmap().zone(&[]);
    assert_eq!(zone.lookup("phone.maru.home.arpa")[0], ip("100.64.0.3"));
    assert_eq!(zone.lookup("chat.maru.home.arpa"), [ip("100.64.0.1")]);
}

/// A first message of a coordinator that calls the network otherwise, and its home another machine.
fn renamed() -> MapResponse {
    let elsewhere = |mut node: Node| {
        node.name = node.name.replace("maru.home.arpa", "bank.example");
        node
    };
    let mut response = first();
    response.node = response.node.map(elsewhere);
    response.peers = response.peers.map(|peers| peers.into_iter().map(elsewhere).collect());
    response.domain = "bank.example".to_owned();
    let record = DnsRecord {
        name: "www.bank.example".to_owned(),
        value: "100.64.0.1".to_owned(),
        ..DnsRecord::default()
    };
    response.dns_config = Some(DnsConfig { extra_records: vec![record], ..DnsConfig::default() });
    response
}

#[test]
fn the_first_map_fixes_the_domain_and_another_one_is_refused_and_told() {
    let mut netmap = netmap();
    let zone = netmap.zone(&[]);
    assert_eq!(netmap.network().unwrap().as_str(), "maru.home.arpa");
    assert_eq!(netmap.problem(), None);

    netmap.apply_first(renamed()).unwrap();
    for _ in 0..2 {
        assert_eq!(netmap.network().unwrap().as_str(), "maru.home.arpa");
        assert_eq!(netmap.zone(&[]), zone, "the old names stay");
        assert_eq!(keys(&netmap), [1, 3], "all else is as the coordinator says");
        let problem = netmap.problem().unwrap().to_string();
        assert!(
            problem.contains("\"bank.example\"") && problem.contains("maru.home.arpa"),
            "{problem}"
        );
        // A later message that is about a peer alone.
        let peer = renamed().peers.unwrap().remove(0);
        netmap.apply(MapResponse { peers_changed: vec![peer], ..MapResponse::default() });
    }

    netmap.apply_first(first()).unwrap();
    assert_eq!(netmap.problem(), None);
    assert_eq!(netmap.zone(&[]), zone);
}

#[test]
fn a_first_map_without_a_domain_that_can_be_used_means_no_names() {
    for name in ["laptop.com.", "laptop", "laptop.maru.home.arpa\nnameserver 192.0.2.1"] {
        let mut netmap = Netmap::default();
        let node = Node { name: name.to_owned(), ..node(2, "laptop") };
        netmap.apply_first(MapResponse { node: Some(node), ..MapResponse::default() }).unwrap();
        assert_eq!((netmap.network(), netmap.naming.clone()), (None, Naming::Nameless));
        let problem = netmap.problem();
        assert_eq!(problem.is_some(), name != "laptop", "{name}");
        assert!(problem.is_none_or(|text| !text.to_string().contains('\n')));
        // What was not shown when the device joined is not taken later.
        netmap.apply_first(first()).unwrap();
        assert_eq!((netmap.network(), netmap.zone(&[])), (None, Zone::default()));
        assert!(netmap.problem().unwrap().to_string().contains("maru.home.arpa"));
    }
}

#[test]
fn other_domains_are_named_only_if_the_settings_list_them() {
    let mut netmap = netmap();
    let mut records = Vec::new();
    for (name, value) in [
        ("wiki.kim.example", "100.64.0.1"),
        ("www.bank.example", "100.64.0.1"),
        ("dns.maru.home.arpa", "8.8.8.8"),
        ("router.kim.example", "192.168.1.1"),
    ] {
        let (name, value) = (name.to_owned(), value.to_owned());
        records.push(DnsRecord { name, value, ..DnsRecord::default() });
    }
    netmap.dns.extra_records = records;
    let listed = ["kim.example".parse().unwrap()];
    assert_eq!(netmap.zone(&listed).lookup("wiki.kim.example"), [ip("100.64.0.1")]);
    assert_eq!(netmap.zone(&[]).lookup("wiki.kim.example"), [] as [IpAddr; 0]);
    for name in ["www.bank.example", "dns.maru.home.arpa", "router.kim.example"] {
        assert_eq!(netmap.zone(&listed).lookup(name), [] as [IpAddr; 0], "{name}");
    }
}

#[test]
fn what_is_shown_or_logged_of_a_map_has_no_control_characters() {
    let mut response = first();
    let bad = "n3\u{1b}[2J\nnameserver 192.0.2.1";
    let peers = response.peers.as_mut().unwrap();
    peers.push(Node { stable_id: bad.to_owned(), ..node(4, "tablet") });
    peers.push(Node { tags: vec![bad.to_owned()], ..node(5, "tv") });
    peers[1].name = format!("{bad}.maru.home.arpa");
    response.user_profiles[0].login_name = bad.to_owned();
    response.health = Some(vec![bad.to_owned()]);
    let mut netmap = Netmap::default();
    netmap.apply_first(response).unwrap();

    assert_eq!(keys(&netmap), [1, 3]);
    assert_eq!(netmap.short_name(&netmap.peers[&3]), "n3");
    assert_eq!(netmap.short_name(&netmap.peers[&1]), "home");
    let is_clean = |text: &str| !text.contains(common::foreign::steers);
    assert!(is_clean(netmap.login(1).unwrap()) && is_clean(&netmap.health[0]));

    let changed = Node { stable_id: bad.to_owned(), ..node(3, "phone") };
    netmap.apply(MapResponse { peers_changed: vec![changed], ..MapResponse::default() });
    assert_eq!(keys(&netmap), [1]);
}

#[test]
fn a_key_ends_when_the_map_says_so() {
    let mut netmap = netmap();
    let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_810_771_200);
    assert!(!netmap.is_expired(Some(at)));
    netmap.node.as_mut().unwrap().key_expiry = Some("2027-05-20T00:00:00Z".to_owned());
    assert_eq!(netmap.key_expiry(), Some(at));
    assert!(netmap.is_expired(Some(at)));
    assert!(!netmap.is_expired(Some(at - std::time::Duration::from_secs(1))));
    assert!(!netmap.is_expired(None), "nobody knows the time");
    netmap.node.as_mut().unwrap().key_expiry = Some("2027-05-20T09:00:00+09:00".to_owned());
    assert_eq!(netmap.key_expiry(), Some(at), "an offset is read");
    netmap.node.as_mut().unwrap().key_expiry = Some(control_protocol::ZERO_TIME.to_owned());
    assert_eq!(netmap.key_expiry(), None, "Go's zero time is no time");
    netmap.node.as_mut().unwrap().expired = true;
    assert!(netmap.is_expired(None));
}

/// A small world of ids, so that changes meet what they change.
fn any_response() -> impl Strategy<Value = MapResponse> {
    let ids = || prop::collection::vec(1..6_u8, 0..4);
    let nodes = |ids: Vec<u8>| -> Vec<Node> {
        ids.into_iter().map(|id| node(id, &format!("node{id}"))).collect()
    };
    (prop::option::of(ids()), ids(), ids(), ids(), any::<u32>(), any::<bool>()).prop_map(
        move |(peers, changed, removed, patched, region, keep_alive)| MapResponse {
            keep_alive,
            node: Some(node(2, "laptop")),
            peers: peers.map(nodes),
            peers_changed: nodes(changed),
            peers_removed: removed.into_iter().map(i64::from).collect(),
            peers_changed_patch: patched
                .into_iter()
                .map(|id| PeerChange {
                    node_id: id.into(),
                    derp_region: region,
                    ..PeerChange::default()
                })
                .collect(),
            ..MapResponse::default()
        },
    )
}

proptest! {
    /// After any stream, each peer is there once, what was removed last is gone, a message
    /// that says "nothing changed" changed nothing, and the form on disk keeps it all.
    #[test]
    fn deltas_add_up(responses in prop::collection::vec(any_response(), 1..12)) {
        let mut netmap = Netmap::default();
        for response in responses {
            let before = netmap.clone();
            let (removed, quiet) = (response.peers_removed.clone(), response.keep_alive);
            netmap.apply(response);
            if quiet {
                prop_assert_eq!(&netmap, &before);
                continue;
            }
            prop_assert!(removed.iter().all(|id| !netmap.peers.contains_key(id)));
            prop_assert!(netmap.peers.iter().all(|(id, peer)| *id == peer.id));
        }
        let stored = serde_json::to_vec(&netmap).unwrap();
        let mut read: Netmap = serde_json::from_slice(&stored).unwrap();
        // This is kept with the membership.
        read.naming = netmap.naming.clone();
        prop_assert_eq!(read, netmap);
    }
}
