//! Stock nodes that lead to networks which are no nodes: subnet routers, an exit node, and names behind both.
//!
//! ```text
//!   phone ── site 2 ──┐                      ┌── site 1: two subnet routers, a printer that is no node
//!                     ├── router in the middle
//!      web 203.0.113.7┘                      └── site 3: an exit node
//! ```
//!
//! Who carried a packet is told by the address that a server sees. Fails if the phone reaches the printer without an approved
//! route, not at all, or through the wrong router, by IPv4 or IPv6; if the second router does not take over; if the web does
//! not see the exit node; or if a name is not found where it should be asked for. The way out is tried by IPv4 alone.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use lab::{Machine, link, nat::Nat, site::Site, stock::StockNode, topology::Topology};
use testkit::{blocking::eventually, equal};

use super::support::{
    answer::{looks_up, seen_as, serve_name, serve_web},
    control::{self, Control},
};

/// The network behind the routers, and what is there.
const LAN: &str = "192.168.1.0/24";
const ROUTERS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 1, 2), Ipv4Addr::new(192, 168, 1, 3)];
const PRINTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 4);
/// The same by IPv6.
const LAN6: &str = "fd42:1::/64";
const ROUTERS6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd42, 1, 0, 0, 0, 0, 0, 2), Ipv6Addr::new(0xfd42, 1, 0, 0, 0, 0, 0, 3)];
const PRINTER6: Ipv6Addr = Ipv6Addr::new(0xfd42, 1, 0, 0, 0, 0, 0, 4);
/// A server on the internet, and how it sees whoever comes from two of the sites.
const WEB: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const PHONES_SITE: Ipv4Addr = Ipv4Addr::new(10, 78, 2, 2);
const EXITS_SITE: Ipv4Addr = Ipv4Addr::new(10, 78, 3, 2);

/// The printer's network and the internet are for members; exit nodes need no admin.
const POLICY: &str = r#"{
  "tagOwners": { "tag:router": [], "tag:exit": [] },
  "autoApprovers": { "exitNode": ["tag:exit"] },
  "hosts": { "lan6": "fd42:1::/64" },
  "acls": [{ "action": "accept", "src": ["autogroup:member"],
             "dst": ["192.168.1.0/24:53,80", "lan6:80", "autogroup:internet:*"] }],
}"#;

const DNS: &str = r#"
[dns]
split_domains = { "corp.test" = ["192.168.1.4"] }
search_domains = ["corp.test"]
extra_records = [{ name = "printer.home.arpa", address = "192.168.1.4" }]
"#;

struct Network {
    routers: [StockNode; 2],
    phone: StockNode,
    exit: StockNode,
    control: Control,
    _printer: Arc<Machine>,
    _web: Machine,
    _sites: [Site; 3],
    _topology: Topology,
}

impl Network {
    fn start() -> Self {
        let mut topology = Topology::new(&[]).unwrap();
        let web = Machine::new("web").unwrap();
        let ends = [("eth0", format!("{WEB}/24")), ("web0", "203.0.113.1/24".to_owned())];
        link((&web, ends[0].0, &ends[0].1), (&topology.router, ends[1].0, &ends[1].1)).unwrap();
        web.sh("ip route add default via 203.0.113.1").unwrap();
        let control = Control::start(&topology, DNS);
        control.set_policy(POLICY);
        control.home.ok(&["user", "create", "alice"]).unwrap();
        let mut sites = [1, 2, 3].map(|_| topology.site(Nat::PortRestricted).unwrap());

        let mut at6 = ROUTERS6.into_iter();
        let routers = ["router1", "router2"].map(|name| {
            let machine = sites[0].add(name).unwrap();
            leads_on(&machine);
            add_address(&machine, at6.next().unwrap());
            let router = StockNode::start(&machine).unwrap();
            let key = control.key(&["--tag", "tag:router"]);
            let offer = format!("--advertise-routes={LAN},{LAN6}");
            router.join(&control::url(), &key, &[&offer]).unwrap();
            router
        });
        let printer = sites[0].add("printer").unwrap();
        add_address(&printer, PRINTER6);
        let phone = StockNode::start(&sites[1].add("phone").unwrap()).unwrap();
        let key = control.key(&["--user", "alice"]);
        phone.join(&control::url(), &key, &["--accept-routes"]).unwrap();
        phone.ok(&["set", "--accept-dns=true"]).unwrap();
        let machine = sites[2].add("exit").unwrap();
        leads_on(&machine);
        // Its resolver is the only one that knows the web.
        machine.sh(&format!("echo nameserver {WEB} > /etc/resolv.conf")).unwrap();
        let exit = StockNode::start(&machine).unwrap();
        let key = control.key(&["--tag", "tag:exit"]);
        exit.join(&control::url(), &key, &["--advertise-exit-node"]).unwrap();

        serve_web(&printer);
        serve_name(&printer, "printer.corp.test", PRINTER);
        serve_web(&web);
        serve_name(&web, "www.example.test", WEB);
        let (_printer, _web, _sites, _topology) = (printer, web, sites, topology);
        Self { routers, phone, exit, control, _printer, _web, _sites, _topology }
    }
}

