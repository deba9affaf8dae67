//! Two peers whose network does to UDP what a test says: a LAN, NATs that filter, delays, loss; and a relay that may be hostile.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::*;

pub(super) const STEP: Duration = Duration::from_millis(5);
const TICK: u32 = 50;
const LAN_DELAY: Duration = Duration::from_millis(1);
const RELAY_DELAY: Duration = Duration::from_millis(60);
/// How long a session lives (WireGuard, section 6.1).
const SESSION: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nat {
    /// Lets everybody in.
    Open,
    /// Lets in who was sent something before, at that address and port.
    Restricted,
    /// The same, and each destination sees another port.
    Symmetric,
}

pub(super) fn lan(me: usize) -> SocketAddr {
    SocketAddr::from(([192, 168, 1, 10 + me as u8], 41641))
}

pub(super) fn public(me: usize) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 1 + me as u8], 41641))
}

#[derive(Clone, Debug)]
enum Carried {
    Ping(TransactionId),
    Pong(TransactionId),
    Call(Vec<SocketAddr>),
    Handshake(PacketKind, u64),
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
pub(super) enum Mischief {
    Drop,
    Twice,
    Late,
}

/// Peers 0 and 1 with a session.
pub(super) struct Pair {
    pub(super) now: Instant,
    started: Instant,
    pub(super) paths: [PingedPath; 2],
    nats: [Nat; 2],
    pub(super) same_lan: bool,
    /// Whether UDP from this peer over the internet arrives.
    pub(super) udp: [bool; 2],
    pub(super) delay: Duration,
    pub(super) mischief: Vec<Mischief>,
    /// Whether each has the other's disco key.
    pub(super) knows_keys: bool,
    /// Whether they have a session.
    pub(super) is_live: bool,
    /// Every how manieth datagram is lost.
    pub(super) loss: Option<u64>,
    /// Every how manieth datagram comes twice, and another one late.
    pub(super) disorder: Option<u64>,
    /// Who sleeps: it does nothing, and what comes for it is lost.
    asleep: Option<usize>,
    /// How far the clock of each lags, which stood still.
    lag: [Duration; 2],
    opened: [HashSet<SocketAddr>; 2],
    flights: BTreeMap<(Instant, u64), Flight>,
    taken: [BTreeSet<u64>; 2],
    pub(super) sent: u64,
    steps: u32,
}

/// The path of a peer that has started.
fn fresh(me: usize) -> PingedPath {
    let mut path = PingedPath::default();
    path.set_candidates(&[public(1 - me), lan(1 - me)]);
    path
}

impl Pair {
    pub(super) fn new(nats: [Nat; 2]) -> Self {
        let paths = [0, 1].map(fresh);
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
            knows_keys: true,
            is_live: true,
            loss: None,
            disorder: None,
            asleep: None,
            lag: [Duration::ZERO; 2],
            opened: Default::default(),
            flights: BTreeMap::new(),
            taken: Default::default(),
            sent: 0,
            steps: 0,
        }
    }

    /// Starts a peer again; it shakes hands.
    pub(super) fn restart(&mut self, me: usize) {
        self.paths[me] = fresh(me);
        self.sent += 1;
        let initiation = Carried::Handshake(PacketKind::Initiation, self.sent << 20);
        let addresses: Vec<_> = self.paths[me].fan_out().collect();
        for to in addresses {
            self.by_udp(me, to, initiation.clone());
        }
        self.by_relay(me, initiation);
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
            let (turn, delay) = (self.disorder.map(|every| self.sent % every), self.delay);
            if turn == Some(1) {
                self.launch(flight.clone(), delay);
            }
            self.launch(flight, if turn == Some(2) { delay * 8 } else { delay });
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
        let (route, now) = (self.paths[from].route(), self.clock(from));
        self.paths[from].handle_sent_data(now);
        if let Some(to) = route.direct {
            self.by_udp(from, to, Carried::Data(number));
        }
        if route.relay {
            self.by_relay(from, Carried::Data(number));
        }
    }

