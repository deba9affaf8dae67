//! Disco: this node's keys, endpoints and budgets, and how its messages are made. `inbound/disco.rs` receives.

use std::{net::SocketAddr, sync::Mutex, time::Instant};

use control_protocol::key::{DiscoPrivate, DiscoPublic, NodePrivate, NodePublic};
use node_agent_core::disco::{Channel, Message, TransactionId};

use crate::{
    batch::NO_TAG,
    gate::{Buckets, Rate, Sender},
    outgoing::{Destination, Outgoing},
    sys::{lock, random},
};

/// Messages of one source. Behind one NAT a household of peers may start at once, each with a dozen addresses.
const RATE: Rate = Rate { per_second: 100, burst: 400 };

/// This node's side of disco.
pub(crate) struct Disco {
    private: DiscoPrivate,
    node: NodePublic,
    endpoints: Mutex<Vec<SocketAddr>>,
    buckets: Mutex<Buckets>,
}

impl Disco {
    /// With this node's disco key and WireGuard key.
    pub(crate) fn new(private: [u8; 32], node: [u8; 32]) -> Self {
        Self {
            private: DiscoPrivate::from_bytes(private),
            node: NodePrivate::from_bytes(node).public(),
            endpoints: Mutex::default(),
            buckets: Mutex::new(Buckets::new(RATE)),
        }
    }

    /// The channel to a peer; `None` if it has no disco key.
    pub(crate) fn channel(&self, peer: [u8; 32]) -> Option<Channel> {
        let peer = DiscoPublic::from_bytes(peer);
        (!peer.is_zero()).then(|| Channel::new(&self.private, &peer))
    }

    /// Replaces this node's endpoints; returns whether they changed.
    pub(crate) fn set_endpoints(&self, endpoints: Vec<SocketAddr>) -> bool {
        let mut current = lock(&self.endpoints);
        let has_changed = *current != endpoints;
        *current = endpoints;
        has_changed
    }

    /// Charges a message to its source; returns whether it is within the budget.
    pub(crate) fn take(&self, sender: Sender<'_>, now: Instant) -> bool {
        lock(&self.buckets).take(sender, now)
    }

    /// A ping, with a random transaction id.
    pub(crate) fn ping(&self) -> Option<(Message, TransactionId)> {
        let transaction = random()?;
        Some((Message::Ping { transaction, node: self.node }, transaction))
    }

    /// A call-me-maybe; `None` without endpoints.
    pub(crate) fn call_me_maybe(&self) -> Option<Message> {
        let endpoints = lock(&self.endpoints).clone();
        (!endpoints.is_empty()).then_some(Message::CallMeMaybe(endpoints))
    }
}

/// Seals a message; returns whether there was room for it.
pub(crate) fn post(
    out: &mut Outgoing,
    channel: &Channel,
    message: &Message,
    to: Destination,
) -> bool {
    let Some(nonce) = random() else { return false };
    let number = out.batch.len();
    out.batch.push(&channel.seal(message, nonce), NO_TAG);
    let has_room = out.batch.len() > number;
    if has_room {
        out.dispatch(number, to);
    }
    has_room
}
