//! Connections whose answer was read to its end: the next request goes over one of them.
//!
//! They are few and are kept for a second, because a server may hold a thread for each: never more than were under way
//! together. Cancelling stays closing: what was not read to its end never gets here. A server whose socket was put aside is
//! leaving: it gets nothing more over what was kept, or a loop of requests would hold it for ever.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
    time::Duration,
};

use rustls::ClientConfig;
use tokio::time::{Instant, sleep};

use super::stream::{Connection, FileId};

/// For how long one is kept.
const KEPT: Duration = Duration::from_secs(1);
/// How often it is looked for those that were kept for so long.
const LOOK: Duration = Duration::from_millis(250);
/// How many are kept in all.
const MAX: usize = 16;

/// How TLS is spoken on a connection, if it is: with these certificates.
pub(super) type Trust = Option<Arc<ClientConfig>>;

/// What a connection was made with; another is used only while this is still so.
#[derive(Clone, Default)]
pub(super) struct ConnectionKey {
    pub(super) trust: Trust,
    /// The socket that is called, where it is a file.
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
    made: ConnectionKey,
    /// On which it was made, and where its bytes are waited for.
    thread: ThreadId,
    connection: Connection,
}

impl IdleConnection {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < KEPT
    }
}

impl IdlePool {
    /// One of this thread's that can carry a request, and that was made with the same.
    pub(super) fn take(&self, made: &ConnectionKey) -> Option<Connection> {
        let thread = thread::current().id();
        let mut state = self.state();
        loop {
            let last = state.kept.iter().rposition(|kept| kept.thread == thread)?;
            let mut kept = state.kept.remove(last);
            if kept.made == *made && kept.is_fresh() && kept.connection.is_ready() {
                return Some(kept.connection);
            }
        }
    }

    /// Keeps one, if the server goes on with it; if there is no room, in the place of the oldest.
    pub(super) fn keep(self: &Arc<Self>, mut connection: Connection, made: ConnectionKey) {
        let thread = thread::current().id();
        let mut state = self.state();
        if !connection.is_ready() {
            return;
        }
        if state.kept.len() == MAX {
            state.kept.remove(0);
        }
        state.kept.push(IdleConnection { since: Instant::now(), made, thread, connection });
        if !std::mem::replace(&mut state.closing, true) {
            tokio::spawn(Arc::clone(self).close());
        }
    }

    /// Closes what was not taken in time, until there is nothing left.
    async fn close(self: Arc<Self>) {
        loop {
            sleep(LOOK).await;
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
        f.debug_struct("Idle").finish_non_exhaustive()
    }
}
