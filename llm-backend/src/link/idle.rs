//! Connections whose answer was read to its end: the next request goes over one of them.
//!
//! They are few and are kept for a second, because a server may hold a thread for each. Cancelling stays closing: what
//! was not read to its end never gets here.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::connection::Connection;

/// For how long one is kept.
const KEPT: Duration = Duration::from_secs(1);
/// How many are kept.
const MAX: usize = 4;

/// The idle connections to one backend, each with when it became so.
#[derive(Default)]
pub(super) struct Idle(Mutex<Vec<(Instant, Connection)>>);

impl Idle {
    /// One that can carry a request.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut kept = self.kept();
        loop {
            let (since, mut connection) = kept.pop()?;
            if since.elapsed() < KEPT && connection.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Keeps one, if there is room and the server goes on with it.
    pub(super) fn keep(self: &Arc<Self>, mut connection: Connection) {
        let mut kept = self.kept();
        if kept.len() == MAX || !connection.is_ready() {
            return;
        }
        kept.push((Instant::now(), connection));
        if kept.len() == 1 {
            tokio::spawn(Arc::clone(self).close());
        }
    }

    /// Closes what was not taken in time.
    async fn close(self: Arc<Self>) {
        loop {
            sleep(KEPT).await;
            let mut kept = self.kept();
            kept.retain(|(since, _)| since.elapsed() < KEPT);
            if kept.is_empty() {
                return;
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(Instant, Connection)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idle").finish_non_exhaustive()
    }
}
