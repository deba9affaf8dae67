//! WireGuard's protocol for one peer, in batches.
//!
//! The packet path knows this trait only, so that another implementation can take the place of
//! [`wireguard::WireGuard`] without touching a thread, a socket or a path.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use node_agent_core::path::PacketKind;

use crate::batch::Batch;

pub mod wireguard;

/// Packets that are sealed or opened at once, at most: a lock is held meanwhile.
pub const AT_ONCE: usize = 64;

/// What came out of a batch of datagrams.
#[derive(Debug)]
pub struct Opened {
    /// The packets with content; each tag is the datagram's number.
    pub packets: Batch,
    /// Which datagrams were authentic and fresh, and what they were.
    pub heard: Vec<(usize, PacketKind)>,
    /// How many datagrams no session opened.
    pub unopened: usize,
}

impl Opened {
    /// Room for the content of `max_messages` datagrams of `bytes` in all.
    #[must_use]
    pub fn new(max_messages: usize, bytes: usize) -> Self {
        Self {
            packets: Batch::new(max_messages, bytes),
            heard: Vec::with_capacity(max_messages),
            unopened: 0,
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.heard.clear();
        self.unopened = 0;
    }
}

/// The sessions with one peer. It owns keys and timers; sockets and paths are the caller's.
pub trait Protocol: Send {
    /// Seals the packets numbered `run` into `out`, as many as [`AT_ONCE`] at most. Without a session they wait, and
    /// `out` gets an initiation if one is due; with one they wait only behind others, of which as many are sealed instead.
    /// Returns how many packets were dropped because too many wait.
    fn seal(&mut self, packets: &Batch, run: Range<usize>, out: &mut Batch, now: Instant) -> usize;

    /// Opens the datagrams numbered `run`, as many as [`AT_ONCE`] at most. What must be answered goes to `replies`, tagged
    /// with the datagram's number.
    fn open(
        &mut self,
        datagrams: &Batch,
        run: Range<usize>,
        opened: &mut Opened,
        replies: &mut Batch,
        now: Instant,
    );

    /// Whether packets wait although there is a session: [`Self::seal_waiting`] is due.
    fn has_waiting(&self) -> bool;

    /// Seals packets that waited for a session, the oldest first, without a tag: [`AT_ONCE`] at most, and as many as `out`
    /// has room for. The others go on waiting.
    fn seal_waiting(&mut self, out: &mut Batch, now: Instant);

    /// Seals an empty packet into `out`. Says whether there is a session to do so.
    fn keepalive(&mut self, out: &mut Batch, now: Instant) -> bool;

    /// Advances the timers: repeats and renews handshakes, drops old keys. Returns how many packets were dropped because
    /// they waited too long.
    fn tick(&mut self, out: &mut Batch, now: Instant) -> usize;

    /// Notes that the peer started again: the next handshake may be older than the last.
    fn note_restart(&mut self);

    /// The age of the session in use.
    fn session_age(&self) -> Option<Duration>;
}
