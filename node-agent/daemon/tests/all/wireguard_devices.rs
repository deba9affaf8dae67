//! Devices that have only WireGuard: `wg-quick` sets them up, as people do.
//!
//! ```text
//!  phone ── wifi's router ──┐
//!    └───── mobile's router ┼── router ── home 10.77.1.2      (home: coordinator, relay, the routing agent)
//!  tv ──────────────────────┤               home ── 192.168.9.2 printer
//!  laptop ──────────────────┘
//! ```
//!
//! Fails if: bytes between such a device and a mesh service, a stock node or our agent are not the same on the other side; a
//! service learns a wrong caller; a connection ends when the device changes its network, or when the coordinator goes; a device
//! that is removed goes on; or a packet of the table of attempts arrives anywhere. Blind to: a restart of the agent
//! (`wireguard.rs`), the kernel's WireGuard, the command and its QR code.

use std::{
    collections::BTreeSet,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use lab::{
    Machine, link, nat::Nat, site::Site, stock::StockNode, transfer::Transfer, wireguard::Device,
};
use mesh_identity::{Header, LOCAL};
use serde_json::{Value, json};
use testkit::blocking::eventually;

use super::{
    control_plane::{ControlPlane, LIMIT, Node, ask, echo},
    routes::printer,
};

mod streams;

use streams::{EchoStream, MANY, goes_on};

const SERVER: &str = "http://10.77.1.2:8443";
/// The home node: an echo service on mesh port 80, and WireGuard devices.
const HOME: &str = "hostname = \"server\"\n\
    [[service]]\nname = \"echo\"\nport = 80\nsocket = \"run/maru/echo/http.sock\"\n\
    [wireguard]\nport = 51820\n";
/// Where people's own programs listen.
const OPEN: u16 = 7777;
/// A port that no rule names.
const CLOSED: u16 = 9999;
/// Who may open what; each person of the spoofed packets may send them in their own name.
const POLICY: &str = r#"{
  "tagOwners": { "tag:home": [] },
  "acls": [
    { "action": "accept", "src": ["alice@"], "dst": ["tag:home:80", "juno@:7777"] },
    { "action": "accept", "src": ["bob@"], "dst": ["tag:home:80,7777", "juno@:7777"] },
    { "action": "accept", "src": ["juno@"], "dst": ["tag:home:80,7777", "alice@:7777"] },
    { "action": "accept", "src": ["tag:home"], "dst": ["juno@:7777"] },
  ],
}"#;
/// How long one try waits.
const TRY: Duration = Duration::from_secs(2);

/// A coordinator, and the home node that routes WireGuard devices.
struct TestNetwork {
    plane: ControlPlane,
    home: Node,
}

impl TestNetwork {
    fn start() -> Self {
        let plane = ControlPlane::new();
        for person in ["alice", "bob", "juno"] {
            plane.invite(person, true);
        }
        plane.ask("PUT", "/policy", Some(json!({ "policy": POLICY })));
        let home = Node::start(&plane.topology.home.clone(), HOME);
        let key = key(&plane, json!({ "tags": ["tag:home"] }));
        let body = json!({ "url": SERVER, "key": key });
        assert_eq!(ask(&home.socket(), "POST", "/v1/join", Some(body)).0, 202);
        home.wait_for_state("running");
        Self { plane, home }
    }

    /// Adds a WireGuard device of this person, which makes its key itself, and sets it up on a machine.
    fn add(&self, name: &str, person: &str, machine: &Arc<Machine>) -> Device {
        let keys = machine.sh("wg genkey | tee /run/key; wg pubkey < /run/key").unwrap();
        let (secret, public) = keys.trim().split_once('\n').unwrap();
        let body = json!({ "name": name, "user": person, "public_key": public, "via": "server" });
        let added = eventually("the home offers to be a router", || {
            let body = Some(body.clone());
            let (status, added) = ask(&self.plane.admin(), "POST", "/api/v1/wireguard", body);
            if status < 300 { Ok(added) } else { Err(added) }
        });
        let text = |value: &Value| {
            let all = value.as_array().unwrap().iter();
            all.map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>().join(", ")
        };
        let configuration = format!(
            "[Interface]\nPrivateKey = {secret}\nAddress = {}\nDNS = {}\n\
             [Peer]\nPublicKey = {}\nAllowedIPs = {}\nEndpoint = {}\n",
            text(&added["device"]["addresses"]),
            text(&added["dns"]),
            added["router_key"].as_str().unwrap(),
            text(&added["allowed_ips"]),
            added["endpoint"].as_str().unwrap(),
        );
        Device::up(machine, &configuration).unwrap()
    }

