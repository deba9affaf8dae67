//! A simulated pair of peers whose UDP works both ways, one way or not at all, as the test says.
#![allow(clippy::disallowed_methods, reason = "where the simulated clock starts does not matter")]

use std::{
    collections::{BTreeSet, HashSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::*;

const STEP: Duration = Duration::from_millis(50);
const UDP_DELAY: Duration = Duration::from_millis(20);
const RELAY_DELAY: Duration = Duration::from_millis(60);
/// After this long without a change in the network, packets are no longer lost.
const SETTLED: Duration = Duration::from_secs(12);

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 41641))
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    arrives: Instant,
    to: usize,
    by_udp: bool,
    /// `None`: an empty packet. Else a number that the receiver takes once.
    data: Option<u64>,
    number: u64,
}

/// Two peers, 0 and 1, with a session.
struct Pair {
    now: Instant,
    paths: [ProbedPath; 2],
    /// Whether UDP from this peer arrives.
    udp: [bool; 2],
    flights: BTreeSet<Flight>,
    taken: [HashSet<u64>; 2],
    sent: u64,
    /// Whether data is answered with data.
    echo: bool,
    relay_delay: Duration,
    /// When each looks at its timers for the first time.
    ticks_from: [Instant; 2],
    /// For how long each slept, while its clock stood still.
    slept: [Duration; 2],
}

impl Pair {
    fn new(knows: [bool; 2], echo: bool) -> Self {
        let mut paths = [ProbedPath::new(), ProbedPath::new()];
        for (me, path) in paths.iter_mut().enumerate() {
            if knows[me] {
                path.set_candidates(&[address(1 - me as u8)]);
            }
        }
        let now = Instant::now();
        Self {
            now,
            paths,
            udp: [true; 2],
            flights: BTreeSet::new(),
            taken: Default::default(),
            sent: 0,
            echo,
            relay_delay: RELAY_DELAY,
            ticks_from: [now; 2],
            slept: [Duration::ZERO; 2],
        }
    }

    /// The clock of one of them.
    fn clock(&self, me: usize) -> Instant {
        self.now - self.slept[me]
    }

    /// Peer 0 sleeps, and loses what arrives; peer 1 runs on and gives the session up.
    fn sleep(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.paths[1].handle_timeout(false, self.clock(1), &mut Vec::new());
            self.now += STEP;
        }
        self.slept[0] += time;
        self.flights.clear();
    }

    /// Tells peer 0 that its network changed, or that it slept.
    fn change_network(&mut self) {
        let (mut probes, now) = (Vec::new(), self.clock(0));
        self.paths[0].handle_network_change(now, &mut probes);
        probes.iter().for_each(|_| self.launch(0, true, None));
    }

    fn launch(&mut self, from: usize, by_udp: bool, data: Option<u64>) {
        if by_udp && !self.udp[from] {
            return;
        }
        self.sent += 1;
        let arrives = self.now + if by_udp { UDP_DELAY } else { self.relay_delay };
        self.flights.insert(Flight { arrives, to: 1 - from, by_udp, data, number: self.sent });
    }

    fn send_data(&mut self, from: usize, data: u64) {
        let route = self.paths[from].route();
        self.paths[from].handle_sent_data(self.clock(from));
        if let Some(to) = route.direct {
            assert_eq!(to, address(1 - from as u8));
            self.launch(from, true, Some(data));
        }
        if route.relay {
            self.launch(from, false, Some(data));
        }
    }

    fn arrive(&mut self, flight: &Flight) {
        let me = flight.to;
        // WireGuard refuses the second copy: the path does not hear of it.
        if flight.data.is_some_and(|data| !self.taken[me].insert(data)) {
            return;
        }
        let source = if flight.by_udp { Source::Udp(address(1 - me as u8)) } else { Source::Relay };
        let heard = if flight.data.is_some() { PacketKind::Data } else { PacketKind::Empty };
        if self.paths[me].handle_received(source, heard, self.clock(me)).is_some() {
            self.launch(me, true, None);
            self.paths[me].handle_sent(self.clock(me));
        }
        if let (true, Some(data), 1) = (self.echo, flight.data, me) {
            self.send_data(1, data);
        }
    }

    /// Lets time pass; peer 0 sends data every step if `busy`. Returns how many did not arrive.
    fn run(&mut self, time: Duration, busy: bool) -> usize {
        let mut numbers = Vec::new();
        let end = self.now + time;
        while self.now < end {
            while let Some(flight) =
                self.flights.first().filter(|first| first.arrives <= self.now).cloned()
            {
                self.flights.remove(&flight);
                self.arrive(&flight);
            }
            for me in 0..2 {
                if self.now < self.ticks_from[me] {
                    continue;
                }
                let mut probes = Vec::new();
                self.paths[me].handle_timeout(true, self.clock(me), &mut probes);
                probes.iter().for_each(|_| self.launch(me, true, None));
            }
            if busy {
                let number = self.sent << 20;
                numbers.push(number);
                self.send_data(0, number);
            }
            self.now += STEP;
        }
        let goal = if self.echo { 0 } else { 1 };
        let settled =
            |number: &&u64| !self.flights.iter().any(|flight| flight.data == Some(**number));
        numbers.iter().filter(settled).filter(|number| !self.taken[goal].contains(number)).count()
    }

    fn direct(&self) -> [bool; 2] {
        [0, 1].map(|me| self.paths[me].direct().is_some())
    }
}

