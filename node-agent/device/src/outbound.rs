//! TUN → UDP.

use std::{
    ops::Range,
    os::fd::AsFd as _,
    sync::Arc,
    time::{Duration, Instant},
};

use node_agent_core::{
    drops::Cause,
    filter::{PeerId, packet::destination},
};

use crate::{
    batch::{Batch, PADDING},
    outgoing::Outgoing,
    peer::Peer,
    shared::Shared,
    sys::lock,
    table::Table,
    tun::read::Reader,
    udp::{MESSAGES, send::BatchSender},
    wire::DATA_OVERHEAD,
};

/// A message for each packet, and an initiation for each peer.
const MAX_OUTGOING: usize = 2 * MESSAGES;

/// Forwards packets from the TUN to the network until the device stops.
pub(crate) fn run(shared: &Shared) {
    let slot = shared.tun.mtu() + PADDING;
    let mut packets = Batch::new(MESSAGES, MESSAGES * slot);
    let mut out = Outgoing::new(MAX_OUTGOING, MAX_OUTGOING * (slot + DATA_OVERHEAD));
    let mut sender = BatchSender::new();
    let mut runs = Vec::with_capacity(MESSAGES);
    let mut reader = Reader::new();
    loop {
        let waits = reader.is_drained();
        let is_over = match waits {
            true => shared.stop.wait([Some(shared.tun.as_fd())], None).is_none(),
            false => shared.stop.is_signalled(),
        };
        if is_over {
            return;
        }
        packets.clear();
        match reader.read_batch(&shared.tun, &mut packets) {
            Ok(dropped) => shared.drops.add(Cause::Oversize, dropped as u64),
            Err(error) => {
                tracing::error!(%error, "the interface was removed");
                return;
            }
        }
        if packets.is_empty() {
            if waits {
                // Readable without packets: the interface is down. Do not spin.
                std::thread::sleep(Duration::from_millis(1));
            }
            continue;
        }
        let now = Instant::now();
        let table = shared.table.load();
        find_runs(shared, &table, &packets, &mut runs);
        remember_flows(shared, &packets, &runs, now);
        for (peer, run) in runs.drain(..) {
            let dropped = peer.send(&packets, run, &mut out, now);
            shared.drops.add(Cause::NoSession, dropped as u64);
        }
        shared.flush_batch(&mut out, &mut sender);
    }
}

/// Consecutive packets to one peer.
type Run = (Arc<Peer>, Range<usize>);

/// Records flows, so that replies are allowed.
fn remember_flows(shared: &Shared, packets: &Batch, runs: &[Run], now: Instant) {
    let mut flows = lock(&shared.flows);
    let mut sending = flows.sending(now);
    for (peer, run) in runs {
        for at in run.clone() {
            sending.note(packets.get(at), PeerId(peer.index));
        }
    }
}

/// Finds the peers of the packets, with one look-up for consecutive packets to one address. Packets without a route are
/// dropped.
fn find_runs(shared: &Shared, table: &Table<Peer>, packets: &Batch, runs: &mut Vec<Run>) {
    let mut last = None;
    for at in 0..packets.len() {
        let address = destination(packets.get(at));
        if let Some((_, run)) = runs.last_mut()
            && address.is_some()
            && address == last
            && run.end == at
        {
            run.end = at + 1;
            continue;
        }
        last = address;
        let Some(owner) = address.and_then(|address| table.routes.find(address)) else {
            shared.drops.count(Cause::NoRoute);
            continue;
        };
        match runs.last_mut() {
            Some((peer, run)) if run.end == at && Arc::ptr_eq(peer, owner) => run.end = at + 1,
            Some(_) | None => runs.push((Arc::clone(owner), at..at + 1)),
        }
    }
}
