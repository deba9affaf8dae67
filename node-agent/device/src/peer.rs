//! One peer: its sessions, its paths, its counters.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime},
};

use node_agent_core::{
    disco::{Message as DiscoMessage, TransactionId},
    path::{PacketKind, Source},
};

use crate::{
    batch::Batch,
    disco::{self, Disco},
    outgoing::{Destination, Outgoing},
    protocol::{Opened, Protocol},
    stats::{Path, PeerStats},
    sys::lock,
};

mod link;

use link::Link;

/// What a pong over the relay says of its ping's source, as the Go client does (`DerpMagicIP`).
const OVER_RELAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 3, 3, 40)), 1);

/// A peer of the table. Threads may hold a removed one, which is closed.
pub(crate) struct Peer {
    pub(crate) key: [u8; 32],
    /// The upper 24 bits of its receiver indexes.
    pub(crate) index: u32,
    /// `None` once the peer is removed.
    link: Mutex<Option<Link>>,
    rx_bytes: AtomicU64,
    tx_bytes: AtomicU64,
}

impl Peer {
    pub(crate) fn new(
        key: [u8; 32],
        discovery_key: [u8; 32],
        index: u32,
        protocol: Box<dyn Protocol>,
        disco: Arc<Disco>,
    ) -> Self {
        let link = Link::new(protocol, discovery_key, disco);
        Self {
            key,
            index,
            link: Mutex::new(Some(link)),
            rx_bytes: AtomicU64::new(0),
            tx_bytes: AtomicU64::new(0),
        }
    }

    /// The same, sent to where it was last heard.
    pub(crate) fn roaming(self) -> Self {
        if let Some(link) = self.lock().as_mut() {
            link.roam();
        }
        self
    }

    fn lock(&self) -> MutexGuard<'_, Option<Link>> {
        lock(&self.link)
    }

    /// Drops the sessions: no packet is sent or received any more.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    /// Sets the discovery key; a new one means that the peer restarted, and its path begins anew.
    pub(crate) fn set_discovery_key(&self, key: [u8; 32]) {
        if let Some(link) = self.lock().as_mut() {
            link.set_discovery_key(key);
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
        self.hear_disco(out, now, |link, out| {
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
        self.hear_disco(out, now, |link, _| {
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
        self.hear_disco(out, now, |link, _| link.path.handle_call_me_maybe(addresses, now));
    }

    /// Tells this peer of new endpoints, if a path to it is looked for.
    pub(crate) fn call(&self, out: &mut Outgoing, now: Instant) {
        self.change_path(out, now, |link, _| link.path.handle_endpoints(now));
    }

    /// Changes the path by a disco message of this peer.
    fn hear_disco(
        &self,
        out: &mut Outgoing,
        now: Instant,
        change: impl FnOnce(&mut Link, &mut Outgoing),
    ) {
        self.change_path(out, now, |link, out| {
            change(link, out);
            link.note_known(&self.key, out, now);
        });
    }

    fn change_path(
        &self,
        out: &mut Outgoing,
        now: Instant,
        change: impl FnOnce(&mut Link, &mut Outgoing),
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

    /// Records that the relay could not deliver a message to the peer.
    pub(crate) fn handle_undelivered(&self) {
        if let Some(link) = self.lock().as_mut() {
            link.protocol.note_undelivered();
        }
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

#[cfg(test)]
mod tests;