    fn device(&self, name: &str) -> Value {
        let devices = self.plane.ask("GET", "/devices", None);
        let devices = devices.as_array().unwrap();
        devices.iter().find(|device| device["name"] == name).unwrap().clone()
    }

    /// The mesh addresses of a device, by IPv4 and IPv6.
    fn addresses(&self, name: &str) -> [IpAddr; 2] {
        let device = self.device(name);
        [0, 1].map(|at| device["addresses"][at].as_str().unwrap().parse().unwrap())
    }
}

fn key(plane: &ControlPlane, mut body: Value) -> String {
    body["pre_approved"] = true.into();
    plane.ask("POST", "/keys", Some(body))["key"].as_str().unwrap().to_owned()
}

/// A phone at home behind the wifi's router, whose mobile network is off.
fn phone(house: &mut TestNetwork) -> (Arc<Machine>, [Site; 2]) {
    let mut site = || house.plane.topology.site(Nat::PortRestricted).unwrap();
    let (mut wifi, mobile) = (site(), site());
    let phone = wifi.add("phone").unwrap();
    link((&phone, "mobile", "192.168.50.2/24"), (&mobile.router, "phone", "192.168.50.1/24"))
        .unwrap();
    phone.sh("ip link set mobile down").unwrap();
    (phone, [wifi, mobile])
}

/// A device is taken out of the network while it has open connections: none goes on, and it does not come back.
fn a_removed_device_is_cut_off(house: &mut TestNetwork, stock: &StockNode) {
    let machine = house.plane.topology.add("tablet").unwrap();
    let tablet = house.add("tablet", "alice", &machine);
    let service = house.addresses("server")[0];
    let mut talk = eventually("the echo service", || EchoStream::open(&machine, service));
    assert!(talk.goes_on(LIMIT));
    let there = (house.addresses("laptop")[0], OPEN).into();
    let stream = eventually("a stream", || Transfer::start(&machine, &stock.machine, there));
    goes_on(&stream, "a stream of a second device");

    house.plane.ask("DELETE", "/devices/tablet", None);
    eventually("nothing of it goes on", || {
        let before = stream.carried();
        !talk.goes_on(TRY) && stream.carried() == before
    });
    // It has its configuration still.
    let configuration = machine.sh("cat /etc/wireguard/wg0.conf").unwrap();
    tablet.change(&configuration).unwrap();
    assert!(EchoStream::open(&machine, service).is_err(), "a removed device reaches a service");
    assert_eq!(tablet.last_handshake().unwrap(), None, "home still answers a removed device");
}

