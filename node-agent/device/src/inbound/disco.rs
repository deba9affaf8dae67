//! Disco messages from the sockets and the relay.
//!
//! A stranger's message ends at a look-up of its key. A message under a peer's key is charged to its source before it is
//! opened, since anybody who has seen the key can write it into a header.

use std::time::Instant;

use node_agent_core::{
    disco::{self, Message},
    drops::Cause,
    path::Source,
};

use crate::{gate::Sender, outgoing::Outgoing, peer::Peer, shared::Shared, table::Table};

/// Handles a message from the sockets or the relay.
pub(super) fn receive(
    shared: &Shared,
    table: &Table<Peer>,
    datagram: &[u8],
    sender: Sender<'_>,
    out: &mut Outgoing,
    now: Instant,
) {
    if heed(shared, table, datagram, sender, out, now).is_none() {
        shared.drops.count(Cause::Discovery);
    }
}

fn heed(
    shared: &Shared,
    table: &Table<Peer>,
    datagram: &[u8],
    sender: Sender<'_>,
    out: &mut Outgoing,
    now: Instant,
) -> Option<()> {
    let key = disco::sender(datagram)?;
    // Several, if a peer announces another's key: whose message it is, is seen below.
    let peers = table.by_discovery.get(key.as_bytes())?;
    if !shared.disco.take(sender, now) {
        return None;
    }
    let message = peers.first()?.open_disco(datagram)?;
    match (message, sender) {
        (Message::Ping { transaction, node }, _) => {
            let peer = peers.iter().find(|peer| peer.key == *node.as_bytes())?;
            let source = match sender {
                Sender::Udp(from) => Source::Udp(from),
                Sender::Relay(from) if *from == peer.key => Source::Relay,
                Sender::Relay(_) => return None,
            };
            peer.handle_ping(source, transaction, out, now);
        }
        (Message::Pong { transaction, .. }, Sender::Udp(from)) => {
            let mut peers = peers.iter();
            peers.find(|peer| peer.handle_pong(from, transaction, out, now))?;
        }
        (Message::CallMeMaybe(addresses), Sender::Relay(from)) => {
            let peer = peers.iter().find(|peer| peer.key == *from)?;
            peer.handle_call_me_maybe(&addresses, out, now);
        }
        // Our pings do not go over the relay; and who is called must know for sure by whom.
        (Message::Pong { .. }, Sender::Relay(_)) | (Message::CallMeMaybe(_), Sender::Udp(_)) => {
            return None;
        }
    }
    Some(())
}
