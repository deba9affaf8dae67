//! What the server remembers for pushing: topics, streams, and what is to be pushed.

use std::sync::{Arc, Mutex, PoisonError};

use chassis::quota::Quota;
use ruma::UserId;
use sqlx::{AnyPool, Row as _};
use store::{DatabaseError, column};
use tokio::task::JoinSet;

use super::{address, pending::Pending, topics::Topics};
use crate::error::Error;

/// Most subscriptions that last.
const STREAMS_MAX: usize = 2_000;
/// Most of them from one node. ntfy has one for all its topics.
const STREAMS_OF_NODE: usize = 4;

/// What the server remembers for pushing.
#[derive(Debug)]
pub(crate) struct Push {
    /// Topics and their messages.
    pub(crate) topics: Topics,
    /// What is to be pushed.
    pub(crate) pending: Arc<Pending>,
    /// Counts subscriptions by the stable id of the node.
    pub(crate) streams: Quota<String>,
    tasks: Mutex<JoinSet<()>>,
}

impl Push {
    /// Binds the topics of the stored pushers to their people.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub(crate) async fn load(pool: &AnyPool, network: &str) -> Result<Self, Error> {
        let streams = Quota::new(STREAMS_MAX, STREAMS_OF_NODE);
        let push = Self {
            topics: Topics::default(),
            pending: Arc::default(),
            streams,
            tasks: Mutex::default(),
        };
        let query = "SELECT u.user_id, u.pushkey, p.mesh_user FROM pushers u JOIN people p ON p.user_id = u.user_id";
        for row in sqlx::query(query).fetch_all(pool).await? {
            let (user, key): (String, String) = (row.try_get("user_id")?, row.try_get("pushkey")?);
            let user = UserId::parse(user).map_err(|_| DatabaseError::Row("user_id"))?;
            if let Some(topic) = address::topic(&key, network) {
                // Two people may have signed in on one phone. The topic is the one's whose pusher comes first.
                let _ = push.topics.bind(column::number(&row, "mesh_user")?, &topic);
            }
            push.pending.has_pusher(user);
        }
        Ok(push)
    }

    /// Runs the task that pushes, until [`Self::stop`].
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    /// Ends pushing.
    pub(crate) fn stop(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}