/// Lets a machine pass on what comes out of its tunnel, under its own address.
fn leads_on(machine: &Machine) {
    machine
        .sh("echo 1 > /proc/sys/net/ipv4/ip_forward
            nft add table ip nat
            nft 'add chain ip nat out { type nat hook postrouting priority 100; }'
            nft add rule ip nat out oifname eth0 masquerade
            echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
            nft add table ip6 nat
            nft 'add chain ip6 nat out { type nat hook postrouting priority 100; }'
            nft add rule ip6 nat out oifname eth0 masquerade")
        .unwrap();
}

/// Gives a machine an address in the printer's network, at once.
fn add_address(machine: &Machine, address: Ipv6Addr) {
    machine.sh(&format!("ip addr add {address}/64 dev eth0 nodad")).unwrap();
}

/// Tries until there is the answer.
fn becomes<T: Copy + PartialEq + std::fmt::Debug>(what: &str, answer: T, ask: impl Fn() -> T) {
    eventually(&format!("{what}: {answer:?}"), || equal(ask(), answer));
}

/// Whether the phone is told that this router is the way to the printer.
fn is_in_use(phone: &StockNode, router: &str) -> bool {
    let peer = phone.peer(router).unwrap();
    peer.is_some_and(|peer| peer["PrimaryRoutes"] == serde_json::json!([LAN, LAN6]))
}

#[test]
#[ignore = "needs: root, go"]
fn stock_nodes_lead_to_a_subnet_to_names_and_out() {
    let network = Network::start();
    let Network { routers, phone, exit, control, .. } = &network;
    let refused = control.home.run(&["route", "approve", "router1", "192.168.9.0/24"]).unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("router1 does not offer 192.168.9.0/24; it offers 192.168.1.0/24"));
    let printer = || seen_as(&phone.machine, PRINTER);
    let printer6 = || seen_as(&phone.machine, PRINTER6);
    assert_eq!((printer(), printer6()), (None, None), "nobody approved the routes");

    for router in ["router1", "router2"] {
        control.home.ok(&["route", "approve", router, LAN, LAN6]).unwrap();
    }
    becomes("the printer, through the first", Some(IpAddr::from(ROUTERS[0])), printer);
    becomes("the same by IPv6", Some(IpAddr::from(ROUTERS6[0])), printer6);
    let shown = control.home.ok(&["device", "show", "router1"]).unwrap();
    assert!(shown.contains("192.168.1.0/24 approved, in use"), "{shown}");
    let shown = control.json(&["device", "show", "router2"]);
    assert_eq!(
        (&shown["routes"][0]["route"], &shown["routes"][0]["in_use"]),
        (&LAN.into(), &false.into())
    );
    // The record is in the map; the split domain's resolver is the printer, behind the router.
    for name in ["printer.home.arpa", "printer.corp.test", "printer"] {
        becomes(name, Some(PRINTER), || looks_up(&phone.machine, name));
    }

    routers[0].daemon.signal_kill();
    becomes("the second is in use", true, || is_in_use(phone, "router2"));
    becomes("the printer, through the second", Some(IpAddr::from(ROUTERS[1])), printer);
    becomes("the same by IPv6", Some(IpAddr::from(ROUTERS6[1])), printer6);

    let web = || seen_as(&phone.machine, WEB);
    becomes("the web, directly", Some(IpAddr::from(PHONES_SITE)), web);
    assert_eq!(looks_up(&phone.machine, "www.example.test"), None, "only the exit node knows it");
    let out = exit.address().unwrap().to_string();
    phone.ok(&["set", &format!("--exit-node={out}")]).unwrap();
    becomes("the web, through the exit node", Some(IpAddr::from(EXITS_SITE)), web);
    becomes("its name", Some(WEB), || looks_up(&phone.machine, "www.example.test"));
    assert_eq!(printer(), Some(IpAddr::from(ROUTERS[1])), "a subnet is nearer than the way out");

    control.home.ok(&["route", "reject", "exit", "exit"]).unwrap();
    becomes("no way out that was rejected", false, || {
        let exit = phone.peer("exit").unwrap();
        exit.is_some_and(|exit| exit["ExitNodeOption"] == true)
    });
}
