//! From the relay to a direct path and back.

use std::{thread, time::Duration};

use wireguard_device::Path;

use crate::pair::{PORT, Pair, is_direct};

const PINGS: u16 = 100;

#[test]
#[ignore = "needs: root"]
fn the_relay_is_left_without_losing_a_packet_once_one_side_knows_an_address() {
    let pair = Pair::new("upgrade");
    pair.connect(false, false);
    assert_eq!(pair.a.ping(pair.b.v4, 5), 5);
    assert_eq!([pair.a.path(), pair.b.path()], [Path::Relay; 2]);

    thread::scope(|scope| {
        let pings = scope.spawn(|| pair.a.ping(pair.b.v4, PINGS));
        pair.b.know(&pair.a, true);
        pair.wait_for(20, is_direct);
        assert_eq!(pings.join().unwrap(), u32::from(PINGS), "an upgrade costs nothing");
    });
    assert_eq!(pair.a.path(), Path::Direct(pair.b.under_v4), "learnt from the probe alone");
}

#[test]
#[ignore = "needs: root"]
fn a_blocked_path_is_left_for_the_relay_and_found_again() {
    let pair = Pair::new("fallback");
    pair.connect(true, true);
    assert_eq!(pair.a.ping(pair.b.v4, 5), 5);
    pair.wait_for(20, is_direct);
    // What comes over the relay tells of a broken path once that is older than `path::SILENCE`.
    assert_eq!(pair.a.ping(pair.b.v4, 60), 60);

    block(&pair, "input");
    block(&pair, "output");
    let answered = pair.a.ping(pair.b.v4, PINGS);
    assert!(answered >= u32::from(PINGS) - 27, "{answered} of {PINGS}: out for more than 2.7 s");
    pair.wait_for(10, |path| path == Path::Relay);
    assert_eq!(pair.a.ping(pair.b.v4, 10), 10);

    pair.b.machine.sh("nft flush ruleset").unwrap();
    thread::scope(|scope| {
        let pings = scope.spawn(|| pair.a.ping(pair.b.v4, PINGS));
        pair.wait_for(12, is_direct);
        assert_eq!(pings.join().unwrap(), u32::from(PINGS));
    });
}

/// A firewall that lets packets out but not in, or the reverse: no side may trust what it hears.
#[test]
#[ignore = "needs: root"]
fn a_path_that_works_one_way_only_costs_little() {
    for chain in ["input", "output"] {
        let pair = Pair::new("oneway");
        block(&pair, chain);
        pair.connect(true, true);
        let answered = pair.a.ping(pair.b.v4, 2 * PINGS);
        assert!(
            answered >= 2 * u32::from(PINGS) - 2,
            "{answered} of {} with {chain} closed",
            2 * PINGS
        );
        assert_eq!([pair.a.path(), pair.b.path()], [Path::Relay; 2], "{chain} closed");
    }
}

/// The same, closing while the path is in use; data goes from A to B only.
#[test]
#[ignore = "needs: root"]
fn a_path_that_breaks_one_way_is_left_also_by_a_flow_without_answers() {
    for chain in ["input", "output"] {
        let pair = Pair::new("breaks");
        pair.connect(true, true);
        assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
        pair.wait_for(20, is_direct);
        let receiver =
            pair.b.machine.in_network(|| std::net::UdpSocket::bind((pair.b.v4, 9000))).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        let sender = pair.a.udp(pair.b.v4, 9000);
        block(&pair, chain);
        let mut heard = [false; 200];
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..200_u8 {
                    sender.send(&[number]).unwrap();
                    thread::sleep(Duration::from_millis(50));
                }
            });
            let mut buffer = [0; 64];
            while receiver.recv(&mut buffer).is_ok() {
                heard[usize::from(buffer[0])] = true;
            }
        });
        let lost = heard.iter().filter(|heard| !**heard).count();
        assert!(lost <= 54, "{lost} of 200 lost (50 ms each) with {chain} closed");
        assert!(
            heard[100..].iter().all(|heard| *heard),
            "not found another way with {chain} closed"
        );
    }
}

#[test]
#[ignore = "needs: root"]
fn a_one_way_flow_keeps_a_healthy_path() {
    let pair = Pair::new("stream");
    pair.connect(true, true);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(20, is_direct);
    let _receiver =
        pair.b.machine.in_network(|| std::net::UdpSocket::bind((pair.b.v4, 9000))).unwrap();
    let sender = pair.a.udp(pair.b.v4, 9000);
    let before = pair.relayed();
    for _ in 0..160 {
        sender.send(b"no answer").unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(is_direct(pair.a.path()));
    }
    assert_eq!(pair.relayed(), before);
}

#[test]
#[ignore = "needs: root"]
fn a_peer_that_changes_its_address_is_followed() {
    let pair = Pair::new("roam");
    pair.connect(true, false);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(20, is_direct);
    pair.a
        .machine
        .sh("ip addr add 192.168.77.9/24 dev eth0; ip addr del 192.168.77.1/24 dev eth0")
        .unwrap();
    pair.a.machine.sh("ip addr add 192.168.77.9/24 dev eth0 || true").unwrap();
    let answered = pair.a.ping(pair.b.v4, 60);
    assert!(answered >= 35, "{answered} of 60");
    pair.wait_for(12, is_direct);
    assert_eq!(pair.b.path(), Path::Direct(format!("192.168.77.9:{PORT}").parse().unwrap()));
}

#[test]
#[ignore = "needs: root"]
fn a_direct_path_needs_no_relay_not_even_for_the_handshake() {
    let pair = Pair::new("alone");
    pair.relay.is_up.store(false, std::sync::atomic::Ordering::Relaxed);
    pair.connect(true, false);
    assert_eq!(pair.a.ping(pair.b.v4, 5), 5);
    pair.wait_for(20, is_direct);
}

/// As after a restart, where the peer may have the next word but no way to know that its session is lost.
#[test]
#[ignore = "needs: root"]
fn a_greeting_makes_sessions_before_there_is_a_packet() {
    let pair = Pair::new("greet");
    pair.connect(true, false);
    assert_eq!([pair.a.path(), pair.b.path()], [Path::None; 2]);

    pair.a.device.greet();

    pair.wait_for(20, |path| path != Path::None);
}

/// Closes UDP on B's cable.
fn block(pair: &Pair, chain: &str) {
    let rules = format!(
        "nft add table inet t; nft 'add chain inet t {chain} {{ type filter hook {chain} priority 0; }}';
         nft add rule inet t {chain} meta l4proto udp th dport {PORT} {} eth0 drop",
        if chain == "input" { "iifname" } else { "oifname" }
    );
    pair.b.machine.sh(&rules).unwrap();
}
