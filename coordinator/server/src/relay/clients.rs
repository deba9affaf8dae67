//! The connected clients and their queues.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use control_protocol::key::NodePublic;
use derp::frame::{Frame, GoneReason};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Frames in a client's queue; further frames are dropped.
const QUEUE: usize = 128;
/// Bytes of frames in a client's queue, including those that are being written.
const QUEUE_BYTES: usize = 256 * 1024;
/// Connections per node key: one, and lost ones that have not timed out. Each has a queue, which the node can fill by sending
/// to itself.
const PER_KEY: usize = 4;
/// Peers of a client that are notified when it leaves.
const SENDERS_MAX: usize = 1024;

/// The connected clients.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    by_key: HashMap<NodePublic, Client>,
}

/// The connections of one node key. The last one has sent most recently, and receives packets.
#[derive(Debug, Default)]
struct Client {
    connections: Vec<Connection>,
    /// The clients that have sent to it.
    senders: HashSet<NodePublic>,
}

#[derive(Debug)]
struct Connection {
    id: u64,
    queue: mpsc::Sender<QueuedFrame>,
    /// Bytes that still fit into the queue.
    room: Arc<Semaphore>,
    end: CancellationToken,
}

/// A frame in a queue. It occupies queue space until it is dropped.
#[derive(Debug)]
pub(super) struct QueuedFrame {
    /// The frame, encoded.
    pub(super) bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// One connection of a client, which is removed when this is dropped.
#[derive(Debug)]
pub(super) struct ClientConnection<'a> {
    clients: &'a Clients,
    key: NodePublic,
    id: u64,
    /// Frames for the client.
    pub(super) queue: mpsc::Receiver<QueuedFrame>,
    /// Cancelled when the connection must be closed.
    pub(super) end: CancellationToken,
}

impl Clients {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection of a client that proved its key. If it has too many, its least recently active one is closed.
    pub(super) fn join(&self, key: NodePublic) -> ClientConnection<'_> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        let end = CancellationToken::new();
        let connection = Connection { id, queue: sender, room, end: end.clone() };
        let connections = &mut state.by_key.entry(key).or_default().connections;
        if connections.len() >= PER_KEY {
            connections.remove(0).end.cancel();
        }
        connections.push(connection);
        ClientConnection { clients: self, key, id, queue, end }
    }

    /// Closes the connections of all clients whose key may not stay.
    pub(super) fn retain(&self, may_stay: impl Fn(&NodePublic) -> bool) {
        let state = self.state();
        let leave = state.by_key.iter().filter(|(key, _)| !may_stay(key));
        leave.flat_map(|(_, client)| &client.connections).for_each(|it| it.end.cancel());
    }
}

impl State {
    fn enqueue(&self, to: &NodePublic, frame: &Frame<'_>) -> bool {
        let Some(connection) = self.by_key.get(to).and_then(|client| client.connections.last())
        else {
            return false;
        };
        let mut bytes = Vec::new();
        if frame.encode(&mut bytes).is_ok()
            && let Ok(len) = u32::try_from(bytes.len())
            && let Ok(room) = Arc::clone(&connection.room).try_acquire_many_owned(len)
        {
            // A full queue drops the frame.
            let _ = connection.queue.try_send(QueuedFrame { bytes: bytes.into(), _room: room });
        }
        true
    }

    /// Marks the connection as the client's most recently active one.
    fn note_active(&mut self, key: &NodePublic, id: u64) {
        if let Some(client) = self.by_key.get_mut(key)
            && client.connections.last().is_some_and(|last| last.id != id)
            && let Some(at) = client.connections.iter().position(|own| own.id == id)
        {
            let connection = client.connections.remove(at);
            client.connections.push(connection);
        }
    }
}

impl ClientConnection<'_> {
    /// Forwards a packet; the sender is notified if the peer is not connected.
    pub(super) fn send(&self, to: NodePublic, packet: &[u8]) {
        let mut state = self.clients.state();
        state.note_active(&self.key, self.id);
        if state.enqueue(&to, &Frame::RecvPacket { from: self.key, packet }) {
            if let Some(client) = state.by_key.get_mut(&to)
                && client.senders.len() < SENDERS_MAX
            {
                client.senders.insert(self.key);
            }
        } else {
            state.enqueue(&self.key, &Frame::PeerGone { peer: to, reason: GoneReason::NotHere });
        }
    }

    /// Answers a ping.
    pub(super) fn pong(&self, data: [u8; 8]) {
        self.clients.state().enqueue(&self.key, &Frame::Pong { data });
    }
}