#[test]
fn one_side_that_knows_an_address_is_enough_and_nothing_is_lost() {
    for knows in [[true, false], [false, true], [true, true]] {
        let mut pair = Pair::new(knows, true);
        assert_eq!(pair.run(Duration::from_secs(6), true), 0);
        assert_eq!(pair.direct(), [true; 2], "{knows:?}");
        assert_eq!(pair.paths[0].route(), Route { direct: Some(address(1)), relay: false });
    }
}

/// B heard the initiation by UDP, A the response over the relay and then data by UDP, which makes it direct. What B asks
/// comes too soon after A's own empty packet to be answered, and no data follows.
#[test]
fn a_pair_that_falls_silent_while_one_side_is_direct_becomes_direct() {
    let mut pair = Pair::new([true; 2], false);
    pair.paths[1].handle_received(Source::Udp(address(0)), PacketKind::Initiation, pair.now);
    pair.send_data(1, 1);
    pair.now += UDP_DELAY;
    let data = pair.flights.pop_first().unwrap();
    pair.arrive(&data);
    assert_eq!(pair.direct(), [true, false]);
    pair.run(Duration::from_secs(2), false);
    assert_eq!(pair.direct(), [true; 2]);
}

#[test]
fn without_an_address_everything_stays_on_the_relay() {
    let mut pair = Pair::new([false; 2], true);
    assert_eq!(pair.run(Duration::from_secs(60), true), 0);
    assert_eq!(pair.direct(), [false; 2]);
}

#[test]
fn a_path_of_one_direction_is_never_called_direct() {
    for udp in [[true, false], [false, true], [false, false]] {
        let mut pair = Pair::new([true; 2], true);
        pair.udp = udp;
        assert_eq!(pair.run(Duration::from_secs(60), true), 0, "{udp:?}");
        assert_eq!(pair.direct(), [false; 2], "{udp:?}");
    }
}

#[test]
fn a_path_that_breaks_with_a_change_of_network_is_out_for_what_was_under_way() {
    let mut pair = Pair::new([true; 2], true);
    pair.run(Duration::from_secs(6), true);
    pair.udp = [false; 2];
    pair.change_network();
    let lost = pair.run(Duration::from_secs(10), true);
    assert!(lost <= 3, "{lost} packets of 50 ms");
    assert_eq!(pair.direct(), [false; 2]);
}

#[test]
fn a_path_that_a_change_of_network_did_not_break_loses_nothing_and_is_direct_within_seconds() {
    let mut pair = Pair::new([true; 2], true);
    pair.run(Duration::from_secs(6), true);
    for _ in 0..3 {
        pair.change_network();
        assert_eq!(pair.paths[0].route(), Route { direct: Some(address(1)), relay: true });
        assert_eq!(pair.run(Duration::from_secs(2), true), 0);
        assert_eq!(pair.direct(), [true; 2]);
    }
}

#[test]
fn a_device_that_slept_for_an_hour_is_heard_at_once_and_direct_within_seconds() {
    let mut pair = Pair::new([true; 2], true);
    pair.run(Duration::from_secs(6), true);
    for _ in 0..3 {
        pair.sleep(Duration::from_secs(3600));
        pair.change_network();
        assert_eq!(pair.run(Duration::from_secs(10), true), 0);
        assert_eq!(pair.direct(), [true; 2]);
    }
}