#[test]
#[ignore = "needs: root, go, resolvers, wireguard-tools"]
fn a_phone_with_wireguard_alone_is_a_member_wherever_it_is() {
    let mut house = TestNetwork::start();
    let callers = echo(&house.home.root.path().join("run/maru/echo/http.sock"));
    let (machine, _sites) = phone(&mut house);
    let stock = StockNode::start(&house.plane.topology.laptops[0]).unwrap();
    let stock_key = key(&house.plane, json!({ "user": "juno" }));
    stock.join(SERVER, &stock_key, &["--accept-routes"]).unwrap();

    let phone = house.add("phone", "alice", &machine);
    let own = house.addresses("phone");
    let service = house.addresses("server");
    let mut talk = eventually("the echo service", || EchoStream::open(&machine, service[0]));
    assert!(talk.goes_on(LIMIT));
    let Header { source, identity, .. } = callers.try_recv().unwrap();
    let user = identity.user.unwrap();
    assert_eq!((source.ip(), &*user.login, &*identity.service), (own[0], "alice", "echo"));
    assert!(phone.last_handshake().unwrap().is_some());

    // Both ways, to a mesh service and to a stock node, in both families.
    for address in service {
        EchoStream::open(&machine, address).unwrap().carries();
    }
    // A stock app has it as a route of its router, not as a peer.
    let is_routed = || {
        let server = stock.peer("server").unwrap().unwrap();
        server["AllowedIPs"].to_string().contains(&format!("\"{}/32\"", own[0]))
    };
    stock.wait_for_peers(&["server"]).unwrap();
    eventually("a route to it", is_routed);
    let stock_own = house.addresses("laptop");
    for (from, to, addresses) in
        [(&machine, &stock.machine, stock_own), (&stock.machine, &machine, own)]
    {
        for address in addresses {
            let way = format!("from {} to {address}", from.name());
            let start = || Transfer::start(from, to, (address, OPEN).into());
            let stream = eventually(&way, start);
            stream.finish(MANY as u64).unwrap_or_else(|error| panic!("{way}: {error:#}"));
        }
    }

    a_removed_device_is_cut_off(&mut house, &stock);

    // Out of the house: another network, another address.
    let there = (stock_own[0], OPEN).into();
    let stream = Transfer::start(&machine, &stock.machine, there).unwrap();
    goes_on(&stream, "a stream");
    let endpoint = || house.home.status()["wireguard"]["devices"][0]["endpoint"].clone();
    let before = endpoint();
    machine
        .sh("ip link set eth0 down; ip link set mobile up; ip route add default via 192.168.50.1")
        .unwrap();
    goes_on(&stream, "the stream after a change of the network");
    assert!(talk.goes_on(LIMIT));
    eventually("the home knows where it is", || endpoint() != before);

    house.plane.serve.take().unwrap().stop(Duration::from_secs(60)).unwrap();
    goes_on(&stream, "the stream without the coordinator");
}

/// What arrived where, in the words of who sent it.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<BTreeSet<String>>>);

impl Received {
    /// Listens on a port of a machine, by UDP and TCP and on every address; joins the group of mDNS.
    fn listen(&self, machine: &Machine, port: u16) {
        let (tcp, udp) = machine.in_network(|| {
            let any = (Ipv6Addr::UNSPECIFIED, port);
            (TcpListener::bind(any).unwrap(), UdpSocket::bind(any).unwrap())
        });
        let place = format!("{} {port}", machine.name());
        let (heard, at) = (self.clone(), place.clone());
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let (heard, at) = (heard.clone(), at.clone());
                thread::spawn(move || {
                    let mut said = String::new();
                    let _ = stream.unwrap().read_to_string(&mut said);
                    heard.note(&at, said.as_bytes());
                });
            }
        });
        let heard = self.clone();
        thread::spawn(move || {
            let mut datagram = [0; 4096];
            while let Ok((len, _)) = udp.recv_from(&mut datagram) {
                heard.note(&place, &datagram[..len]);
            }
        });
    }

    fn note(&self, place: &str, said: &[u8]) {
        let said = String::from_utf8_lossy(said);
        self.0.lock().unwrap().insert(format!("{place}: {}", said.trim_end()));
    }

    fn all(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().clone()
    }
}

/// How something is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Tcp,
    Udp,
    /// By UDP, in three fragments.
    Fragments,
}

/// Something that a device tries.
struct Attempt {
    name: &'static str,
    way: Direction,
    source: IpAddr,
    to: SocketAddr,
}

