//! The machine alone, and two of them in a simulated network ([`Pair`]).
#![allow(clippy::disallowed_methods, reason = "where the simulated clock starts does not matter")]

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

mod pair;

use pair::{Mischief, Nat, Pair, STEP, lan, public};

#[test]
fn open_and_restricted_nats_become_direct_at_once_and_nothing_is_lost() {
    for one in [Nat::Open, Nat::Restricted] {
        for other in [Nat::Open, Nat::Restricted] {
            let mut pair = Pair::new([one, other]);
            let time = pair.time_to_direct();
            assert!(time < Duration::from_millis(700), "{one:?} {other:?}: {time:?}");
            assert_eq!(pair.run(Duration::from_secs(60), true), 0);
            assert_eq!(pair.direct(), [Some(public(1)), Some(public(0))]);
        }
    }
}

#[test]
fn a_symmetric_nat_is_heard_where_the_other_lets_it_in() {
    let mut pair = Pair::new([Nat::Symmetric, Nat::Open]);
    pair.run(Duration::from_secs(5), true);
    assert_eq!(pair.direct()[0], Some(public(1)));
    assert!(pair.direct()[1].is_some_and(|address| address.ip() == public(0).ip()));
    for other in [Nat::Restricted, Nat::Symmetric] {
        let mut pair = Pair::new([Nat::Symmetric, other]);
        assert_eq!(pair.run(Duration::from_secs(30), true), 0, "the relay carries it");
        assert_eq!(pair.direct(), [None; 2]);
    }
}

#[test]
fn a_path_of_one_direction_is_not_taken() {
    for udp in [[true, false], [false, true], [false, false]] {
        let mut pair = Pair::new([Nat::Open; 2]);
        pair.udp = udp;
        assert_eq!(pair.run(Duration::from_secs(30), true), 0);
        assert_eq!(pair.direct(), [None; 2], "{udp:?}");
    }
}

#[test]
fn a_path_that_breaks_both_ways_or_one_way_loses_two_seconds_and_comes_back() {
    for udp in [[false, false], [true, false], [false, true]] {
        let mut pair = Pair::new([Nat::Open; 2]);
        pair.run(Duration::from_secs(10), true);
        pair.udp = udp;
        let lost = pair.run(Duration::from_secs(6), true);
        // Of 20 a second; one that was sent when its answer's path still had to be doubted is lost, too.
        assert!(lost <= 50, "{udp:?}: {lost}");
        assert_eq!(pair.run(Duration::from_secs(10), true), 0, "{udp:?}");
        assert_eq!(pair.direct(), [None; 2], "{udp:?}");
        pair.udp = [true; 2];
        pair.run(Duration::from_secs(8), true);
        assert!(!pair.direct().contains(&None));
    }
}

#[test]
fn the_lan_is_taken_before_a_faster_address_and_is_not_left() {
    let mut pair = Pair::new([Nat::Open; 2]);
    pair.same_lan = true;
    pair.delay = Duration::ZERO;
    pair.run(Duration::from_secs(2), true);
    assert_eq!(pair.direct(), [Some(lan(1)), Some(lan(0))]);
    pair.run(Duration::from_secs(300), true);
    assert_eq!(pair.direct(), [Some(lan(1)), Some(lan(0))]);
    // Once it does not work, another is as good.
    pair.same_lan = false;
    pair.run(Duration::from_secs(4), true);
    assert_eq!(pair.direct(), [Some(public(1)), Some(public(0))]);
}

#[test]
fn a_path_moves_to_a_clearly_faster_address_alone() {
    let [slow, alike, fast] = [1, 2, 3].map(|host| SocketAddr::from(([198, 51, 100, host], 1)));
    let (mut path, mut now) = (PingedPath::default(), Instant::now());
    path.set_candidates(&[slow, alike, fast]);
    path.handle_wanted(now);
    for (number, (address, latency_ms)) in
        [(slow, 50), (alike, 42), (fast, 30)].into_iter().enumerate()
    {
        path.handle_ping_sent(address, [number as u8; 12], now);
        now += Duration::from_millis(latency_ms);
        assert!(path.handle_pong(address, [number as u8; 12], now));
        let expected = if address == fast { fast } else { slow };
        assert_eq!(path.route().direct, Some(expected));
    }
}

