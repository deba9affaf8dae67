//! [`Protocol`] by boringtun's [`Tunn`], with its gaps closed around it.
//!
//! | gap of `Tunn` | closed by |
//! |---|---|
//! | no padding | [`Batch::padded`] |
//! | no `REJECT_AFTER_MESSAGES`, `REKEY_AFTER_MESSAGES` | the counter is read from each message, before it is opened and before it is sent |
//! | after 15 s without receiving, the next packet sent starts a handshake, even if its answer is under way | its clock is held while an answer may still come ([`WireGuard::is_hasty`]) |
//! | every packet sent while a simultaneous handshake completes starts another | packets wait in our own queue, one initiation per [`REKEY_TIMEOUT`] |
//! | its queue reorders packets and keeps the oldest, not the newest | same |
//! | keys that became too old while the machine slept are used until the next tick | their age is read before each use ([`WireGuard::is_live`]) |
//! | a session that is made before the first tick after a sleep is as old as the sleep | its clock is set before each handshake ([`WireGuard::advance`]) |
//! | an initiation that the relay could not deliver is repeated after 5 s | after [`Protocol::note_undelivered`] it is repeated after [`UNDELIVERED`] |
//! | a peer whose clock went back while it was off is ignored | after [`Protocol::note_restart`] one initiation with an old timestamp starts a fresh state |

