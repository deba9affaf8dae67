//! UDP, or the relay → TUN.

use std::{ops::Range, sync::Arc, time::Instant};

use node_agent_core::{drops::Cause, endpoint::is_usable, filter::PeerId, path::Source, tsmp};

use crate::{
    batch::{Batch, NO_TAG},
    gate::{Admission, Sender},
    offload::Feature,
    outgoing::{Destination, Outgoing},
    peer::Peer,
    ping::{self, Received},
    protocol::Opened,
    receive_buffers::{ReceiveBuffers, slot},
    shared::Shared,
    sys::lock,
    table::Table,
    tun,
    udp::receive::BatchReceiver,
    wire::{self, Message},
};

mod disco;

/// Forwards packets from the sockets to the TUN until the device stops.
pub(crate) fn run(shared: &Shared) {
    let has_gro = shared.switches.has(Feature::UdpGro);
    let mut receiver = BatchReceiver::new(slot(shared.tun.mtu()), has_gro);
    let mut inbox = ReceiveBuffers::new(shared.tun.mtu());
    let sockets = shared.sockets.descriptors();
    while let Some(ready) = shared.stop.wait(sockets, None) {
        for (socket, is_ready) in sockets.into_iter().zip(ready) {
            if let (Some(socket), true) = (socket, is_ready) {
                receiver.receive(socket);
                shared.drops.add(Cause::Oversize, receiver.oversize() as u64);
                while receiver.next_window() {
                    receive_batch(shared, &receiver, &mut inbox);
                }
            }
        }
    }
}

fn receive_batch(shared: &Shared, receiver: &BatchReceiver, inbox: &mut ReceiveBuffers) {
    let now = Instant::now();
    let table = shared.table.load();
    let (datagrams, sources) = (&receiver.datagrams, &receiver.sources[..]);
    let source = |at: usize| sources.get(at).map(|address| Source::Udp(*address));
    let mut current: Option<(Arc<Peer>, Range<usize>)> = None;
    for at in 0..datagrams.len() {
        let datagram = datagrams.get(at);
        let Some(from) = sources.get(at) else { continue };
        // A reply to a mesh address would go through the tunnel and be sealed twice.
        if !is_usable(*from) {
            tracing::debug!(%from, "datagram from inside the mesh dropped");
            shared.drops.count(Cause::Unopened);
            continue;
        }
        let message = wire::classify(datagram);
        // Most datagrams are from the same peer as the previous one.
        if let (Message::Data { receiver, .. }, Some((peer, run))) = (&message, &mut current)
            && receiver >> 8 == peer.index
            && run.end == at
        {
            run.end = at + 1;
            continue;
        }
        let sender = Sender::Udp(*from);
        let owner = match message {
            Message::Foreign => {
                shared.host.foreign(*from, datagram);
                None
            }
            Message::Disco => {
                disco::receive(shared, &table, datagram, sender, &mut inbox.out, now);
                None
            }
            Message::Initiation
            | Message::Response { .. }
            | Message::Cookie { .. }
            | Message::Data { .. } => {
                admit(shared, &table, message, datagram, sender, &mut inbox.out)
            }
        };
        match (&mut current, owner) {
            (Some((peer, run)), Some(owner)) if run.end == at && Arc::ptr_eq(peer, &owner) => {
                run.end = at + 1;
            }
            (_, owner) => {
                if let Some((peer, run)) = current.take() {
                    deliver(shared, &table, &peer, datagrams, run, source, inbox, now);
                }
                current = owner.map(|owner| (owner, at..at + 1));
            }
        }
    }
    if let Some((peer, run)) = current {
        deliver(shared, &table, &peer, datagrams, run, source, inbox, now);
    }
    shared.flush(&mut inbox.out);
}

/// Handles one message that the relay delivered from the node key `from`.
pub(crate) fn receive_relayed(shared: &Shared, from: &[u8; 32], packet: &[u8]) {
    let message = wire::classify(packet);
    if packet.len() > slot(shared.tun.mtu()) {
        shared.drops.count(Cause::Oversize);
        return;
    }
    if message == Message::Foreign {
        return;
    }
    let (mut inbox, mut datagrams) = lock(&shared.inboxes).pop().unwrap_or_else(|| {
        let mtu = shared.tun.mtu();
        (ReceiveBuffers::new(mtu), Batch::new(1, slot(mtu)))
    });
    let table = shared.table.load();
    let (sender, now) = (Sender::Relay(from), Instant::now());
    let owner = if message == Message::Disco {
        disco::receive(shared, &table, packet, sender, &mut inbox.out, now);
        None
    } else {
        admit(shared, &table, message, packet, sender, &mut inbox.out)
    };
    if let Some(peer) = owner {
        datagrams.clear();
        datagrams.push(packet, 0);
        let source = |_| Some(Source::Relay);
        deliver(shared, &table, &peer, &datagrams, 0..1, source, &mut inbox, now);
    }
    shared.flush(&mut inbox.out);
    lock(&shared.inboxes).push((inbox, datagrams));
}

