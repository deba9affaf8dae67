//! A peer whose place is inside the mesh, on lab machines with the real coordinator.
//!
//! Fails if: datagrams of the tunnel go into the tunnel, because a peer offers its mesh address or is heard from there;
//! another peer's traffic suffers from it. Blind to: IPv6.

use std::{net::UdpSocket, sync::atomic::Ordering, time::Duration};

use serde_json::json;
use testkit::blocking::eventually;

use super::{
    control_plane::{ControlPlane, Node, echo},
    hostile::HostilePeer,
};

const HOME: &str = "hostname = \"server\"\n\
    [[service]]\nname = \"echo\"\nport = 80\nsocket = \"run/maru/echo/http.sock\"\n";
/// Of all agents.
const PORT: u16 = 41641;
/// How many times each thing happens before the test is content.
const ENOUGH: usize = 30;

/// Datagrams of the tunnel that the home machine sent into its tunnel.
fn sealed_again(home: &Node) -> u64 {
    let text = home.machine.sh("nft list table inet watch").unwrap();
    let after = text.split_once("packets ").unwrap().1;
    after.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs: root"]
fn a_peer_whose_endpoint_is_its_mesh_address_makes_nobody_seal_twice() {
    let plane = ControlPlane::with_laptops(&["laptop", "hostile"]);
    plane.open_policy();
    let home = Node::start(&plane.topology.home.clone(), HOME);
    home.join(&plane.invite("mina", true));
    home.wait_for_state("running");
    let _callers = echo(&home.root.path().join("run/maru/echo/http.sock"));
    let laptop = Node::start(&plane.topology.laptops[0].clone(), "hostname = \"laptop\"\n");
    laptop.join(&plane.invite("juno", true));
    laptop.wait_for_state("running");
    let service = format!("{}:80", home.address());
    let hello =
        || eventually("an answer", || laptop.hello(&service).filter(|back| back == "hello"));
    hello();
    home.machine
        .sh("nft add table inet watch
            nft 'add chain inet watch out { type filter hook output priority 0; }'
            nft add rule inet watch out oifname 'maru*' udp dport 41641 counter")
        .unwrap();

    let key = json!({ "user": "juno", "pre_approved": true });
    let key = plane.ask("POST", "/keys", Some(key))["key"].as_str().unwrap().to_owned();
    let machine = &plane.topology.laptops[1];
    let hostile = HostilePeer::start(machine, "http://10.77.1.2:8443", &key, "server");
    let count = |counter: &std::sync::atomic::AtomicUsize| counter.load(Ordering::Relaxed);
    let listed = home.peer("hostile");
    assert_eq!(listed["addresses"][0], hostile.address.to_string());
    let socket = home.machine.in_network(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    eventually("traffic to the hostile peer, and its own from inside", || {
        socket.send_to(b"data", (hostile.address, 9000)).unwrap();
        hello();
        let enough = count(&hostile.seen.sent) >= ENOUGH && count(&hostile.seen.plain) >= ENOUGH;
        enough.then_some(())
    });

    let path = home.peer("hostile")["path"].as_str().unwrap().to_owned();
    assert!(!path.contains(&hostile.address.to_string()), "{path}");
    assert_eq!((sealed_again(&home), count(&hostile.seen.sealed_twice)), (0, 0));
    hello();

    // The control: both would have seen it.
    eventually("a datagram to the tunnel's port, inside the tunnel", || {
        socket.send_to(b"data", (hostile.address, PORT)).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        (sealed_again(&home) > 0 && count(&hostile.seen.sealed_twice) > 0).then_some(())
    });
}
