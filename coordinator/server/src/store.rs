//! The coordinator's queries on its database, above the crate `store`.
//!
//! Everything that decides (who becomes a node, with which name and address) happens in a [`Change`]: a write
//! transaction that first increments the network's revision. Changes run one at a time, also those of another coordinator
//! on the same database, so a change never overwrites a newer state than it has read.
//!
//! Every function here fails if the database does, with a [`StoreError`]; a failed change is rolled back when it is
//! dropped. Functions document their other errors.
#![allow(clippy::missing_errors_doc, reason = "database errors are documented once, above")]

mod api_keys;
mod audit;
mod change;
mod error;
mod keys;
mod nodes;
mod pending;
mod read;
pub(crate) mod replica;
mod rows;
mod select;
pub(crate) mod shared;
mod users;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

pub use ::store::{CopyError, Database, DatabaseError, DatabaseLock, LockError, copy};
use ::store::{DatabaseMetrics, Opened, Priority, RevisionUpdate, Schema, column};
use common::mesh;
use coordinator_api::Actor;
use coordinator_core::{
    api_key::{ApiKey, ApiKeyHash},
    model::{Node, NodeId, Pending, Record, User},
    policy,
    time::Millis,
};
use ipnet::Ipv4Net;
use sqlx::{AnyPool, Row as _};
use tokio::time::Instant;

pub use audit::{LogQuery, LogRetention};
pub use change::Change;
pub use error::StoreError;
pub use pending::WaitingDevices;
pub use replica::{Lease, Replica};

/// The database's tables.
const TABLES: Schema = Schema {
    table: "network",
    // `maru` in ASCII.
    lock: 1_835_102_837,
    migrations: coordinator_api::MIGRATIONS,
};

/// The whole network as stored.
#[derive(Clone, Debug)]
pub struct StoredNetwork {
    /// Number of changes so far.
    pub revision: i64,
    /// The users.
    pub users: Arc<[User]>,
    /// The nodes, by number.
    pub nodes: Arc<[Arc<Node>]>,
    /// The waiting devices.
    pub pending: Arc<[Pending]>,
    /// Extra DNS names.
    pub records: Arc<[Record]>,
    /// The API keys, by their hashes.
    pub api_keys: Arc<HashMap<ApiKeyHash, ApiKey>>,
    /// The policy's text.
    pub policy: Arc<str>,
    /// Number of policies so far.
    pub policy_revision: i64,
}

impl StoredNetwork {
    /// The network after a change that updated this node and nothing else; `None` if it is not the next change, or the node
    /// is unknown.
    pub(crate) fn with(&self, node: Node, revision: i64) -> Option<Self> {
        if self.revision.checked_add(1) != Some(revision) {
            return None;
        }
        self.with_all(vec![node], revision)
    }

    /// The network after changes that updated these nodes and nothing else; `None` if a node is unknown.
    pub(crate) fn with_all(&self, nodes: Vec<Node>, revision: i64) -> Option<Self> {
        let mut all = Arc::clone(&self.nodes);
        let next = Arc::make_mut(&mut all);
        for node in nodes {
            let known = next.binary_search_by_key(&node.id, |known| known.id).ok()?;
            let known = next.get_mut(known)?;
            if known.revision < node.revision {
                *known = Arc::new(node);
            }
        }
        Some(Self { revision, nodes: all, ..self.clone() })
    }
}

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    base: ::store::Store,
    addresses: Ipv4Net,
    /// Whether other coordinators use the database, too.
    is_shared: bool,
    /// The newest revision that devices were told of.
    told: Arc<AtomicI64>,
    /// Whether the whole network must be read: the database may be another, where other changes than those that were told have
    /// their numbers.
    must_read_all: Arc<AtomicBool>,
}

/// Locks the database for this coordinator, see [`DatabaseLock::take`].
///
/// # Errors
///
/// [`LockError::Held`] if another one uses it.
pub async fn lock(database: &Database) -> Result<DatabaseLock, LockError> {
    DatabaseLock::take(database, &TABLES).await
}

/// Shares the database with other coordinators, see [`DatabaseLock::join`].
///
/// # Errors
///
/// [`LockError::Held`] if one that shares nothing uses it.
pub async fn join(database: &Database) -> Result<DatabaseLock, LockError> {
    DatabaseLock::join(database, &TABLES).await
}

impl Store {
    /// Opens the database, creating the file if there is none, and brings its tables up to date.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be opened, is newer than this program, or belongs to a network other than `domain`.
    pub async fn open(database: &Database, domain: &str) -> Result<Self, StoreError> {
        let opened = Opened::open(database, &TABLES).await?;
        Self::opened(opened, domain).await
    }

    /// Opens a database that other coordinators may use, too. The first of them brings its tables up to date.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], and [`DatabaseError::Older`] if a coordinator of an older version uses it.
    pub async fn open_shared(
        database: &Database,
        domain: &str,
        hold: &mut DatabaseLock,
    ) -> Result<Self, StoreError> {
        let opened = match hold.other().await.map_err(DatabaseError::from)? {
            Some(other) => Opened::open_beside(database, &TABLES, &other).await?,
            None => Opened::open(database, &TABLES).await?,
        };
        let store = Self::opened(opened, domain).await?.locked_by(hold).await?;
        hold.let_others_in().await.map_err(DatabaseError::from)?;
        Ok(Self { is_shared: true, ..store })
    }

    async fn opened(opened: Opened, domain: &str) -> Result<Self, StoreError> {
        begin_network(opened.pool(), domain).await?;
        let base = opened.store().await?;
        Ok(Self {
            base,
            addresses: mesh::V4,
            is_shared: false,
            told: Arc::default(),
            must_read_all: Arc::default(),
        })
    }