/// Finds the peer of a message; handshakes pass the gate first.
fn admit(
    shared: &Shared,
    table: &Table<Peer>,
    message: Message,
    datagram: &[u8],
    sender: Sender<'_>,
    out: &mut Outgoing,
) -> Option<Arc<Peer>> {
    if matches!(message, Message::Initiation | Message::Response { .. }) {
        match shared.gate.admit(datagram, sender, Instant::now()) {
            Admission::Admitted => {}
            Admission::Duplicate => return None,
            Admission::Cookie(cookie) => {
                let to = match sender {
                    Sender::Udp(address) => Destination::Udp(address),
                    Sender::Relay(key) => Destination::Relay(*key),
                };
                let number = out.batch.len();
                out.batch.push(&cookie, NO_TAG);
                out.dispatch(number, to);
                return None;
            }
            Admission::Refused => {
                shared.drops.count(Cause::Handshake);
                return None;
            }
        }
    }
    let owner = owner(shared, table, message, datagram, sender);
    if owner.is_none() {
        shared.drops.count(Cause::Unopened);
    }
    owner
}

/// The peer of a message.
fn owner(
    shared: &Shared,
    table: &Table<Peer>,
    message: Message,
    datagram: &[u8],
    sender: Sender<'_>,
) -> Option<Arc<Peer>> {
    let owner = match message {
        Message::Initiation => table.by_key.get(&shared.gate.initiator(datagram)?)?,
        Message::Response { receiver }
        | Message::Cookie { receiver }
        | Message::Data { receiver, .. } => table.by_index.get(&(receiver >> 8))?,
        Message::Disco | Message::Foreign => return None,
    };
    // The relay names the sender, which must match.
    if matches!(sender, Sender::Relay(from) if owner.key != *from) {
        return None;
    }
    if message == Message::Initiation {
        shared.gate.remember(datagram);
    }
    Some(Arc::clone(owner))
}

/// Opens a run of datagrams of one peer and writes the allowed packets to the TUN.
#[allow(clippy::too_many_arguments, reason = "one step of a loop, called at its three ends")]
fn deliver(
    shared: &Shared,
    table: &Table<Peer>,
    peer: &Arc<Peer>,
    datagrams: &Batch,
    run: Range<usize>,
    source: impl Fn(usize) -> Option<Source>,
    inbox: &mut ReceiveBuffers,
    now: Instant,
) {
    inbox.opened.clear();
    let mut waits = peer.receive(datagrams, run, &source, &mut inbox.opened, &mut inbox.out, now);
    while waits {
        waits = peer.send_waiting(&mut inbox.out, now);
        shared.flush(&mut inbox.out);
    }
    shared.drops.add(Cause::Unopened, inbox.opened.unopened as u64);
    if inbox.opened.packets.is_empty() {
        return;
    }
    let own = judge(shared, table, peer, inbox, now);
    let ReceiveBuffers { opened: Opened { packets, .. }, admitted, units, .. } = inbox;
    units.clear(tun::write::allowed(&shared.switches));
    for at in admitted.drain(..) {
        units.add(packets, at);
    }
    let written = shared.tun.write(packets, units, &shared.switches);
    shared.drops.add(Cause::Interface, written.lost as u64);
    peer.count_received(written.bytes);
    ping::handle(shared, peer, &own, source, &mut inbox.out);
}

/// Filters the opened packets and removes their padding; returns those that this node handles itself. Holds the lock of the
/// flows, without system calls.
fn judge(
    shared: &Shared,
    table: &Table<Peer>,
    peer: &Arc<Peer>,
    inbox: &mut ReceiveBuffers,
    now: Instant,
) -> Vec<Received> {
    let ReceiveBuffers { opened: Opened { packets, .. }, admitted, .. } = inbox;
    let mut own = Vec::new();
    admitted.clear();
    let filter = shared.filter.load();
    let mut flows = lock(&shared.flows);
    // Cryptokey routing: a peer may only use its own source addresses.
    let owns = |address| table.routes.find(address).is_some_and(|owner| Arc::ptr_eq(owner, peer));
    let mut judge = filter.judge(&mut flows, PeerId(peer.index), owns, now);
    for at in 0..packets.len() {
        let packet = packets.get(at);
        if tsmp::is_tsmp(packet) {
            let judged = judge.check_own(packet);
            match judged.and_then(|headers| Received::parse(&headers, packet, packets.tag(at))) {
                Ok(received) => own.push(received),
                Err(cause) => shared.drops.count(cause),
            }
            continue;
        }
        match judge.check(packet) {
            Ok(len) => {
                packets.shorten(at, len);
                admitted.push(at);
            }
            Err(cause) => shared.drops.count(cause),
        }
    }
    own
}
