//! Limits: connections, rates and timeouts.

mod bodies;
mod origin;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chassis::{
    eviction::{self, EvictionPolicy},
    quota::{Permit, Quota},
};
use control_protocol::key::MachinePublic;
use coordinator_core::{
    bucket::{Bucket, Buckets, Size},
    model::NodeId,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use self::bodies::{AdminBodies, RequestBodies, RequestBody};
pub(crate) use self::origin::Origin;

/// Unauthenticated connections in total.
const NEWCOMERS: usize = 1024;
/// The same per origin.
const NEWCOMERS_PER_ORIGIN: usize = 64;
/// Channels of unregistered machines.
const STRANGERS: usize = 128;
/// The same per origin.
const STRANGERS_PER_ORIGIN: usize = 32;
/// Connections in total.
pub(crate) const TOTAL: usize = 4096;
/// Connections per origin; a household behind one router shares them.
const PER_ORIGIN: usize = 256;
/// Channels per machine. A client has one, and temporarily a second when it changes its network.
const PER_MACHINE: usize = 4;
/// Queued registrations of unregistered machines.
const TURNS: usize = 256;
/// The same per origin.
const TURNS_PER_ORIGIN: usize = 64;
/// Queued registrations of nodes.
const NODES_TURNS: usize = 4096;
/// The same per machine.
const TURNS_PER_MACHINE: usize = 4;
/// Connections to the admin socket.
pub(crate) const ADMIN_CONNECTIONS: usize = 256;
/// Invitations on pages and invalid API keys per origin: ten at once, and ten a minute.
const TRIES: Size = Size { tokens: 10, period: Duration::from_secs(6) };
/// Origins that are tracked; more origins are refused until an earlier one is forgotten.
const TRIED_MAX: usize = 16 * 1024;
/// Orders of a certificate for one name, which count at the authority: five at once, then one an hour.
const ORDERS: Size = Size { tokens: 5, period: Duration::from_secs(60 * 60) };
/// Changes by a node that affect its peers: ten at once, then one in ten seconds.
const NODE_CHANGES: Size = Size { tokens: 10, period: Duration::from_secs(10) };
/// Timeout for a TLS handshake.
pub(crate) const TLS_TIME: Duration = Duration::from_secs(10);
/// Timeout for a relay client from the beginning of TLS to the proof of its key.
pub(crate) const RELAY_ENTRY_TIME: Duration = Duration::from_secs(30);
/// Timeout for the head of a request.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(10);
/// Timeout for a request with its answer.
pub(crate) const REQUEST_TIME: Duration = Duration::from_secs(30);
/// Read buffer of a connection, in bytes: longer request heads are refused.
pub(crate) const BUFFER: usize = 16 * 1024;
/// How long current requests may continue when the coordinator stops.
pub(crate) const DRAIN: Duration = Duration::from_secs(1);

/// The waiting devices that came without a key, by origin. A restart forgets the origins.
#[derive(Clone, Debug, Default)]
pub(crate) struct WaitingByOrigin(Arc<Mutex<HashMap<Origin, BTreeSet<NodeId>>>>);

impl WaitingByOrigin {
    /// How many devices of `still`, which wait, came from `origin`.
    pub(crate) fn count(&self, origin: Origin, still: &BTreeSet<NodeId>) -> usize {
        let mut from = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        from.retain(|_, devices| {
            devices.retain(|device| still.contains(device));
            !devices.is_empty()
        });
        from.get(&origin).map_or(0, BTreeSet::len)
    }

    /// Records that a device waits.
    pub(crate) fn add(&self, origin: Origin, device: NodeId) {
        let mut from = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        from.entry(origin).or_default().insert(device);
    }
}

/// Limits failed attempts by origin: invitations on pages, or invalid API keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct AttemptLimit(Arc<Mutex<HashMap<Origin, Bucket>>>);

impl AttemptLimit {
    /// Counts an attempt of `origin`. The error is the time until the next is allowed.
    pub(crate) fn take(&self, origin: Origin, now: Instant) -> Result<(), Duration> {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.len() >= TRIED_MAX {
            tried.retain(|_, bucket| !bucket.is_full(now));
        }
        if tried.len() >= TRIED_MAX && !tried.contains_key(&origin) {
            return Err(TRIES.period);
        }
        tried.entry(origin).or_default().take(TRIES, now)
    }
}

/// Limits what one node causes for its peers: updates about itself, new keys, changes of its presence, and full maps without
/// a stream. All of these take tokens from one bucket.
#[derive(Clone, Debug)]
pub(crate) struct NodeRateLimit(Arc<Mutex<Buckets<NodeId>>>);

impl Default for NodeRateLimit {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Buckets::new(NODE_CHANGES))))
    }
}

impl NodeRateLimit {
    /// Takes a token. The error is the time until there is one.
    pub(crate) fn take(&self, node: NodeId, now: Instant) -> Result<(), Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(node, now)
    }

    /// The time until there is a token; zero if there is one.
    pub(crate) fn wait(&self, node: NodeId, now: Instant) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wait(&node, now)
    }
}

