//! State that the threads share.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use node_agent_core::{
    drops::{Cause, Drops},
    filter::{Flows, PacketFilter},
};

use crate::{
    batch::Batch,
    config::Host,
    disco::Disco,
    gate::Gate,
    offload::OffloadState,
    outgoing::{Destination, Dispatch, Outgoing},
    peer::Peer,
    pings::Pings,
    receive_buffers::ReceiveBuffers,
    sys::Stop,
    table::Table,
    tun::Tun,
    udp::{Sockets, send::BatchSender},
};

/// State that the threads share.
pub(crate) struct Shared {
    pub(crate) tun: Tun,
    pub(crate) switches: OffloadState,
    pub(crate) sockets: Sockets,
    pub(crate) stop: Stop,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) gate: Gate,
    pub(crate) disco: Arc<Disco>,
    pub(crate) table: ArcSwap<Table<Peer>>,
    pub(crate) filter: ArcSwap<PacketFilter>,
    pub(crate) flows: Mutex<Flows>,
    pub(crate) drops: Arc<Drops>,
    pub(crate) pings: Arc<Pings>,
    /// A pool of buffers for [`Device::handle_relayed`](crate::Device::handle_relayed).
    pub(crate) inboxes: Mutex<Vec<(ReceiveBuffers, Batch)>>,
}

impl Shared {
    /// Room for the messages of [`Self::flush`].
    pub(crate) fn outgoing(&self) -> Outgoing {
        Outgoing::new(512, 512 * (self.tun.mtu() + 64))
    }

    /// Sends all messages, one per system call; unsent ones are lost. For the few messages that do not come from the TUN.
    pub(crate) fn flush(&self, out: &mut Outgoing) {
        self.forget_moved(out);
        for Dispatch { message, to } in &out.dispatches {
            let message = out.batch.get(*message);
            match to {
                Destination::Udp(address) => {
                    if let Err(error) = self.sockets.send_to(*address, message) {
                        self.drops.count(Cause::Socket);
                        tracing::trace!(%address, %error, "datagram not sent");
                    }
                }
                Destination::Relay(key) => self.host.relay(key, message),
            }
        }
        out.clear();
    }

    /// Sends all messages, many per system call.
    pub(crate) fn flush_batch(&self, out: &mut Outgoing, sender: &mut BatchSender) {
        self.forget_moved(out);
        let lost = sender.send(&self.sockets, out, &self.switches);
        self.drops.add(Cause::Socket, lost as u64);
        for Dispatch { message, to } in &out.dispatches {
            if let Destination::Relay(key) = to {
                self.host.relay(key, out.batch.get(*message));
            }
        }
        out.clear();
    }

    fn forget_moved(&self, out: &mut Outgoing) {
        for address in out.moved.drain(..) {
            self.sockets.refused.remove(address);
        }
    }
}
