//! What must not pass does not.

use std::{
    io::{Read, Write},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    pair::{Pair, echo_datagram, is_direct, rule},
    ping::Ping,
};

const TCP: i64 = 6;
const UDP: i64 = 17;

#[test]
#[ignore = "needs: root"]
fn a_removed_peer_is_cut_at_once_and_comes_back_when_it_is_listed_again() {
    let pair = Pair::new("remove");
    pair.connect(true, true);
    pair.b.serve_echo(7000);
    let mut stream = pair.a.dial(pair.b.v4, 7000, 3).unwrap();
    stream.write_all(b"before").unwrap();
    stream.read_exact(&mut [0; 6]).unwrap();
    pair.wait_for(20, is_direct);

    pair.b.device.set_peers(vec![]);
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let _ = stream.write_all(b"after");
    assert!(stream.read(&mut [0; 6]).is_err(), "a live connection is cut");
    assert!(pair.a.dial(pair.b.v4, 7000, 2).is_err());
    assert_eq!(pair.a.ping(pair.b.v4, 5), 0);
    assert_eq!(pair.b.ping(pair.a.v4, 2), 0, "neither way");
    assert!(pair.b.device.peer_stats().is_empty());

    pair.b.know(&pair.a, true);
    assert_eq!(pair.b.ping(pair.a.v4, 5), 5);
    assert_eq!(pair.a.ping(pair.b.v4, 5), 5);
}

#[test]
#[ignore = "needs: root"]
fn a_peer_that_stays_keeps_its_session_when_others_change() {
    let pair = Pair::new("keep");
    pair.connect(true, true);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    let before = pair.a.device.peer_stats()[0].last_handshake.unwrap();
    pair.connect(true, true);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    let after = pair.a.device.peer_stats()[0].last_handshake.unwrap();
    let moved = after.duration_since(before).unwrap_or_default();
    assert!(moved < Duration::from_millis(100), "no new handshake, but {moved:?}");
}

#[test]
#[ignore = "needs: root"]
fn the_filter_lets_in_what_a_rule_allows_and_answers() {
    let pair = Pair::new("filter");
    pair.connect(true, true);
    for port in [7000, 7001] {
        pair.a.serve_echo(port);
        pair.b.serve_echo(port);
    }
    let a = pair.a.v4.to_string();
    pair.b.allow(&[rule(&a, &pair.b.v4.to_string(), 7000, 7000, &[TCP, UDP])]);

    assert!(pair.a.dial(pair.b.v4, 7000, 3).is_ok());
    assert!(echo_datagram(&pair.a.udp(pair.b.v4, 7000), 100));
    assert!(pair.a.dial(pair.b.v4, 7001, 2).is_err(), "another port");
    assert!(!echo_datagram(&pair.a.udp(pair.b.v4, 7001), 100), "another port");
    assert!(pair.a.dial(pair.b.v6, 7000, 2).is_err(), "another address");
    assert_eq!(pair.a.ping(pair.b.v4, 2), 0, "the rule is not for ICMP");
    let drops = pair.b.device.drops();
    assert!(drops["no_rule"] >= 4, "two connections, a datagram and pings are counted: {drops:?}");
    assert!(pair.b.dial(pair.a.v4, 7001, 3).is_ok(), "answers pass");
    assert!(echo_datagram(&pair.b.udp(pair.a.v4, 7001), 100), "answers pass");
    assert_eq!(pair.b.ping(pair.a.v4, 2), 2, "answers pass");
}

#[test]
#[ignore = "needs: root"]
fn a_rule_that_is_taken_away_stops_the_connection_it_allowed() {
    let pair = Pair::new("revoke");
    pair.connect(true, true);
    pair.b.serve_echo(7000);
    let mut inbound = pair.a.dial(pair.b.v4, 7000, 3).unwrap();
    pair.a.serve_echo(7000);
    let mut outbound = pair.b.dial(pair.a.v4, 7000, 3).unwrap();
    for stream in [&mut inbound, &mut outbound] {
        stream.write_all(b"before").unwrap();
        stream.read_exact(&mut [0; 6]).unwrap();
    }
    pair.b.allow(&[]);
    let _ = inbound.write_all(b"after");
    assert!(inbound.read(&mut [0; 6]).is_err(), "what came in is stopped");
    outbound.write_all(b"after!").unwrap();
    outbound.read_exact(&mut [0; 6]).unwrap();
}

#[test]
#[ignore = "needs: root"]
fn a_peer_cannot_speak_for_another_address() {
    let pair = Pair::new("spoof");
    pair.connect(true, true);
    assert_eq!(pair.a.ping(pair.b.v4, 2), 2);
    pair.a.machine.sh("ip addr add 100.64.0.99/32 dev lo").unwrap();
    // Answers would not find back; so count what B's interface took in.
    let received = || -> u64 {
        let line = pair.b.machine.sh("ip -s -o link show maru0").unwrap();
        let numbers = line.split("RX:").nth(1).unwrap().split_whitespace();
        numbers.skip_while(|word| word.parse::<u64>().is_err()).nth(1).unwrap().parse().unwrap()
    };
    let before = received();
    let foreign = Ping { from: "100.64.0.99".parse().unwrap(), ..pair.a.to(pair.b.v4, 10) };
    pair.a.ping_with(foreign);
    assert_eq!(received(), before, "no packet of a foreign source reaches the kernel");
    assert_eq!(pair.b.device.drops()["spoofed"], 10);
    pair.a.ping(pair.b.v4, 10);
    assert_eq!(received(), before + 10, "the counter does count");
}

#[test]
#[ignore = "needs: root"]
fn a_flood_of_handshakes_does_not_stop_a_member() {
    let pair = Pair::new("flood");
    let flooder =
        pair.a.machine.in_network(|| std::net::UdpSocket::bind("192.168.77.1:6000")).unwrap();
    let (stop, sent) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let secret = boringtun::x25519::StaticSecret::from([7; 32]);
            let target = boringtun::x25519::PublicKey::from(pair.b.key);
            let mut buffer = [0; 148];
            let mut stranger = boringtun::noise::Tunn::new(secret, target, None, None, 1, None);
            while !stop.load(Ordering::Relaxed) {
                stranger.format_handshake_initiation(&mut buffer, true);
                let _ = flooder.send_to(&buffer, pair.b.under_v4);
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Far more than are looked at in a second without a cookie.
        while sent.load(Ordering::Relaxed) < 1000 {
            thread::yield_now();
        }
        // Under load a cookie is asked for; the second attempt, 5 s later, carries it.
        pair.connect(true, true);
        let start = Instant::now();
        let mut answered = 0;
        while answered == 0 && start.elapsed() < Duration::from_secs(60) {
            answered = pair.a.ping(pair.b.v4, 1);
        }
        // Before anything fails: the flooder is waited for.
        stop.store(true, Ordering::Relaxed);
        assert_eq!(answered, 1, "no session in a flood");
    });
}
