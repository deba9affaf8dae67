//! WireGuard's protocol for one peer, in batches.
//!
//! The packet path uses this trait only, so that [`wireguard::WireGuard`] can be replaced.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use node_agent_core::path::PacketKind;

use crate::batch::Batch;

pub mod wireguard;

/// Most packets that are sealed or opened at once, under a lock.
pub const AT_ONCE: usize = 64;

/// The result of opening a batch of datagrams.
#[derive(Debug)]
pub struct Opened {
    /// The packets with content; each tag is the datagram's number.
    pub packets: Batch,
    /// The authentic and fresh datagrams, with their kinds.
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

    /// Removes everything.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.heard.clear();
        self.unopened = 0;
    }
}

/// The sessions with one peer, with keys and timers. The caller owns sockets and paths.
pub trait Protocol: Send {
    /// Seals the packets numbered `run` into `out`, at most [`AT_ONCE`]. Without a session they are queued, and `out` gets an
    /// initiation if one is due. With a session they are queued only behind others, of which as many are sealed instead.
    /// Returns how many packets were dropped because the queue is full.
    fn seal(&mut self, packets: &Batch, run: Range<usize>, out: &mut Batch, now: Instant) -> usize;

    /// Opens the datagrams numbered `run`, at most [`AT_ONCE`]. Replies are tagged with the datagram's number.
    fn open(
        &mut self,
        datagrams: &Batch,
        run: Range<usize>,
        opened: &mut Opened,
        replies: &mut Batch,
        now: Instant,
    );

    /// Whether packets are queued although there is a session: [`Self::seal_waiting`] is due.
    fn has_waiting(&self) -> bool;

    /// Seals queued packets, the oldest first, without a tag: at most [`AT_ONCE`], and as many as fit into `out`.
    fn seal_waiting(&mut self, out: &mut Batch, now: Instant);

    /// Seals an empty packet into `out`. Returns whether there is a session.
    fn keepalive(&mut self, out: &mut Batch, now: Instant) -> bool;

    /// Starts a handshake, unless one is under way: `out` gets an initiation.
    fn initiate(&mut self, out: &mut Batch, now: Instant);

    /// Runs the timers: repeats and renews handshakes, drops old keys. Returns how many queued packets were dropped as too old.
    fn tick(&mut self, out: &mut Batch, now: Instant) -> usize;

    /// Records that the peer restarted: the next handshake may have an older timestamp.
    fn note_restart(&mut self);

    /// Records that this machine's network changed, or that it slept: a handshake under way may be lost, so the next is not
    /// delayed for it.
    fn note_network_change(&mut self);

    /// Records that the relay could not deliver a message to the peer: an initiation that is not answered is repeated sooner.
    fn note_undelivered(&mut self);

    /// Whether there ever was a session, or one is being made.
    fn is_used(&self) -> bool;

    /// The age of the session in use, also through a suspend; `None` once its keys must not be used any more.
    fn session_age(&self) -> Option<Duration>;
}
