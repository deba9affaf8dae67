//! What the threads share.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use node_agent_core::{
    drops::Drops,
    filter::{Flows, PacketFilter},
};

use crate::{
    batch::Batch, gate::Gate, host::Host, inbox::ReceiveBuffers, offload::OffloadState, peer::Peer,
    sys::Stop, table::Table, tun::Tun, udp::Sockets,
};

/// What the threads share.
pub(crate) struct Shared {
    pub(crate) tun: Tun,
    pub(crate) switches: OffloadState,
    pub(crate) sockets: Sockets,
    pub(crate) stop: Stop,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) gate: Gate,
    pub(crate) table: ArcSwap<Table<Peer>>,
    pub(crate) filter: ArcSwap<PacketFilter>,
    pub(crate) flows: Mutex<Flows>,
    pub(crate) drops: Arc<Drops>,
    /// Buffers for [`Device::handle_relayed`](crate::Device::handle_relayed), as many as were ever needed at once.
    pub(crate) inboxes: Mutex<Vec<(ReceiveBuffers, Batch)>>,
}