impl Attempt {
    /// Sends it into the tunnel, under whatever address; whether a connection opens.
    fn connects(&self, machine: &Machine) -> bool {
        let domain = socket2::Domain::for_address(self.to);
        let kind =
            if self.way == Direction::Tcp { socket2::Type::STREAM } else { socket2::Type::DGRAM };
        let socket = machine.in_network(|| socket2::Socket::new(domain, kind, None).unwrap());
        socket.bind_device(Some(Device::INTERFACE.as_bytes())).unwrap();
        match self.source {
            IpAddr::V4(_) => socket.set_ip_transparent_v4(true).unwrap(),
            IpAddr::V6(_) => socket.set_freebind_v6(true).unwrap(),
        }
        socket.set_broadcast(true).unwrap();
        socket.bind(&SocketAddr::new(self.source, 0).into()).unwrap();
        let to = self.to.into();
        match self.way {
            Direction::Tcp => match socket.connect_timeout(&to, TRY) {
                Ok(()) => true,
                // The phone itself sent it.
                Err(error) => {
                    assert_ne!(error.kind(), io::ErrorKind::NetworkUnreachable, "{}", self.name);
                    false
                }
            },
            Direction::Udp => {
                socket.send_to(self.name.as_bytes(), &to).unwrap();
                false
            }
            Direction::Fragments => {
                socket.send_to(format!("{:<3000}", self.name).as_bytes(), &to).unwrap();
                false
            }
        }
    }
}

/// A house with a phone of alice's and a television of bob's that have only WireGuard, and juno's laptop with our agent.
struct Ground {
    house: TestNetwork,
    laptop: Node,
    phone: Device,
    tv: Device,
    _printer: Machine,
    heard: Received,
}

impl Ground {
    fn start() -> Self {
        let mut house = TestNetwork::start();
        // The home forwards everything that nothing stops.
        let _printer = printer(&house.plane.topology.home);
        let laptop =
            Node::start(&house.plane.topology.laptops[0].clone(), "hostname = \"laptop\"\n");
        laptop.join(&house.plane.invite("juno", true));
        let [phone, tv] = ["phone", "tv"].map(|name| house.plane.topology.add(name).unwrap());
        let [phone, tv] = [("phone", "alice", phone), ("tv", "bob", tv)]
            .map(|(name, person, machine)| house.add(name, person, &machine));
        let heard = Received::default();
        for machine in [&house.home.machine, &laptop.machine, &phone.machine, &tv.machine] {
            for port in [OPEN, CLOSED] {
                heard.listen(machine, port);
            }
        }
        heard.listen_to_the_group(&house.home.machine);
        Self { house, laptop, phone, tv, _printer, heard }
    }
}

/// The group and port of mDNS (RFC 6762).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
const MDNS: u16 = 5353;

impl Received {
    /// Listens as a resolver of mDNS does, on every interface.
    fn listen_to_the_group(&self, machine: &Machine) {
        let links = machine.sh("ip -o link | cut -d: -f1").unwrap();
        let links: Vec<u32> = links.lines().map(|index| index.trim().parse().unwrap()).collect();
        let socket = machine.in_network(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, MDNS)).unwrap());
        let both = socket2::SockRef::from(&socket);
        for index in links {
            let at = socket2::InterfaceIndexOrAddress::Index(index);
            // An interface without an address of the family is in no group.
            let _ = both.join_multicast_v4_n(&GROUP, &at);
            let _ = both.join_multicast_v6(&GROUP6, index);
        }
        let heard = self.clone();
        thread::spawn(move || {
            let mut datagram = [0; 4096];
            while let Ok((len, _)) = socket.recv_from(&mut datagram) {
                heard.note("group", &datagram[..len]);
            }
        });
    }
}

