//! Each kind of NAT maps and filters as its name says: plain UDP sockets, and nothing of Maru.
//!
//! That a datagram does not arrive is seen by a later one that does.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use lab::{
    Machine,
    internet::{Internet, Server},
    nat::Nat,
};

/// What the agent listens on.
const PORT: u16 = 41641;

fn socket(machine: &Machine, port: u16) -> UdpSocket {
    let socket = machine.in_network(|| UdpSocket::bind(("::", port)).unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

fn say(socket: &UdpSocket, text: &str, to: SocketAddr) {
    let to = match to {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        SocketAddr::V6(_) => to,
    };
    // A refusal of an earlier datagram is reported here.
    while socket.send_to(text.as_bytes(), to).is_err() {}
}

fn hear(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut bytes = [0; 64];
    let (len, from) = socket.recv_from(&mut bytes).unwrap();
    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
    (String::from_utf8_lossy(&bytes[..len]).into_owned(), from)
}

/// What is heard before `end`.
fn hear_until(socket: &UdpSocket, end: &str) -> BTreeSet<String> {
    std::iter::from_fn(|| Some(hear(socket).0).filter(|text| text != end)).collect()
}

/// Two servers, of which the first has two sockets.
struct Servers {
    a: Server,
    b: Server,
    sockets: [UdpSocket; 3],
}

impl Servers {
    fn new(internet: &mut Internet) -> Self {
        let (a, b) = (internet.server("a").unwrap(), internet.server("b").unwrap());
        let sockets =
            [socket(&a.machine, 1001), socket(&a.machine, 1002), socket(&b.machine, 1001)];
        Self { a, b, sockets }
    }

    fn places(&self, v6: bool) -> [SocketAddr; 3] {
        let [a, b] = [&self.a, &self.b].map(|server| -> IpAddr {
            if v6 { server.v6.into() } else { server.v4.into() }
        });
        [(a, 1001).into(), (a, 1002).into(), (b, 1001).into()]
    }

    /// Where the three see a device's socket.
    fn see(&self, device: &UdpSocket, v6: bool) -> [SocketAddr; 3] {
        let mut places = self.places(v6).into_iter();
        self.sockets.each_ref().map(|server| {
            say(device, "see", places.next().unwrap());
            hear(server).1
        })
    }

    /// Who reaches a device's socket that sent to the first one only.
    fn reach(&self, device: &UdpSocket, v6: bool) -> BTreeSet<String> {
        let [first, _, last] = self.places(v6);
        say(device, "first", first);
        let [own, other_port, other_address] = &self.sockets;
        let (_, mapped) = hear(own);
        say(other_address, "other address", mapped);
        say(other_port, "other port", mapped);
        say(own, "own", mapped);
        say(device, "now you may", last);
        let (_, mapped) = hear(other_address);
        say(other_address, "end", mapped);
        hear_until(device, "end")
    }
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
#[ignore = "needs: root"]
fn each_kind_maps_and_filters_as_its_name_says() {
    let mut internet = Internet::new().unwrap();
    let servers = Servers::new(&mut internet);
    let mut site = internet.site(Nat::Open).unwrap();
    let open = socket(&site.add("open").unwrap(), PORT);
    for (number, nat) in (2..).zip(Nat::ALL) {
        let mut site = internet.site(nat).unwrap();
        let device = site.add("device").unwrap();
        let (first, second) = (socket(&device, PORT), socket(&device, PORT + 1));
        if nat == Nat::UdpBlocked {
            say(&first, "lost", servers.places(false)[0]);
            say(&open, "arrives", servers.places(false)[0]);
            assert_eq!(hear(&servers.sockets[0]).0, "arrives");
            continue;
        }
        let seen = servers.see(&first, false);
        let outside = format!("198.18.{number}.2");
        let outside = if nat == Nat::Open { site.address(1) } else { outside };
        let outside: IpAddr = outside.parse().unwrap();
        assert!(seen.iter().all(|at| at.ip() == outside), "{nat:?}: {seen:?}");
        let ports: BTreeSet<u16> = seen.iter().map(SocketAddr::port).collect();
        let kept = ports == BTreeSet::from([PORT]);
        assert!(if nat == Nat::Symmetric { ports.len() == 3 } else { kept }, "{nat:?}: {seen:?}");
        let reached = servers.reach(&second, false);
        let expected = match nat {
            Nat::Open | Nat::FullCone => set(&["own", "other port", "other address"]),
            Nat::AddressRestricted => set(&["own", "other port"]),
            Nat::PortRestricted | Nat::Symmetric | Nat::UdpBlocked | Nat::Masquerade => {
                set(&["own"])
            }
        };
        assert_eq!(reached, expected, "{nat:?}");
    }
}

#[test]
#[ignore = "needs: root"]
fn tcp_passes_every_kind() {
    let mut internet = Internet::new().unwrap();
    let server = internet.server("server").unwrap();
    let listener = server.machine.in_network(|| TcpListener::bind("0.0.0.0:80").unwrap());
    for nat in Nat::ALL {
        let mut site = internet.site(nat).unwrap();
        let device = site.add("device").unwrap();
        device.in_network(|| TcpStream::connect((server.v4, 80)).unwrap());
        listener.accept().unwrap();
    }
}

#[test]
#[ignore = "needs: root"]
fn two_devices_behind_one_router_keep_a_mapping_each_and_meet_inside_alone() {
    let mut internet = Internet::new().unwrap();
    let servers = Servers::new(&mut internet);
    for nat in [Nat::FullCone, Nat::AddressRestricted, Nat::PortRestricted] {
        let mut site = internet.site(nat).unwrap();
        let devices = ["one", "two"].map(|name| socket(&site.add(name).unwrap(), PORT));
        // Each sends to another server first: there both ports are free.
        for (device, at) in devices.iter().zip([0, 2]) {
            say(device, "first", servers.places(false)[at]);
            hear(&servers.sockets[at]);
        }
        let seen = devices.each_ref().map(|device| servers.see(device, false));
        for at in &seen {
            assert!(at.iter().all(|other| other == &at[0]), "{nat:?}: {seen:?}");
        }
        assert_ne!(seen[0][0], seen[1][0], "{nat:?}");

        for (at, name) in seen.iter().zip(["for one", "for two"]) {
            say(&servers.sockets[0], name, at[0]);
        }
        let inside = SocketAddr::new(site.address(1).parse().unwrap(), PORT);
        say(&devices[1], "by the router", seen[0][0]);
        say(&devices[1], "inside", inside);
        assert_eq!(hear_until(&devices[0], "inside"), set(&["for one"]), "{nat:?}");
        assert_eq!(hear(&devices[1]).0, "for two", "{nat:?}");
    }
}

#[test]
#[ignore = "needs: root"]
fn two_routers_translate_twice_and_the_stricter_filters() {
    let mut internet = Internet::new().unwrap();
    let servers = Servers::new(&mut internet);
    let mut outer = internet.site(Nat::FullCone).unwrap();
    let mut inner = internet.site_behind(&mut outer, Nat::PortRestricted).unwrap();
    let device = inner.add("device").unwrap();

    let seen = servers.see(&socket(&device, PORT), false);
    assert_eq!(seen, [SocketAddr::new("198.18.1.2".parse().unwrap(), PORT); 3]);
    assert_eq!(servers.reach(&socket(&device, PORT + 1), false), set(&["own"]));
}

#[test]
#[ignore = "needs: root"]
fn an_ipv6_site_has_no_ipv4_and_translates_nothing() {
    let mut internet = Internet::new().unwrap();
    let servers = Servers::new(&mut internet);
    let mut site = internet.ipv6_site().unwrap();
    let device = site.add("device").unwrap();

    let seen = servers.see(&socket(&device, PORT), true);
    assert_eq!(seen, [SocketAddr::new(site.address(1).parse().unwrap(), PORT); 3]);
    assert_eq!(servers.reach(&socket(&device, PORT + 1), true), set(&["own"]));
    let by_ipv4 = device.in_network(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    assert!(by_ipv4.send_to(b"lost", servers.places(false)[0]).is_err());
}

#[test]
#[ignore = "needs: root"]
fn forwarded_ports_lead_home_from_outside_alone() {
    let mut internet = Internet::new().unwrap();
    let server = internet.server("server").unwrap();
    let mut site = internet.site(Nat::PortRestricted).unwrap();
    let (home, laptop) = (site.add("home").unwrap(), site.add("laptop").unwrap());
    site.forward(1, &[("tcp", 8443), ("udp", PORT)]).unwrap();
    let outside = |port| SocketAddr::new("198.18.1.2".parse().unwrap(), port);
    let listener = home.in_network(|| TcpListener::bind("0.0.0.0:8443").unwrap());
    let (at_home, beside) = (socket(&home, PORT), socket(&laptop, PORT));
    let stranger = socket(&server.machine, 1001);

    server.machine.in_network(|| TcpStream::connect(outside(8443)).unwrap());
    listener.accept().unwrap();
    say(&stranger, "no port", outside(PORT + 1));
    say(&stranger, "from outside", outside(PORT));
    let (text, from) = hear(&at_home);
    assert_eq!((text.as_str(), from), ("from outside", SocketAddr::new(server.v4.into(), 1001)));

    let hairpin =
        laptop.in_network(|| TcpStream::connect_timeout(&outside(8443), Duration::from_secs(20)));
    assert_eq!(hairpin.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    say(&beside, "by the router", outside(PORT));
    say(&beside, "inside", SocketAddr::new(site.address(1).parse().unwrap(), PORT));
    assert_eq!(hear(&at_home).0, "inside");
}
