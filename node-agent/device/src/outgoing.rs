//! Messages on their way out, with where each goes.

use std::net::SocketAddr;

use node_agent_core::drops::Cause;

use crate::{batch::Batch, device::Shared, udp::BatchSender};

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// By UDP to this address.
    Udp(SocketAddr),
    /// Over the relay to this node key.
    Relay([u8; 32]),
}

/// A message may go to several places; each is a dispatch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dispatch {
    pub(crate) message: usize,
    pub(crate) to: To,
}

/// Sealed messages and where they go. Sent after every lock is released.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) batch: Batch,
    pub(crate) dispatches: Vec<Dispatch>,
    /// Addresses to which a path leads anew: what was known of the way there holds no longer.
    pub(crate) moved: Vec<SocketAddr>,
}

impl Outgoing {
    pub(crate) fn new(max_messages: usize, bytes: usize) -> Self {
        let dispatches = Vec::with_capacity(2 * max_messages);
        Self { batch: Batch::new(max_messages, bytes), dispatches, moved: Vec::new() }
    }

    pub(crate) fn dispatch(&mut self, message: usize, to: To) {
        self.dispatches.push(Dispatch { message, to });
    }

    /// Sends everything, one message per system call; what the kernel does not take is lost, as
    /// on any network. For the few messages that do not come from the TUN.
    pub(crate) fn flush(&mut self, shared: &Shared) {
        self.forget_moved(shared);
        for Dispatch { message, to } in &self.dispatches {
            let message = self.batch.get(*message);
            match to {
                To::Udp(address) => {
                    if let Err(error) = shared.sockets.send_to(*address, message) {
                        shared.drops.count(Cause::Socket);
                        tracing::trace!(%address, %error, "datagram not sent");
                    }
                }
                To::Relay(key) => shared.host.relay(key, message),
            }
        }
        self.clear();
    }

    /// Sends everything, many messages per system call.
    pub(crate) fn flush_batch(&mut self, shared: &Shared, sender: &mut BatchSender) {
        self.forget_moved(shared);
        let lost = sender.send(&shared.sockets, self, &shared.switches);
        shared.drops.add(Cause::Socket, lost as u64);
        for Dispatch { message, to } in &self.dispatches {
            if let To::Relay(key) = to {
                shared.host.relay(key, self.batch.get(*message));
            }
        }
        self.clear();
    }

    fn forget_moved(&mut self, shared: &Shared) {
        for address in self.moved.drain(..) {
            shared.sockets.refused.remove(address);
        }
    }

    fn clear(&mut self) {
        self.batch.clear();
        self.dispatches.clear();
    }
}
