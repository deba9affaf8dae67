//! The trip of `registration.md`, and who does not get to take it.
//!
//! Fails if a device that nobody approved learns an address, a peer, or reaches anything: no port,
//! and no answer to a handshake. (The relay passes packets between any two keys; whom to answer is
//! the nodes' own decision.)

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use boringtun::{
    noise::{Tunn, TunnResult},
    x25519::{PublicKey, StaticSecret},
};
use control_protocol::key::{NodePrivate, NodePublic};
use lab::{Deployment, Instance, topology::HOME};

/// Type of a message that answers a handshake (WireGuard, section 5.4.3).
const RESPONSE: u8 = 2;

/// The node key of the device at this seat.
fn node_key(instance: &Instance) -> NodePrivate {
    let text = fs::read_to_string(instance.root.join("var/lib/maru/agent/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&text).unwrap();
    state["node_key"].as_str().unwrap().parse().unwrap()
}

/// What comes back from the home node's WireGuard after handshakes of this key from this seat: `None`
/// if nothing does, else whether a session begins.
fn shakes_hands(instance: &Instance, own: &NodePrivate, home: &NodePublic) -> Option<bool> {
    let (mut sent, mut received, mut opened) = ([0; 148], [0; 2048], [0; 2048]);
    // A datagram may be lost; an answer that is late is to a handshake that is given up.
    (0..3).find_map(|_| {
        let socket = instance.machine.in_network(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        socket.connect((HOME, 41641)).unwrap();
        let own = StaticSecret::from(*own.as_bytes());
        let mut tunnel = Tunn::new(own, PublicKey::from(*home.as_bytes()), None, None, 1, None);
        let TunnResult::WriteToNetwork(packet) =
            tunnel.format_handshake_initiation(&mut sent, true)
        else {
            panic!("no handshake to send");
        };
        socket.send(packet).unwrap();
        let len = socket.recv(&mut received).ok()?;
        let result = tunnel.decapsulate(None, &received[..len], &mut opened);
        Some(received[0] == RESPONSE && matches!(result, TunnResult::WriteToNetwork(_)))
    })
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_device_that_nobody_approved_gets_no_map_no_address_and_reaches_nothing() {
    let mut deployment = Deployment::start().unwrap();
    let device = deployment.stranger("stranger").unwrap();
    let stranger = &device.instance;
    stranger.ask_to_join(&deployment.home, "mallory").unwrap();
    stranger
        .wait_until(&["status", "-o", "json"], Duration::from_secs(30), |text| {
            text.contains("waiting_for_approval").then_some(())
        })
        .unwrap();

    let status = stranger.status().unwrap();
    assert!(status["node"].is_null(), "{status}");
    assert_eq!(status["peers"], serde_json::json!([]));
    // Nothing but the place where its own resolver will listen.
    let addresses = stranger.machine.sh("ip -o addr | grep -v 100.100.100.100").unwrap();
    assert!(!addresses.contains(" 100.") && !addresses.contains("fd7a:"), "{addresses}");

    // Even if it takes an address and a route for itself, nobody answers.
    let home: IpAddr = deployment.home.status().unwrap()["node"]["addresses"][0]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    stranger
        .machine
        .sh(&format!("ip addr add 100.64.99.99/32 dev eth0; ip route add {home}/32 via 10.77.2.1"))
        .unwrap();
    deployment.topology.router.sh("ip route add 100.64.0.0/10 via 10.77.1.2").unwrap();
    for port in [80, 443, 18789, 22] {
        let reached = stranger.machine.in_network(move || {
            TcpStream::connect_timeout(&SocketAddr::new(home, port), Duration::from_secs(2))
        });
        assert!(reached.is_err(), "port {port} of the home node answers a stranger");
    }
    let peers = deployment.home.status().unwrap()["peers"].to_string();
    assert!(!peers.contains("stranger"), "{peers}");

    // Nor does WireGuard answer, although it is reached and the stranger knows its key.
    let own = node_key(stranger);
    let status = deployment.home.status().unwrap();
    let theirs: NodePublic = status["node"]["node_key"].as_str().unwrap().parse().unwrap();
    assert_eq!(shakes_hands(stranger, &own, &theirs), None, "an unknown key is answered");

    // The same device, approved, is in: the refusals above were about approval.
    stranger
        .machine
        .sh(&format!("ip route del {home}/32; ip addr del 100.64.99.99/32 dev eth0"))
        .unwrap();
    deployment.home.approve("stranger").unwrap();
    stranger.wait_for_network().unwrap();
    let reached = stranger.machine.in_network(move || {
        TcpStream::connect_timeout(&SocketAddr::new(home, 18789), Duration::from_secs(10))
    });
    reached.expect("an approved device reaches the gateway");
    let shaken = shakes_hands(stranger, &own, &theirs);
    assert_eq!(shaken, Some(true), "the same handshake, once the device is approved");
}
