//! Idle connections: their answer was read to its end, and the next request is sent over one of them.
//!
//! They are few and are kept for only a second, because a server may use a thread for each. A connection whose answer
//! was not read to its end is closed, which cancels the request. If the server's socket file was replaced, the old
//! server is stopping: its idle connections are not used again, because a loop of requests would keep it from stopping.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
    time::Duration,
};

use rustls::ClientConfig;
use tokio::time::{Instant, sleep};

use super::stream::{Connection, FileId};

/// How long an idle connection is kept.
const KEPT: Duration = Duration::from_secs(1);
/// Interval of the check for expired connections.
const CHECK: Duration = Duration::from_millis(250);
/// Most idle connections.
const MAX: usize = 16;

/// The TLS configuration of a connection; `None` without TLS.
pub(super) type Trust = Option<Arc<ClientConfig>>;

/// What a connection was made with; it is reused only for a request with the same.
#[derive(Clone, Default)]
pub(super) struct ConnectionKey {
    pub(super) trust: Trust,
    /// The file of the UNIX socket; `None` for TCP.
    pub(super) socket: Option<FileId>,
}

impl PartialEq for ConnectionKey {
    fn eq(&self, other: &Self) -> bool {
        let same_trust = match (&self.trust, &other.trust) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_trust && self.socket == other.socket
    }
}

/// The idle connections to one backend.
#[derive(Default)]
pub(super) struct IdlePool(Mutex<State>);

#[derive(Default)]
struct State {
    kept: Vec<IdleConnection>,
    /// Whether a task closes them.
    closing: bool,
}

struct IdleConnection {
    since: Instant,
    key: ConnectionKey,
    /// The thread that made it, whose runtime polls it.
    thread: ThreadId,
    connection: Connection,
}

impl IdleConnection {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < KEPT
    }
}

impl IdlePool {
    /// Takes a connection of this thread with this key that can carry a request.
    pub(super) fn take(&self, key: &ConnectionKey) -> Option<Connection> {
        let thread = thread::current().id();
        let mut state = self.state();
        loop {
            let last = state.kept.iter().rposition(|kept| kept.thread == thread)?;
            let mut kept = state.kept.remove(last);
            if kept.key == *key && kept.is_fresh() && kept.connection.is_ready() {
                return Some(kept.connection);
            }
        }
    }

    /// Keeps a connection if it is still open; if the pool is full, the oldest is closed.
    pub(super) fn keep(self: &Arc<Self>, mut connection: Connection, key: ConnectionKey) {
        let thread = thread::current().id();
        let mut state = self.state();
        if !connection.is_ready() {
            return;
        }
        if state.kept.len() == MAX {
            state.kept.remove(0);
        }
        state.kept.push(IdleConnection { since: Instant::now(), key, thread, connection });
        if !std::mem::replace(&mut state.closing, true) {
            tokio::spawn(Arc::clone(self).close());
        }
    }

    /// Closes expired connections until the pool is empty.
    async fn close(self: Arc<Self>) {
        loop {
            sleep(CHECK).await;
            let mut state = self.state();
            state.kept.retain(IdleConnection::is_fresh);
            if state.kept.is_empty() {
                state.closing = false;
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for IdlePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdlePool").finish_non_exhaustive()
    }
}
