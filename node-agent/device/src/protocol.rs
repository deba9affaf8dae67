//! WireGuard's protocol for one peer, in batches.
//!
//! The packet path knows this trait only, so that another implementation can take the place of
//! [`wireguard::WireGuard`] without touching a thread, a socket or a path.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use node_agent_core::path::Heard;

use crate::batch::Batch;

pub mod wireguard;

/// What came out of a batch of datagrams.
#[derive(Debug)]
pub struct Opened {
    /// The packets with content; each tag is the datagram's number.
    pub packets: Batch,
    /// Which datagrams were authentic and fresh, and what they were.
    pub heard: Vec<(usize, Heard)>,
}

impl Opened {
    /// Room for the content of `max_messages` datagrams of `bytes` in all.
    #[must_use]
    pub fn new(max_messages: usize, bytes: usize) -> Self {
        Self { packets: Batch::new(max_messages, bytes), heard: Vec::with_capacity(max_messages) }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.heard.clear();
    }
}

/// The sessions with one peer. It owns keys and timers; sockets and paths are the caller's.
pub trait Protocol: Send {
    /// Seals the packets numbered `run` into `out`. Without a session they wait, and `out` gets
    /// an initiation if one is due.
    /// Returns how many packets were dropped because too many wait.
    fn seal(&mut self, packets: &Batch, run: Range<usize>, out: &mut Batch, now: Instant) -> usize;

    /// Opens the datagrams numbered `run`. What must be answered goes to `replies`, tagged with
    /// the datagram's number; so do packets that waited for a session, without a tag.
    fn open(
        &mut self,
        datagrams: &Batch,
        run: Range<usize>,
        opened: &mut Opened,
        replies: &mut Batch,
        now: Instant,
    );

    /// Seals an empty packet into `out`. Says whether there is a session to do so.
    fn keepalive(&mut self, out: &mut Batch, now: Instant) -> bool;

    /// Advances the timers: repeats and renews handshakes, drops old keys.
    fn tick(&mut self, out: &mut Batch, now: Instant);

    /// Notes that the peer started again: the next handshake may be older than the last.
    fn note_restart(&mut self);

    /// The age of the session in use.
    fn session_age(&self) -> Option<Duration>;
}