/// Limits the orders of certificates by name. A restart forgets them.
#[derive(Clone, Debug)]
pub(crate) struct OrderLimit(Arc<Mutex<Buckets<String>>>);

impl Default for OrderLimit {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Buckets::new(ORDERS))))
    }
}

impl OrderLimit {
    /// Counts an order for a name that a node may have. The error is the time until the next is allowed.
    pub(crate) fn take(&self, name: &str, now: Instant) -> Result<(), Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(name.to_owned(), now)
    }
}

/// The client that sends a request, directly or behind a proxy.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) origin: Origin,
    /// Whether it came over TLS, to us or to the proxy.
    pub(crate) is_secure: bool,
    /// The connection's place among the unauthenticated ones.
    pub(crate) place: Arc<QueueEntry>,
}

/// Unauthenticated connections, or channels of unregistered machines.
pub(crate) type EvictionQueue = eviction::EvictionQueue<Origin>;
/// The place of one of them.
pub(crate) type QueueEntry = eviction::Entry<Origin>;

/// Places for unauthenticated connections.
pub(crate) fn newcomers() -> EvictionQueue {
    EvictionQueue::new(NEWCOMERS, NEWCOMERS_PER_ORIGIN, EvictionPolicy::Oldest)
}

/// Places for channels of unregistered machines.
pub(crate) fn strangers() -> EvictionQueue {
    EvictionQueue::new(STRANGERS, STRANGERS_PER_ORIGIN, EvictionPolicy::OldestOfLargest)
}

/// Quota of relay connections by origin.
pub(crate) fn connections() -> Quota<Origin> {
    Quota::new(TOTAL, PER_ORIGIN)
}

/// Quota of channels by machine.
pub(crate) fn channels() -> Quota<MachinePublic> {
    Quota::new(TOTAL, PER_MACHINE)
}

/// Runs one registration at a time: anyone may send them, and each writes to the database.
///
/// Unregistered machines queue among themselves first, so that at most one of them is ahead of a node's registration.
#[derive(Clone, Debug)]
pub(crate) struct RegistrationQueue {
    strangers: Quota<Origin>,
    nodes: Quota<MachinePublic>,
    one_stranger: Arc<Semaphore>,
    one: Arc<Semaphore>,
}

/// The right to register now.
#[derive(Debug)]
pub(crate) struct RegistrationPermit {
    _turn: QueuePosition,
    _one: OwnedSemaphorePermit,
}

/// A position in the queue.
#[derive(Debug)]
enum QueuePosition {
    Node { _waiting: Permit<MachinePublic> },
    Stranger { _waiting: Permit<Origin>, _one: OwnedSemaphorePermit },
}

impl Default for RegistrationQueue {
    fn default() -> Self {
        Self {
            strangers: Quota::new(TURNS, TURNS_PER_ORIGIN),
            nodes: Quota::new(NODES_TURNS, TURNS_PER_MACHINE),
            one_stranger: Arc::new(Semaphore::new(1)),
            one: Arc::new(Semaphore::new(1)),
        }
    }
}

impl RegistrationQueue {
    /// Waits for the permit; `None` if the queue is full. `node` is the machine key if the machine has a node.
    pub(crate) async fn take(
        &self,
        origin: Origin,
        node: Option<MachinePublic>,
    ) -> Option<RegistrationPermit> {
        let turn = match node {
            Some(machine) => QueuePosition::Node { _waiting: self.nodes.take(machine).ok()? },
            None => {
                let waiting = self.strangers.take(origin).ok()?;
                let one = Arc::clone(&self.one_stranger).acquire_owned().await.ok()?;
                QueuePosition::Stranger { _waiting: waiting, _one: one }
            }
        };
        let one = Arc::clone(&self.one).acquire_owned().await.ok()?;
        Some(RegistrationPermit { _turn: turn, _one: one })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        pin::pin,
    };

