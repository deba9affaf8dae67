//! Limits of connections, in all and by address, before and after the handshake.
//!
//! ```text
//!   accepted ──▶ PendingConnection ──── handshake, admit ────▶ ConnectionPermit
//!                few; the oldest are evicted                   `each` by address, `connections` in all
//! ```
//!
//! Pending connections have a limit of their own. Idle connections use at most half of `connections`: beyond that, the
//! oldest are evicted ([`Activity`]).

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    eviction::{Entry, EvictionPolicy, EvictionQueue},
    idle::Activity,
    quota::{self, Permit, Quota},
};

/// Timeout of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The limits and counts of a listener. A clone shares the counts.
#[derive(Clone, Debug)]
pub struct ConnectionLimit {
    what: &'static str,
    newcomers: EvictionQueue<IpAddr>,
    /// Connections that are admitted and idle.
    idle: EvictionQueue<IpAddr>,
    waiting: usize,
    connections: usize,
    all: Arc<Semaphore>,
    of_one: usize,
    each: Quota<IpAddr>,
    /// Whether there are carriers.
    is_carried: bool,
    /// Whether the log says that the limit is reached, which is logged once.
    told: Arc<AtomicBool>,
}

/// A connection before its handshake is complete.
#[derive(Debug)]
pub struct PendingConnection {
    limit: ConnectionLimit,
    address: IpAddr,
    place: Entry<IpAddr>,
}

/// The right to a connection, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct ConnectionPermit {
    _of_all: OwnedSemaphorePermit,
    _of_address: Option<Permit<IpAddr>>,
    idle: Option<Activity>,
}

impl ConnectionPermit {
    /// Tracks whether the connection is idle, and evicts it; `None` for carriers.
    #[must_use]
    pub fn idle(&self) -> Option<&Activity> {
        self.idle.as_ref()
    }
}

impl ConnectionLimit {
    /// Admits `connections`, `each` of them from one address; `what` names them in the log. In addition there may be a
    /// quarter as many pending connections.
    #[must_use]
    pub fn new(what: &'static str, connections: usize, each: usize) -> Self {
        let waiting = (connections / 4).max(1);
        Self {
            what,
            newcomers: EvictionQueue::new(waiting, each, EvictionPolicy::OldestOfLargest),
            idle: EvictionQueue::new(
                (connections / 2).max(1),
                each,
                EvictionPolicy::OldestOfLargest,
            ),
            waiting,
            connections,
            all: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            of_one: each,
            each: Quota::new(connections, each),
            is_carried: false,
            told: Arc::default(),
        }
    }

    /// Reserves half of the connections for carriers: proxies whose connections carry requests of many clients, and are not
    /// counted by address.
    #[must_use]
    pub fn with_carriers(self) -> Self {
        let each = Quota::new((self.connections / 2).max(1), self.of_one);
        // Whether a connection is a carrier's is known after the handshake: many may be of one address.
        let newcomers =
            EvictionQueue::new(self.waiting, self.waiting, EvictionPolicy::OldestOfLargest);
        Self { newcomers, each, is_carried: true, ..self }
    }

    /// Most connections, pending ones included.
    #[must_use]
    pub fn most(&self) -> usize {
        self.connections.saturating_add(self.waiting)
    }

    /// Registers a connection from this address; `None` if it could not be admitted.
    #[must_use]
    pub fn enter(&self, from: IpAddr) -> Option<PendingConnection> {
        let address = quota::origin(from);
        if !self.is_carried && self.each.is_full(&address) {
            return None;
        }
        Some(PendingConnection {
            limit: self.clone(),
            address,
            place: self.newcomers.enter(Some(address)),
        })
    }
}

impl PendingConnection {
    /// The address that it is counted by.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Waits for the handshake; `None` if it fails, times out, or the connection is evicted.
    pub async fn shake<T>(&self, hands: impl Future<Output = io::Result<T>>) -> Option<T> {
        // No log names the address.
        tokio::select! {
            shaken = timeout(HANDSHAKE, hands) => match shaken {
                Ok(Ok(stream)) => return Some(stream),
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake timed out"),
            },
            () = self.place.evicted() => {
                tracing::debug!("a connection was evicted during its TLS handshake");
            }
        }
        None
    }

    /// Admits the connection, if the limits allow it; `carries` says that it is a carrier's.
    #[must_use]
    pub fn admit(self, carries: bool) -> Option<ConnectionPermit> {
        let Self { limit, address, place } = self;
        place.keep();
        let of_address = match carries && limit.is_carried {
            true => None,
            false => Some(limit.each.take(address).ok()?),
        };
        let Ok(of_all) = limit.all.try_acquire_owned() else {
            if !limit.told.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    max = limit.connections,
                    "too many {}: closing new ones",
                    limit.what
                );
            }
            return None;
        };
        limit.told.store(false, Ordering::Relaxed);
        let idle = of_address.is_some().then(|| Activity::new(limit.idle, address));
        Some(ConnectionPermit { _of_all: of_all, _of_address: of_address, idle })
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn from(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn admit(limit: &ConnectionLimit, last: u8, carries: bool) -> Option<ConnectionPermit> {
        limit.enter(from(last))?.admit(carries)
    }

    #[tokio::test]
    async fn who_only_connects_is_not_counted_and_gives_way() {
        let limit = ConnectionLimit::new("connections", 8, 2);
        let silent: Vec<_> = (0..20).map(|last| limit.enter(from(last)).unwrap()).collect();

        let known: Vec<_> = (100..108).map(|last| admit(&limit, last, false)).collect();

        assert!(known.iter().all(Option::is_some), "all of it is free");
        assert!(admit(&limit, 200, false).is_none(), "and no more");
        let gives_way = timeout(HANDSHAKE / 2, silent[0].shake(pending::<io::Result<()>>()));
        assert!(gives_way.await.expect("before its time is over").is_none());
        drop(known);
        let new = limit.enter(from(9)).unwrap();
        assert!(new.shake(ready(Ok(()))).await.is_some());
        assert!(new.admit(false).is_some());
    }

    #[test]
    fn one_address_has_a_part_and_carriers_have_half() {
        let limit = ConnectionLimit::new("connections", 8, 3).with_carriers();
        let mut others: Vec<_> = (0..4).map(|_| admit(&limit, 1, false)).collect();
        assert_eq!(others.iter().flatten().count(), 3, "of one address");
        others.extend((0..4).map(|_| admit(&limit, 2, false)));
        assert_eq!(others.iter().flatten().count(), 4, "half of all");

        let mut carriers: Vec<_> = (0..5).map(|_| admit(&limit, 1, true)).collect();

        assert_eq!(carriers.iter().flatten().count(), 4, "the other half, from any address");
        drop(others);
        carriers.extend((0..5).map(|_| admit(&limit, 1, true)));
        assert_eq!(carriers.iter().flatten().count(), 8, "what others leave");
    }

    #[test]
    fn who_says_that_it_carries_where_nobody_does_is_counted() {
        let limit = ConnectionLimit::new("connections", 8, 1);
        let _first = admit(&limit, 1, true).unwrap();
        assert!(limit.enter(from(1)).is_none());
    }
}
