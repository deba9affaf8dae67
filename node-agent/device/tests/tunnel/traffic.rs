//! Packets arrive whole, whatever they carry and whichever way they take.

use std::net::UdpSocket;

use testkit::blocking::eventually;
use wireguard_device::{Config, Device, Error, Offload, Path};

use crate::{
    pair::{MTU, Pair, echo_datagram, echo_stream, is_direct},
    ping::Ping,
};

const IP_V4: usize = 20;
const IP_V6: usize = 40;
const ICMP: usize = 8;

#[test]
#[ignore = "needs: root"]
fn ping_udp_and_tcp_cross_a_direct_tunnel() {
    let pair = Pair::new("direct");
    pair.connect(true, true);
    exchange(&pair, 7000);
    pair.wait_for(20, is_direct);
    assert_eq!(pair.a.path(), Path::Direct(pair.b.under_v4));
    assert_eq!(pair.b.path(), Path::Direct(pair.a.under_v4));

    let before = pair.relayed();
    exchange(&pair, 7001);
    assert_eq!(pair.relayed(), before, "nothing takes the relay once the path is direct");
}

#[test]
#[ignore = "needs: root"]
fn ping_udp_and_tcp_cross_the_relay() {
    let pair = Pair::new("relay");
    pair.connect(false, false);
    exchange(&pair, 7000);
    assert_eq!([pair.a.path(), pair.b.path()], [Path::Relay; 2]);
}

#[test]
#[ignore = "needs: root"]
fn the_tunnel_runs_over_ipv6() {
    let pair = Pair::new("under6");
    pair.a.know_at(&pair.b, vec![pair.b.under_v6]);
    pair.b.know(&pair.a, false);
    exchange(&pair, 7000);
    pair.wait_for(20, is_direct);
    assert_eq!(pair.a.path(), Path::Direct(pair.b.under_v6));
}

/// Somebody gives the interface a larger MTU than the tunnel has.
#[test]
#[ignore = "needs: root"]
fn what_is_longer_than_the_tunnel_carries_is_counted() {
    let pair = Pair::new("oversize");
    pair.connect(true, true);
    pair.a.machine.sh(&format!("ip link set maru0 mtu {}", MTU + 200)).unwrap();
    let dropped = || pair.a.device.drops()["oversize"];
    assert_eq!(dropped(), 0);
    for (to, header) in [(pair.b.v4, IP_V4), (pair.b.v6, IP_V6)] {
        let before = dropped();
        let socket = pair.a.udp(to, 9000);
        for _ in 0..3 {
            socket.send(&vec![0; usize::from(MTU) + 100 - header]).unwrap();
        }
        eventually("all of them are counted", || dropped() == before + 3);
    }
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3, "the others pass");
}

/// Some of everything, in both families, from one packet to more than the queues hold.
fn exchange(pair: &Pair, port: u16) {
    for to in [pair.b.v4, pair.b.v6] {
        assert_eq!(pair.a.ping(to, 5), 5, "pings to {to}");
    }
    assert_eq!(pair.b.ping(pair.a.v4, 5), 5, "pings back");
    // The largest packet, as one and not a byte more; then one that IP has to cut.
    for (to, header) in [(pair.b.v4, IP_V4), (pair.b.v6, IP_V6)] {
        let whole = Ping { fragment: false, ..pair.a.to(to, 2) };
        let size = usize::from(MTU) - header - ICMP;
        assert_eq!(pair.a.ping_with(Ping { size, ..whole }), 2, "MTU-sized to {to}");
        assert_eq!(
            pair.a.ping_with(Ping { size: 4000, ..pair.a.to(to, 2) }),
            2,
            "fragments to {to}"
        );
    }
    // Every remainder of the padding.
    for size in 0..=17 {
        let ping = Ping { size, ..pair.a.to(pair.b.v4, 1) };
        assert_eq!(pair.a.ping_with(ping), 1, "{size} bytes");
    }
    pair.b.serve_echo(port);
    for to in [pair.b.v4, pair.b.v6] {
        let socket = pair.a.udp(to, port);
        for len in [0, 1, 1200, 8000] {
            assert!(echo_datagram(&socket, len), "{len} bytes by UDP to {to}");
        }
        echo_stream(&pair.a.dial(to, port, 5).unwrap(), 8 << 20);
    }
}

#[test]
#[ignore = "needs: root"]
fn the_interface_may_go_down_and_up_again() {
    let pair = Pair::new("down");
    pair.connect(true, true);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.b.machine.sh("ip link set maru0 down").unwrap();
    assert_eq!(pair.a.ping(pair.b.v4, 5), 0, "nobody takes the packets");
    pair.b.up();
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    assert!(pair.b.device.is_running());
    pair.b.machine.sh("ip link del maru0").unwrap();
    eventually("an interface that is gone is noticed", || !pair.b.device.is_running());
}

#[test]
#[ignore = "needs: root"]
fn what_is_not_wireguard_goes_to_the_host_and_comes_from_the_same_port() {
    let pair = Pair::new("foreign");
    let probe = pair.b.machine.in_network(|| UdpSocket::bind("192.168.77.2:5000")).unwrap();
    let disco = b"TS\xf0\x9f\x92\xacdisco".as_slice();
    for datagram in [disco, b"", &[4, 0, 0, 0, 1]] {
        probe.send_to(datagram, pair.a.under_v4).unwrap();
    }
    pair.a.device.send("192.168.77.2:5000".parse().unwrap(), b"stun").unwrap();
    let mut buffer = [0; 64];
    let (len, from) = probe.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from), (&b"stun"[..], pair.a.under_v4));
    eventually("the host has all three", || pair.a.foreign.lock().unwrap().len() >= 3);
    let foreign = pair.a.foreign.lock().unwrap();
    let contents: Vec<_> = foreign.iter().map(|(_, datagram)| &datagram[..]).collect();
    assert_eq!(contents, [disco, b"", &[4, 0, 0, 0, 1]]);
    assert!(foreign.iter().all(|(from, _)| from.port() == 5000));
}

#[test]
#[ignore = "needs: root"]
fn a_device_leaves_nothing_behind_and_names_what_is_taken() {
    let pair = Pair::new("start");
    assert_eq!(pair.a.device.local_ports().v4, 41641);
    assert_eq!(pair.a.device.local_ports().v6, Some(41641));
    let start = |interface: &str, listen_port| {
        let config = Config {
            interface: interface.into(),
            mtu: 1280,
            listen_port,
            mark: None,
            private_key: [9; 32],
            discovery_key: [9; 32],
            roams: false,
            offload: Offload::AUTO,
        };
        pair.a.machine.in_network(|| Device::start(config, std::sync::Arc::new(NullHost))).err()
    };
    assert!(matches!(start("maru1", 41641), Some(Error::Bind { port: 41641, .. })));
    assert!(matches!(start("maru0", 0), Some(Error::Interface { .. })));
    assert!(matches!(start("sixteen-letters-", 0), Some(Error::Config(_))));
    assert!(start("maru1", 0).is_none(), "a free port is found");
    assert_eq!(
        pair.a
            .machine
            .sh("ls /sys/class/net 2>/dev/null; ip -br link | grep -c maru")
            .unwrap()
            .trim()
            .lines()
            .last(),
        Some("1")
    );
}

struct NullHost;

impl wireguard_device::Host for NullHost {
    fn relay(&self, _: &[u8; 32], _: &[u8]) {}
    fn foreign(&self, _: std::net::SocketAddr, _: &[u8]) {}
}
