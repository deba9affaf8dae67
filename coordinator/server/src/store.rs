//! The database: SQLite in a file, or PostgreSQL by URL, with one set of queries.
//!
//! Everything that decides (who becomes a node, with which name and address) happens in a [`Change`]: a write
//! transaction that first counts the network's revision up. That row makes changes wait for each other on both
//! engines, also those of another coordinator on the same database, so what a change reads is what it overwrites. The
//! same row holds the epoch of whoever has the database (see [`Hold`]): under an older one nothing is written.
//!
//! Every function here fails if the database does, with a [`StoreError`]; a change that fails is undone when it is
//! dropped. What else makes a function fail is said with it.
#![allow(clippy::missing_errors_doc, reason = "that the database may fail is said once, above")]

mod api_keys;
mod audit;
mod change;
mod copy;
mod hold;
mod keys;
mod new;
mod nodes;
mod pending;
mod queue;
mod read;
mod row;
mod rows;
mod times;
mod users;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use coordinator_api::{Actor, SCHEMA};
use coordinator_core::{
    api_key::{ApiKey, ApiKeyHash, Denied},
    model::{Node, NodeId, Pending, Record, User},
    policy,
    time::Millis,
};
use futures_util::future::BoxFuture;
use sqlx::{
    Any, AnyConnection, AnyPool, Connection as _, Row, SqlSafeStr as _, Transaction,
    any::{AnyConnectOptions, AnyPoolOptions},
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use self::queue::{Queue, WritePermit};
pub use audit::{Keep, LogQuery};
pub use change::Change;
pub use copy::{CopyError, copy};
pub use hold::{Hold, HoldError};
pub use new::{NewNode, NewPending, Waiting};
pub(crate) use times::Times;

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
/// Connections to the database.
const CONNECTIONS: u32 = 8;
/// How long a change waits for a database that has let go of this coordinator.
const HOLD_TIME: Duration = Duration::from_secs(10);

/// Where the data is.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A server, by URL, which may hold a password.
    Postgres(String),
}

impl Database {
    /// Whether it is one that Maru takes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Url`] if not.
    pub fn check(&self) -> Result<(), StoreError> {
        let known = ["postgres://", "postgresql://"];
        match self {
            Self::Postgres(url) if !known.iter().any(|scheme| url.starts_with(scheme)) => {
                Err(StoreError::Url)
            }
            Self::Sqlite(_) | Self::Postgres(_) => Ok(()),
        }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => f.write_str("Postgres([redacted])"),
        }
    }
}

