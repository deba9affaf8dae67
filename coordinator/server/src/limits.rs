//! How many connections there may be, and how long a body may take.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};

/// Connections in all.
const TOTAL: usize = 4096;
/// Connections of one address; a household behind one router shares it.
const PER_ADDRESS: usize = 256;
/// Largest body of a request, in bytes.
pub(crate) const BODY_MAX: usize = 1024 * 1024;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and how long a connection may be idle.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(30);

/// Counts connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection that was counted.
#[derive(Debug)]
pub(crate) struct Connection {
    counts: Connections,
    address: IpAddr,
}

impl Connections {
    /// Counts one more; `None` if there are too many.
    pub(crate) fn open(&self, address: IpAddr) -> Option<Connection> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = counts.values().sum();
        let own = counts.get(&address).copied().unwrap_or(0);
        if total >= TOTAL || own >= PER_ADDRESS {
            return None;
        }
        counts.insert(address, own + 1);
        Some(Connection { counts: self.clone(), address })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = counts.get_mut(&self.address) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.remove(&self.address);
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
        let address = |byte| IpAddr::from([10, 0, 0, byte]);

        let held: Vec<_> =
            (0..PER_ADDRESS).map(|_| connections.open(address(1)).unwrap()).collect();

        assert!(connections.open(address(1)).is_none());
        assert!(connections.open(address(2)).is_some());
        drop(held);
        assert!(connections.open(address(1)).is_some());
        assert_eq!(connections.0.lock().unwrap().len(), 0);
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