#[test]
fn loss_of_a_tenth_ends_no_path() {
    let mut pair = Pair::new([Nat::Restricted; 2]);
    pair.loss = Some(10);
    pair.run(Duration::from_secs(10), true);
    for _ in 0..600 {
        pair.run(Duration::from_secs(1), true);
        assert!(!pair.direct().contains(&None));
    }
}

#[test]
fn copies_and_late_datagrams_besides_end_no_path_and_lose_nothing_more() {
    for nats in [[Nat::Restricted; 2], [Nat::Open, Nat::Symmetric]] {
        let mut pair = Pair::new(nats);
        (pair.loss, pair.disorder) = (Some(10), Some(7));
        pair.run(Duration::from_secs(10), true);
        for _ in 0..300 {
            let lost = pair.run(Duration::from_secs(2), true);
            // Of 20 answers: the tenth both ways.
            assert!(lost <= 8, "{lost} of 20");
            assert!(!pair.direct().contains(&None));
        }
    }
}

/// `stands_still`: as `Instant` does in a machine that sleeps, and not in a process that is stopped.
#[test]
fn after_an_hour_of_sleep_nothing_is_lost_and_the_path_is_direct_again() {
    for sleeper in 0..2 {
        for stands_still in [false, true] {
            let mut pair = Pair::new([Nat::Restricted; 2]);
            pair.run(Duration::from_secs(10), true);
            pair.sleep(sleeper, Duration::from_secs(3600), stands_still);
            assert_eq!(pair.run(Duration::from_secs(5), true), 0, "{sleeper} {stands_still}");
            assert_eq!(pair.direct(), [Some(public(1)), Some(public(0))]);
            assert_eq!(pair.run(Duration::from_secs(60), true), 0);
        }
    }
}

#[test]
fn an_idle_hour_costs_little_and_an_unneeded_path_nothing() {
    let mut pair = Pair::new([Nat::Open; 2]);
    pair.run(Duration::from_secs(10), true);
    let before = pair.sent;
    pair.run(Duration::from_secs(3600), false);
    assert!(!pair.direct().contains(&None));
    let sent = pair.sent - before;
    // Two pings and pongs in 20 s, each counted when it is sent and when it arrives.
    assert!((1200..1800).contains(&sent), "{sent} counted");
    pair.now += WANTED;
    for path in &mut pair.paths {
        path.handle_timeout(false, pair.now);
        assert_eq!(path.route(), Route { direct: None, relay: true });
        assert_eq!(path.poll_request(), None);
    }
}

#[test]
fn two_that_cannot_go_direct_leave_each_other_alone_once_nothing_is_sent() {
    let mut pair = Pair::new([Nat::Symmetric; 2]);
    pair.run(Duration::from_secs(30), true);
    assert_eq!(pair.direct(), [None; 2]);
    pair.is_live = false;
    pair.run(WANTED * 2, false);
    let before = pair.sent;
    pair.run(Duration::from_secs(3600), false);
    assert_eq!(pair.sent, before);
}

#[test]
fn a_hostile_relay_delays_and_no_more() {
    let all = [Mischief::Drop, Mischief::Twice, Mischief::Late];
    for length in 1..=3 {
        for first in 0..3 {
            let mut pair = Pair::new([Nat::Restricted; 2]);
            pair.mischief = all.iter().cycle().skip(first).take(length).copied().collect();
            let time = pair.time_to_direct();
            assert!(time < Duration::from_secs(10), "{:?}: {time:?}", pair.mischief);
            pair.run(Duration::from_secs(5), true);
            assert_eq!(pair.run(Duration::from_secs(60), true), 0);
        }
    }
}

#[test]
fn a_change_of_the_network_is_answered_at_once() {
    let mut pair = Pair::new([Nat::Open; 2]);
    pair.run(Duration::from_secs(10), true);
    pair.paths[0].handle_network_change(pair.now);
    assert_eq!(pair.paths[0].route(), Route { direct: Some(public(1)), relay: true });
    assert_eq!(pair.run(Duration::from_secs(2), true), 0);
    assert_eq!(pair.paths[0].route(), Route { direct: Some(public(1)), relay: false });
}

