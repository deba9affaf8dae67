//! Two peers whose network does to UDP what a test says: a LAN, NATs that filter, delays, loss; and a relay that may be hostile.
#![allow(clippy::disallowed_methods, reason = "where the simulated clock starts does not matter")]

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;

use super::*;

const STEP: Duration = Duration::from_millis(5);
const TICK: u32 = 50;
const LAN_DELAY: Duration = Duration::from_millis(1);
const RELAY_DELAY: Duration = Duration::from_millis(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nat {
    /// Lets everybody in.
    Open,
    /// Lets in who was sent something before, at that address and port.
    Restricted,
    /// The same, and each destination sees another port.
    Symmetric,
}

fn lan(me: usize) -> SocketAddr {
    SocketAddr::from(([192, 168, 1, 10 + me as u8], 41641))
}

fn public(me: usize) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 1 + me as u8], 41641))
}

#[derive(Clone, Debug)]
enum Carried {
    Ping(TransactionId),
    Pong(TransactionId),
    Call(Vec<SocketAddr>),
    Data(u64),
}

#[derive(Clone, Debug)]
struct Flight {
    to: usize,
    source: Source,
    carried: Carried,
}

/// What a hostile relay does to a message.
#[derive(Clone, Copy, Debug)]
enum Mischief {
    Drop,
    Twice,
    Late,
}

/// Peers 0 and 1 with a session.
struct Pair {
    now: Instant,
    started: Instant,
    paths: [PingedPath; 2],
    nats: [Nat; 2],
    same_lan: bool,
    /// Whether UDP from this peer over the internet arrives.
    udp: [bool; 2],
    delay: Duration,
    mischief: Vec<Mischief>,
    /// Every how manieth datagram is lost.
    loss: Option<u64>,
    opened: [HashSet<SocketAddr>; 2],
    flights: BTreeMap<(Instant, u64), Flight>,
    taken: [BTreeSet<u64>; 2],
    sent: u64,
    steps: u32,
}

impl Pair {
    fn new(nats: [Nat; 2]) -> Self {
        let mut paths = [PingedPath::default(), PingedPath::default()];
        for (me, path) in paths.iter_mut().enumerate() {
            path.set_candidates(&[public(1 - me), lan(1 - me)]);
        }
        let now = Instant::now();
        Self {
            now,
            started: now,
            paths,
            nats,
            same_lan: false,
            udp: [true; 2],
            delay: Duration::from_millis(20),
            mischief: Vec::new(),
            loss: None,
            opened: Default::default(),
            flights: BTreeMap::new(),
            taken: Default::default(),
            sent: 0,
            steps: 0,
        }
    }

    fn launch(&mut self, flight: Flight, delay: Duration) {
        self.sent += 1;
        self.flights.insert((self.now + delay, self.sent), flight);
    }

    fn by_udp(&mut self, from: usize, to: SocketAddr, carried: Carried) {
        let peer = 1 - from;
        if to == lan(peer) && self.same_lan {
            let source = Source::Udp(lan(from));
            return self.launch(Flight { to: peer, source, carried }, LAN_DELAY);
        }
        self.opened[from].insert(to);
        self.sent += 1;
        if to.ip() != public(peer).ip()
            || !self.udp[from]
            || self.loss.is_some_and(|every| self.sent.is_multiple_of(every))
        {
            return;
        }
        let mut source = public(from);
        if self.nats[from] == Nat::Symmetric {
            source.set_port(1000 + to.port() % 1000 + 10 * from as u16);
        }
        let is_let_in = match self.nats[peer] {
            Nat::Open => to == public(peer),
            Nat::Restricted => to == public(peer) && self.opened[peer].contains(&source),
            Nat::Symmetric => {
                to.port() == 1000 + source.port() % 1000 + 10 * peer as u16
                    && self.opened[peer].contains(&source)
            }
        };
        if is_let_in {
            let flight = Flight { to: peer, source: Source::Udp(source), carried };
            self.launch(flight, self.delay);
        }
    }

    fn by_relay(&mut self, from: usize, carried: Carried) {
        let flight = Flight { to: 1 - from, source: Source::Relay, carried };
        let mischief = match self.mischief.len() {
            0 => None,
            len => self.mischief.get(self.sent as usize % len).copied(),
        };
        match mischief {
            Some(Mischief::Drop) => self.sent += 1,
            Some(Mischief::Late) => self.launch(flight, RELAY_DELAY * 40),
            Some(Mischief::Twice) => {
                self.launch(flight.clone(), RELAY_DELAY);
                self.launch(flight, RELAY_DELAY * 3);
            }
            None => self.launch(flight, RELAY_DELAY),
        }
    }