/// An address that failed is not used for minutes; in another network it is tried at once.
#[test]
fn a_change_of_network_ends_the_pauses_of_addresses_that_failed() {
    let mut pair = Pair::new([true; 2], true);
    pair.udp = [false, true];
    pair.run(Duration::from_secs(300), true);
    pair.udp = [true; 2];
    pair.change_network();
    pair.run(Duration::from_secs(4), true);
    assert_eq!(pair.direct(), [true; 2]);
}

#[test]
fn a_path_that_breaks_is_out_for_two_seconds_and_given_up_after_five() {
    let mut pair = Pair::new([true; 2], true);
    pair.run(Duration::from_secs(6), true);
    pair.udp = [false; 2];
    let lost = pair.run(Duration::from_secs(4), true);
    assert!(lost <= 46, "{lost} packets of 50 ms");
    assert_eq!(pair.run(Duration::from_secs(10), true), 0);
    assert_eq!(pair.direct(), [false; 2]);
    pair.udp = [true; 2];
    assert_eq!(pair.run(Duration::from_secs(10), true), 0);
    assert_eq!(pair.direct(), [true; 2]);
}

#[test]
fn a_flow_without_answers_keeps_a_healthy_path_and_leaves_a_broken_one() {
    let mut pair = Pair::new([true; 2], false);
    assert_eq!(pair.run(Duration::from_secs(60), true), 0);
    assert_eq!(pair.direct(), [true; 2]);
    pair.udp[0] = false;
    pair.run(Duration::from_secs(5), true);
    assert_eq!(pair.run(Duration::from_secs(10), true), 0);
    assert!(!pair.direct()[0]);
}

#[test]
fn an_idle_path_stays_and_is_kept_open() {
    let mut pair = Pair::new([true, false], true);
    pair.run(Duration::from_secs(6), true);
    let before = pair.sent;
    pair.run(Duration::from_secs(170), false);
    assert_eq!(pair.direct(), [true; 2]);
    assert!((10..40).contains(&(pair.sent - before)), "{} messages", pair.sent - before);
}

#[test]
fn only_live_sessions_are_probed_and_never_in_a_rush() {
    let mut path = ProbedPath::new();
    path.set_candidates(&[address(1), address(2), address(2)]);
    let mut now = Instant::now();
    let mut probes = Vec::new();
    path.handle_timeout(false, now, &mut probes);
    assert_eq!(probes, []);
    path.handle_timeout(true, now, &mut probes);
    assert_eq!(probes, [address(1), address(2)]);
    for _ in 0..4 * 60 * 10 {
        now += Duration::from_millis(250);
        path.handle_timeout(true, now, &mut probes);
    }
    let rounds = probes.len() / 2;
    assert!((35..=45).contains(&rounds), "{rounds} rounds in 10 minutes");
    // News restart them, but not at once.
    path.set_candidates(&[address(3)]);
    probes.clear();
    now += Duration::from_millis(250);
    path.handle_timeout(true, now, &mut probes);
    path.handle_session();
    now += Duration::from_secs(1);
    path.handle_timeout(true, now, &mut probes);
    assert_eq!(probes, [address(3)]);
}

#[test]
fn useless_candidates_are_dropped_and_the_list_is_bounded() {
    let mut path = ProbedPath::new();
    let useless = [
        "0.0.0.0:1",
        "192.0.2.1:0",
        "[ff02::1]:1",
        "224.0.0.1:1",
        "[::]:9",
        "100.64.0.2:41641",
        "[fd7a:115c:a1e0::2]:41641",
        "[::ffff:100.64.0.2]:41641",
        "127.0.0.1:41641",
    ];
    let mut all: Vec<SocketAddr> = useless.iter().map(|text| text.parse().unwrap()).collect();
    path.set_candidates(&all);
    assert_eq!(path.fan_out().count(), 0);
    all.extend((0..100).map(address));
    path.set_candidates(&all);
    assert_eq!(path.fan_out().count(), MAX_CANDIDATES);
}

#[test]
fn a_response_by_udp_is_proof_and_an_initiation_is_not() {
    let now = Instant::now();
    let mut path = ProbedPath::new();
    assert_eq!(path.handle_received(Source::Udp(address(1)), PacketKind::Initiation, now), None);
    assert_eq!(path.direct(), None);
    assert_eq!(path.route(), Route { direct: Some(address(1)), relay: true });
    let mut path = ProbedPath::new();
    assert_eq!(
        path.handle_received(Source::Udp(address(1)), PacketKind::Response, now),
        Some(address(1))
    );
    assert_eq!(path.direct(), Some(address(1)));
}