/// One starts again while coordinator and relay are down: the other knows its former key, and neither opens the other's disco.
#[test]
fn peers_without_each_others_key_talk_by_udp_while_no_relay_does() {
    for same_lan in [true, false] {
        let mut pair = Pair::new([Nat::Open; 2]);
        pair.same_lan = same_lan;
        pair.run(Duration::from_secs(10), true);
        pair.mischief = vec![Mischief::Drop];
        pair.knows_keys = false;
        pair.restart(0);
        pair.run(Duration::from_secs(1), false);
        assert_eq!(pair.run(Duration::from_secs(60), true), 0);
        // What was idle is found as it was left.
        pair.run(Duration::from_secs(60), false);
        assert_eq!(pair.run(Duration::from_secs(60), true), 0);
        for path in &pair.paths {
            assert_eq!((path.address(), path.route().relay), (None, true), "nothing is proved");
        }
    }
}

#[test]
fn an_address_that_answered_is_used_beside_the_relay_and_left_once_only_that_works() {
    let mut pair = Pair::new([Nat::Open; 2]);
    pair.knows_keys = false;
    pair.restart(0);
    assert_eq!(pair.run(Duration::from_secs(60), true), 0);
    assert_eq!(pair.direct(), [Some(public(1)), Some(public(0))]);
    pair.udp = [false; 2];
    assert_eq!(pair.run(Duration::from_secs(10), true), 0);
    assert_eq!(pair.direct(), [None; 2]);
}

#[test]
fn only_what_shows_that_the_peer_hears_us_from_a_usable_address_is_answered_there() {
    let now = Instant::now();
    let loopback = SocketAddr::from(([127, 0, 0, 1], 41641));
    for (address, heard, is_answered) in [
        (public(1), PacketKind::Data, true),
        (public(1), PacketKind::Response, true),
        (public(1), PacketKind::Initiation, false),
        (public(1), PacketKind::Empty, false),
        (loopback, PacketKind::Data, false),
    ] {
        let mut path = PingedPath::default();
        path.handle_received(Source::Udp(address), heard, now);
        let direct = is_answered.then_some(address);
        assert_eq!(path.route(), Route { direct, relay: true }, "{heard:?}");
        assert_eq!(path.address(), None);
    }
}

/// All pings that are waiting to be sent.
fn pings(path: &mut PingedPath) -> Vec<SocketAddr> {
    let mut pings = Vec::new();
    while let Some(request) = path.poll_request() {
        if let Request::Ping(to) = request {
            pings.push(to);
        }
    }
    pings
}

#[test]
fn a_call_me_maybe_causes_few_pings_and_none_to_forbidden_addresses() {
    let (mut path, now) = (PingedPath::default(), Instant::now());
    let many: Vec<SocketAddr> =
        (0..1000_u32).map(|n| ([198, 18, (n >> 8) as u8, n as u8], 9).into()).collect();
    path.handle_call_me_maybe(&many, now);
    assert_eq!(pings(&mut path), many[..16]);
    path.handle_call_me_maybe(&many[500..], now + HEED_PAUSE / 2);
    assert_eq!(pings(&mut path), [], "another one so soon is ignored");

    let mut path = PingedPath::default();
    let forbidden = [
        "127.0.0.1:41641",
        "[::1]:41641",
        "224.0.0.1:9",
        "[ff02::1]:9",
        "255.255.255.255:9",
        "100.64.0.7:41641",
        "[fd7a:115c:a1e0::7]:41641",
        "[::ffff:127.0.0.1]:9",
        "0.0.0.0:9",
        "192.0.2.1:0",
    ];
    path.handle_call_me_maybe(&forbidden.map(|text| text.parse().unwrap()), now);
    assert_eq!(pings(&mut path), []);
}

#[test]
fn a_pong_counts_once_from_the_address_that_was_pinged_and_in_time() {
    let (mut path, now) = (PingedPath::default(), Instant::now());
    path.set_candidates(&[public(1)]);
    path.handle_ping_sent(public(1), [1; 12], now);
    assert!(!path.handle_pong(public(0), [1; 12], now), "redirected");
    assert!(!path.handle_pong(public(1), [2; 12], now), "never asked");
    assert_eq!(path.route().direct, None);
    let late = now + PING_TIMEOUT + STEP;
    path.handle_ping_sent(public(1), [3; 12], now);
    assert!(!path.handle_pong(public(1), [3; 12], late), "too late");
    assert_eq!(path.route().direct, None);
    assert!(path.handle_pong(public(1), [1; 12], now + STEP));
    assert_eq!(path.route().direct, Some(public(1)));
    assert!(!path.handle_pong(public(1), [1; 12], now + STEP), "replayed");
}

