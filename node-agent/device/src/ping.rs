//! Pings inside the tunnel ([`node_agent_core::tsmp`]): answers those of peers, and waits for answers to our own.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, Weak},
    time::Instant,
};

use node_agent_core::{
    drops::Cause,
    filter::packet::Packet,
    path::Source,
    tsmp::{Message, PACKET_MAX, PingId},
};

use crate::{
    batch::{Batch, NO_TAG, PADDING},
    outgoing::Outgoing,
    peer::Peer,
    shared::Shared,
    sys::{lock, random_u32},
};

/// Pings of one batch of a peer that are answered: a flood costs this node no more.
const ANSWERED: usize = 4;
/// Pings that wait for an answer at once.
const WAITING: usize = 64;

/// What is called with the path of the pong.
type Answer = Box<dyn FnOnce(Source) + Send>;

/// Pings of this node that wait for an answer.
#[derive(Default)]
pub(crate) struct Pings(Mutex<HashMap<PingId, Waiting>>);

struct Waiting {
    /// The peer's index: only it may answer.
    peer: u32,
    answer: Answer,
}

/// A ping that waits for its answer; dropping it ends that.
#[must_use]
pub struct Ping {
    pings: Weak<Pings>,
    id: PingId,
}

impl fmt::Debug for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ping").finish_non_exhaustive()
    }
}

impl Drop for Ping {
    fn drop(&mut self) {
        if let Some(pings) = self.pings.upgrade() {
            lock(&pings.0).remove(&self.id);
        }
    }
}

/// A message of a peer that this node handles itself, with the addresses of its packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    message: Message,
    from: IpAddr,
    to: IpAddr,
    /// The datagram's number.
    tag: usize,
}

impl Received {
    /// Reads a packet that was judged; the error is the cause of its drop.
    pub(crate) fn parse(packet: &Packet, bytes: &[u8], tag: usize) -> Result<Self, Cause> {
        let message = Message::parse(packet, bytes).ok_or(Cause::NoRule)?;
        Ok(Self { message, from: packet.source, to: packet.destination, tag })
    }
}

/// Sends a ping to the peer that has the address `to`; `None` without such a peer, or while too many wait.
pub(crate) fn send(shared: &Shared, from: IpAddr, to: IpAddr, answer: Answer) -> Option<Ping> {
    let table = shared.table.load_full();
    let peer = table.routes.find(to)?;
    let mut id = PingId::default();
    id[..4].copy_from_slice(&random_u32().to_be_bytes());
    id[4..].copy_from_slice(&random_u32().to_be_bytes());
    let packet = Message::Ping(id).packet(from, to)?;
    let ping = {
        let mut waiting = lock(&shared.pings.0);
        if waiting.len() >= WAITING {
            return None;
        }
        waiting.insert(id, Waiting { peer: peer.index, answer });
        Ping { pings: Arc::downgrade(&shared.pings), id }
    };
    let mut out = shared.outgoing();
    transmit(shared, peer, &packet, &mut out);
    shared.flush(&mut out);
    Some(ping)
}

/// Answers the pings of `peer`, and passes its pongs on.
pub(crate) fn handle(
    shared: &Shared,
    peer: &Arc<Peer>,
    received: &[Received],
    source: impl Fn(usize) -> Option<Source>,
    out: &mut Outgoing,
) {
    let mut answered = 0;
    for Received { message, from, to, tag } in received {
        match message {
            Message::Ping(id) if answered < ANSWERED => {
                answered += 1;
                if let Some(pong) = Message::Pong(*id).packet(*to, *from) {
                    transmit(shared, peer, &pong, out);
                }
            }
            Message::Ping(_) => shared.drops.count(Cause::FlowLimit),
            Message::Pong(id) => {
                let Some(path) = source(*tag) else { continue };
                match take(&shared.pings, id, peer.index) {
                    Some(answer) => answer(path),
                    None => shared.drops.count(Cause::NoFlow),
                }
            }
        }
    }
}

/// The ping that this peer answers, which waits no longer. A ping to another peer still does.
fn take(pings: &Pings, id: &PingId, peer: u32) -> Option<Answer> {
    let mut waiting = lock(&pings.0);
    waiting.get(id).filter(|waiting| waiting.peer == peer)?;
    waiting.remove(id).map(|waiting| waiting.answer)
}

fn transmit(shared: &Shared, peer: &Peer, packet: &[u8], out: &mut Outgoing) {
    let mut packets = Batch::new(1, PACKET_MAX + PADDING);
    if let Some(room) = packets.room(packet.len()) {
        room[..packet.len()].copy_from_slice(packet);
        packets.commit_padded(packet.len(), NO_TAG);
    }
    let dropped = peer.send(&packets, 0..packets.len(), out, Instant::now());
    shared.drops.add(Cause::NoSession, dropped as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_peer_that_was_asked_answers_and_once() {
        let pings = Pings::default();
        lock(&pings.0).insert([7; 8], Waiting { peer: 1, answer: Box::new(|_| {}) });
        assert!(take(&pings, &[7; 8], 2).is_none(), "another peer");
        assert!(take(&pings, &[8; 8], 1).is_none(), "another ping");
        assert!(take(&pings, &[7; 8], 1).is_some());
        assert!(take(&pings, &[7; 8], 1).is_none(), "a copy");
    }

    #[test]
    fn a_ping_that_nobody_waits_for_any_more_is_forgotten() {
        let pings = Arc::new(Pings::default());
        lock(&pings.0).insert([7; 8], Waiting { peer: 1, answer: Box::new(|_| {}) });
        drop(Ping { pings: Arc::downgrade(&pings), id: [7; 8] });
        assert!(lock(&pings.0).is_empty());
    }
}