use std::{
    collections::VecDeque,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use boringtun::{
    noise::{Tunn, TunnResult, errors::WireGuardError, rate_limiter::RateLimiter},
    x25519::{PublicKey, StaticSecret},
};
use node_agent_core::path::PacketKind;

use super::{AT_ONCE, Opened, Protocol};
use crate::{
    batch::{Batch, NO_TAG},
    wire::{self, DATA_OVERHEAD, INITIATION_LEN, Message},
};

/// Messages under one key after which it is renewed (WireGuard, section 6.1).
const REKEY_AFTER_MESSAGES: u64 = 1 << 60;
/// Messages under one key after which it is no longer used (WireGuard, section 6.1).
const REJECT_AFTER_MESSAGES: u64 = u64::MAX - (1 << 13);
/// Pause between two initiations (WireGuard, section 6.1).
const REKEY_TIMEOUT: Duration = Duration::from_secs(5);
/// The same pause, after an initiation that the relay could not deliver: the peer may connect to it at any time.
const UNDELIVERED: Duration = Duration::from_secs(1);
/// Age of a key from which it is no longer used (WireGuard, section 6.1).
const REJECT_AFTER_TIME: Duration = Duration::from_secs(180);
/// How long an unanswered handshake is repeated (WireGuard, section 6.1).
const REKEY_ATTEMPT_TIME: Duration = Duration::from_secs(90);
/// Silence after sent data that starts a new handshake: `KEEPALIVE_TIMEOUT + REKEY_TIMEOUT`.
const NO_ANSWER: Duration = Duration::from_secs(15);
/// A session younger than this has no other timer due before [`NO_ANSWER`] is over.
const YOUNG: Duration = Duration::from_secs(100);
/// Most queued packets; the oldest is dropped first.
const MAX_WAITING: usize = 128;

/// The sessions with one peer.
pub struct WireGuard {
    /// Created on first use: it takes 10 KiB and a key agreement.
    tunn: Option<Box<Tunn>>,
    /// Creates a fresh [`Tunn`].
    fresh: Box<dyn Fn() -> Tunn + Send>,
    /// Whether the peer restarted and sent no initiation since.
    restarted: bool,
    mtu: usize,
    /// Queued packets, padded.
    waiting: VecDeque<Vec<u8>>,
    /// When the last unanswered initiation was sent.
    initiated_at: Option<Instant>,
    /// Whether the relay could not deliver a message since then.
    undelivered: bool,
    /// When the first of a series of unanswered initiations was sent.
    trying_since: Option<Instant>,
    /// When the peer's initiation was last answered.
    responded_at: Option<Instant>,
    /// When the oldest unanswered data was sent.
    unanswered_since: Option<Instant>,
    /// `Tunn`'s clock, which advances only with its timers, and its last events.
    clock: Instant,
    data_sent_at: Instant,
    heard_at: Instant,
}

impl WireGuard {
    /// A peer without a session. `index` (24 bits) is the upper part of the receiver index in the peer's messages. `limiter` must
    /// not limit: the device does.
    #[must_use]
    pub fn new(
        private: StaticSecret,
        peer: [u8; 32],
        index: u32,
        limiter: Arc<RateLimiter>,
        mtu: usize,
        now: Instant,
    ) -> Self {
        let peer = PublicKey::from(peer);
        let fresh = move || {
            let limiter = Some(Arc::clone(&limiter));
            Tunn::new(private.clone(), peer, None, None, index, limiter)
        };
        Self {
            tunn: None,
            fresh: Box::new(fresh),
            restarted: false,
            mtu,
            waiting: VecDeque::new(),
            initiated_at: None,
            undelivered: false,
            trying_since: None,
            responded_at: None,
            unanswered_since: None,
            clock: now,
            data_sent_at: now,
            heard_at: now,
        }
    }

    fn is_live(&self) -> bool {
        self.session_age().is_some()
    }

    /// Whether the session in use is too old, and its end was not noticed yet.
    fn is_outdated(&self) -> bool {
        let age = self.tunn.as_ref().and_then(|tunn| tunn.time_since_last_handshake());
        age.is_some_and(|age| age >= REJECT_AFTER_TIME)
    }

    /// The library's state, created on first use.
    fn tunn(&mut self, now: Instant) -> &mut Tunn {
        let Self { tunn, fresh, clock, data_sent_at, heard_at, .. } = self;
        tunn.get_or_insert_with(|| {
            (*clock, *data_sent_at, *heard_at) = (now, now, now);
            Box::new(fresh())
        })
    }

    /// Drops the oldest queued packets beyond the limit. Returns how many.
    fn drop_oldest(&mut self) -> usize {
        let too_many = self.waiting.len().saturating_sub(MAX_WAITING);
        self.waiting.drain(..too_many);
        too_many
    }

    /// Seals one packet (empty: a keepalive). Returns whether the key should be renewed.
    fn seal_one(&mut self, packet: &[u8], out: &mut Batch, tag: usize, now: Instant) -> bool {
        let (Some(room), Some(tunn)) = (out.room(sealed_len(packet)), &mut self.tunn) else {
            return false;
        };
        let TunnResult::WriteToNetwork(message) = tunn.encapsulate(packet, room) else {
            return false;
        };
        let Message::Data { counter, .. } = wire::classify(message) else {
            return false;
        };
        if counter < REJECT_AFTER_MESSAGES {
            let len = message.len();
            out.commit(len, tag);
        }
        if !packet.is_empty() {
            self.unanswered_since.get_or_insert(now);
            self.data_sent_at = self.clock;
        }
        counter >= REKEY_AFTER_MESSAGES
    }

    fn note_initiation(&mut self, now: Instant) {
        self.initiated_at = Some(now);
        self.undelivered = false;
        self.trying_since.get_or_insert(now);
    }

    fn open_one(
        &mut self,
        datagrams: &Batch,
        at: usize,
        opened: &mut Opened,
        replies: &mut Batch,
        now: Instant,
    ) {
        let datagram = datagrams.get(at);
        let need = datagram.len().max(INITIATION_LEN);
        let message = wire::classify(datagram);
        let is_asked_for = self.tunn.is_some() || message == Message::Initiation;
        match message {
            _ if !is_asked_for => opened.unopened += 1,
            Message::Data { counter: REJECT_AFTER_MESSAGES.., .. } => opened.unopened += 1,
            // `Tunn` counts from its newest session, so that no other is younger.
            Message::Data { .. } if self.is_outdated() => opened.unopened += 1,
            Message::Data { empty, .. } => {
                let Some(room) = opened.packets.room(need) else { return };
                match self.tunn(now).decapsulate(None, datagram, room) {
                    TunnResult::WriteToTunnelV4(packet, _)
                    | TunnResult::WriteToTunnelV6(packet, _) => {
                        let len = packet.len();
                        opened.packets.commit(len, at);
                        self.note_heard(at, PacketKind::Data, opened);
                    }
                    TunnResult::Done if empty => self.note_heard(at, PacketKind::Empty, opened),
                    TunnResult::Done | TunnResult::Err(_) | TunnResult::WriteToNetwork(_) => {
                        opened.unopened += 1;
                    }
                }
            }
            Message::Initiation | Message::Response { .. } | Message::Cookie { .. } => {
                if message == Message::Initiation {
                    self.advance(replies, now);
                }
                let Some(room) = replies.room(need) else { return };
                let mut result = self.tunn(now).decapsulate(None, datagram, room);
                if self.restarted
                    && matches!(result, TunnResult::Err(WireGuardError::WrongTai64nTimestamp))
                {
                    self.tunn = None;
                    result = self.tunn(now).decapsulate(None, datagram, room);
                }
                if let TunnResult::Err(_) = result {
                    opened.unopened += 1;
                }
                // A cookie has no reply and proves nothing about the path.
                if let TunnResult::WriteToNetwork(reply) = result {
                    let len = reply.len();
                    replies.commit(len, at);
                    let is_initiation = message == Message::Initiation;
                    let heard =
                        if is_initiation { PacketKind::Initiation } else { PacketKind::Response };
                    self.note_heard(at, heard, opened);
                    self.initiated_at = None;
                    self.trying_since = None;
                    if is_initiation {
                        self.restarted = false;
                        self.responded_at = Some(now);
                    }
                }
            }
            Message::Disco | Message::Foreign => {}
        }
    }

    fn note_heard(&mut self, at: usize, heard: PacketKind, opened: &mut Opened) {
        self.unanswered_since = None;
        self.heard_at = self.clock;
        opened.heard.push((at, heard));
    }

    /// Seals the oldest queued packets, at most `most`, as far as they fit into `out`.
    fn seal_oldest(&mut self, most: usize, out: &mut Batch, now: Instant) {
        for _ in 0..most {
            let fits =
                self.waiting.front().is_some_and(|next| out.room(sealed_len(next)).is_some());
            let Some(packet) = fits.then(|| self.waiting.pop_front()).flatten() else { return };
            self.seal_one(&packet, out, NO_TAG, now);
        }
    }

    /// Whether `Tunn` would start a handshake because nothing was received for 15 s, although the unanswered data is younger and
    /// its answer may be under way.
    fn is_hasty(&self, now: Instant) -> bool {
        let would_fire = self.data_sent_at > self.heard_at
            && now.saturating_duration_since(self.heard_at) >= NO_ANSWER;
        let may_be_answered = self
            .unanswered_since
            .is_some_and(|since| now.saturating_duration_since(since) < NO_ANSWER);
        let young = self.session_age().is_some_and(|age| age < YOUNG);
        would_fire && may_be_answered && young && self.initiated_at.is_none()
    }

    /// Sets `Tunn`'s clock, and runs what is due by it. What it makes afterwards is as old as this call.
    fn advance(&mut self, out: &mut Batch, now: Instant) {
        if self.tunn.is_none() || self.is_hasty(now) {
            return;
        }
        let Some(room) = out.room(INITIATION_LEN) else { return };
        self.clock = now;
        if let TunnResult::WriteToNetwork(message) = self.tunn(now).update_timers(room) {
            let (kind, len) = (wire::classify(message), message.len());
            out.commit(len, NO_TAG);
            if kind == Message::Initiation {
                self.note_initiation(now);
            }
        }
    }

    /// Forgets an attempt that `Tunn` no longer repeats.
    fn forget_old_attempt(&mut self, now: Instant) {
        let is_old = |at| now.saturating_duration_since(at) > 2 * REKEY_TIMEOUT;
        if self.initiated_at.is_none_or(is_old) {
            self.initiated_at = None;
            self.trying_since = None;
        }
    }

    /// Ends the attempts; returns how many queued packets are dropped.
    fn give_up(&mut self) -> usize {
        self.trying_since = None;
        self.initiated_at = None;
        if self.responded_at.is_none() {
            // It has no handshake timestamp that must be kept against replays.
            self.tunn = None;
        }
        std::mem::take(&mut self.waiting).len()
    }
}

/// The room for a sealed packet; the library needs at least the size of an initiation.
fn sealed_len(packet: &[u8]) -> usize {
    (packet.len() + DATA_OVERHEAD).max(INITIATION_LEN)
}

impl Protocol for WireGuard {
    fn seal(&mut self, packets: &Batch, run: Range<usize>, out: &mut Batch, now: Instant) -> usize {
        let is_live = self.is_live();
        if is_live && self.waiting.is_empty() {
            let mut renew = false;
            for at in run {
                renew |= self.seal_one(packets.padded(at, self.mtu), out, at, now);
            }
            if renew {
                self.initiate(out, now);
            }
            return 0;
        }
        let count = run.len();
        let padded = run.map(|at| packets.padded(at, self.mtu).to_vec());
        self.waiting.extend(padded);
        if is_live {
            // Packets keep their order: as many are sealed as were added.
            self.seal_oldest(count, out, now);
        } else {
            self.initiate(out, now);
        }
        self.drop_oldest()
    }

    fn open(
        &mut self,
        datagrams: &Batch,
        run: Range<usize>,
        opened: &mut Opened,
        replies: &mut Batch,
        now: Instant,
    ) {
        for at in run {
            self.open_one(datagrams, at, opened, replies, now);
        }
    }

    fn has_waiting(&self) -> bool {
        !self.waiting.is_empty() && self.is_live()
    }

    fn seal_waiting(&mut self, out: &mut Batch, now: Instant) {
        if self.has_waiting() {
            self.seal_oldest(AT_ONCE, out, now);
        }
    }

    fn keepalive(&mut self, out: &mut Batch, now: Instant) -> bool {
        if !self.is_live() {
            return false;
        }
        let before = out.len();
        self.seal_one(&[], out, NO_TAG, now);
        out.len() > before
    }

    fn initiate(&mut self, out: &mut Batch, now: Instant) {
        let recent = |at: Option<Instant>, pause| {
            at.is_some_and(|at| now.saturating_duration_since(at) < pause)
        };
        let pause = if self.undelivered { UNDELIVERED } else { REKEY_TIMEOUT };
        if recent(self.initiated_at, pause) || recent(self.responded_at, REKEY_TIMEOUT) {
            return;
        }
        self.advance(out, now);
        if recent(self.initiated_at, pause) {
            return;
        }
        let Some(room) = out.room(INITIATION_LEN) else { return };
        if let TunnResult::WriteToNetwork(message) =
            self.tunn(now).format_handshake_initiation(room, true)
        {
            let len = message.len();
            out.commit(len, NO_TAG);
            self.note_initiation(now);
        }
    }

    fn tick(&mut self, out: &mut Batch, now: Instant) -> usize {
        self.advance(out, now);
        if self.waiting.is_empty() || self.is_live() {
            self.forget_old_attempt(now);
            return 0;
        }
        let tried_enough = self
            .trying_since
            .is_some_and(|since| now.saturating_duration_since(since) >= REKEY_ATTEMPT_TIME);
        if tried_enough {
            return self.give_up();
        }
        self.initiate(out, now);
        0
    }

    fn note_restart(&mut self) {
        self.restarted = true;
    }

    fn note_network_change(&mut self) {
        self.initiated_at = None;
    }

    fn note_undelivered(&mut self) {
        self.undelivered = true;
    }

    fn is_used(&self) -> bool {
        self.tunn.is_some()
    }

    fn session_age(&self) -> Option<Duration> {
        let age = self.tunn.as_ref()?.time_since_last_handshake();
        age.filter(|age| *age < REJECT_AFTER_TIME)
    }
}

#[cfg(test)]
mod tests;
