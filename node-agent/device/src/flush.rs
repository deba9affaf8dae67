//! Sends what is outgoing.

use node_agent_core::drops::Cause;

use crate::{
    outgoing::{Destination, Dispatch, Outgoing},
    shared::Shared,
    udp::send::BatchSender,
};

impl Outgoing {
    /// Sends everything, one message per system call; what the kernel does not take is lost, as
    /// on any network. For the few messages that do not come from the TUN.
    pub(crate) fn flush(&mut self, shared: &Shared) {
        self.forget_moved(shared);
        for Dispatch { message, to } in &self.dispatches {
            let message = self.batch.get(*message);
            match to {
                Destination::Udp(address) => {
                    if let Err(error) = shared.sockets.send_to(*address, message) {
                        shared.drops.count(Cause::Socket);
                        tracing::trace!(%address, %error, "datagram not sent");
                    }
                }
                Destination::Relay(key) => shared.host.relay(key, message),
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
            if let Destination::Relay(key) = to {
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
}
