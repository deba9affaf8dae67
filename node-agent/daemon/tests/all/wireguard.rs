//! A phone with plain WireGuard (wireguard-go) behind our router, on lab machines.
//!
//! ```text
//!  phone 10.77.3.2 ── router ── home 10.77.1.2     (home: the coordinator, the agent that routes the phone)
//!                       │        └── 203.0.113.1 street 198.51.100.1   (home's LAN with public addresses, its way out)
//!                       └────── laptop 10.77.2.2
//! ```
//!
//! The map comes from the disk: the coordinator is away, and agents restart without it. Fails if: the phone reaches what its
//! rules do not name, this machine or its LAN at public addresses, or is somebody else to a service; a peer reaches more of the
//! phone than the filter names; an open connection outlives its rule; a phone that moves loses its connection; another program on
//! this machine hears its queries for names, or ends its way for long; something stays behind. Blind to: the kernel's WireGuard,
//! which this kernel may not have.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::mpsc::Receiver,
    time::Duration,
};

use control_protocol::{
    key::{NodePrivate, NodePublic},
    map::{FilterRule, NetPortRange, Node as MapNode, PortRange, WIREGUARD_DEVICES},
};
use lab::{Machine, link, transfer::Transfer};
use mesh_identity::Header;
use serde_json::{Value, json};
use testkit::blocking::eventually;

use super::{
    control_plane::{ControlPlane, LIMIT, Node, echo, restore, write},
    mesh::{LAPTOP, SERVICE},
};

mod phone;

use phone::{Phone, carries, listen, open, resolves};

const PHONE: [&str; 2] = ["100.64.0.99", "fd7a:115c:a1e0::99"];
const INTERFACE: &str = "wg0";
/// The port of a stream that never pauses.
const BUSY: u16 = 7009;
/// How long one try waits.
const TRY: Duration = Duration::from_secs(1);

/// Home, laptop, and a phone that may open home's service and the laptop's port 7000, and on which the laptop may open port 7001.
struct TestNetwork {
    _plane: ControlPlane,
    home: Node,
    laptop: Node,
    phone: Phone,
    callers: Receiver<Header>,
    street: Machine,
}

fn rule(from: &[&str], to: &str, port: u16) -> FilterRule {
    let ports = PortRange { first: port, last: port };
    let dst_ports = vec![NetPortRange { ip: to.to_owned(), ports, ..NetPortRange::default() }];
    let src_ips = from.iter().map(|text| (*text).to_owned()).collect();
    FilterRule { src_ips, dst_ports, ..FilterRule::default() }
}

/// The phone in a map.
fn phone_node(key: &NodePublic, user: &Value) -> MapNode {
    MapNode {
        id: 99,
        stable_id: "phone99".to_owned(),
        name: "phone.maru.home.arpa.".to_owned(),
        user: user.as_i64().unwrap(),
        key: *key,
        addresses: PHONE.iter().map(|at| at.parse::<IpAddr>().unwrap().into()).collect(),
        allowed_ips: Some(Vec::new()),
        machine_authorized: true,
        ..MapNode::default()
    }
}

/// Changes the map of an agent that does not run.
fn edit(node: &Node, change: impl FnOnce(&mut Value)) {
    let path = node.root.path().join("var/lib/maru/agent/netmap.json");
    let mut map = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut map);
    std::fs::write(&path, map.to_string()).unwrap();
}

/// The addresses of a node of the status.
fn addresses(of: &Value) -> [String; 2] {
    [0, 1].map(|at| of["addresses"][at].as_str().unwrap().to_owned())
}