    fn arrive(&mut self, Flight { to: me, source, carried }: Flight) {
        let now = self.clock(me);
        match carried {
            Carried::Ping(_) | Carried::Pong(_) | Carried::Call(_) if !self.knows_keys => {}
            Carried::Ping(transaction) => {
                if self.paths[me].handle_ping(source, transaction, now)
                    && let Source::Udp(from) = source
                {
                    self.by_udp(me, from, Carried::Pong(transaction));
                }
            }
            Carried::Pong(transaction) => {
                if let Source::Udp(from) = source {
                    self.paths[me].handle_pong(from, transaction, now);
                }
            }
            Carried::Call(addresses) => self.paths[me].handle_call_me_maybe(&addresses, now),
            Carried::Handshake(kind, number) => {
                if self.taken[me].insert(number) {
                    self.paths[me].handle_wanted(now);
                    self.paths[me].handle_received(source, kind, now);
                    if kind == PacketKind::Initiation {
                        let response = Carried::Handshake(PacketKind::Response, number);
                        if let Source::Udp(from) = source {
                            self.by_udp(me, from, response.clone());
                        }
                        self.by_relay(me, response);
                    }
                }
            }
            Carried::Data(number) => {
                // WireGuard refuses the second copy.
                if self.taken[me].insert(number) {
                    self.paths[me].handle_received(source, PacketKind::Data, now);
                    if me == 1 {
                        self.send_data(1, number);
                    }
                }
            }
        }
    }

    /// What the peer's clock says.
    fn clock(&self, me: usize) -> Instant {
        self.now - self.lag[me]
    }

    fn awake(&self) -> impl Iterator<Item = usize> + use<> {
        let asleep = self.asleep;
        (0..2).filter(move |me| asleep != Some(*me))
    }

    /// A peer sleeps so long that the session ends; its clock stands still meanwhile, or not. Then it wakes up and shakes hands.
    pub(super) fn sleep(&mut self, me: usize, time: Duration, stands_still: bool) {
        self.asleep = Some(me);
        self.run(SESSION, true);
        self.is_live = false;
        self.run(time - SESSION, true);
        self.asleep = None;
        if stands_still {
            self.lag[me] += time;
        }
        self.is_live = true;
        let now = self.clock(me);
        self.paths[me].handle_network_change(now);
        for me in 0..2 {
            let now = self.clock(me);
            self.paths[me].handle_wanted(now);
        }
    }

    fn send_requests(&mut self) {
        for me in self.awake() {
            let now = self.clock(me);
            while let Some(request) = self.paths[me].poll_request() {
                match request {
                    Request::Ping(to) => {
                        let mut transaction = [me as u8; 12];
                        transaction[..8].copy_from_slice(&self.sent.to_be_bytes());
                        self.paths[me].handle_ping_sent(to, transaction, now);
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
    pub(super) fn run(&mut self, time: Duration, busy: bool) -> usize {
        let (end, mut numbers) = (self.now + time, Vec::new());
        while self.now < end {
            while let Some(entry) =
                self.flights.first_entry().filter(|entry| entry.key().0 <= self.now)
            {
                let flight = entry.remove();
                if self.asleep != Some(flight.to) {
                    self.arrive(flight);
                }
            }
            if self.steps.is_multiple_of(TICK) {
                for me in self.awake() {
                    let now = self.clock(me);
                    self.paths[me].handle_timeout(self.is_live, now);
                }
            }
            if busy && self.asleep != Some(0) && self.steps.is_multiple_of(10) {
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

    pub(super) fn direct(&self) -> [Option<SocketAddr>; 2] {
        [0, 1].map(|me| self.paths[me].route().direct)
    }

    /// How long it takes until both are direct, with data.
    pub(super) fn time_to_direct(&mut self) -> Duration {
        while self.direct().contains(&None) && self.now < self.started + Duration::from_secs(60) {
            self.run(STEP, true);
        }
        self.now.saturating_duration_since(self.started)
    }
}
