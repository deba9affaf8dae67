//! WireGuard devices: what others, their router and the policy see of them.

use std::net::IpAddr;

use control_protocol::map::{
    DnsRecord, FilterRule, Hostinfo, WIREGUARD_DEVICES, WireguardDevice, WireguardRouter,
};

use super::*;
use crate::wireguard::Tunnel;

/// Home (1), a router; Alice's laptop (2), her phone (3), which has WireGuard only, and Bob's laptop (4) and his TV (5), which
/// has WireGuard only; a server (6).
fn house() -> Vec<Node> {
    let mut nodes: Vec<Node> = (1..=6).map(|id| node(id, Owner::User(1))).collect();
    for node in &mut nodes {
        node.claims.hostinfo.app = Hostinfo::MARU.to_owned();
    }
    let key = NodePublic::from_bytes([99; 32]);
    nodes[0].owner = Owner::tags(vec!["tag:home".to_owned()]);
    nodes[0].claims.hostinfo.maru_wireguard = Some(WireguardRouter { key, port: 51820 });
    nodes[5].owner = Owner::tags(vec!["tag:server".to_owned()]);
    for index in [3, 4] {
        nodes[index].owner = Owner::User(2);
    }
    for index in [2, 4] {
        nodes[index].keys.machine = MachinePublic::default();
        nodes[index].wireguard = Some(Tunnel {
            router: 1,
            router_key: key,
            endpoint: None,
            full_tunnel: false,
            keepalive: false,
        });
    }
    nodes
}