/// Home's neighbour in a LAN with public addresses, and its gateway to others: `OUTSIDE` is on the same machine.
fn street(home: &Machine) -> Machine {
    let street = Machine::new("street").unwrap();
    link((&street, "eth0", "203.0.113.1/24"), (home, "lan0", "203.0.113.7/24")).unwrap();
    street
        .sh("ip addr add 2001:db8:9::1/64 dev eth0 nodad; ip addr add 2001:db8:b::1/64 dev eth0 nodad
             ip addr add 198.51.100.1/32 dev lo; ip addr add 2001:db8:a::1/128 dev lo nodad")
        .unwrap();
    home.sh("ip addr add 2001:db8:9::7/64 dev lan0 nodad
             ip route add 198.51.100.0/24 via 203.0.113.1
             ip route add 2001:db8:a::/64 via 2001:db8:9::1; ip route add 2001:db8:b::/64 via 2001:db8:9::1
             sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        .unwrap();
    street
}

fn house(settings: &str) -> TestNetwork {
    let mut plane = ControlPlane::with_laptops(&["laptop", "phone"]);
    plane.open_policy();
    let mut home = Node::start(&plane.topology.home.clone(), &format!("{SERVICE}{settings}"));
    let callers = echo(&home.root.path().join("run/maru/echo/http.sock"));
    home.join(&plane.invite("mina", true));
    home.wait_for_state("running");
    let street = street(&home.machine);
    let mut laptop = Node::start(&plane.topology.laptops[0].clone(), LAPTOP);
    laptop.join(&plane.invite("juno", true));
    laptop.wait_for_state("running");
    laptop.peer("server");
    home.peer("laptop");
    for node in [&home, &laptop] {
        eventually("the peer in the map on disk", || {
            node.stored("netmap.json")?.contains("juno").then_some(())
        });
    }
    let router_key = home.status()["wireguard"]["key"].as_str().unwrap().to_owned();
    let (at_home, at_laptop) = (addresses(&home.status()["node"]), addresses(&home.peer("laptop")));
    plane.serve.take().unwrap().stop(Duration::from_secs(60)).unwrap();
    [&mut home, &mut laptop].into_iter().for_each(Node::stop);

    let key = NodePrivate::from_bytes([7; 32]);
    edit(&home, |map| {
        let juno = map["peers"].as_object().unwrap().values().next().unwrap()["User"].clone();
        map["peers"]["99"] = json!(phone_node(&key.public(), &juno));
        let on_home = [80, 53].map(|port| rule(&[&at_laptop[0]], &at_home[0], port));
        let mut filter = on_home.to_vec();
        let mut allow = Vec::new();
        for (at, phone) in PHONE.iter().enumerate() {
            filter.push(rule(&[&at_laptop[at]], phone, 7001));
            filter.push(rule(&[phone], &at_home[at], 80));
            allow.push(rule(&[phone], &at_home[at], 80));
            allow.extend([7000, BUSY].map(|port| rule(&[phone], &at_laptop[at], port)));
        }
        allow.push(rule(&[PHONE[0]], "1.0.0.0-223.255.255.255", 7000));
        allow.push(rule(&[PHONE[1]], "2000::/3", 7000));
        map["filters"] = json!({ "base": filter });
        let device = json!({ "Node": 99, "FullTunnel": true, "Allow": allow });
        map["node"]["CapMap"] = json!({ WIREGUARD_DEVICES: [device] });
    });
    edit(&laptop, |map| {
        let router = map["peers"].as_object_mut().unwrap().values_mut().next().unwrap();
        let mut allowed = router["Addresses"].as_array().unwrap().clone();
        allowed.extend([json!(format!("{}/32", PHONE[0])), json!(format!("{}/128", PHONE[1]))]);
        router["AllowedIPs"] = json!(allowed);
        let user = map["node"]["User"].clone();
        map["peers"]["99"] = json!(phone_node(&key.public(), &user));
        let rules = [(0, 7000), (0, BUSY), (1, 7000)]
            .map(|(at, port)| rule(&[PHONE[at]], &at_laptop[at], port));
        map["filters"] = json!({ "base": rules });
    });
    home.run();
    laptop.run();
    let phone = Phone::start(&plane.topology.laptops[1].clone(), &key, &router_key);
    TestNetwork { _plane: plane, home, laptop, phone, callers, street }
}

/// What is ours on a machine.
fn left_behind(machine: &Machine) -> String {
    machine
        .sh("ip -o link | grep maru || true; ip route show table all | grep maru || true
            ip -6 route show table all | grep maru || true; nft list tables | grep maru || true")
        .unwrap()
}

fn served(home: &Node) -> Value {
    eventually(&format!("a WireGuard device is heard: {}", home.log()), || {
        let device = home.status()["wireguard"]["devices"][0].clone();
        device["endpoint"].is_string().then_some(device)
    })
}

/// This node's services, as whom it is. Returns the device of the status.
fn is_known(home: &Node, phone: &Phone, callers: &Receiver<Header>) -> Value {
    let at_home = addresses(&home.status()["node"]);
    for (at, from) in at_home.iter().zip(PHONE) {
        let mut stream = eventually("the service answers", || phone.open(at, 80));
        assert!(carries(&mut stream, LIMIT));
        let header = callers.recv_timeout(LIMIT).unwrap();
        assert_eq!(header.identity.node, "phone99");
        assert_eq!(header.identity.user.unwrap().login, "juno");
        assert_eq!(header.source.ip().to_string(), from);
    }
    let status = home.status()["wireguard"].clone();
    assert_eq!((&status["port"], &status["problem"]), (&json!(51820), &Value::Null), "{status}");
    assert!(["kernel", "userspace"].map(Value::from).contains(&status["kind"]), "{status}");
    let device = served(home);
    assert_eq!((&device["node"], &device["name"]), (&json!("phone99"), &json!("phone")));
    // The router between translates its address.
    assert!(device["endpoint"].as_str().unwrap().starts_with("10.77.1.1:"), "{device}");
    assert!(device["last_handshake_s"].is_u64() && device["rx_bytes"].as_u64() > Some(0));
    device
}

/// The mesh, both ways, under its own address; ports that no rule names stay closed.
fn reaches_the_mesh(home: &Node, laptop: &Node, phone: &Phone) {
    let at_laptop = addresses(&laptop.status()["node"]);
    let on_laptop = [7000, 7002].map(|port| listen(&laptop.machine, port));
    let on_phone = [7001, 7003].map(|port| listen(&phone.machine, port));
    for (at, from) in at_laptop.iter().zip(PHONE) {
        let mut stream = eventually("the laptop answers", || phone.open(at, 7000));
        assert!(carries(&mut stream, LIMIT));
        assert_eq!(on_laptop[0].recv_timeout(LIMIT).unwrap().to_string(), from);
        let mut back = eventually("the phone answers", || open(&laptop.machine, from, 7001));
        assert!(carries(&mut back, LIMIT));
        assert_eq!(on_phone[0].recv_timeout(LIMIT).unwrap().to_string(), *at);
        assert!(phone.open(at, 7002).is_none(), "a port that no rule names");
        assert!(open(&laptop.machine, from, 7003).is_none(), "a port that no rule names");
        assert!(open(&home.machine, from, 7001).is_none(), "nor does one name home");
    }
}

/// Nothing else of home's: another port, an address of its networks, the coordinator's port, a broadcast.
fn reaches_nothing_else(home: &Node, phone: &Phone) {
    let at_home = addresses(&home.status()["node"]);
    let _on_home = listen(&home.machine, 8081);
    phone
        .machine
        .sh(&format!(
            "ip route add 192.168.9.1 dev {INTERFACE}; ip route add 10.77.1.1 dev {INTERFACE}"
        ))
        .unwrap();
    home.machine.sh("ip addr add 192.168.9.1/24 dev lo").unwrap();
    for (to, port) in [
        (&*at_home[0], 8081),
        (&at_home[1], 8081),
        (&at_home[0], 8443),
        ("192.168.9.1", 8081),
        ("10.77.1.1", 8081),
    ] {
        assert!(phone.open(to, port).is_none(), "{to} {port}");
    }
}

/// The internet by its full tunnel, where home has a gateway to it; neither home's own public addresses nor its neighbours'.
fn reaches_the_internet_and_not_the_house(home: &Node, phone: &Phone, street: &Machine) {
    let _on = [listen(&home.machine, 7000), listen(street, 7000)];
    for outside in ["198.51.100.1", "2001:db8:a::1", "2001:db8:b::1"] {
        let mut stream = eventually("a full tunnel", || phone.open(outside, 7000));
        assert!(carries(&mut stream, LIMIT), "{outside}");
    }
    let house = ["203.0.113.7", "2001:db8:9::7", "203.0.113.1", "2001:db8:9::1"];
    assert!(house.iter().all(|inside| open(&home.machine, inside, 7000).is_some()));
    let reached: Vec<_> =
        house.into_iter().filter(|inside| phone.open(inside, 7000).is_some()).collect();
    assert!(reached.is_empty(), "{reached:?}");
    // The LAN gets another prefix.
    home.machine
        .sh("ip route del 2001:db8:b::/64; ip addr add 2001:db8:b::7/64 dev lan0 nodad")
        .unwrap();
    eventually("the prefix is the house's", || {
        phone.open("2001:db8:b::1", 7000).is_none().then_some(())
    });
    assert!(open(&home.machine, "2001:db8:b::1", 7000).is_some());
}

/// Names, on this interface alone.
fn resolves_names(home: &Node, laptop: &Node, phone: &Phone) {
    let at_home = addresses(&home.status()["node"]);
    let at_laptop = addresses(&laptop.status()["node"]);
    let laptop_v4 = at_laptop[0].parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec();
    for (at, by_tcp) in [(0, false), (0, true), (1, false)] {
        assert_eq!(resolves(&phone.machine, &at_home[at], by_tcp), Some(laptop_v4.clone()));
    }
    for by_tcp in [false, true] {
        assert_eq!(resolves(&laptop.machine, &at_home[0], by_tcp), None);
    }
}

/// `nft` takes no rules that name the phone, as long as `/run/refuse` is there.
fn refuse_rules_of_the_phone(home: &Node) {
    home.machine.sh("touch /run/refuse").unwrap();
    home.replace_nft(&format!(
        r#"[ "$1" = -f ] && [ -e /run/refuse ] || exec /run/nft "$@"
        text=$(cat)
        case $text in *{}*) echo "Error: unknown protocol" >&2; exit 1 ;; esac
        printf '%s\n' "$text" | exec /run/nft "$@""#,
        PHONE[0]
    ));
}

/// Waits until more of a stream has arrived than was on the way.
fn carries_more(stream: &Transfer) {
    let before = stream.carried();
    eventually("more of the stream", || stream.carried() > before + 5_000_000);
}

/// After a kill nothing stays, whoever cleans up.
fn leaves_nothing_behind(home: &mut Node, phone: &Phone, service: &str) {
    let mut agent = home.agent.take().unwrap();
    agent.signal_kill();
    agent.wait_for(LIMIT).unwrap();
    // The kernel's interface outlives its maker; another one stands for it, named as the instance's.
    let name = services::Instance::of(home.root.path()).wireguard_interface();
    let leave =
        || home.machine.sh(&format!("ip link add {name} type veth peer name left0")).unwrap();
    leave();
    assert_eq!(restore(home, None).0, Some(0));
    assert_eq!(left_behind(&home.machine), "");
    leave();
    home.run();
    phone.begin_again();
    eventually("it is replaced", || phone.open(service, 80));
    home.stop();
    assert_eq!(left_behind(&home.machine), "");
}

#[test]
#[ignore = "needs: root, go"]
fn a_phone_with_plain_wireguard_reaches_what_its_rules_name_and_is_known_for_what_it_is() {
    let TestNetwork { _plane, mut home, laptop, phone, callers, street } =
        house("[wireguard]\ninternet = true\n");
    let (at_home, at_laptop) =
        (addresses(&home.status()["node"]), addresses(&laptop.status()["node"]));
    let device = is_known(&home, &phone, &callers);
    reaches_the_mesh(&home, &laptop, &phone);
    reaches_nothing_else(&home, &phone);
    reaches_the_internet_and_not_the_house(&home, &phone, &street);
    resolves_names(&home, &laptop, &phone);

    // It moves.
    let mut stream = eventually("the laptop answers", || phone.open(&at_laptop[0], 7000));
    assert!(carries(&mut stream, LIMIT));
    phone
        .machine
        .sh("ip addr flush dev eth0; ip addr add 10.77.3.9/24 dev eth0
            ip route add 10.77.1.2/32 via 10.77.3.1")
        .unwrap();
    assert!(carries(&mut stream, LIMIT), "{}", home.log());
    eventually("its new address", || {
        (served(&home)["endpoint"] != device["endpoint"]).then_some(())
    });

    // Home restarts, without the coordinator: connections go on, also one whose data was on the way. Then their rule is gone, and
    // so are they.
    let to = SocketAddr::new(at_laptop[0].parse().unwrap(), BUSY);
    let busy = Transfer::start(&phone.machine, &laptop.machine, to).unwrap();
    carries_more(&busy);
    home.stop();
    assert_eq!(left_behind(&home.machine), "");
    home.run();
    phone.begin_again();
    carries_more(&busy);
    assert!(carries(&mut stream, LIMIT), "{}", home.log());
    home.stop();
    edit(&home, |map| {
        let device = &mut map["node"]["CapMap"][WIREGUARD_DEVICES][0];
        device["Allow"]
            .as_array_mut()
            .unwrap()
            .retain(|rule| rule["DstPorts"][0]["Ports"]["First"] == 80);
    });
    home.run();
    phone.begin_again();
    eventually("the service answers", || phone.open(&at_home[0], 80));
    assert!(!carries(&mut stream, TRY), "an open connection outlives its rule");

    leaves_nothing_behind(&mut home, &phone, &at_home[0]);
}

#[test]
#[ignore = "needs: root, go"]
fn rules_that_are_refused_and_a_port_that_is_taken_are_said_and_the_rest_runs() {
    let TestNetwork { _plane, mut home, laptop, phone, street, .. } = house("[wireguard]\n");
    eventually("a device", || phone.open(&home.address(), 80));
    // The map alone makes this machine no way out.
    let _outside = listen(&street, 7000);
    assert!(phone.open("198.51.100.1", 7000).is_none());
    let no_way_out = "problem-agent-wireguard-no-internet";
    assert_eq!(home.status()["wireguard"]["problem_message"]["id"], no_way_out);
    home.stop();
    let taken = home.machine.in_network(|| UdpSocket::bind("0.0.0.0:51820")).unwrap();
    refuse_rules_of_the_phone(&home);
    home.run();
    let says = |problem: &str, sentence: &str| {
        let id = format!("problem-agent-wireguard-{problem}");
        let status = eventually(problem, || {
            let status = home.status()["wireguard"].clone();
            if status["problem_message"]["id"] == id { Ok(status) } else { Err(status) }
        });
        let said = status["problem"].as_str().unwrap();
        assert!(said.contains(sentence), "{said}");
        assert_eq!(status["kind"], Value::Null);
        eventually("it runs", || (home.status()["state"] == "running").then_some(()));
        let service = format!("{}:80", home.address());
        eventually("the rest runs", || laptop.hello(&service).filter(|back| back == "hello"));
    };
    says("firewall", "unknown protocol");
    // What failed is tried again by and by, and after a change of the network.
    home.machine.sh("rm /run/refuse; ip addr add 192.168.9.1/24 dev lan0").unwrap();
    says("port", "another program has UDP port 51820");
    drop(taken);
    eventually("it is tried again", || phone.open(&home.address(), 80));
    eventually("it says again what does not work", || {
        (home.status()["wireguard"]["problem_message"]["id"] == no_way_out).then_some(())
    });
}

#[test]
#[ignore = "needs: root, go"]
fn another_resolver_hears_no_device_and_what_is_missing_is_said_and_put_back() {
    let TestNetwork { _plane, mut home, laptop, phone, .. } = house("[wireguard]\n");
    let (at_home, at_laptop) =
        (addresses(&home.status()["node"]), addresses(&laptop.status()["node"]));
    let _on_laptop = listen(&laptop.machine, 7000);
    eventually("the laptop answers", || phone.open(&at_laptop[0], 7000));
    home.stop();
    let other = home.machine.in_network(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
    let settings = format!("dns = \"off\"\n{SERVICE}[wireguard]\n");
    write(home.root.path(), "etc/maru/agent.toml", &settings);
    home.run();
    eventually("the problem", || {
        let problem = home.status()["wireguard"]["problem_message"]["id"].clone();
        if problem == "problem-agent-wireguard-names" { Ok(()) } else { Err(problem) }
    });
    eventually("the rest runs", || phone.open(&at_laptop[0], 7000));
    assert_eq!(resolves(&phone.machine, &at_home[0], false), None);
    other.set_nonblocking(true).unwrap();
    assert!(other.recv(&mut [0; 512]).is_err(), "another program hears a device's query");

    // And another program switches forwarding on and off.
    let state = "/proc/sys/net/ipv4/ip_forward";
    home.machine.sh(&format!("echo 1 > {state}; echo 0 > {state}")).unwrap();
    drop(other);
    eventually("names", || resolves(&phone.machine, &at_home[0], false));
    eventually("the laptop answers again", || phone.open(&at_laptop[0], 7000));
    let said = home.status()["wireguard"]["problem_message"]["id"].clone();
    assert_eq!(said, "problem-agent-wireguard-no-internet", "only what the settings lack");
}