fn id(number: u32) -> TransactionId {
    let mut id = [9; 12];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id
}

#[test]
fn copies_of_pings_get_no_answer_and_old_ones_cost_the_path_in_use_nothing() {
    let (mut path, mut now) = (PingedPath::default(), Instant::now());
    let (source, elsewhere) = (Source::Udp(public(1)), Source::Udp(public(0)));
    path.set_candidates(&[public(1)]);
    path.handle_ping_sent(public(1), [1; 12], now);
    path.handle_pong(public(1), [1; 12], now);
    for number in 0..300 {
        // As many as may be sent in a second by one source, all at once.
        assert!(path.handle_ping(source, id(number), now), "{number}");
        assert!(!path.handle_ping(elsewhere, id(number.saturating_sub(255)), now), "{number}");
        if number % 100 == 99 {
            now += Duration::from_secs(1);
        }
    }
    let replayed = (0..10_000).filter(|number| path.handle_ping(elsewhere, id(1000 + number), now));
    assert_eq!(replayed.count(), 64);
    assert!(path.handle_ping(source, id(300), now));
    assert!(path.remembered.len() <= REMEMBERED);
}

#[test]
fn pings_move_no_path_and_are_answered_within_a_budget() {
    let (mut path, now) = (PingedPath::default(), Instant::now());
    let source = Source::Udp(public(1));
    assert!(path.handle_ping(source, [1; 12], now));
    assert!(!path.handle_ping(Source::Udp(public(0)), [1; 12], now), "a copy from elsewhere");
    assert_eq!(path.route().direct, None);
    let answered = (0..1000_u32).filter(|number| {
        path.handle_ping(Source::Udp(([198, 18, 0, *number as u8], 9).into()), id(*number), now)
    });
    assert_eq!(answered.count(), 63);
    assert!(path.candidates.iter().count() <= 8);
    assert!(path.remembered.len() <= REMEMBERED);
}

proptest! {
    /// Whatever comes in whatever order: a path is direct, and the relay left, only where a ping of ours was answered, there is
    /// always a way, and memory is bounded.
    #[test]
    fn any_events_leave_a_way_and_only_answered_pings_a_direct_one(
        events in prop::collection::vec((0..9_u8, 0..6_u8, any::<u8>(), 0..8000_u32), 0..300),
    ) {
        let (mut path, mut now) = (PingedPath::default(), Instant::now());
        let (mut waiting, mut proved) = (Vec::new(), HashSet::new());
        let mut count = 0_u32;
        for (event, host, what, wait_ms) in events {
            let address = SocketAddr::from(([198, 51, 100, host], 1));
            let mut transaction = [what; 12];
            match event {
                0 => now += Duration::from_millis(wait_ms.into()),
                1 => path.handle_timeout(what % 4 != 0, now),
                2 => path.handle_sent_data(now),
                3 => path.set_candidates(&[address, lan(0)]),
                4 => path.handle_call_me_maybe(&vec![address; usize::from(what)], now),
                5 => { path.handle_ping(Source::Udp(address), transaction, now); }
                6 => path.handle_received(Source::Udp(address), PacketKind::Data, now),
                7 => {
                    // From the wrong address, or with an id that was never sent: mostly.
                    let (id, to) = waiting.get(usize::from(what)).copied().unwrap_or((transaction, address));
                    if path.handle_pong(address, id, now) {
                        prop_assert_eq!(to, address);
                        proved.insert(address);
                    }
                }
                _ => path.handle_network_change(now),
            }
            while let Some(request) = path.poll_request() {
                if let Request::Ping(to) = request {
                    count += 1;
                    transaction[..4].copy_from_slice(&count.to_be_bytes());
                    waiting.push((transaction, to));
                    path.handle_ping_sent(to, transaction, now);
                }
            }
            let route = path.route();
            let is_proved = |address| proved.contains(&address);
            prop_assert!(route.relay || route.direct.is_some_and(is_proved));
            prop_assert!(path.address().is_none_or(is_proved));
            prop_assert!(path.waiting.len() <= MAX_WAITING && path.candidates.iter().count() <= 40);
        }
    }
}
