//! Pings inside the tunnel ([`node_agent_core::tsmp`]): answers those of peers, and waits for answers to our own.

use std::{net::IpAddr, sync::Arc, time::Instant};

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
    pings::{self, Answer, Ping},
    shared::Shared,
    sys::random_u32,
};

/// Pings of one batch of a peer that are answered: a flood costs this node no more.
const ANSWERED: usize = 4;
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
    let ping = pings::wait(&shared.pings, id, peer.index, answer)?;
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
                match pings::take(&shared.pings, id, peer.index) {
                    Some(answer) => answer(path),
                    None => shared.drops.count(Cause::NoFlow),
                }
            }
        }
    }
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