    fn send_data(&mut self, from: usize, number: u64) {
        let route = self.paths[from].route();
        self.paths[from].handle_sent_data(self.now);
        if let Some(to) = route.direct {
            self.by_udp(from, to, Carried::Data(number));
        }
        if route.relay {
            self.by_relay(from, Carried::Data(number));
        }
    }

    fn arrive(&mut self, Flight { to: me, source, carried }: Flight) {
        match carried {
            Carried::Ping(transaction) => {
                if self.paths[me].handle_ping(source, transaction, self.now)
                    && let Source::Udp(from) = source
                {
                    self.by_udp(me, from, Carried::Pong(transaction));
                }
            }
            Carried::Pong(transaction) => {
                if let Source::Udp(from) = source {
                    self.paths[me].handle_pong(from, transaction, self.now);
                }
            }
            Carried::Call(addresses) => self.paths[me].handle_call_me_maybe(&addresses, self.now),
            Carried::Data(number) => {
                // WireGuard refuses the second copy.
                if self.taken[me].insert(number) {
                    self.paths[me].handle_received(source, PacketKind::Data, self.now);
                    if me == 1 {
                        self.send_data(1, number);
                    }
                }
            }
        }
    }

    fn send_requests(&mut self) {
        for me in 0..2 {
            while let Some(request) = self.paths[me].poll_request() {
                match request {
                    Request::Ping(to) => {
                        let mut transaction = [me as u8; 12];
                        transaction[..8].copy_from_slice(&self.sent.to_be_bytes());
                        self.paths[me].handle_ping_sent(to, transaction, self.now);
                        self.by_udp(me, to, Carried::Ping(transaction));
                    }
                    Request::CallMeMaybe => {
                        self.by_relay(me, Carried::Call(vec![public(me), lan(me)]));
                    }
                }
            }
        }
    }

    /// Lets time pass; if `busy`, peer 0 sends data every 50 ms, which peer 1 answers. Returns how many of it was not answered,
    /// of what had time for it.
    fn run(&mut self, time: Duration, busy: bool) -> usize {
        let (end, mut numbers) = (self.now + time, Vec::new());
        while self.now < end {
            while let Some(entry) =
                self.flights.first_entry().filter(|entry| entry.key().0 <= self.now)
            {
                let flight = entry.remove();
                self.arrive(flight);
            }
            if self.steps.is_multiple_of(TICK) {
                for path in &mut self.paths {
                    path.handle_timeout(true, self.now);
                }
            }
            if busy && self.steps.is_multiple_of(10) {
                let number = self.sent << 20;
                if self.now + Duration::from_secs(1) < end {
                    numbers.push(number);
                }
                self.send_data(0, number);
            }
            self.send_requests();
            self.steps += 1;
            self.now += STEP;
        }
        numbers.iter().filter(|number| !self.taken[0].contains(number)).count()
    }

    fn direct(&self) -> [Option<SocketAddr>; 2] {
        [0, 1].map(|me| self.paths[me].route().direct)
    }

    /// How long it takes until both are direct, with data.
    fn time_to_direct(&mut self) -> Duration {
        while self.direct().contains(&None) && self.now < self.started + Duration::from_secs(60) {
            self.run(STEP, true);
        }
        self.now.saturating_duration_since(self.started)
    }
}

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

#[test]
fn pings_move_no_path_and_are_answered_within_a_budget() {
    let (mut path, now) = (PingedPath::default(), Instant::now());
    let source = Source::Udp(public(1));
    assert!(path.handle_ping(source, [1; 12], now));
    assert!(!path.handle_ping(Source::Udp(public(0)), [1; 12], now), "a copy from elsewhere");
    assert_eq!(path.route().direct, None);
    let answered = (0..1000_u32).filter(|number| {
        let mut transaction = [9; 12];
        transaction[..4].copy_from_slice(&number.to_be_bytes());
        path.handle_ping(Source::Udp(([198, 18, 0, *number as u8], 9).into()), transaction, now)
    });
    assert_eq!(answered.count(), 63);
    assert!(path.candidates.iter().count() <= 8);
    assert!(path.remembered.len() <= REMEMBERED);
}

proptest! {
    /// Whatever comes in whatever order: a path is direct only where a ping of ours was answered, there is always a way, and
    /// memory is bounded.
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
            prop_assert!(route.relay || route.direct.is_some());
            prop_assert!(route.direct.is_none_or(|address| proved.contains(&address)));
            prop_assert!(path.waiting.len() <= MAX_WAITING && path.candidates.iter().count() <= 40);
        }
    }
}
