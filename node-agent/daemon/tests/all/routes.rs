//! Subnet routers, an exit node and its user's kill switch, on lab machines with the real coordinator.
//!
//! ```text
//!  laptop 10.77.2.2 ── router ── home 10.77.1.2      (home: coordinator, relay, the routing agent)
//!                                 home ── 192.168.9.2 printer, which has no route to the mesh or the laptop
//! ```
//!
//! Fails if: a host behind our router is not reached, or by a peer that may not; the laptop's packets leave beside the tunnel
//! while it has an exit node, its DNS queries included, or its agent has stopped; an exit node leads into its own networks; a route,
//! rule or table stays behind.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use lab::{Machine, link};
use serde_json::json;
use testkit::blocking::eventually;

use super::control_plane::{ControlPlane, LIMIT, Node, resolve, restore, start};

pub(crate) const LAN: &str = "192.168.9.0/24";
const PRINTER: &str = "192.168.9.2:80";
/// The printer by addresses of the internet, to which it is the gateway.
const FAR: &str = "198.51.100.80:80";
const FAR6: &str = "[2001:db8:80::2]:80";
/// An address that only packets outside the tunnel reach.
const OUTSIDE: &str = "10.77.2.1";
/// How long one try waits.
const TRY: Duration = Duration::from_secs(2);

/// The home's agent as a router of everything, with a printer behind it; and a laptop with these settings.
struct Routed {
    plane: ControlPlane,
    home: Node,
    laptop: Node,
    printer: Machine,
}

/// A printer behind the home, which lets the kernel forward, and the internet behind that. Who asks the printer is told its address,
/// as the printer sees it.
pub(crate) fn printer(home: &Machine) -> Machine {
    let printer = Machine::new("printer").unwrap();
    link((&printer, "eth0", "192.168.9.2/24"), (home, "lan0", "192.168.9.1/24")).unwrap();
    printer
        .sh("ip addr add 198.51.100.80/32 dev lo; ip addr add 2001:db8:80::2/128 dev lo
            ip addr add 2001:db8:9::2/64 dev eth0 nodad")
        .unwrap();
    home.sh("echo 1 > /proc/sys/net/ipv4/ip_forward
        ip addr add 2001:db8:9::1/64 dev lan0 nodad
        ip route add 198.51.100.80 via 192.168.9.2; ip route add 2001:db8:80::2 via 2001:db8:9::2")
        .unwrap();
    let listener = printer.in_network(|| TcpListener::bind("[::]:80")).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let from = stream.peer_addr().unwrap().ip().to_canonical().to_string();
            let _ = stream.write_all(from.as_bytes());
        }
    });
    printer
}

/// The address of a machine as the printer sees it; `None` if it is not reached.
pub(crate) fn seen_at_printer(machine: &Machine) -> Option<String> {
    seen_at(PRINTER, machine)
}

/// The same, with the printer's address.
fn seen_at(printer: &str, machine: &Machine) -> Option<String> {
    let to = printer.parse().unwrap();
    let mut stream = machine.in_network(|| TcpStream::connect_timeout(&to, TRY)).ok()?;
    stream.set_read_timeout(Some(TRY)).ok()?;
    let mut from = String::new();
    stream.read_to_string(&mut from).ok()?;
    Some(from)
}

/// An agent on the home machine that offers to route everything.
pub(crate) fn router(plane: &ControlPlane) -> Node {
    let offers = format!(
        "hostname = \"server\"\nadvertise_routes = [\"{LAN}\"]\nadvertise_exit_node = true\n"
    );
    let home = Node::start(&plane.topology.home.clone(), &offers);
    home.join(&plane.invite("mina", true));
    home.wait_for_state("running");
    home
}

/// An agent on the laptop, which has a way out beside the tunnel, with these settings; once it knows the router.
pub(crate) fn laptop(plane: &ControlPlane, router: &str, settings: &str) -> Node {
    let machine = plane.topology.laptops[0].clone();
    machine.sh(&format!("ip route add default via {OUTSIDE}")).unwrap();
    let laptop = Node::start(&machine, &format!("hostname = \"laptop\"\n{settings}"));
    laptop.join(&plane.invite("juno", true));
    laptop.wait_for_state("running");
    laptop.peer(router);
    laptop
}

/// Approves what a router offers, once it does.
pub(crate) fn approve_of(plane: &ControlPlane, router: &str, routes: &[&str]) {
    let id = plane.device(router)["id"].clone();
    eventually("the routes are offered", || {
        let offered = plane.ask("GET", "/routes", None);
        (offered.as_array()?.len() == 3).then_some(())
    });
    let body = json!({ "routes": routes });
    plane.ask("POST", &format!("/devices/{id}/routes/approve"), Some(body));
}