#[test]
fn a_peer_that_roams_is_followed_but_not_while_its_old_address_is_heard() {
    let start = Instant::now();
    let mut path = ProbedPath::new();
    path.handle_received(Source::Udp(address(1)), PacketKind::Data, start);
    let soon = start + Duration::from_millis(500);
    path.handle_received(Source::Udp(address(2)), PacketKind::Data, soon);
    assert_eq!(path.direct(), Some(address(1)));
    let later = start + Duration::from_millis(1600);
    path.handle_received(Source::Udp(address(2)), PacketKind::Empty, later);
    assert_eq!(path.direct(), Some(address(1)), "a probe is no reason to move");
    path.handle_received(Source::Udp(address(2)), PacketKind::Data, later);
    assert_eq!(path.direct(), Some(address(2)));
}

proptest! {
    /// However the network changes, a while after the last change nothing more is lost, and a
    /// path is direct where UDP works both ways.
    #[test]
    fn settles_after_any_change(
        knows in any::<[bool; 2]>(),
        echo: bool,
        changes in prop::collection::vec((any::<[bool; 2]>(), 0..400_u64, any::<bool>()), 0..4),
        last in any::<[bool; 2]>(),
    ) {
        let mut pair = Pair::new(knows, echo);
        for (udp, steps, busy) in changes {
            pair.udp = udp;
            pair.run(STEP * u32::try_from(steps).unwrap(), busy);
        }
        pair.udp = last;
        pair.run(SETTLED, true);
        prop_assert_eq!(pair.run(Duration::from_secs(30), true), 0, "lost though settled");
        if last == [true; 2] && knows != [false; 2] {
            pair.run(Duration::from_secs(60), true);
            prop_assert_eq!(pair.direct(), [true; 2]);
        }
    }

    /// Whatever of the handshake and of the first data comes by which way first, a pair that then falls silent is
    /// direct on both sides.
    #[test]
    fn a_silent_pair_agrees(
        knows in prop::sample::select(vec![[true; 2], [true, false], [false, true]]),
        by_udp in any::<[bool; 2]>(),
        relay_first: bool,
        first_tick in any::<[u8; 2]>(),
        data in prop::collection::vec((0..2_usize, 0..3_u32), 0..6),
    ) {
        let initiation_by_udp = knows[0] && by_udp[0];
        let by_udp = [initiation_by_udp && by_udp[1], initiation_by_udp];
        let mut pair = Pair::new(knows, false);
        pair.ticks_from = first_tick.map(|ms| pair.now + Duration::from_millis(ms.into()));
        if relay_first {
            pair.relay_delay = UDP_DELAY / 2;
        }
        for (me, heard) in [(1, PacketKind::Initiation), (0, PacketKind::Response)] {
            let source = if by_udp[me] { Source::Udp(address(1 - me as u8)) } else { Source::Relay };
            if pair.paths[me].handle_received(source, heard, pair.now).is_some() {
                pair.launch(me, true, None);
            }
        }
        for (number, (from, steps)) in data.into_iter().enumerate() {
            pair.run(STEP * steps, false);
            pair.send_data(from, number as u64);
        }
        pair.run(Duration::from_secs(8), false);
        prop_assert_eq!(pair.direct(), [true; 2]);
    }

    /// Any order of events: no panic, a direct path was heard from, and some way is always taken.
    #[test]
    fn any_events_leave_a_way_to_send(
        events in prop::collection::vec((0..7_u8, 0..4_u8, 0..4_u8, any::<u32>()), 0..200),
    ) {
        let mut now = Instant::now();
        let mut path = ProbedPath::new();
        let mut heard_from = HashSet::new();
        for (event, host, what, wait_ms) in events {
            let heard = [PacketKind::Initiation, PacketKind::Response, PacketKind::Data, PacketKind::Empty][usize::from(what)];
            match event {
                0 => now += Duration::from_millis(u64::from(wait_ms)),
                1 => path.handle_timeout(what != 0, now, &mut Vec::new()),
                2 => path.handle_sent_data(now),
                3 => path.set_candidates(&[address(host)]),
                4 => { path.handle_received(Source::Relay, heard, now); }
                _ => {
                    heard_from.insert(address(host));
                    path.handle_received(Source::Udp(address(host)), heard, now);
                }
            }
            let route = path.route();
            prop_assert!(route.relay || route.direct.is_some());
            prop_assert!(route.direct.is_none_or(|address| heard_from.contains(&address)));
            prop_assert!(path.direct().is_none() || path.direct() == route.direct);
        }
    }
}
