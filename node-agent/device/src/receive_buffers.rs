//! Buffers for received datagrams.

use crate::{
    coalesce::Coalescer,
    outgoing::Outgoing,
    protocol::Opened,
    udp::MESSAGES,
    wire::{DATA_OVERHEAD, INITIATION_LEN},
};

/// Replies to a batch of datagrams, and packets that waited for a session.
const MAX_OUTGOING: usize = 4 * MESSAGES;

/// Least slot size, for peers with a larger MTU.
const MIN_SLOT: usize = 2048;

/// Buffers of a thread for received datagrams.
pub(crate) struct ReceiveBuffers {
    pub(crate) opened: Opened,
    /// The numbers of the allowed packets.
    pub(crate) admitted: Vec<usize>,
    pub(crate) units: Coalescer,
    pub(crate) out: Outgoing,
}

impl ReceiveBuffers {
    pub(crate) fn new(mtu: usize) -> Self {
        let slot = slot(mtu);
        Self {
            opened: Opened::new(MESSAGES, MESSAGES * slot + INITIATION_LEN),
            admitted: Vec::with_capacity(MESSAGES),
            units: Coalescer::new(MESSAGES),
            out: Outgoing::new(MAX_OUTGOING, MAX_OUTGOING * slot),
        }
    }
}

pub(crate) fn slot(mtu: usize) -> usize {
    (mtu + DATA_OVERHEAD).max(MIN_SLOT)
}
