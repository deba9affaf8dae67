//! Packets that wait for a session.

use super::*;

#[test]
fn packets_that_nobody_waits_for_are_told() {
    let [mut from, _] = pair(Instant::now());
    let packets = vec![packet(100, 1); MAX_WAITING];
    let mut out = wire_batch();
    assert_eq!(from.seal(&from_tun(&packets), 0..MAX_WAITING, &mut out, Instant::now()), 0);
    assert_eq!(from.seal(&from_tun(&packets), 0..3, &mut out, Instant::now()), 3);
}

#[test]
fn an_initiation_that_the_relay_could_not_deliver_is_repeated_after_a_second_and_not_more_often() {
    let mut now = Instant::now();
    let [mut a, _] = pair(now);
    assert_eq!(seal(&mut a, &[packet(60, 1)], now).len(), 1);
    let mut repeated = |undelivered: bool| {
        let initiated = now;
        loop {
            now += Duration::from_millis(250);
            if undelivered {
                a.note_undelivered();
            }
            let mut out = wire_batch();
            a.tick(&mut out, now);
            if !out.is_empty() {
                assert_eq!(kinds(&out), [1]);
                return now - initiated;
            }
        }
    };
    assert!(repeated(false) >= REKEY_TIMEOUT);
    for _ in 0..3 {
        assert_eq!(repeated(true), UNDELIVERED);
    }
    // What the relay said was about that one.
    assert!(repeated(false) >= REKEY_TIMEOUT);
}

#[test]
fn what_waits_is_bounded_and_the_newest_stays() {
    let now = Instant::now();
    let [mut a, _] = pair(now);
    for mark in 0..=255 {
        seal(&mut a, &[packet(60, mark)], now);
    }
    assert_eq!(a.waiting.len(), MAX_WAITING);
    assert_eq!(a.waiting.back().unwrap()[..60], packet(60, 255));
}

/// Both sides, of which the first has a session and as many packets that wait as may.
fn with_a_full_queue(now: Instant) -> [WireGuard; 2] {
    let [mut a, mut b] = pair(now);
    let packets: Vec<_> = (0..MAX_WAITING).map(|mark| packet(60, mark as u8)).collect();
    let init = seal(&mut a, &packets, now);
    let (_, response) = open(&mut b, &init, now);
    let (mut opened, mut confirm) = (Opened::new(1, 1400), wire_batch());
    a.open(&response, 0..1, &mut opened, &mut confirm, now);
    assert_eq!(kinds(&confirm), [4], "what waits is not sealed under the same lock");
    open(&mut b, &confirm, now);
    assert!(a.has_waiting());
    [a, b]
}

/// The marks of the packets that `to` gets.
fn marks(to: &mut WireGuard, sealed: &Batch, now: Instant) -> Vec<u8> {
    contents(&open(to, sealed, now).0).iter().filter_map(|packet| packet.last().copied()).collect()
}

#[test]
fn what_waited_is_sealed_some_at_a_time() {
    let now = Instant::now();
    let [mut a, mut b] = with_a_full_queue(now);
    let mut all = Vec::new();
    for _ in 0..2 {
        assert!(a.has_waiting());
        let mut out = wire_batch();
        a.seal_waiting(&mut out, now);
        assert_eq!(out.len(), AT_ONCE);
        all.extend(marks(&mut b, &out, now));
    }
    assert!(!a.has_waiting());
    assert_eq!(all, (0..MAX_WAITING as u8).collect::<Vec<_>>());
}

#[test]
fn what_there_is_no_room_for_goes_on_waiting() {
    let now = Instant::now();
    let [mut a, mut b] = with_a_full_queue(now);
    let mut all = Vec::new();
    while a.has_waiting() {
        // For five messages; the library wants room for an initiation.
        let mut out = Batch::new(9, 4 * (64 + DATA_OVERHEAD) + INITIATION_LEN);
        a.seal_waiting(&mut out, now);
        assert!((1..=5).contains(&out.len()));
        all.extend(marks(&mut b, &out, now));
    }
    assert_eq!(all, (0..MAX_WAITING as u8).collect::<Vec<_>>());
}

#[test]
fn nothing_overtakes_what_waits() {
    let now = Instant::now();
    let [mut a, mut b] = with_a_full_queue(now);
    let mut all = Vec::new();
    for first in [MAX_WAITING as u8, MAX_WAITING as u8 + 10] {
        let packets: Vec<_> = (first..first + 10).map(|mark| packet(60, mark)).collect();
        let mut out = wire_batch();
        assert_eq!(a.seal(&from_tun(&packets), 0..10, &mut out, now), 0);
        assert_eq!(out.len(), 10, "as many as came");
        all.extend(marks(&mut b, &out, now));
    }
    while a.has_waiting() {
        let mut out = wire_batch();
        a.seal_waiting(&mut out, now);
        all.extend(marks(&mut b, &out, now));
    }
    assert_eq!(all, (0..MAX_WAITING as u8 + 20).collect::<Vec<_>>());
}
