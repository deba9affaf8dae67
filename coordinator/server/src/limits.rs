//! How many connections there may be, and how long a body may take.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use coordinator_core::model::NodeId;
use http_body_util::{BodyExt as _, Limited};

/// Connections in all.
const TOTAL: usize = 4096;
/// Connections of one origin; a household behind one router shares it.
const PER_ORIGIN: usize = 256;
/// Largest body of a request, in bytes.
pub(crate) const BODY_MAX: usize = 1024 * 1024;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and how long a connection may be idle.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(30);

/// Where somebody comes from, as far as one is told apart from others: an address, or with IPv6 a network of them,
/// since each household and each rented server has 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin(IpAddr);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// Which devices wait that came without a key, by where they came from. A restart forgets that, not how many wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Arc<Mutex<HashMap<Origin, BTreeSet<NodeId>>>>);

impl Waiting {
    /// How many of those that still wait came from there.
    pub(crate) fn count(&self, origin: Origin, still: &BTreeSet<NodeId>) -> usize {
        let mut from = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        from.retain(|_, devices| {
            devices.retain(|device| still.contains(device));
            !devices.is_empty()
        });
        from.get(&origin).map_or(0, BTreeSet::len)
    }

    /// Notes that a device waits.
    pub(crate) fn add(&self, origin: Origin, device: NodeId) {
        let mut from = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        from.entry(origin).or_default().insert(device);
    }
}

/// Counts connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<Mutex<HashMap<Origin, usize>>>);

/// One connection that was counted.
#[derive(Debug)]
pub(crate) struct Connection {
    counts: Connections,
    origin: Origin,
}

impl Connections {
    /// Counts one more; `None` if there are too many.
    pub(crate) fn open(&self, origin: Origin) -> Option<Connection> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = counts.values().sum();
        let own = counts.get(&origin).copied().unwrap_or(0);
        if total >= TOTAL || own >= PER_ORIGIN {
            return None;
        }
        counts.insert(origin, own + 1);
        Some(Connection { counts: self.clone(), origin })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = counts.get_mut(&self.origin) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.remove(&self.origin);
            }
        }
    }
}

/// A body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is longer than [`BODY_MAX`], or broke off.
    #[error("the body is longer than 1 MiB, or broke off")]
    Unreadable,
    /// It took longer than [`BODY_TIME`].
    #[error("the body took too long")]
    Slow,
}

/// Reads a whole body within its bounds.
pub(crate) async fn read_body(body: axum::body::Body) -> Result<Bytes, BodyError> {
    let whole = Limited::new(body, BODY_MAX).collect();
    let collected = tokio::time::timeout(BODY_TIME, whole).await.map_err(|_| BodyError::Slow)?;
    Ok(collected.map_err(|_| BodyError::Unreadable)?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_everything() {
        let connections = Connections::default();
        let address = |byte| IpAddr::from([10, 0, 0, byte]).into();

        let held: Vec<_> = (0..PER_ORIGIN).map(|_| connections.open(address(1)).unwrap()).collect();

        assert!(connections.open(address(1)).is_none());
        assert!(connections.open(address(2)).is_some());
        drop(held);
        assert!(connections.open(address(1)).is_some());
        assert_eq!(connections.0.lock().unwrap().len(), 0);
    }

    #[test]
    fn one_network_of_ipv6_is_one_origin() {
        let origin = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());

        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:0:0:2"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
    }

    #[test]
    fn who_no_longer_waits_is_not_counted() {
        let (waiting, home) = (Waiting::default(), Origin::from(IpAddr::from([10, 0, 0, 1])));
        waiting.add(home, 1);
        waiting.add(home, 2);
        waiting.add(IpAddr::from([10, 0, 0, 2]).into(), 3);

        assert_eq!(waiting.count(home, &[1, 2, 3].into()), 2);
        assert_eq!(waiting.count(home, &[2].into()), 1);
        assert_eq!(waiting.0.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_body_is_bounded() {
        assert_eq!(
            read_body(axum::body::Body::from(vec![0; BODY_MAX])).await.unwrap().len(),
            BODY_MAX
        );
        assert_eq!(
            read_body(axum::body::Body::from(vec![0; BODY_MAX + 1])).await,
            Err(BodyError::Unreadable)
        );
    }
}
