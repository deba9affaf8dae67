//! Home behind its router, on lab machines with the real coordinator and relay.
//!
//! ```text
//!  home 192.168.1.2 ── router 11.78.1.2 ── middle ── 10.78.2.2 router ── 192.168.2.2 laptop
//! ```
//!
//! Both routers translate addresses; home's does not lead back in who calls its outer address from inside, the laptop's lets in
//! only what answers. Home's is `miniupnpd`, which knows PCP, NAT-PMP and UPnP; only a router that lies is made here.
//!
//! Fails if: home's agent does not find its own relay there; a laptop elsewhere gets no direct path although the ports are
//! forwarded; the router is not asked for them, or not again; an address that a router invents is told to peers. Blind to: IPv6.

use std::{
    net::{Ipv4Addr, TcpListener, UdpSocket},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use lab::{
    Machine, Process,
    site::{Nat, Site},
    topology::Topology,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::blocking::eventually;

use super::{
    control_plane::{ControlPlane, Node, ask},
    mesh::LAPTOP,
};

/// Of home's router; `miniupnpd` serves no private address.
const OUTER: &str = "11.78.1.2";
const SETTINGS: &str = "server_url = \"http://11.78.1.2:8443\"\n[relay]\nhost = \"11.78.1.2\"\n";
/// The README's four ports.
const FORWARD: &str = "nft 'add chain ip nat in { type nat hook prerouting priority -100; }'
    nft add rule ip nat in iifname wan tcp dport '{ 8443, 8444 }' dnat to 192.168.1.2
    nft add rule ip nat in iifname wan udp dport '{ 3478, 41641 }' dnat to 192.168.1.2";

/// So few ports that a neighbour can send to all of them.
const FEW_PORTS: &str = "echo '40000 40255' > /proc/sys/net/ipv4/ip_local_port_range
    echo 1 > /proc/sys/net/ipv4/tcp_tw_reuse";

/// What `miniupnpd` adds its rules to.
const CHAINS: &str = "table inet miniupnpd {
    chain forward { type filter hook forward priority 0; jump upnp; }
    chain prerouting { type nat hook prerouting priority -100; jump in_upnp; }
    chain postrouting { type nat hook postrouting priority 110; jump out_upnp; }
    chain upnp {
    }
    chain in_upnp {
    }
    chain out_upnp {
    }
}
";

/// A network whose home is behind a router.
struct Deployment {
    plane: ControlPlane,
    site: Site,
    home: Node,
    elsewhere: Vec<Site>,
}

/// Its agent has joined as `maru up` has it join.
fn house(prepare: impl Fn(&Machine)) -> Deployment {
    let mut topology = Topology::new(&[]).unwrap();
    let mut site = topology.site(Nat::Masquerade).unwrap();
    topology.home = site.add("home").unwrap();
    topology.router.sh(&format!("ip route add {OUTER}/32 via 10.78.1.2")).unwrap();
    site.router
        .sh(&format!(
            "ip addr add {OUTER}/32 dev wan
            nft flush chain ip nat out
            nft add rule ip nat out oifname wan snat to {OUTER}"
        ))
        .unwrap();
    prepare(&site.router);
    let plane = ControlPlane::with_users(topology, SETTINGS);
    plane.open_policy();
    let home = Node::start(&plane.topology.home, "hostname = \"server\"\n");
    home.join(&plane.invite("mina", true).replace(OUTER, "127.0.0.1"));
    home.wait_for_state("running");
    let id = plane.device("server")["id"].clone();
    let published = json!({ "maru/server-url": [format!("http://{OUTER}:8443")] });
    plane.ask("PUT", &format!("/devices/{id}/capabilities"), Some(published));
    Deployment { plane, site, home, elsewhere: Vec::new() }
}

impl Deployment {
    /// A laptop behind a router elsewhere, which has joined.
    fn laptop(&mut self) -> Node {
        let mut elsewhere = self.plane.topology.site(Nat::PortRestricted).unwrap();
        let laptop: Arc<Machine> = elsewhere.add("laptop").unwrap();
        let laptop = Node::start(&laptop, LAPTOP);
        laptop.join(&self.plane.invite("juno", true));
        laptop.wait_for_state("running");
        self.elsewhere.push(elsewhere);
        laptop
    }

    /// Waits until the laptop, which has something to say, reaches home past the relay.
    fn has_direct_path(&self, laptop: &Node) {
        let service = format!("{}:80", self.home.address());
        eventually("a direct path", || {
            // Nobody listens there; the packets arrive.
            let _ = laptop.connect(&service);
            let path = laptop.peer("server")["path"].as_str()?.to_owned();
            (path == format!("direct {OUTER}:41641")).then_some(())
        });
    }
}

/// `miniupnpd` on the router, as its maker configures it; `more` are further lines.
fn miniupnpd(router: &Machine, more: &str) -> Process {
    let config = format!(
        "ext_ifname=wan\next_ip={OUTER}\nlistening_ip=lan\nport=5000\nsecure_mode=yes
uuid=00000000-0000-0000-0000-000000000001
upnp_table_name=miniupnpd\nupnp_nat_table_name=miniupnpd\nupnp_forward_chain=upnp
upnp_nat_chain=in_upnp\nupnp_nat_postrouting_chain=out_upnp
allow 0-65535 192.168.1.0/24 0-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n{more}\n"
    );
    std::fs::write(router.path("/run/miniupnpd.conf"), config).unwrap();
    std::fs::write(router.path("/run/miniupnpd.nft"), CHAINS).unwrap();
    router.sh("nft -f /run/miniupnpd.nft").unwrap();
    let mut command = router.command("miniupnpd");
    command.args(["-d", "-f", "/run/miniupnpd.conf", "-P", "/run/miniupnpd.pid"]);
    let log = std::fs::File::create(router.path("/run/miniupnpd.log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    router.spawn(&mut command).unwrap()
}

/// A router that grants every port by NAT-PMP and forwards none; it says that this is its outer address.
fn liar(router: &Machine, outer: Ipv4Addr) {
    let socket = router.in_network(|| UdpSocket::bind("0.0.0.0:5351").unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 1100];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let request = &buffer[..len];
            let answer = match request {
                [0, 0] => [&[0, 128, 0, 0, 0, 0, 0, 1], outer.octets().as_slice()].concat(),
                // The ports and the life, as they were asked for.
                [0, op @ (1 | 2), _, _, asked @ ..] if asked.len() == 8 => {
                    [&[0, 128 + op, 0, 0, 0, 0, 0, 1], asked].concat()
                }
                _ => vec![0, 129, 0, 1, 0, 0, 0, 1],
            };
            let _ = socket.send_to(&answer, from);
        }
    });
}

