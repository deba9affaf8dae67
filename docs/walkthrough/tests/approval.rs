//! The trip of `registration.md`, and who does not get to take it.
//!
//! Fails if a device that nobody approved learns an address, a peer, or reaches anything.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "nothing to do but fail")]

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use lab::Scene;

#[test]
#[ignore = "needs: root, podman, model"]
fn a_device_that_nobody_approved_gets_no_map_no_address_and_reaches_nothing() {
    let mut scene = Scene::start().unwrap();
    let device = scene.stranger("stranger").unwrap();
    let stranger = &device.seat;
    stranger.ask_to_join(&scene.home, "mallory").unwrap();
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
    let home: IpAddr =
        scene.home.status().unwrap()["node"]["addresses"][0].as_str().unwrap().parse().unwrap();
    stranger
        .machine
        .sh(&format!("ip addr add 100.64.99.99/32 dev eth0; ip route add {home}/32 via 10.77.2.1"))
        .unwrap();
    scene.household.router.sh("ip route add 100.64.0.0/10 via 10.77.1.2").unwrap();
    for port in [80, 443, 18789, 22] {
        let reached = stranger.machine.in_network(move || {
            TcpStream::connect_timeout(&SocketAddr::new(home, port), Duration::from_secs(2))
        });
        assert!(reached.is_err(), "port {port} of the home node answers a stranger");
    }
    let peers = scene.home.status().unwrap()["peers"].to_string();
    assert!(!peers.contains("stranger"), "{peers}");

    // The same device, approved, is in: the refusals above were about approval.
    stranger
        .machine
        .sh(&format!("ip route del {home}/32; ip addr del 100.64.99.99/32 dev eth0"))
        .unwrap();
    scene.home.approve("stranger").unwrap();
    stranger.wait_for_network().unwrap();
    let reached = stranger.machine.in_network(move || {
        TcpStream::connect_timeout(&SocketAddr::new(home, 18789), Duration::from_secs(10))
    });
    reached.expect("an approved device reaches the gateway");
}
