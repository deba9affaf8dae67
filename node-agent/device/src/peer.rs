//! One peer: its sessions, its paths, its counters.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use node_agent_core::{
    disco::{Channel, Message as DiscoMessage, TransactionId},
    path::{PacketKind, PeerPath, Request, Source},
};

use crate::{
    batch::Batch,
    disco::{self, Disco},
    outgoing::{Destination, Outgoing},
    protocol::{Opened, Protocol},
    stats::{Path, PeerStats},
    sys::lock,
    wire::{self, Message},
};

/// A handshake after this pause starts a new series of attempts.
const ATTEMPTS_OVER: Duration = Duration::from_secs(90);
/// What a pong over the relay says of its ping's source, as the Go client does (`DerpMagicIP`).
const OVER_RELAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 3, 3, 40)), 1);

/// A peer of the table. Threads may hold a removed one, which is closed.
pub(crate) struct Peer {
    pub(crate) key: [u8; 32],
    /// The upper 24 bits of its receiver indexes.
    pub(crate) index: u32,
    /// `None` once the peer is removed.
    link: Mutex<Option<PeerState>>,
    rx_bytes: AtomicU64,
    tx_bytes: AtomicU64,
}

struct PeerState {
    protocol: Box<dyn Protocol>,
    discovery_key: [u8; 32],
    disco: Arc<Disco>,
    /// `None` if the peer has no discovery key.
    channel: Option<Channel>,
    path: PeerPath,
    /// When an initiation was last sent.
    initiated_at: Option<Instant>,
    /// The last direct address for data.
    sent_to: Option<SocketAddr>,
}

