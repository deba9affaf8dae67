//! TUN → UDP.

use std::{ops::Range, sync::Arc, time::Instant};

use node_agent_core::filter::packet::{Packet, destination};

use crate::{
    batch::{Batch, PADDING},
    device::{Shared, lock},
    outgoing::Outgoing,
    peer::Peer,
    table::Table,
    udp::{BatchSender, MESSAGES},
    wire::DATA_OVERHEAD,
};

/// Packets that waited for a session leave with those that were just read.
const MAX_OUTGOING: usize = 4 * MESSAGES;

/// Carries packets from the TUN to the network until the device stops.
pub(crate) fn run(shared: &Shared) {
    let slot = shared.tun.mtu() + PADDING;
    let mut packets = Batch::new(MESSAGES, MESSAGES * slot);
    let mut out = Outgoing::new(MAX_OUTGOING, MAX_OUTGOING * (slot + DATA_OVERHEAD));
    let mut sender = BatchSender::new();
    loop {
        if shared.stop.wait([Some(std::os::fd::AsFd::as_fd(&shared.tun))], None).is_none() {
            return;
        }
        packets.clear();
        if let Err(error) = shared.tun.read_batch(&mut packets) {
            tracing::error!(%error, "the interface is gone");
            return;
        }
        if packets.is_empty() {
            // Readable but nothing there: the interface is down. Do not spin.
            std::thread::sleep(std::time::Duration::from_millis(1));
            continue;
        }
        let now = Instant::now();
        remember_flows(shared, &packets, now);
        let table = shared.table.load();
        each_run(&table, &packets, |peer, run| peer.send(&packets, run, &mut out, now));
        out.flush_batch(shared, &mut sender);
    }
}

/// What this node sends may be answered.
fn remember_flows(shared: &Shared, packets: &Batch, now: Instant) {
    let mut flows = lock(&shared.flows);
    for at in 0..packets.len() {
        if let Ok(packet) = Packet::parse(packets.get(at)) {
            flows.handle_outbound(&packet, now);
        }
    }
}

/// Calls `send` for each run of packets to one peer. Packets to nobody are dropped.
fn each_run(table: &Table<Peer>, packets: &Batch, mut send: impl FnMut(&Peer, Range<usize>)) {
    let mut current: Option<(&Arc<Peer>, Range<usize>)> = None;
    for at in 0..packets.len() {
        let owner = destination(packets.get(at)).and_then(|address| table.routes.find(address));
        match (&mut current, owner) {
            (Some((peer, run)), Some(owner)) if Arc::ptr_eq(peer, owner) => run.end = at + 1,
            (_, owner) => {
                if let Some((peer, run)) = current.take() {
                    send(peer, run);
                }
                current = owner.map(|owner| (owner, at..at + 1));
            }
        }
    }
    if let Some((peer, run)) = current {
        send(peer, run);
    }
}
