//! The queries of the coordinator on its database; the crate `store` has what lies below them.
//!
//! Everything that decides (who becomes a node, with which name and address) happens in a [`Change`]: a write
//! transaction that first counts the network's revision up. Changes wait for each other, also those of another coordinator
//! on the same database, so what a change reads is what it overwrites.
//!
//! Every function here fails if the database does, with a [`StoreError`]; a change that fails is undone when it is
//! dropped. What else makes a function fail is said with it.
#![allow(clippy::missing_errors_doc, reason = "that the database may fail is said once, above")]

mod api_keys;
mod audit;
mod change;
mod error;
mod keys;
mod new;
mod nodes;
mod pending;
mod read;
mod rows;
mod users;

use std::collections::{BTreeMap, HashMap};

pub use ::store::{CopyError, Database, DatabaseError, Hold, HoldError, copy};
use ::store::{Counted, Opened, Priority, Schema, Times};
use coordinator_api::{Actor, SCHEMA};
use coordinator_core::{
    api_key::{ApiKey, ApiKeyHash},
    model::{Node, NodeId, Pending, Record, User},
    policy,
    time::Millis,
};
use sqlx::{AnyPool, Row as _};
use tokio::time::Instant;

pub use audit::{Keep, LogQuery};
pub use change::Change;
pub use error::StoreError;
pub use new::{NewNode, NewPending, Waiting};

/// What brings the tables of SQLite up to date, by name; in order, each frozen.
const SQLITE: [(&str, &str); SCHEMA] = [
    ("first", include_str!("../migrations/sqlite/0001_first.sql")),
    ("waiting", include_str!("../migrations/sqlite/0002_waiting.sql")),
    ("routes", include_str!("../migrations/sqlite/0003_routes.sql")),
    ("api keys", include_str!("../migrations/sqlite/0004_api_keys.sql")),
    ("audit", include_str!("../migrations/sqlite/0005_audit.sql")),
    ("epoch", include_str!("../migrations/sqlite/0006_epoch.sql")),
];
/// The same for PostgreSQL.
const POSTGRES: [(&str, &str); SCHEMA] = [
    ("first", include_str!("../migrations/postgres/0001_first.sql")),
    ("waiting", include_str!("../migrations/postgres/0002_waiting.sql")),
    ("routes", include_str!("../migrations/postgres/0003_routes.sql")),
    ("api keys", include_str!("../migrations/postgres/0004_api_keys.sql")),
    ("audit", include_str!("../migrations/postgres/0005_audit.sql")),
    ("epoch", include_str!("../migrations/postgres/0006_epoch.sql")),
];
/// What this coordinator needs of its database.
const TABLES: Schema = Schema {
    table: "network",
    // `maru` in ASCII.
    lock: 1_835_102_837,
    sqlite: &SQLITE,
    postgres: &POSTGRES,
};

/// Everything that maps are made of.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Counts the changes.
    pub revision: i64,
    /// The people.
    pub users: Vec<User>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Those that wait.
    pub pending: Vec<Pending>,
    /// Extra DNS names.
    pub records: Vec<Record>,
    /// The API keys, by their hashes.
    pub api_keys: HashMap<ApiKeyHash, ApiKey>,
    /// The policy's text.
    pub policy: String,
    /// Counts the policies.
    pub policy_revision: i64,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    base: ::store::Store,
}

/// Takes the database for this coordinator alone, see [`Hold::take`].
///
/// # Errors
///
/// [`HoldError::Held`] if another one works on it.
pub async fn hold(database: &Database) -> Result<Hold, HoldError> {
    Hold::take(database, &TABLES).await
}

impl Store {
    /// Opens the database, creating the file if there is none, and brings its tables up to date.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be opened, is newer than this program, or belongs to a network other than `domain`.
    pub async fn open(database: &Database, domain: &str) -> Result<Self, StoreError> {
        let opened = Opened::open(database, &TABLES).await?;
        begin_network(opened.pool(), domain).await?;
        Ok(Self { base: opened.store().await? })
    }

    /// The same, which writes only while the database is held. From now on nothing is written by a store that was opened
    /// before, wherever it runs.
    pub async fn held_by(self, hold: &Hold) -> Result<Self, StoreError> {
        Ok(Self { base: self.base.held_by(hold).await? })
    }

    /// Begins a change by the administration, before all that wait in [`Self::change_by_node`]. Dropping it undoes it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Denied`] if the actor is an API key that was removed, is over, or may read alone.
    pub async fn change(&self, actor: Actor) -> Result<Change, StoreError> {
        Change::begin(self.base.write(Priority::High, Counted::Yes).await?, actor).await
    }

    /// Begins a change that a device asked for. Dropping it undoes it.
    pub async fn change_by_node(&self, actor: Actor) -> Result<Change, StoreError> {
        Change::begin(self.base.write(Priority::Low, Counted::Yes).await?, actor).await
    }

    /// Reads everything that maps are made of.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Row`] if a row cannot be read.
    pub async fn load(&self) -> Result<Loaded, StoreError> {
        let began = Instant::now();
        let mut tx = self.base.pool().begin().await?;
        let row = sqlx::query("SELECT revision, policy, policy_revision FROM network WHERE id = 1")
            .fetch_one(&mut *tx)
            .await?;
        let loaded = Loaded {
            revision: row.try_get("revision")?,
            users: users::all(&mut tx).await?,
            nodes: nodes::all(&mut tx).await?,
            pending: pending::all(&mut tx).await?,
            records: nodes::records(&mut tx).await?,
            api_keys: api_keys::all(&mut tx).await?,
            policy: row.try_get("policy")?,
            policy_revision: row.try_get("policy_revision")?,
        };
        tx.commit().await?;
        self.base.times().load.observe(began.elapsed().as_secs_f64());
        Ok(loaded)
    }

    /// Writes when nodes were last connected, in a node's turn; one that is gone is left alone. It is no change of the
    /// network.
    pub async fn set_last_seen(&self, seen: &BTreeMap<NodeId, Millis>) -> Result<(), StoreError> {
        let mut write = self.base.write(Priority::Low, Counted::No).await?;
        for (&id, &at) in seen {
            nodes::set_last_seen(write.connection(), id, at).await?;
        }
        Ok(write.commit().await?)
    }

    /// Removes from the audit log what is not kept.
    pub async fn prune_log(&self, keep: Keep) -> Result<(), StoreError> {
        let mut write = self.base.write(Priority::Low, Counted::No).await?;
        audit::prune(write.connection(), keep).await?;
        Ok(write.commit().await?)
    }

    /// What is counted of the database.
    pub(crate) fn times(&self) -> &Times {
        self.base.times()
    }

    /// Closes the connections, writing out what SQLite keeps in its log.
    pub async fn close(&self) {
        self.base.close().await;
    }
}

/// Writes the network's row if there is none.
async fn begin_network(pool: &AnyPool, domain: &str) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO network (id, revision, domain, next_id, last_ipv4, policy, policy_revision) \
         VALUES (1, 0, $1, 1, NULL, $2, 1) ON CONFLICT (id) DO NOTHING",
    )
    .bind(domain.to_owned())
    .bind(policy::first())
    .execute(pool)
    .await?;
    let row = sqlx::query("SELECT domain FROM network WHERE id = 1").fetch_one(pool).await?;
    let stored: String = row.try_get("domain")?;
    if stored == domain { Ok(()) } else { Err(StoreError::OtherNetwork(stored)) }
}