    use chassis::quota::Exceeded;
    use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};

    use super::*;

    #[test]
    fn one_address_cannot_take_everything() {
        let connections = connections();
        let address = |byte| IpAddr::from([10, 0, 0, byte]).into();

        let held: Vec<_> = (0..PER_ORIGIN).map(|_| connections.take(address(1)).unwrap()).collect();

        assert_eq!(connections.take(address(1)).unwrap_err(), Exceeded::Each);
        assert!(connections.take(address(2)).is_ok());
        drop(held);
        assert!(connections.take(address(1)).is_ok());
        assert_eq!(connections.holders(), 0);
    }

    #[test]
    fn a_machine_has_four_channels() {
        let (channels, machine) = (channels(), |byte| MachinePublic::from_bytes([byte; 32]));

        let mut held: Vec<_> = (0..4).map(|_| channels.take(machine(1)).unwrap()).collect();

        assert!(channels.is_full(&machine(1)) && channels.take(machine(1)).is_err());
        assert!(!channels.is_full(&machine(2)) && channels.take(machine(2)).is_ok());
        held.pop();
        assert!(channels.take(machine(1)).is_ok());
    }

    #[tokio::test]
    async fn registrations_take_turns_and_a_crowd_is_sent_away() {
        let (registrations, crowd) =
            (RegistrationQueue::default(), Origin::from(IpAddr::from([10, 0, 0, 1])));
        let first = registrations.take(crowd, None).await.unwrap();
        let mut queue = FuturesUnordered::new();
        for _ in 1..TURNS_PER_ORIGIN {
            queue.push(registrations.take(crowd, None));
        }
        assert!(queue.next().now_or_never().is_none(), "the first one's turn is not over");

        assert!(registrations.take(crowd, None).await.is_none());
        let mut other = pin!(registrations.take(IpAddr::from([10, 0, 0, 2]).into(), None));
        assert!((&mut other).now_or_never().is_none(), "it waits");

        drop(first);
        while let Some(permit) = queue.next().await {
            drop(permit.unwrap());
        }
        assert!(other.await.is_some());
    }

    #[tokio::test]
    async fn strangers_from_everywhere_do_not_keep_a_node_from_registering() {
        let registrations = RegistrationQueue::default();
        let origin = |byte| Origin::from(IpAddr::from([10, 0, 0, byte]));
        let running = registrations.take(origin(0), None).await.unwrap();
        let mut strangers = FuturesUnordered::new();
        for number in 1..TURNS {
            let byte = u8::try_from(number % 200).unwrap();
            strangers.push(registrations.take(origin(byte), None));
        }
        assert!(strangers.next().now_or_never().is_none());
        assert!(registrations.take(origin(250), None).await.is_none(), "they have all their turns");
        let machine = |byte| MachinePublic::from_bytes([byte; 32]);
        let mut node = pin!(registrations.take(origin(1), Some(machine(1))));
        assert!((&mut node).now_or_never().is_none(), "one registers at a time");
        let others: Vec<_> = (0..TURNS_PER_MACHINE)
            .map(|_| Box::pin(registrations.take(origin(1), Some(machine(2)))))
            .map(|mut waits| {
                assert!((&mut waits).now_or_never().is_none());
                waits
            })
            .collect();
        assert!(registrations.take(origin(1), Some(machine(2))).await.is_none());
        drop(others);

        drop(running);

        let first = tokio::select! {
            biased;
            permit = node => permit.map(|_| "node"),
            permit = strangers.next() => permit.map(|_| "stranger"),
        };
        assert_eq!(first, Some("node"));
    }

    #[test]
    fn one_network_of_ipv6_is_one_origin() {
        let origin = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());

        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:0:0:2"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
        assert_eq!(origin("2001:db8::1").to_string(), "2001:db8::/64");
        assert_eq!(origin("::ffff:192.0.2.1").to_string(), "192.0.2.1");
    }

    #[test]
    fn who_no_longer_waits_is_not_counted() {
        let (waiting, home) =
            (WaitingByOrigin::default(), Origin::from(IpAddr::from([10, 0, 0, 1])));
        waiting.add(home, 1);
        waiting.add(home, 2);
        waiting.add(IpAddr::from([10, 0, 0, 2]).into(), 3);

        assert_eq!(waiting.count(home, &[1, 2, 3].into()), 2);
        assert_eq!(waiting.count(home, &[2].into()), 1);
        assert_eq!(waiting.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn an_origin_tries_ten_times_and_then_ten_times_a_minute() {
        let (tries, now) = (AttemptLimit::default(), Instant::now());
        let origin = |number: u32| Origin::from(IpAddr::from(Ipv4Addr::from_bits(number)));

        assert!((0..10).all(|_| tries.take(origin(1), now).is_ok()));
        assert_eq!(tries.take(origin(1), now), Err(Duration::from_secs(6)));
        assert!(tries.take(origin(2), now).is_ok(), "another is not kept out");
        let later = now + Duration::from_secs(60);
        assert!((0..10).all(|_| tries.take(origin(1), later).is_ok()));
        assert!(tries.take(origin(1), later).is_err());
    }

    #[test]
    fn a_crowd_that_tries_takes_bounded_memory_and_is_forgotten() {
        let (tries, now) = (AttemptLimit::default(), Instant::now());
        let origin = |number: usize| {
            Origin::from(IpAddr::from(Ipv4Addr::from_bits(u32::try_from(number).unwrap())))
        };
        assert!((0..TRIED_MAX).all(|number| tries.take(origin(number), now).is_ok()));

        assert!(tries.take(origin(TRIED_MAX), now).is_err());
        assert!(tries.take(origin(1), now).is_ok(), "who is known goes on");
        let later = now + Duration::from_secs(60);
        assert!(tries.take(origin(TRIED_MAX), later).is_ok());
        assert_eq!(tries.0.lock().unwrap().len(), 1);
    }
}