    /// Whether other coordinators use the database, too.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Devices are told of this revision: nothing older is read or written from now on.
    pub(crate) fn tells(&self, revision: i64) {
        self.told.fetch_max(revision, Ordering::SeqCst);
    }

    fn refuse_older(&self, found: i64) -> Result<(), DatabaseError> {
        let told = self.told.load(Ordering::SeqCst);
        if found < told {
            self.mistrust();
            return Err(DatabaseError::WentBack { found, told });
        }
        Ok(())
    }

    /// From now on single changes are not taken over, until the whole network was read once.
    pub(crate) fn mistrust(&self) {
        self.must_read_all.store(true, Ordering::SeqCst);
    }

    /// Whether the whole network must be read.
    pub(crate) fn must_read_all(&self) -> bool {
        self.must_read_all.load(Ordering::SeqCst)
    }

    /// Returns a store that writes only while the lock is held. Every store that was opened earlier, in any process, can no
    /// longer write.
    pub async fn locked_by(self, hold: &DatabaseLock) -> Result<Self, StoreError> {
        Ok(Self { base: self.base.locked_by(hold).await?, ..self })
    }

    /// Returns a store that gives new nodes addresses from `addresses` alone, instead of from all of [`mesh::V4`].
    #[must_use]
    pub fn allocating_from(self, addresses: Ipv4Net) -> Self {
        Self { addresses, ..self }
    }

    /// Begins a change by an admin, with priority over [`Self::change_by_node`]. Dropping it rolls it back.
    ///
    /// # Errors
    ///
    /// [`StoreError::AccessDenied`] if the actor is an API key that was removed, has expired, or is read-only.
    pub async fn change(&self, actor: Actor) -> Result<Change, StoreError> {
        self.begin(Priority::High, actor).await
    }

    /// Begins a change that a device asked for. Dropping it rolls it back.
    pub async fn change_by_node(&self, actor: Actor) -> Result<Change, StoreError> {
        self.begin(Priority::Low, actor).await
    }

    async fn begin(&self, priority: Priority, actor: Actor) -> Result<Change, StoreError> {
        let write = self.base.write(priority, RevisionUpdate::Increment).await?;
        self.refuse_older(write.revision().saturating_sub(1))?;
        Change::begin(write, actor, self.addresses, self.is_shared).await
    }

    /// Reads the whole network.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Row`] if a row cannot be read.
    pub async fn load(&self) -> Result<StoredNetwork, StoreError> {
        let began = Instant::now();
        let must_read_all = self.must_read_all.swap(false, Ordering::SeqCst);
        let loaded = self.read().await.and_then(|loaded| {
            self.refuse_older(loaded.revision)?;
            Ok(loaded)
        });
        if loaded.is_err() && must_read_all {
            self.mistrust();
        }
        self.base.metrics().load.observe(began.elapsed().as_secs_f64());
        loaded
    }

    async fn read(&self) -> Result<StoredNetwork, StoreError> {
        let mut tx = self.base.read().await?;
        let row = sqlx::query("SELECT revision, policy, policy_revision FROM network WHERE id = 1");
        let row = row.fetch_one(&mut *tx).await?;
        let loaded = StoredNetwork {
            revision: row.try_get("revision")?,
            users: select::all(&mut tx, users::all()).await?.into(),
            nodes: select::all(&mut tx, nodes::all()).await?.into_iter().map(Arc::new).collect(),
            pending: select::all(&mut tx, pending::all()).await?.into(),
            records: select::all(&mut tx, nodes::records()).await?.into(),
            api_keys: Arc::new(select::all(&mut tx, api_keys::all()).await?.into_iter().collect()),
            policy: row.try_get::<String, _>("policy")?.into(),
            policy_revision: row.try_get("policy_revision")?,
        };
        tx.commit().await?;
        Ok(loaded)
    }

    /// Stores when nodes were last connected, with low priority, and skips nodes that do not exist. The revision stays.
    pub async fn set_last_seen(&self, seen: &BTreeMap<NodeId, Millis>) -> Result<(), StoreError> {
        let mut write = self.base.write(Priority::Low, RevisionUpdate::Keep).await?;
        self.refuse_older(write.revision())?;
        for (&id, &at) in seen {
            let update = sqlx::query("UPDATE nodes SET last_seen = $2 WHERE id = $1");
            update.bind(column::sql(id)).bind(at).execute(write.connection()).await?;
        }
        Ok(write.commit().await?)
    }

    /// Deletes entries of the audit log that are no longer kept.
    pub async fn prune_log(&self, keep: LogRetention) -> Result<(), StoreError> {
        let mut write = self.base.write(Priority::Low, RevisionUpdate::Keep).await?;
        audit::prune(write.connection(), keep).await?;
        Ok(write.commit().await?)
    }

    /// Metrics of the database.
    pub(crate) fn metrics(&self) -> &DatabaseMetrics {
        self.base.metrics()
    }

    /// Closes the connections, which checkpoints SQLite's write-ahead log.
    pub async fn close(&self) {
        self.base.close().await;
    }
}

/// Inserts the network's row if it is missing.
async fn begin_network(pool: &AnyPool, domain: &str) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO network (id, revision, domain, next_id, last_ipv4, policy, policy_revision) \
         VALUES (1, 0, $1, 1, NULL, $2, 1) ON CONFLICT (id) DO NOTHING",
    )
    .bind(domain.to_owned())
    .bind(policy::first())
    .execute(pool)
    .await?;
    let stored = sqlx::query_scalar("SELECT domain FROM network WHERE id = 1");
    let stored: String = stored.fetch_one(pool).await?;
    if stored == domain { Ok(()) } else { Err(StoreError::OtherNetwork(stored)) }
}

#[cfg(test)]
mod tests;