fn compiled(nodes: &[Node], rules: &str) -> CompiledNetwork {
    let user = |id, name: &str| User { id, name: name.to_owned(), created: 0 };
    let policy =
        format!(r#"{{ "tagOwners": {{ "tag:home": [], "tag:server": [] }}, "acls": [{rules}] }}"#);
    let input = Input {
        domain: "maru.home.arpa",
        users: &[user(1, "alice"), user(2, "bob")],
        nodes: &shared(nodes),
        records: &[],
        names: Arc::default(),
        policy: &acl::Policy::parse(&policy).unwrap(),
        policy_revision: 1,
        online: &Arc::default(),
        derp: Arc::new(DerpMap::default()),
        now: NOW,
    };
    CompiledNetwork::build(&input, None)
}

fn rule(src: &str, dst: &str) -> String {
    format!(r#"{{ "action": "accept", "src": ["{src}"], "dst": ["{dst}"] }},"#)
}

fn nets(of: &[u8]) -> Vec<String> {
    let both = |last: &u8| Addresses::of(Ipv4Addr::new(100, 64, 0, *last)).both();
    of.iter().flat_map(both).map(|ip| ipnet::IpNet::from(ip).to_string()).collect()
}

fn texts(nets: &[ipnet::IpNet]) -> Vec<String> {
    nets.iter().map(ToString::to_string).collect()
}

/// The routes beside its own addresses that a map gives to a peer.
fn routed(view: &View, peer: i64) -> Vec<String> {
    let peer = &view.peers[&peer];
    let routes = texts(&peer.primary_routes);
    let allowed = texts(peer.effective_allowed_ips());
    assert_eq!(allowed, [texts(&peer.addresses), routes.clone()].concat());
    routes
}

fn served(view: &View) -> Vec<WireguardDevice> {
    WireguardDevice::served(&view.node.cap_map)
}

/// Whether rules open a port of an address to a source.
fn opens(rules: &[FilterRule], from: &str, to: &str, port: u16) -> bool {
    let [from, to]: [IpAddr; 2] = [from, to].map(|ip| ip.parse().unwrap());
    rules.iter().any(|rule| {
        let dst = rule.dst_ports.iter().filter(|dst| dst.ports.contains(port));
        AddressRanges::of(&rule.src_ips).contain(&[from])
            && AddressRanges::of(dst.map(|dst| &dst.ip)).contain(&[to])
    })
}

const PHONE: &str = "100.64.0.3";

#[test]
fn a_device_is_a_peer_without_a_tunnel_and_its_router_has_its_addresses() {
    let network = compiled(&house(), &rule("alice@", "alice@:22"));
    let laptop = network.view(2).unwrap();

    assert_eq!(peers(&laptop), [1, 3], "the phone, and the way to it");
    let phone = &laptop.peers[&3];
    assert_eq!(
        (texts(&phone.addresses), phone.allowed_ips.as_deref()),
        (nets(&[3]), Some(&[][..]))
    );
    assert!(phone.machine.is_zero() && phone.disco_key.is_zero() && phone.endpoints.is_empty());
    assert_eq!((phone.home_derp, phone.online, phone.user), (0, None, 1));
    assert_eq!(routed(&laptop, 1), nets(&[3]), "Bob's TV is not seen, and not routed");
    assert_eq!(laptop.profiles[&1].login_name, "alice");
    let json = serde_json::to_value(&**phone).unwrap();
    assert_eq!(json["AllowedIPs"], serde_json::json!([]), "written, or clients take the addresses");
    assert_eq!(peers(&network.view(4).unwrap()), [0_i64; 0]);
    assert_eq!(
        routed(&compiled(&house(), &rule("bob@", "tag:home:80")).view(4).unwrap(), 1),
        [""; 0]
    );
}

#[test]
fn a_stock_app_has_the_device_as_a_route_and_by_name_and_not_as_a_peer() {
    let mut nodes = house();
    nodes[1].claims.hostinfo.app = String::new();
    let network = compiled(&nodes, &rule("alice@", "alice@:22"));
    let laptop = network.view(2).unwrap();

    assert_eq!(peers(&laptop), [1]);
    assert_eq!(routed(&laptop, 1), nets(&[3]));
    let phone = network.view(3).unwrap().node.name.trim_end_matches('.').to_owned();
    let records = Addresses::of(Ipv4Addr::new(100, 64, 0, 3)).both();
    assert_eq!(laptop.dns.extra_records, records.map(|ip| DnsRecord::new(&phone, ip)));
}

#[test]
fn the_router_sees_whom_its_devices_see_and_filters_for_them() {
    let policy = [rule("alice@", "tag:server:443"), rule("bob@", "alice@:22")].concat();
    let home = compiled(&house(), &policy).view(1).unwrap();

    assert_eq!(peers(&home), [2, 3, 4, 5, 6], "whom its devices see, it sees");
    assert_eq!(texts(&home.node.primary_routes), nets(&[3, 5]), "it forwards for both");
    assert!(opens(&home.rules, "100.64.0.4", PHONE, 22), "Bob reaches Alice's phone");
    assert!(
        !opens(&home.rules, "100.64.0.2", PHONE, 22)
            && !opens(&home.rules, "100.64.0.4", "100.64.0.1", 22)
    );
    let served = served(&home);
    assert_eq!(served.iter().map(|it| it.node).collect::<Vec<_>>(), [3, 5]);
    let [phone, tv] = served.as_slice() else { panic!("{served:?}") };
    assert!(opens(&phone.allow, PHONE, "100.64.0.6", 443));
    assert!(
        opens(&tv.allow, "100.64.0.5", PHONE, 22)
            && opens(&tv.allow, "100.64.0.5", "100.64.0.2", 22)
    );
    for (from, to, port) in [
        (PHONE, "100.64.0.6", 80),
        (PHONE, "100.64.0.1", 443),
        (PHONE, "100.64.0.5", 22),
        ("100.64.0.2", "100.64.0.6", 443),
    ] {
        assert!(!opens(&phone.allow, from, to, port), "{from} {to} {port}");
    }
}

#[test]
fn what_a_device_may_open_names_it_alone_and_never_everywhere() {
    let home = compiled(&house(), &rule("*", "*:*")).view(1).unwrap();

    for device in served(&home) {
        let own = nets(&[u8::try_from(device.node).unwrap()]);
        for rule in &device.allow {
            let mut sources = rule.src_ips.iter();
            assert!(
                sources.all(|ip| own.iter().any(|own| own.starts_with(ip.as_str()))),
                "{rule:?}"
            );
            assert!(rule.dst_ports.iter().all(|port| port.ip != "*"), "{rule:?}");
        }
        assert!(!opens(&device.allow, PHONE, "8.8.8.8", 443), "not the internet");
        assert!(!opens(&device.allow, PHONE, "192.168.1.1", 443), "nor the house");
    }
}

#[test]
fn a_full_tunnel_leads_out_where_the_policy_says_so() {
    let mut nodes = house();
    nodes[2].wireguard.as_mut().unwrap().full_tunnel = true;
    let allowed = |rules: &str| {
        let network = compiled(&nodes, rules);
        let out = opens(&served(&network.view(1).unwrap())[0].allow, PHONE, "8.8.8.8", 443);
        assert_eq!((out, network.leads_out(5)), (network.leads_out(3), false));
        let home = network.view(1).unwrap();
        assert!(!opens(&served(&home)[0].allow, PHONE, "192.168.1.1", 443), "never the house");
        assert!(!opens(&home.rules, "100.64.0.2", "8.8.8.8", 443), "home is no exit node");
        out
    };

    assert!(allowed(&rule("alice@", "autogroup:internet:*")));
    assert!(!allowed(&rule("bob@", "autogroup:internet:*")));
    assert!(!allowed(&rule("alice@", "tag:home:443")));
}

#[test]
fn an_expired_or_removed_device_and_one_without_a_router_is_in_no_map() {
    let all = rule("*", "*:*");
    let seen = |change: fn(&mut Vec<Node>)| {
        let mut nodes = house();
        change(&mut nodes);
        let network = compiled(&nodes, &all);
        let laptop = network.view(2).unwrap();
        let home = network.view(1).map(|home| served(&home).len());
        (
            peers(&laptop).contains(&3),
            laptop.peers.contains_key(&1).then(|| routed(&laptop, 1)),
            home,
        )
    };

    assert_eq!(seen(|_| ()), (true, Some(nets(&[3, 5])), Some(2)));
    let without = (false, Some(nets(&[5])), Some(1));
    assert_eq!(seen(|nodes| nodes[2].times.expires = Some(NOW)), without);
    assert_eq!(seen(|nodes| drop(nodes.remove(2))), without);
    assert_eq!(seen(|nodes| drop(nodes.remove(0))), (false, None, None));
    let untagged = (false, Some(Vec::new()), Some(0));
    assert_eq!(seen(|nodes| nodes[0].owner = Owner::User(1)), untagged);
    let silent = |nodes: &mut Vec<Node>| nodes[0].claims.hostinfo.maru_wireguard = None;
    assert!(seen(silent).0, "a router that is silent stays the router");
}

#[test]
fn nobody_but_the_coordinator_names_the_devices_of_a_router() {
    let mut nodes = house();
    let lie = serde_json::json!({"Node": 2, "FullTunnel": true});
    for node in &mut nodes {
        node.capabilities.insert(WIREGUARD_DEVICES.to_owned(), vec![lie.clone()]);
    }
    let network = compiled(&nodes, &rule("*", "*:*"));

    assert_eq!(served(&network.view(2).unwrap()), []);
    let home = served(&network.view(1).unwrap());
    assert_eq!(home.iter().map(|it| it.node).collect::<Vec<_>>(), [3, 5]);
}

/// Home and the server lead to one subnet.
#[test]
fn a_router_takes_its_devices_around_no_via() {
    let mut nodes = house();
    for index in [0, 5] {
        let subnet = vec!["192.168.1.0/24".parse().unwrap()];
        nodes[index].claims.hostinfo.routable_ips.clone_from(&subnet);
        nodes[index].routes.approved = subnet;
    }
    for (via, leads) in [("tag:server", false), ("tag:home", true)] {
        let grant = format!(
            r#"], "grants": [{{ "src": ["alice@"], "dst": ["192.168.1.0/24"], "ip": ["*"], "via": ["{via}"] }}"#
        );
        let home = compiled(&nodes, &grant).view(1).unwrap();
        let phone = &served(&home)[0];
        assert_eq!(opens(&phone.allow, PHONE, "192.168.1.7", 80), leads, "{via}");
    }
}