impl Peer {
    pub(crate) fn new(
        key: [u8; 32],
        discovery_key: [u8; 32],
        index: u32,
        protocol: Box<dyn Protocol>,
        disco: Arc<Disco>,
    ) -> Self {
        let channel = disco.channel(discovery_key);
        let link = PeerState {
            protocol,
            discovery_key,
            path: PeerPath::new(channel.is_some()),
            disco,
            channel,
            initiated_at: None,
            sent_to: None,
        };
        Self {
            key,
            index,
            link: Mutex::new(Some(link)),
            rx_bytes: AtomicU64::new(0),
            tx_bytes: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<PeerState>> {
        lock(&self.link)
    }

    /// Drops the sessions: no packet is sent or received any more.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    /// Sets the discovery key; a new one means that the peer restarted, and its path begins anew.
    pub(crate) fn set_discovery_key(&self, key: [u8; 32]) {
        if let Some(link) = self.lock().as_mut()
            && link.discovery_key != key
        {
            link.discovery_key = key;
            link.channel = link.disco.channel(key);
            link.path = PeerPath::new(link.channel.is_some());
            link.protocol.note_restart();
        }
    }

    pub(crate) fn set_candidates(&self, candidates: &[SocketAddr]) {
        if let Some(link) = self.lock().as_mut() {
            link.path.set_candidates(candidates);
        }
    }

    /// Seals the packets numbered `run` from the TUN. Returns how many were dropped without a session.
    pub(crate) fn send(
        &self,
        packets: &Batch,
        run: Range<usize>,
        out: &mut Outgoing,
        now: Instant,
    ) -> usize {
        let bytes: usize = run.clone().map(|at| packets.get(at).len()).sum();
        let mut link = self.lock();
        let Some(link) = link.as_mut() else { return run.len() };
        let first = out.batch.len();
        let dropped = link.protocol.seal(packets, run, &mut out.batch, now);
        link.dispatch(&self.key, first, out, |_| None, now);
        link.send_requests(&self.key, out, now);
        self.tx_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        dropped
    }

    /// Seals some of the packets that waited for a session. Returns whether more wait: send `out` and call it again.
    pub(crate) fn send_waiting(&self, out: &mut Outgoing, now: Instant) -> bool {
        let mut link = self.lock();
        let Some(link) = link.as_mut() else { return false };
        let first = out.batch.len();
        link.protocol.seal_waiting(&mut out.batch, now);
        link.dispatch(&self.key, first, out, |_| None, now);
        link.protocol.has_waiting()
    }

    /// Opens the datagrams numbered `run`, from `source`. Returns whether waiting packets can be sent now
    /// ([`Self::send_waiting`]).
    pub(crate) fn receive(
        &self,
        datagrams: &Batch,
        run: Range<usize>,
        source: impl Fn(usize) -> Option<Source>,
        opened: &mut Opened,
        out: &mut Outgoing,
        now: Instant,
    ) -> bool {
        let mut link = self.lock();
        let Some(link) = link.as_mut() else {
            opened.unopened += run.len();
            return false;
        };
        let (first, first_heard) = (out.batch.len(), opened.heard.len());
        link.protocol.open(datagrams, run, opened, &mut out.batch, now);
        let mut answer_to = None;
        for (at, heard) in &opened.heard[first_heard..] {
            if matches!(heard, PacketKind::Initiation | PacketKind::Response) {
                link.path.handle_session(now);
            }
            if let Some(source) = source(*at) {
                answer_to = link.path.handle_received(source, *heard, now).or(answer_to);
            }
        }
        link.dispatch(&self.key, first, out, source, now);
        if let Some(address) = answer_to {
            link.keepalive(address, out, now);
        }
        link.send_requests(&self.key, out, now);
        link.protocol.has_waiting()
    }

    /// Opens a disco message of this peer.
    pub(crate) fn open_disco(&self, datagram: &[u8]) -> Option<DiscoMessage> {
        self.lock().as_ref()?.channel.as_ref()?.open(datagram)
    }

    /// Handles a ping of this peer: answers it to its source.
    pub(crate) fn handle_ping(
        &self,
        source: Source,
        transaction: TransactionId,
        out: &mut Outgoing,
        now: Instant,
    ) {
        self.change_path(out, now, |link, out| {
            let is_answered = link.path.handle_ping(source, transaction, now);
            if let (true, Some(channel)) = (is_answered, &link.channel) {
                let (seen, to) = match source {
                    Source::Udp(from) => (from, Destination::Udp(from)),
                    Source::Relay => (OVER_RELAY, Destination::Relay(self.key)),
                };
                disco::post(out, channel, &DiscoMessage::Pong { transaction, seen }, to);
            }
        });
    }

    /// Handles a pong of this peer; returns whether it answers a ping of ours.
    pub(crate) fn handle_pong(
        &self,
        from: SocketAddr,
        transaction: TransactionId,
        out: &mut Outgoing,
        now: Instant,
    ) -> bool {
        let mut is_ours = false;
        self.change_path(out, now, |link, _| {
            is_ours = link.path.handle_pong(from, transaction, now);
        });
        is_ours
    }

    /// Handles a call-me-maybe of this peer.
    pub(crate) fn handle_call_me_maybe(
        &self,
        addresses: &[SocketAddr],
        out: &mut Outgoing,
        now: Instant,
    ) {
        self.change_path(out, now, |link, _| link.path.handle_call_me_maybe(addresses, now));
    }

    /// Tells this peer of new endpoints, if a path to it is looked for.
    pub(crate) fn call(&self, out: &mut Outgoing, now: Instant) {
        self.change_path(out, now, |link, _| link.path.handle_endpoints(now));
    }

    fn change_path(
        &self,
        out: &mut Outgoing,
        now: Instant,
        change: impl FnOnce(&mut PeerState, &mut Outgoing),
    ) {
        let mut link = self.lock();
        let Some(link) = link.as_mut() else { return };
        change(link, out);
        link.send_requests(&self.key, out, now);
    }

    /// Starts a handshake.
    pub(crate) fn greet(&self, out: &mut Outgoing, now: Instant) {
        let mut link = self.lock();
        let Some(link) = link.as_mut() else { return };
        let first = out.batch.len();
        link.protocol.initiate(&mut out.batch, now);
        link.dispatch(&self.key, first, out, |_| None, now);
        link.send_requests(&self.key, out, now);
    }

    /// Records that this machine's network changed, or that it slept: the paths are probed. Without a session a handshake is
    /// started if there was one before. `probes` is scratch space.
    pub(crate) fn handle_network_change(
        &self,
        out: &mut Outgoing,
        probes: &mut Vec<SocketAddr>,
        now: Instant,
    ) {
        let mut link = self.lock();
        let Some(link) = link.as_mut() else { return };
        probes.clear();
        link.path.handle_network_change(now, probes);
        link.protocol.note_network_change();
        if link.protocol.session_age().is_some() {
            for address in probes {
                link.keepalive(*address, out, now);
            }
        } else if link.protocol.is_used() {
            let first = out.batch.len();
            link.protocol.initiate(&mut out.batch, now);
            link.dispatch(&self.key, first, out, |_| None, now);
        }
        link.send_requests(&self.key, out, now);
    }

    /// Advances timers and paths. `probes` is scratch space. Returns how many packets were dropped without a session.
    pub(crate) fn tick(
        &self,
        out: &mut Outgoing,
        probes: &mut Vec<SocketAddr>,
        now: Instant,
    ) -> usize {
        let mut link = self.lock();
        let Some(link) = link.as_mut() else { return 0 };
        let first = out.batch.len();
        let dropped = link.protocol.tick(&mut out.batch, now);
        link.dispatch(&self.key, first, out, |_| None, now);
        probes.clear();
        let live = link.protocol.session_age().is_some();
        link.path.handle_timeout(live, now, probes);
        for address in probes {
            link.keepalive(*address, out, now);
        }
        link.send_requests(&self.key, out, now);
        dropped
    }

    /// Counts bytes that were written to the interface.
    pub(crate) fn count_received(&self, bytes: usize) {
        self.rx_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Its statistics; `None` once it is removed.
    pub(crate) fn stats(&self) -> Option<PeerStats> {
        let link = self.lock();
        let link = link.as_ref()?;
        let age = link.protocol.session_age();
        let path = match (age, link.path.direct()) {
            (None, _) => Path::None,
            (Some(_), Some(address)) => Path::Direct(address),
            (Some(_), None) => Path::Relay,
        };
        Some(PeerStats {
            public_key: self.key,
            path,
            last_handshake: age.and_then(|age| SystemTime::now().checked_sub(age)),
            rx_bytes: self.rx_bytes.load(Ordering::Relaxed),
            tx_bytes: self.tx_bytes.load(Ordering::Relaxed),
        })
    }
}

impl PeerState {
    /// Sets the destinations of the messages from number `first` on. `source` returns the source for a tag.
    fn dispatch(
        &mut self,
        key: &[u8; 32],
        first: usize,
        out: &mut Outgoing,
        source: impl Fn(usize) -> Option<Source>,
        now: Instant,
    ) {
        for message in first..out.batch.len() {
            match wire::classify(out.batch.get(message)) {
                Message::Initiation => self.dispatch_initiation(key, message, out, now),
                Message::Response { .. } | Message::Cookie { .. } => {
                    self.dispatch_reply(key, message, source(out.batch.tag(message)), out);
                }
                Message::Data { empty, .. } => {
                    let route = self.path.route();
                    if self.sent_to != route.direct {
                        out.moved.extend(self.sent_to);
                        out.moved.extend(route.direct);
                        self.sent_to = route.direct;
                    }
                    if let Some(address) = route.direct {
                        out.dispatch(message, Destination::Udp(address));
                    }
                    if route.relay {
                        out.dispatch(message, Destination::Relay(*key));
                    }
                    if empty { self.path.handle_sent(now) } else { self.path.handle_sent_data(now) }
                }
                Message::Disco | Message::Foreign => {}
            }
        }
    }

    /// The first initiation on a direct path that is not in doubt is sent there; all others are sent to every address and the
    /// relay.
    fn dispatch_initiation(
        &mut self,
        key: &[u8; 32],
        message: usize,
        out: &mut Outgoing,
        now: Instant,
    ) {
        let is_first =
            self.initiated_at.is_none_or(|at| now.saturating_duration_since(at) > ATTEMPTS_OVER);
        self.initiated_at = Some(now);
        self.path.handle_initiation(now);
        let route = self.path.route();
        if let (true, Some(address), false) = (is_first, route.direct, route.relay) {
            out.dispatch(message, Destination::Udp(address));
            return;
        }
        out.dispatch(message, Destination::Relay(*key));
        for address in self.path.fan_out() {
            out.dispatch(message, Destination::Udp(address));
        }
    }

    /// A reply is sent to the message's source, and over the relay, too, unless the source is a proven direct path.
    fn dispatch_reply(
        &self,
        key: &[u8; 32],
        message: usize,
        source: Option<Source>,
        out: &mut Outgoing,
    ) {
        let proven = match source {
            Some(Source::Udp(address)) => {
                out.dispatch(message, Destination::Udp(address));
                let route = self.path.route();
                route.direct == Some(address) && !route.relay
            }
            Some(Source::Relay) | None => false,
        };
        if !proven {
            out.dispatch(message, Destination::Relay(*key));
        }
    }

    /// Sends the disco messages that the path wants sent.
    fn send_requests(&mut self, key: &[u8; 32], out: &mut Outgoing, now: Instant) {
        while let Some(request) = self.path.poll_request() {
            let Some(channel) = &self.channel else { continue };
            match request {
                Request::Ping(to) => {
                    let Some((ping, transaction)) = self.disco.ping() else { continue };
                    if disco::post(out, channel, &ping, Destination::Udp(to)) {
                        self.path.handle_ping_sent(to, transaction, now);
                    }
                }
                Request::CallMeMaybe => {
                    if let Some(call) = self.disco.call_me_maybe() {
                        disco::post(out, channel, &call, Destination::Relay(*key));
                    }
                }
            }
        }
    }

    /// Sends an empty packet to one address only.
    fn keepalive(&mut self, address: SocketAddr, out: &mut Outgoing, now: Instant) {
        let message = out.batch.len();
        if self.protocol.keepalive(&mut out.batch, now) {
            out.dispatch(message, Destination::Udp(address));
            if self.path.route().direct == Some(address) {
                self.path.handle_sent(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use boringtun::{
        noise::rate_limiter::RateLimiter,
        x25519::{PublicKey, StaticSecret},
    };

    use super::*;
    use crate::protocol::wireguard::WireGuard;

    /// The peer with key `[2; 32]`.
    fn peer(discovery_key: [u8; 32], now: Instant) -> Peer {
        let private = StaticSecret::from([1; 32]);
        let limiter = Arc::new(RateLimiter::new(&PublicKey::from(&private), u64::MAX));
        let sessions = WireGuard::new(private, [2; 32], 7, limiter, 1280, now);
        let disco = Arc::new(Disco::new([3; 32], [1; 32]));
        Peer::new([2; 32], discovery_key, 7, Box::new(sessions), disco)
    }

    #[test]
    fn after_a_change_of_the_network_the_first_handshake_goes_everywhere() {
        let address = SocketAddr::from(([192, 168, 1, 2], 41641));
        for has_changed in [false, true] {
            let mut now = Instant::now();
            let peer = peer([4; 32], now);
            let mut out = Outgoing::new(64, 64_000);
            peer.greet(&mut out, now);
            if let Some(link) = peer.lock().as_mut() {
                link.path.handle_ping_sent(address, [1; 12], now);
                assert!(link.path.handle_pong(address, [1; 12], now));
            }
            now += ATTEMPTS_OVER * 2;
            out.clear();
            if has_changed {
                peer.handle_network_change(&mut out, &mut Vec::new(), now);
            } else {
                peer.greet(&mut out, now);
            }
            let is_initiation = |it: &&crate::outgoing::Dispatch| {
                wire::classify(out.batch.get(it.message)) == Message::Initiation
            };
            let to: Vec<_> = out.dispatches.iter().filter(is_initiation).map(|it| it.to).collect();
            if has_changed {
                assert_eq!(to, [Destination::Relay(peer.key), Destination::Udp(address)]);
            } else {
                assert_eq!(to, [Destination::Udp(address)]);
            }
        }
    }

    #[test]
    fn what_comes_for_a_peer_that_is_removed_meanwhile_is_counted() {
        let now = Instant::now();
        let peer = peer([0; 32], now);
        let mut datagrams = Batch::new(3, 300);
        (0..3).for_each(|_| datagrams.push(&[4; 100], 0));
        let (mut opened, mut out) = (Opened::new(3, 300), Outgoing::new(3, 600));
        peer.close();
        assert!(!peer.receive(&datagrams, 1..3, |_| None, &mut opened, &mut out, now));
        assert_eq!(opened.unopened, 2);
    }
}