fn approve(plane: &ControlPlane, routes: &[&str]) {
    approve_of(plane, "server", routes);
}

fn routed(settings: &str) -> Routed {
    let plane = ControlPlane::new();
    plane.open_policy();
    let printer = printer(&plane.topology.home);
    let home = router(&plane);
    let laptop = laptop(&plane, "server", settings);
    Routed { plane, home, laptop, printer }
}

impl Routed {
    fn seen_at_printer(&self) -> Option<String> {
        seen_at_printer(&self.laptop.machine)
    }

    fn seen_at(&self, printer: &str) -> Option<String> {
        seen_at(printer, &self.laptop.machine)
    }

    fn watch_cable(&self) {
        watch_cable(&self.laptop.machine);
    }

    fn left_by_cable(&self) -> u64 {
        left_by_cable(&self.laptop.machine)
    }
}

/// A resolver on the internet, which answers each query with itself.
fn answer_queries(far: &Machine) {
    let resolver = far.in_network(|| UdpSocket::bind("198.51.100.80:53")).unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((len, from)) = resolver.recv_from(&mut query) {
            query[2] |= 0x80;
            let _ = resolver.send_to(&query[..len], from);
        }
    });
}

/// Counts what leaves a machine by its cable but for the agent's own packets and neighbour discovery.
pub(crate) fn watch_cable(machine: &Machine) {
    machine
        .sh("nft add table inet watch
            nft 'add chain inet watch out { type filter hook postrouting priority 300; }'
            nft add rule inet watch out icmpv6 type '{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }' accept
            nft add rule inet watch out oifname eth0 meta mark != 0x6d617275 counter")
        .unwrap();
}

/// What the counters of the table `watch` have counted.
pub(crate) fn packets(machine: &Machine) -> Vec<u64> {
    let text = machine.sh("nft list table inet watch").unwrap();
    let counts = text.split("packets ").skip(1);
    counts.map(|count| count.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

fn left_by_cable(machine: &Machine) -> u64 {
    packets(machine)[0]
}

/// Leases are renewed at the server itself.
fn renew(machine: &Machine) {
    for (from, to) in [("0.0.0.0:68", "10.77.2.1:67"), ("[::]:546", "[fe80::1]:547")] {
        let before = left_by_cable(machine);
        machine.in_network(|| bound_to("eth0", from).send_to(b"renewal", to)).unwrap();
        assert_eq!(left_by_cable(machine), before + 1, "{to}");
    }
}

/// Rules, routes and tables of ours on a machine.
pub(crate) fn left_behind(machine: &Machine) -> String {
    machine
        .sh("ip rule | grep -v -E 'lookup (local|main|default)$' || true
            ip -6 rule | grep -v -E 'lookup (local|main)$' || true
            ip route show table all | grep maru || true
            nft list tables | grep maru || true")
        .unwrap()
}

/// A socket at this address that sends by one interface, whatever the routes are.
pub(crate) fn bound_to(interface: &str, address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket2::SockRef::from(&socket).bind_device(Some(interface.as_bytes())).unwrap();
    socket
}

/// The agent's answer gets to a container of its machine.
fn answers_a_container(node: &Node) {
    let guest = Machine::new("guest").unwrap();
    link((&guest, "eth0", "172.17.0.2/16"), (&node.machine, "docker0", "172.17.0.1/16")).unwrap();
    guest.sh("ip route add default via 172.17.0.1").unwrap();
    let own = format!("{}.maru.home.arpa", node.status()["node"]["name"].as_str().unwrap());
    eventually("an answer for a container", || {
        (resolve(&guest, &own)? == (0, vec![node.address()])).then_some(())
    });
}

#[test]
#[ignore = "needs: root"]
fn a_host_behind_our_router_is_reached_by_who_accepts_routes_and_may() {
    let network = routed("accept_routes = true\n");
    assert_eq!(network.laptop.status()["accepted_routes"], serde_json::Value::Null);
    approve(&network.plane, &[LAN]);
    let accepted = eventually("the route", || {
        let status = network.laptop.status();
        status["accepted_routes"].as_array().cloned()
    });
    assert_eq!(json!(accepted), json!([{ "route": LAN, "node": "server" }]));
    eventually("the router knows that it is approved", || {
        let offered = network.home.status()["offered_routes"].clone();
        (offered[0] == json!({ "route": LAN, "approved": true })).then_some(())
    });
    let off = || {
        let offered = network.home.status()["offered_routes"].clone();
        let off = offered.as_array().unwrap().iter().filter(|it| it["forwarding_off"] == true);
        off.map(|it| it["route"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(off(), ["::/0"]);
    network.home.machine.sh("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding").unwrap();
    assert!(off().is_empty());
    let seen = eventually("an answer of the printer", || network.seen_at_printer());
    assert_eq!(seen, "192.168.9.1", "under the router's address");
    // What the router was not asked to route stays where it was.
    let way = network.laptop.machine.sh("ip route get 192.168.8.2").unwrap();
    assert!(way.contains("eth0"), "{way}");

    // A network says that parts of the mesh are its own, by DHCP and by router advertisements.
    let laptop = &network.laptop.machine;
    laptop
        .sh("ip route add 100.64.0.0/11 via 10.77.2.1
            ip -6 route add fd7a:115c:a1e0::/64 dev eth0
            nft add table inet watch
            nft 'add chain inet watch out { type filter hook postrouting priority 300; }'
            nft add rule inet watch out oifname eth0 ip daddr 100.64.0.0/10 counter
            nft add rule inet watch out oifname eth0 ip6 daddr fd7a:115c:a1e0::/48 counter")
        .unwrap();
    for (from, to) in [("0.0.0.0:0", "100.64.0.99:9"), ("[::]:0", "[fd7a:115c:a1e0::99]:9")] {
        let socket = laptop.in_network(|| UdpSocket::bind(from).unwrap());
        let _ = socket.send_to(b"for a peer", to);
    }
    assert_eq!(packets(laptop), [0, 0]);
    laptop.sh("ip route del 100.64.0.0/11; ip -6 route del fd7a:115c:a1e0::/64 dev eth0").unwrap();

    let policy = r#"{"acls":[{"action":"accept","src":["*"],"dst":["192.168.9.0/24:81"]}]}"#;
    network.plane.ask("PUT", "/policy", Some(json!({ "policy": policy })));
    eventually("the policy closes it", || network.seen_at_printer().is_none().then_some(()));
}

#[test]
#[ignore = "needs: root"]
fn with_an_exit_node_everything_goes_through_it_and_nothing_beside_it_even_when_it_is_gone() {
    let mut network =
        routed("exit_node = \"server\"\nexit_node_dns = [\"198.51.100.80\"]\ndns = \"off\"\n");
    network.watch_cable();
    let laptop = network.laptop.machine.clone();
    // The kernel then drops what comes from where it would not send to.
    laptop.sh("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter").unwrap();
    answer_queries(&network.printer);
    let unapproved = network.laptop.status()["exit_node"].clone();
    assert_eq!(unapproved, json!({ "name": "server", "usable": false }));
    assert_eq!(network.seen_at(FAR), None);
    approve(&network.plane, &["0.0.0.0/0", "::/0"]);

    let seen = eventually("an answer through the exit node", || network.seen_at(FAR));
    assert_eq!(seen, "192.168.9.1");
    let name = || network.laptop.resolve("www.example.test");
    let answer = eventually("an answer of the exit node's resolver", name);
    assert_eq!(answer.0, 0);
    eventually("a direct path, outside the tunnel", || {
        let path = network.laptop.peer("server")["path"].as_str()?.to_owned();
        path.starts_with("direct 10.77.1.2").then_some(())
    });

    let knock = |to: &str| {
        let socket = laptop.in_network(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        let _ = socket.send_to(b"knock", to);
        // Past the routes: bound to the cable.
        let bound = laptop.in_network(|| bound_to("eth0", "0.0.0.0:0"));
        let _ = bound.send_to(b"knock", to);
    };
    // The network that the laptop is in, its DNS, an address that a route of that network names, and everything else.
    laptop.sh("ip route add 203.0.113.0/24 via 10.77.2.1").unwrap();
    let knock_all = || {
        for to in ["10.77.2.1:9", "10.77.2.1:53", "203.0.113.7:9", "198.51.100.7:443", "8.8.8.8:53"]
        {
            knock(to);
        }
    };
    knock_all();
    assert_eq!(network.left_by_cable(), 0);

    network.home.stop();
    knock_all();
    let _ = network.laptop.resolve("www.example.test");
    assert_eq!(network.seen_at(FAR), None);
    assert_eq!(network.left_by_cable(), 0);

    // What keeps the laptop on its network does leave.
    renew(&laptop);
    answers_a_container(&network.laptop);

    let kept = |node: &Node| !node.log().contains("it is restored");
    assert!(kept(&network.laptop) && kept(&network.home), "nft lists the table as it was written");

    // So it is once the agent has stopped, and systemd has run what it runs then.
    network.laptop.stop();
    assert_eq!(restore(&network.laptop, Some("success")), (Some(0), String::new()));
    knock_all();
    assert_eq!(left_by_cable(&laptop), 2);
    renew(&laptop);
    // The next start takes it over.
    network.laptop.run();
    knock_all();
    network.laptop.stop();
    knock_all();
    assert_eq!(left_by_cable(&laptop), 4);

    // The control: the same packets do leave once root has ended it, and nothing is left behind.
    assert_eq!(restore(&network.laptop, None), (Some(0), String::new()));
    assert_eq!(left_behind(&laptop), "");
    knock_all();
    assert!(left_by_cable(&laptop) > 4);
}

#[test]
#[ignore = "needs: root"]
fn private_neighbours_are_reached_beside_an_exit_node_only_if_the_settings_say_so_and_never_for_names()
 {
    let network =
        routed("exit_node = \"server\"\nexit_node_allow_lan_access = true\ndns = \"off\"\n");
    approve(&network.plane, &[LAN, "0.0.0.0/0", "::/0"]);
    eventually("an answer through the exit node", || network.seen_at(FAR));
    let machine = &network.laptop.machine;
    machine.sh("ip route add 203.0.113.0/24 via 10.77.2.1").unwrap();
    network.watch_cable();
    let socket = machine.in_network(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    for to in ["10.77.2.1:53", "10.77.2.1:853", "203.0.113.7:9"] {
        let _ = socket.send_to(b"knock", to);
    }
    // Nor to the mesh, where a router of that network says that a part of it is its own.
    machine.sh("ip -6 route add fd7a:115c:a1e0::/64 dev eth0").unwrap();
    let v6 = machine.in_network(|| UdpSocket::bind("[::]:0").unwrap());
    let _ = v6.send_to(b"knock", "[fd7a:115c:a1e0::99]:9");
    assert_eq!(network.left_by_cable(), 0);
    socket.send_to(b"knock", "10.77.2.1:9").unwrap();
    assert_eq!(network.left_by_cable(), 1);
}

#[test]
#[ignore = "needs: root"]
fn an_exit_node_leads_to_the_internet_and_to_no_network_of_its_own() {
    let network = routed("exit_node = \"server\"\ndns = \"off\"\n");
    let (home, laptop) = (&network.home.machine, &network.laptop.machine);
    home.sh("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding").unwrap();
    approve(&network.plane, &["0.0.0.0/0", "::/0"]);
    // The policy is open for everything: the exit node itself leads to none of its neighbours.
    for (far, own) in [(FAR, "192.168.9.1"), (FAR6, "2001:db8:9::1")] {
        let seen = eventually(far, || network.seen_at(far));
        assert_eq!(seen, own, "under the exit node's address");
    }
    for near in [PRINTER, "[2001:db8:9::2]:80"] {
        assert_eq!(network.seen_at(near), None, "{near}");
    }
    // The house gets another network, where its machine has no address.
    home.sh("ip route add 2001:db8:80::/64 dev lan0").unwrap();
    eventually("the house's new network is no internet", || {
        network.seen_at(FAR6).is_none().then_some(())
    });
    assert_eq!(network.seen_at(FAR).as_deref(), Some("192.168.9.1"));

    approve(&network.plane, &[LAN, "0.0.0.0/0", "::/0"]);
    eventually("a subnet that is approved", || network.seen_at(PRINTER));

    // The only resolver is the laptop's router, which is not behind the exit node.
    let lacks = || network.laptop.status()["exit_node"]["no_resolver"] == true;
    let uses = |resolver: &str, lacking| {
        std::fs::write(laptop.path("/etc/resolv.conf"), format!("nameserver {resolver}\n"))
            .unwrap();
        eventually(resolver, || (lacks() == lacking).then_some(()));
    };
    uses("192.0.2.53", false);
    uses(OUTSIDE, true);
}

#[test]
#[ignore = "needs: root"]
fn a_router_is_no_way_into_the_mesh_and_shows_the_mesh_no_further_address_of_itself() {
    let network = routed("exit_node = \"server\"\ndns = \"off\"\n");
    approve(&network.plane, &[LAN, "0.0.0.0/0", "::/0"]);
    let home = &network.home.machine;
    let guest = Machine::new("guest").unwrap();
    link((&guest, "eth0", "192.168.8.2/24"), (home, "lan1", "192.168.8.1/24")).unwrap();
    eventually("an answer through the exit node", || network.seen_at_printer());
    let listener = home.in_network(|| TcpListener::bind("0.0.0.0:81").unwrap());
    thread::spawn(move || listener.incoming().for_each(drop));
    let reaches = |address: &str| network.laptop.connect(&format!("{address}:81")).is_ok();
    assert!(reaches("192.168.9.1"), "an address of a subnet that it offers");
    assert!(!reaches("192.168.8.1"));
    assert!(!reaches("10.77.1.2"));

    guest.sh("ip route add 100.64.0.0/10 via 192.168.8.1").unwrap();
    let socket = guest.in_network(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    let inside = "iifname lan1 counter";
    home.sh(&format!(
        "nft add table inet watch
         nft 'add chain inet watch in {{ type filter hook prerouting priority 0; }}'
         nft 'add chain inet watch out {{ type filter hook postrouting priority 300; }}'
         nft add rule inet watch in {inside}
         nft add rule inet watch out oifname 'maru*' ip saddr 192.168.8.2 counter"
    ))
    .unwrap();
    let to = format!("{}:9", network.laptop.address());
    eventually("a knock at the router", || {
        socket.send_to(b"knock", &to).unwrap();
        let counts = packets(home);
        assert_eq!(counts[1], 0, "into the tunnel");
        (counts[0] > 0).then_some(())
    });
}

#[test]
#[ignore = "needs: root"]
fn after_a_kill_the_next_start_without_an_exit_node_leaves_no_rule_or_route() {
    let mut network = routed("exit_node = \"server\"\naccept_routes = true\ndns = \"off\"\n");
    approve(&network.plane, &[LAN, "0.0.0.0/0", "::/0"]);
    eventually("an answer through the exit node", || network.seen_at_printer());
    let machine = network.laptop.machine.clone();
    // Another program removes the rules; they come back.
    machine.sh("ip rule flush; ip rule add pref 32766 lookup main").unwrap();
    eventually("the rules are back", || {
        machine.sh("ip rule").unwrap().contains("unreachable").then_some(())
    });

    let mut agent = network.laptop.agent.take().unwrap();
    agent.signal_kill();
    agent.wait_for(LIMIT).unwrap();
    assert!(machine.sh("ip rule").unwrap().contains("unreachable"), "the kill switch holds");
    let settings = network.laptop.root.path().join("etc/maru/agent.toml");
    std::fs::write(&settings, "hostname = \"laptop\"\ndns = \"off\"\n").unwrap();
    network.laptop.run();
    network.laptop.wait_for_state("running");
    let rules = machine.sh("ip rule; ip -6 rule; ip route show table all").unwrap();
    assert!(!rules.contains("unreachable") && !rules.contains("192.168.9.0/24"), "{rules}");
    network.laptop.stop();
    assert_eq!(left_behind(&machine), "");

    // After another kill, a start that fails opens nothing.
    std::fs::write(&settings, "exit_node = \"server\"\ndns = \"off\"\n").unwrap();
    network.laptop.run();
    let mut agent = network.laptop.agent.take().unwrap();
    agent.signal_kill();
    agent.wait_for(LIMIT).unwrap();
    let (root, socket) = (network.laptop.root.path(), network.laptop.socket());
    std::fs::remove_file(&socket).unwrap();
    std::fs::create_dir_all(socket.join("taken")).unwrap();
    let mut failing = start(&machine, root, "maru-agent", &[], "agent.log");
    assert!(!failing.wait_for(LIMIT).unwrap().expect("it ends").success());
    assert!(left_behind(&machine).contains("table inet maru"), "it opened the kill switch");
    assert!(network.laptop.log().contains(&network.laptop.restore_command()));
    // Nor does what systemd runs after the agent.
    for ended in ["exit-code", "timeout", "success"] {
        assert_eq!(restore(&network.laptop, Some(ended)), (Some(0), String::new()));
        assert!(left_behind(&machine).contains("table inet maru"), "{ended}");
    }
    assert_eq!(restore(&network.laptop, None), (Some(0), String::new()));
    assert_eq!(left_behind(&machine), "");
}

#[test]
#[ignore = "needs: root"]
fn with_shields_up_nothing_is_opened_from_outside_and_answers_come_in() {
    let network = routed("accept_routes = true\nshields_up = true\n");
    approve(&network.plane, &[LAN]);
    eventually("an answer of the printer", || network.seen_at_printer());
    let listener = network.laptop.machine.in_network(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    thread::spawn(move || listener.incoming().for_each(drop));
    let to = format!("{}:80", network.laptop.address());
    assert!(network.home.connect(&to).is_err());
    assert_eq!(network.laptop.status()["shields_up"], true);
    let drops = network.laptop.status()["drops"].clone();
    assert!(drops["no_rule"].as_u64().unwrap_or_default() > 0, "{drops}");
}