/// The database failed, or does not fit.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is not one that Maru takes.
    #[error("the database URL must begin with postgres:// or postgresql://")]
    Url,
    /// It could not be reached or opened.
    #[error(
        "cannot open the database; look whether it runs, where `database_url_file` points, and who may write there"
    )]
    Open(#[source] sqlx::Error),
    /// Its tables could not be brought up to date, or belong to a newer version.
    #[error("cannot bring the database up to date")]
    Migrate(#[source] MigrateError),
    /// A query failed; the same request may succeed later.
    #[error("database query failed")]
    Query(#[from] sqlx::Error),
    /// A row holds what no version of Maru wrote.
    #[error("the database holds an unreadable {0}")]
    Row(&'static str),
    /// Somebody else changed the row between reading and writing: read again.
    #[error("changed by somebody else meanwhile")]
    Conflict,
    /// The API key that asked for the change may not make it, or not any more.
    #[error("the API key may not make the change")]
    Denied(Denied),
    /// The network in the database has another name.
    #[error("this database belongs to the network {0}, and a network's name never changes")]
    OtherNetwork(String),
    /// No address is free.
    #[error("no address is free in 100.64.0.0/10")]
    Full,
    /// The database was restarted, and may be another coordinator's by now.
    #[error(
        "the database has let go of this coordinator, which takes it again; try again in a moment"
    )]
    NotHeld,
}

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

/// Whether a transaction counts as a change of the network, after which everyone's maps are made anew.
#[derive(Clone, Copy)]
enum Counted {
    No = 0,
    Yes = 1,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    begin: &'static str,
    /// Changes of this process wait here, and not on a connection that others need to read.
    queue: Queue,
    /// The epoch under which this process may write; `None` while the database is not this coordinator's.
    epoch: watch::Receiver<Option<i64>>,
    times: Times,
}

impl Store {
    /// Opens the database, creating the file if there is none, and brings its tables up to date.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be opened, is newer than this program, or belongs to a network other than `domain`.
    pub async fn open(database: &Database, domain: &str) -> Result<Self, StoreError> {
        database.check()?;
        sqlx::any::install_default_drivers();
        let (pool, begin) = match database {
            Database::Sqlite(path) => {
                let pool = connect(
                    &file_url(path, "rwc")?,
                    AnyPoolOptions::new().after_connect(prepare_sqlite),
                )
                .await?;
                migrate(SQLITE, &pool).await?;
                (pool, "BEGIN IMMEDIATE")
            }
            Database::Postgres(url) => {
                let pool = connect(url, AnyPoolOptions::new()).await?;
                migrate(POSTGRES, &pool).await?;
                (pool, "BEGIN")
            }
        };
        let epoch = begin_network(&pool, domain).await?;
        let (queue, times) = (Queue::default(), Times::default());
        Ok(Self { pool, begin, queue, epoch: watch::channel(Some(epoch)).1, times })
    }

    /// The same, which writes only while the database is held. From now on nothing is written by a store that was opened
    /// before, wherever it runs.
    pub async fn held_by(self, hold: &Hold) -> Result<Self, StoreError> {
        hold.begin_epoch(&mut *self.pool.acquire().await?).await?;
        Ok(Self { epoch: hold.watch(), ..self })
    }

    /// Begins a change by the administration, before all that wait in [`Self::change_by_node`]. Dropping it undoes it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Denied`] if the actor is an API key that was removed, is over, or may read alone.
    pub async fn change(&self, actor: Actor) -> Result<Change, StoreError> {
        let asked = Instant::now();
        self.begin(actor, self.queue.administration().await, asked).await
    }

    /// Begins a change that a device asked for. Dropping it undoes it.
    pub async fn change_by_node(&self, actor: Actor) -> Result<Change, StoreError> {
        let asked = Instant::now();
        self.begin(actor, self.queue.node().await, asked).await
    }

    async fn begin(
        &self,
        actor: Actor,
        permit: WritePermit,
        asked: Instant,
    ) -> Result<Change, StoreError> {
        self.times.turn.observe(asked.elapsed().as_secs_f64());
        let tx = self.write(Counted::Yes).await?;
        Change::begin(tx, actor, permit, self.times.clone()).await
    }

    /// Begins a transaction that may write, and takes the network's row, so that all of them wait for each other on both
    /// engines.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotHeld`] if another coordinator has taken the database, whether or not this one knows it yet.
    async fn write(&self, counted: Counted) -> Result<Transaction<'static, Any>, StoreError> {
        let mut epoch = self.epoch.clone();
        let held = timeout(HOLD_TIME, epoch.wait_for(Option::is_some)).await;
        let Some(epoch) = held.ok().and_then(Result::ok).and_then(|epoch| *epoch) else {
            return Err(StoreError::NotHeld);
        };
        let mut tx = self.pool.begin_with(self.begin).await?;
        let row = "UPDATE network SET revision = revision + $1 WHERE id = 1 AND epoch = $2";
        let row = sqlx::query(row).bind(counted as i64).bind(epoch);
        match row.execute(&mut *tx).await?.rows_affected() {
            0 => Err(StoreError::NotHeld),
            _ => Ok(tx),
        }
    }

    /// Reads everything that maps are made of.
    ///
    /// # Errors
    ///
    /// [`StoreError::Row`] if a row cannot be read.
    pub async fn load(&self) -> Result<Loaded, StoreError> {
        let began = Instant::now();
        let mut tx = self.pool.begin().await?;
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
        self.times.load.observe(began.elapsed().as_secs_f64());
        Ok(loaded)
    }

    /// Writes when nodes were last connected, in a node's turn; one that is gone is left alone. It is no change of the
    /// network.
    pub async fn set_last_seen(&self, seen: &BTreeMap<NodeId, Millis>) -> Result<(), StoreError> {
        let _turn = self.queue.node().await;
        let mut tx = self.write(Counted::No).await?;
        for (&id, &at) in seen {
            nodes::set_last_seen(&mut tx, id, at).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Removes from the audit log what is not kept.
    pub async fn prune_log(&self, keep: Keep) -> Result<(), StoreError> {
        let _turn = self.queue.node().await;
        let mut tx = self.write(Counted::No).await?;
        audit::prune(&mut tx, keep).await?;
        Ok(tx.commit().await?)
    }

    /// What is counted of the database.
    pub(crate) fn times(&self) -> &Times {
        &self.times
    }

    /// Closes the connections, writing out what SQLite keeps in its log.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Writes the network's row if there is none; returns the epoch of whoever has the database.
async fn begin_network(pool: &AnyPool, domain: &str) -> Result<i64, StoreError> {
    sqlx::query(
        "INSERT INTO network (id, revision, domain, next_id, last_ipv4, policy, policy_revision) \
         VALUES (1, 0, $1, 1, NULL, $2, 1) ON CONFLICT (id) DO NOTHING",
    )
    .bind(domain.to_owned())
    .bind(policy::first())
    .execute(pool)
    .await?;
    let row = sqlx::query("SELECT domain, epoch FROM network WHERE id = 1").fetch_one(pool).await?;
    let stored: String = row.try_get("domain")?;
    if stored == domain { Ok(row.try_get("epoch")?) } else { Err(StoreError::OtherNetwork(stored)) }
}

/// The URL of a file; `mode` is `rw`, or `rwc` to make it if it is not there.
fn file_url(path: &std::path::Path, mode: &str) -> Result<String, StoreError> {
    let path = path.to_str().ok_or(StoreError::Row("path: it is not UTF-8"))?;
    // The path is the URL's opaque part; what would end it is written as an escape.
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Ok(format!("sqlite://{path}?mode={mode}"))
}

async fn connect(url: &str, options: AnyPoolOptions) -> Result<AnyPool, StoreError> {
    let connect: AnyConnectOptions = url.parse().map_err(StoreError::Open)?;
    // A pool would try until its time is over, and not say why it failed.
    let first = AnyConnection::connect_with(&connect).await.map_err(StoreError::Open)?;
    first.close().await.map_err(StoreError::Open)?;
    options
        .max_connections(CONNECTIONS)
        .acquire_timeout(std::time::Duration::from_secs(10))
        .connect_with(connect)
        .await
        .map_err(StoreError::Open)
}

fn prepare_sqlite(
    connection: &mut AnyConnection,
    _: sqlx::pool::PoolConnectionMetadata,
) -> BoxFuture<'_, Result<(), sqlx::Error>> {
    Box::pin(async move {
        for pragma in [
            "PRAGMA busy_timeout = 10000",
            "PRAGMA journal_mode = WAL",
            // What was acknowledged survives a power cut.
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
        ] {
            sqlx::query(pragma).execute(&mut *connection).await?;
        }
        Ok(())
    })
}

/// Brings the tables up to date.
///
/// The texts are handed over here: sqlx's macro for them would build the database's clients, SQLite included, a second
/// time, for the compiler to run.
async fn migrate<const N: usize>(
    texts: [(&'static str, &'static str); N],
    pool: &AnyPool,
) -> Result<(), StoreError> {
    let migration = |(version, (name, text)): (i64, (&'static str, &'static str))| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    let migrations = (1..).zip(texts).map(migration).collect();
    Migrator::with_migrations(migrations).run(pool).await.map_err(StoreError::Migrate)
}
