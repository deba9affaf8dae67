//! The queue of packets for one relay. Drops are counted; WireGuard and TCP retransmit.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use control_protocol::key::NodePublic;
use node_agent_core::drops::{Cause, Drops};
use tokio::sync::mpsc;

/// Length of the queue.
const LEN: usize = 512;
/// Longest age of a packet: WireGuard has sent another one since.
const STALE: Duration = Duration::from_secs(5);

/// A packet for a peer.
pub(super) struct Outgoing {
    pub(super) to: NodePublic,
    pub(super) packet: Vec<u8>,
    at: Instant,
}

/// The sending end.
#[derive(Clone)]
pub(super) struct Sender {
    packets: mpsc::Sender<Outgoing>,
    drops: Arc<Drops>,
}

/// The receiving end. Dropping it drops queued packets.
pub(super) struct Queue {
    packets: mpsc::Receiver<Outgoing>,
    pub(super) drops: Arc<Drops>,
}

/// Makes an empty queue.
pub(super) fn queue(drops: Arc<Drops>) -> (Sender, Queue) {
    let (sender, packets) = mpsc::channel(LEN);
    (Sender { packets: sender, drops: Arc::clone(&drops) }, Queue { packets, drops })
}

impl Sender {
    /// Adds a packet; drops it if the queue is full or closed.
    pub(super) fn push(&self, to: NodePublic, packet: &[u8]) {
        let outgoing = Outgoing { to, packet: packet.to_vec(), at: Instant::now() };
        if self.packets.try_send(outgoing).is_err() {
            self.drops.count(Cause::Relay);
        }
    }

    /// Whether the receiving end is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.packets.is_closed()
    }
}

impl Queue {
    /// Waits for a fresh packet; `None` once all senders are gone.
    pub(super) async fn recv(&mut self) -> Option<Outgoing> {
        loop {
            let outgoing = self.packets.recv().await?;
            if self.is_fresh(&outgoing) {
                return Some(outgoing);
            }
        }
    }

    /// The next fresh packet, if there is one.
    pub(super) fn try_recv(&mut self) -> Option<Outgoing> {
        loop {
            let outgoing = self.packets.try_recv().ok()?;
            if self.is_fresh(&outgoing) {
                return Some(outgoing);
            }
        }
    }

    fn is_fresh(&self, outgoing: &Outgoing) -> bool {
        let fresh = outgoing.at.elapsed() < STALE;
        if !fresh {
            self.drops.count(Cause::Relay);
        }
        fresh
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.packets.close();
        self.drops.add(Cause::Relay, self.packets.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: NodePublic = NodePublic::from_bytes([1; 32]);

    fn counted(drops: &Drops) -> u64 {
        drops.snapshot()[Cause::Relay.name()]
    }

    #[test]
    fn what_finds_no_room_and_what_still_waits_at_the_end_are_counted() {
        let drops = Arc::<Drops>::default();
        let (sender, mut queue) = queue(Arc::clone(&drops));
        for _ in 0..LEN + 3 {
            sender.push(TO, b"packet");
        }
        assert_eq!(counted(&drops), 3);
        assert_eq!(queue.try_recv().unwrap().packet, b"packet");
        assert_eq!(counted(&drops), 3, "what a connection takes is not dropped");
        drop(queue);
        assert_eq!(counted(&drops), 3 + LEN as u64 - 1);
        assert!(sender.is_closed());
        sender.push(TO, b"packet");
        assert_eq!(counted(&drops), 3 + LEN as u64);
    }

    #[tokio::test]
    async fn what_waited_too_long_is_counted_and_not_sent() {
        let drops = Arc::<Drops>::default();
        let (sender, mut queue) = queue(Arc::clone(&drops));
        let at = Instant::now().checked_sub(STALE).unwrap();
        for packet in [b"first".to_vec(), b"second".to_vec()] {
            assert!(sender.packets.try_send(Outgoing { to: TO, packet, at }).is_ok());
        }
        sender.push(TO, b"third");
        assert_eq!(queue.recv().await.unwrap().packet, b"third");
        assert_eq!(counted(&drops), 2);

        assert!(sender.packets.try_send(Outgoing { to: TO, packet: Vec::new(), at }).is_ok());
        assert!(queue.try_recv().is_none());
        assert_eq!(counted(&drops), 3);
    }
}