/// What a phone of alice's tries in one family of addresses. Each would succeed under the address or the right of another.
fn attempts(ground: &Ground, family: usize) -> Vec<Attempt> {
    let of = |name: &str| ground.house.addresses(name)[family];
    let [own, tv, home, laptop] = ["phone", "tv", "server", "laptop"].map(of);
    let nobody: IpAddr = ["100.64.77.77", "fd7a:115c:a1e0::7777"][family].parse().unwrap();
    let mut all = Vec::new();
    let mut row = |name, way, source, to: IpAddr, port| {
        all.push(Attempt { name, way, source, to: SocketAddr::new(to, port) });
    };
    for (name, source) in [
        ("under a node's address", laptop),
        ("under another WireGuard device's address", tv),
        ("under the router's address", home),
        ("under an address of nobody", nobody),
    ] {
        for to in [home, laptop] {
            row(name, Direction::Udp, source, to, OPEN);
            row(name, Direction::Fragments, source, to, OPEN);
        }
        row(name, Direction::Tcp, source, home, 80);
    }
    for way in [Direction::Tcp, Direction::Udp, Direction::Fragments] {
        row("to a port of a node that no rule names", way, own, laptop, CLOSED);
        row("to a port of the router that a rule names for others", way, own, home, OPEN);
        row("to another WireGuard device", way, own, tv, OPEN);
    }
    row("to the coordinator's own port", Direction::Tcp, own, home, 8443);
    if family == 0 {
        let outside = |text: &str| text.parse::<IpAddr>().unwrap();
        for port in [OPEN, 8443] {
            row("to the router's address at home", Direction::Tcp, own, outside("10.77.1.2"), port);
        }
        row("to a host at home", Direction::Tcp, own, outside("192.168.9.2"), 80);
        row(
            "under the address of a host at home",
            Direction::Udp,
            outside("192.168.9.2"),
            laptop,
            OPEN,
        );
        row("to everybody", Direction::Udp, own, Ipv4Addr::BROADCAST.into(), MDNS);
        row("to a group", Direction::Udp, own, GROUP.into(), MDNS);
    } else {
        row("to a group", Direction::Udp, own, GROUP6.into(), MDNS);
    }
    all
}

#[test]
#[ignore = "needs: root, go, resolvers, wireguard-tools"]
fn a_wireguard_device_is_nobody_else_and_reaches_nothing_else() {
    let ground = Ground::start();
    let Ground { house, laptop, phone, tv, heard, .. } = &ground;
    let callers = echo(&house.home.root.path().join("run/maru/echo/http.sock"));
    for name in ["phone", "tv"] {
        laptop.peer(name);
    }
    let own = house.addresses("phone");
    let [home_at, laptop_at] = ["server", "laptop"].map(|name| house.addresses(name));
    let controls = |round: &str| {
        let mut wanted = BTreeSet::new();
        let mut sent = |from: &Machine, source: IpAddr, to: IpAddr, place: &str| {
            let name = format!(
                "{round} from {} by {}",
                from.name(),
                if to.is_ipv4() { "v4" } else { "v6" }
            );
            let line = format!("{place} {OPEN}: {name}");
            eventually(&line, || {
                let socket = from.in_network(|| UdpSocket::bind((source, 0)).unwrap());
                let _ = socket.send_to(name.as_bytes(), (to, OPEN));
                thread::sleep(Duration::from_millis(100));
                heard.all().contains(&line)
            });
            wanted.insert(line);
        };
        for family in [0, 1] {
            sent(&phone.machine, own[family], laptop_at[family], "laptop");
            sent(&laptop.machine, laptop_at[family], own[family], "phone");
            sent(&laptop.machine, laptop_at[family], home_at[family], "home");
            sent(&tv.machine, house.addresses("tv")[family], home_at[family], "home");
            let mut talk =
                eventually("the service", || EchoStream::open(&phone.machine, home_at[family]));
            // A header of its own is a part of what it says.
            talk.0.write_all(&LOCAL).unwrap();
            talk.0.read_exact(&mut [0; LOCAL.len()]).unwrap();
        }
        wanted
    };
    let before = controls("before");
    assert!(super::routes::seen_at_printer(&house.home.machine).is_some());

    // A hostile device, which sends everything into its tunnel.
    phone.machine.sh("wg set wg0 peer $(wg show wg0 peers) allowed-ips 0.0.0.0/0,::/0").unwrap();
    let all: Vec<_> = [0, 1].into_iter().flat_map(|family| attempts(&ground, family)).collect();
    thread::scope(|scope| {
        for attempt in &all {
            scope.spawn(|| {
                let Attempt { name, to, .. } = attempt;
                assert!(!attempt.connects(&phone.machine), "{name}, {to}: it connects");
            });
        }
    });

    let after = controls("after");
    assert_eq!(heard.all(), &before | &after);
    while let Ok(Header { source, identity, .. }) = callers.try_recv() {
        let login = identity.user.map(|user| user.login);
        assert_eq!((own.contains(&source.ip()), login.as_deref()), (true, Some("alice")));
    }
}