/// A machine of home's network that says at every port of home's that it is a router, first of all; returns how often it was asked
/// for a description.
fn neighbour(
    (machine, own): (&Machine, &str),
    home: &'static str,
    ports: std::ops::Range<u16>,
) -> Arc<AtomicUsize> {
    let (socket, listener) = machine.in_network(|| {
        (UdpSocket::bind("0.0.0.0:1900").unwrap(), TcpListener::bind("0.0.0.0:5000").unwrap())
    });
    let answer = format!(
        "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\
         LOCATION: http://{own}:5000/rootDesc.xml\r\n\r\n"
    );
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, lives) = (Arc::clone(&asked), Arc::downgrade(&asked));
    thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    thread::spawn(move || {
        while lives.strong_count() > 1 {
            for port in ports.clone() {
                let _ = socket.send_to(answer.as_bytes(), (home, port));
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    asked
}

/// How `GET /v1/netcheck` names the trouble with the node's own port.
fn trouble(node: &Node) -> Option<String> {
    let check = ask(&node.socket(), "GET", "/v1/netcheck", None).1;
    Some(check["router"]["ports"][0]["problem"].as_str()?.to_owned())
}

/// Whether a member reached the node at this address, as `GET /v1/netcheck` says; `None` if none tried.
fn reached(node: &Node, address: &str) -> Option<bool> {
    let check = ask(&node.socket(), "GET", "/v1/netcheck", None).1;
    let endpoints = check["endpoints"].as_array()?;
    endpoints.iter().find(|endpoint| endpoint["address"] == address)?["reached"].as_bool()
}

/// What `GET /v1/netcheck` says of the router's ports: `service`, `transport`, inner port, outer address, protocol.
fn ports(node: &Node) -> Vec<[String; 5]> {
    let check = ask(&node.socket(), "GET", "/v1/netcheck", None).1;
    let ports = check["router"]["ports"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown = |port: &Value| {
        ["service", "transport", "port", "outside", "via"].map(|key| text(&port[key]))
    };
    ports.iter().map(shown).collect()
}

/// What they say once the router has granted all four.
fn all_four(via: &str) -> Vec<[String; 5]> {
    let own = |service: &str, transport: &str, port: u16| {
        [
            service.to_owned(),
            transport.to_owned(),
            port.to_string(),
            format!("{OUTER}:{port}"),
            via.to_owned(),
        ]
    };
    vec![
        own("agent", "udp", 41641),
        own("coordinator", "tcp", 8443),
        own("relay", "tcp", 8444),
        own("stun", "udp", 3478),
    ]
}

#[test]
#[ignore = "needs: root"]
fn behind_a_router_home_is_reached_directly_and_finds_its_own_relay() {
    let mut house = house(|router| drop(router.sh(FORWARD).unwrap()));
    let laptop = house.laptop();

    eventually("the own relay", || {
        (house.home.status()["home_relay"]["connected"] == true).then_some(())
    });
    house.has_direct_path(&laptop);
    // The control: from inside nobody reaches the outer address.
    assert!(house.home.connect(&format!("{OUTER}:8444")).is_err());

    let both = |coordinator: bool| {
        json!([
            { "address": format!("{OUTER}:8443"), "reached": coordinator },
            { "address": format!("{OUTER}:8444"), "reached": true },
        ])
    };
    eventually("a laptop that tries the TCP ports", || tcp(&house.home) == both(true));
    // The router forgets one of them; the agent asks anew once it is started again.
    house
        .site
        .router
        .sh("nft 'add chain ip nat first { type nat hook prerouting priority -150; }'
            nft add rule ip nat first iifname wan tcp dport 8443 drop")
        .unwrap();
    house.home.stop();
    house.home.run();
    eventually("a port that is closed", || tcp(&house.home) == both(false));
}

/// What `GET /v1/netcheck` says of the TCP ports of coordinator and relay.
fn tcp(node: &Node) -> Value {
    ask(&node.socket(), "GET", "/v1/netcheck", None).1["tcp"].clone()
}

#[test]
#[ignore = "needs: root"]
fn the_router_is_asked_for_the_four_ports_and_again_when_it_forgot_them() {
    let mut house = house(|_| {});
    let mut router = miniupnpd(&house.site.router, "enable_natpmp=yes\nenable_upnp=yes");
    eventually("the four ports", || (ports(&house.home) == all_four("pcp")).then_some(()));
    let laptop = house.laptop();
    house.has_direct_path(&laptop);

    eventually("a laptop that tries it", || {
        reached(&house.home, &format!("{OUTER}:41641")).filter(|is| *is)
    });

    // A router that restarts has forgotten them, and speaks another protocol after an update.
    router.stop(Duration::from_secs(10)).unwrap();
    house.site.router.sh("nft delete table inet miniupnpd").unwrap();
    let _router = miniupnpd(&house.site.router, "enable_natpmp=no\nenable_upnp=yes");
    // The agent asks again when its network changes, instead of after five minutes.
    let another = "ip addr del 192.168.1.2/24 dev eth0; ip addr add 192.168.1.77/24 dev eth0
        ip route replace default via 192.168.1.1";
    house.home.machine.sh(another).unwrap();
    eventually("by UPnP", || (ports(&house.home) == all_four("upnp")).then_some(()));
}

#[test]
#[ignore = "needs: root"]
fn a_neighbour_that_says_it_is_the_router_is_not_asked_for_anything() {
    let mut house = house(|_| {});
    let router = miniupnpd(&house.site.router, "enable_natpmp=no\nenable_upnp=yes");
    let (machine, own) = (house.site.add("neighbour").unwrap(), house.site.address(2));
    house.home.machine.sh(FEW_PORTS).unwrap();
    let asked = neighbour((&machine, &own), "192.168.1.77", 40000..40256);
    let searches = "nft add table inet watch
        nft 'add chain inet watch in { type filter hook prerouting priority -200; }'
        nft add rule inet watch in udp dport 1900 counter";
    house.site.router.sh(searches).unwrap();
    // The router takes its time; the neighbour does not.
    router.signal(Signal::STOP);

    let another = "ip addr del 192.168.1.2/24 dev eth0; ip addr add 192.168.1.77/24 dev eth0
        ip route replace default via 192.168.1.1";
    house.home.machine.sh(another).unwrap();
    eventually("a search", || {
        let text = house.site.router.sh("nft list table inet watch").unwrap();
        (!text.contains("packets 0 ")).then_some(())
    });
    thread::sleep(Duration::from_millis(300));
    router.signal(Signal::CONT);

    eventually("by UPnP", || (ports(&house.home) == all_four("upnp")).then_some(()));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[test]
#[ignore = "needs: root"]
fn a_router_that_grants_a_port_and_does_not_forward_it_is_noticed() {
    let mut house = house(|router| {
        router.sh(&FORWARD.replace("3478, 41641", "3478")).unwrap();
        liar(router, OUTER.parse().unwrap());
    });
    let own = format!("{OUTER}:41641");
    eventually("a port that is granted", || {
        ports(&house.home).first().filter(|port| port[3] == own && port[4] == "nat_pmp").map(drop)
    });

    let _laptop = house.laptop();

    eventually("the router's lie", || trouble(&house.home).filter(|is| is == "not_reached"));
    assert_eq!(reached(&house.home, &own), Some(false));
}

#[test]
#[ignore = "needs: root"]
fn an_outer_address_that_a_router_invents_is_told_to_nobody() {
    let house = house(|router| {
        router.sh(FORWARD).unwrap();
        liar(router, Ipv4Addr::new(203, 0, 113, 66));
    });
    eventually("the router's lie", || trouble(&house.home).filter(|is| is == "other_address"));
    let told = |address: &str| {
        let check = ask(&house.home.socket(), "GET", "/v1/netcheck", None).1;
        let endpoints = check["endpoints"].as_array().cloned().unwrap_or_default();
        endpoints.iter().any(|it| it["address"].as_str().is_some_and(|at| at.starts_with(address)))
    };
    eventually("the true address", || told(OUTER).then_some(()));
    assert!(!told("203.0.113.66"));
}
