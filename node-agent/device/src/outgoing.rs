//! Outgoing messages with their destinations.

use std::net::SocketAddr;

use crate::batch::Batch;

/// The destination of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// By UDP to this address.
    Udp(SocketAddr),
    /// Over the relay to this node key.
    Relay([u8; 32]),
}

/// A message and one of its destinations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dispatch {
    pub(crate) message: usize,
    pub(crate) to: Destination,
}

/// Sealed messages and their destinations. Sent after every lock is released.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) batch: Batch,
    pub(crate) dispatches: Vec<Dispatch>,
    /// Addresses of changed paths: what is known of the path's MTU is outdated.
    pub(crate) moved: Vec<SocketAddr>,
}

impl Outgoing {
    pub(crate) fn new(max_messages: usize, bytes: usize) -> Self {
        let dispatches = Vec::with_capacity(2 * max_messages);
        Self { batch: Batch::new(max_messages, bytes), dispatches, moved: Vec::new() }
    }

    pub(crate) fn dispatch(&mut self, message: usize, to: Destination) {
        self.dispatches.push(Dispatch { message, to });
    }

    pub(crate) fn clear(&mut self) {
        self.batch.clear();
        self.dispatches.clear();
    }
}