impl Drop for ClientConnection<'_> {
    fn drop(&mut self) {
        let mut state = self.clients.state();
        let Some(client) = state.by_key.get_mut(&self.key) else { return };
        client.connections.retain(|connection| connection.id != self.id);
        if client.connections.is_empty()
            && let Some(gone) = state.by_key.remove(&self.key)
        {
            for sender in gone.senders {
                state.enqueue(
                    &sender,
                    &Frame::PeerGone { peer: self.key, reason: GoneReason::Disconnected },
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> NodePublic {
        NodePublic::from_bytes([byte; 32])
    }

    fn received(registration: &mut ClientConnection<'_>) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| registration.queue.try_recv().ok())
            .map(|queued| queued.bytes.to_vec())
            .collect()
    }

    fn encoded(frame: &Frame<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        frame.encode(&mut out).unwrap();
        out
    }

    #[test]
    fn a_packet_reaches_its_addressee_under_its_senders_key() {
        let clients = Clients::default();
        let (mut a, mut b) = (clients.join(key(1)), clients.join(key(2)));

        a.send(key(2), b"hello");

        assert_eq!(
            received(&mut b),
            [encoded(&Frame::RecvPacket { from: key(1), packet: b"hello" })]
        );
        assert!(received(&mut a).is_empty());
    }

    #[test]
    fn a_sender_is_told_of_a_peer_that_is_not_here_and_of_one_that_leaves() {
        let clients = Clients::default();
        let (mut a, b) = (clients.join(key(1)), clients.join(key(2)));

        a.send(key(3), b"x");
        a.send(key(2), b"x");
        drop(b);

        let expected = [
            encoded(&Frame::PeerGone { peer: key(3), reason: GoneReason::NotHere }),
            encoded(&Frame::PeerGone { peer: key(2), reason: GoneReason::Disconnected }),
        ];
        assert_eq!(received(&mut a), expected);
    }

    #[test]
    fn of_two_connections_that_which_sent_last_receives() {
        let clients = Clients::default();
        let (a, mut old, mut new) =
            (clients.join(key(1)), clients.join(key(2)), clients.join(key(2)));

        a.send(key(2), b"1");
        assert_eq!((received(&mut old).len(), received(&mut new).len()), (0, 1));
        old.send(key(1), b"here");
        a.send(key(2), b"2");
        assert_eq!((received(&mut old).len(), received(&mut new).len()), (1, 0));
        drop(old);
        a.send(key(2), b"3");
        assert_eq!(received(&mut new).len(), 1, "the other connection goes on");
    }

    #[test]
    fn all_connections_of_who_may_not_stay_end_and_nobody_elses() {
        let clients = Clients::default();
        let (a, b, again) = (clients.join(key(1)), clients.join(key(2)), clients.join(key(2)));

        clients.retain(|it| *it == key(1));

        let ended = [a, b, again].map(|registration| registration.end.is_cancelled());
        assert_eq!(ended, [false, true, true]);
    }

    #[test]
    fn a_key_has_few_connections_and_the_one_that_was_idle_for_longest_ends() {
        let clients = Clients::default();
        let other = clients.join(key(2));
        let mut all: Vec<_> = (0..PER_KEY).map(|_| clients.join(key(1))).collect();
        let ended = |all: &[ClientConnection<'_>]| -> Vec<bool> {
            all.iter().map(|it| it.end.is_cancelled()).collect()
        };
        assert_eq!(ended(&all), [false; PER_KEY]);

        all[0].send(key(9), b"it is in use");
        all.push(clients.join(key(1)));
        assert_eq!(ended(&all), [false, true, false, false, false]);
        all.push(clients.join(key(1)));
        assert_eq!(ended(&all), [false, true, true, false, false, false]);
        assert!(!other.end.is_cancelled());

        // What ended takes nothing of the others with it, and its end makes no room twice.
        all.drain(1..3);
        assert_eq!(clients.state().by_key[&key(1)].connections.len(), PER_KEY);
        all.clear();
        assert_eq!(clients.state().by_key.len(), 1);
    }

    #[test]
    fn a_client_that_does_not_read_costs_a_bounded_queue() {
        let clients = Clients::default();
        let (a, mut b) = (clients.join(key(1)), clients.join(key(2)));

        for _ in 0..10 * QUEUE {
            a.send(key(2), &[0; 1000]);
        }

        assert_eq!(received(&mut b).len(), QUEUE);
    }

    #[test]
    fn large_packets_wait_in_no_more_room_than_small_ones() {
        let clients = Clients::default();
        let (a, mut b) = (clients.join(key(1)), clients.join(key(2)));
        let send = || (0..QUEUE).for_each(|_| a.send(key(2), &[0; derp::frame::MAX_PACKET_LEN]));

        send();
        let taken: Vec<_> = std::iter::from_fn(|| b.queue.try_recv().ok()).collect();
        let held: usize = taken.iter().map(|queued| queued.bytes.len()).sum();
        assert!((QUEUE_BYTES / 2..=QUEUE_BYTES).contains(&held), "{held}");
        // What is being written takes room as well.
        send();
        assert!(received(&mut b).is_empty());
        drop(taken);
        send();
        assert!(!received(&mut b).is_empty());
    }
}
