//! Opens a database, and begins write transactions.

use std::{path::PathBuf, time::Duration};

use futures_util::future::BoxFuture;
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Row as _, Transaction,
    any::{AnyConnectOptions, AnyPoolOptions},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    database::{Database, file_url},
    error::DatabaseError,
    lock::{DatabaseLock, KEEP_ALIVE},
    metrics::DatabaseMetrics,
    migrate,
    queue::{Priority, Queue},
    rehearse,
    schema::Schema,
    write::{RevisionUpdate, WriteTransaction},
};

/// Connections to the database.
const CONNECTIONS: u32 = 8;
/// Begins a write transaction of SQLite: it takes the lock at once.
const BEGIN_SQLITE: &str = "BEGIN IMMEDIATE";
/// How long a write waits while the lock on the database is lost.
const HOLD_TIME: Duration = Duration::from_secs(10);

/// An open database with current tables. The row of [`Schema::table`] may still be missing.
#[derive(Debug)]
pub struct Opened {
    pool: AnyPool,
    /// The file of SQLite.
    file: Option<PathBuf>,
    table: &'static str,
}

impl Opened {
    /// Opens the database, creates the file if it is missing, and runs migrations: on SQLite on a copy, which takes the
    /// file's place once it was checked, on PostgreSQL in one transaction. After an error the database is as it was.
    ///
    /// A daemon has the lock on the database before it opens it, see [`DatabaseLock`].
    ///
    /// # Errors
    ///
    /// Fails if it cannot be opened or migrated, is damaged, or is newer than this program.
    pub async fn open(database: &Database, schema: &Schema) -> Result<Self, DatabaseError> {
        Self::open_with(database, schema, None).await
    }

    /// The same on a database that another process, the named one, uses meanwhile: nothing is migrated.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Older`] if it would have to be migrated.
    pub async fn open_beside(
        database: &Database,
        schema: &Schema,
        other: &str,
    ) -> Result<Self, DatabaseError> {
        Self::open_with(database, schema, Some(other)).await
    }

    async fn open_with(
        database: &Database,
        schema: &Schema,
        other: Option<&str>,
    ) -> Result<Self, DatabaseError> {
        database.check()?;
        sqlx::any::install_default_drivers();
        let (pool, file, blob) = match database {
            Database::Sqlite(path) => {
                rehearse::migrate(path, schema.migrations).await?;
                // A file needs no test whether its connection still stands, which costs as much as a short query.
                let options = AnyPoolOptions::new().test_before_acquire(false);
                let options = options.after_connect(prepare_sqlite);
                let pool = connect(&file_url(path, "rwc")?, options).await?;
                (pool, Some(path.clone()), "BLOB")
            }
            Database::Postgres(url) => {
                let options = AnyPoolOptions::new().after_connect(prepare_postgres);
                (connect(url, options).await?, None, "BYTEA")
            }
        };
        let mut connection = pool.acquire().await?;
        if let Some(other) = other {
            let known = i64::try_from(schema.migrations.len()).unwrap_or(i64::MAX);
            if migrate::newest(&mut connection).await?.unwrap_or(0) < known {
                return Err(DatabaseError::Older(other.to_owned()));
            }
        }
        migrate::run(schema.migrations, blob, &mut connection).await?;
        drop(connection);
        Ok(Self { pool, file, table: schema.table })
    }

    /// Its connections, for the daemon to insert the row of [`Schema::table`] if it is missing.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Continues with the current epoch.
    pub async fn store(self) -> Result<Store, DatabaseError> {
        let Self { pool, file, table } = self;
        let row = AssertSqlSafe(format!("SELECT epoch FROM {table} WHERE id = 1"));
        let epoch: i64 = sqlx::query(row).fetch_one(&pool).await?.try_get("epoch")?;
        let (queue, metrics) = (Queue::default(), DatabaseMetrics::default());
        Ok(Store { pool, file, table, queue, epoch: watch::channel(Some(epoch)).1, metrics })
    }
}

/// A database that can be read and written.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    /// The file of SQLite.
    file: Option<PathBuf>,
    table: &'static str,
    /// Writes of this process queue here, so that they occupy no connection.
    queue: Queue,
    /// The epoch in which this process may write; `None` while the lock is lost.
    epoch: watch::Receiver<Option<i64>>,
    metrics: DatabaseMetrics,
}

impl Store {
    /// Returns a store that writes only while the lock is held. Every store that was opened earlier, in any process, can no
    /// longer write.
    pub async fn locked_by(self, hold: &DatabaseLock) -> Result<Self, DatabaseError> {
        hold.begin_epoch(&mut *self.pool.acquire().await?).await?;
        Ok(Self { epoch: hold.watch(), ..self })
    }

    /// Waits for its turn and begins a write transaction. Dropping it rolls it back.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::NotHeld`] if another process has taken the database.
    pub async fn write(
        &self,
        priority: Priority,
        revision: RevisionUpdate,
    ) -> Result<WriteTransaction, DatabaseError> {
        let asked = Instant::now();
        let permit = self.queue.turn(priority).await;
        let metrics = match revision {
            RevisionUpdate::Increment => Some(self.metrics.clone()),
            RevisionUpdate::Keep => None,
        };
        if let Some(metrics) = &metrics {
            metrics.wait.observe(asked.elapsed().as_secs_f64());
        }
        let (tx, revision) = self.begin(revision).await?;
        Ok(WriteTransaction::new(tx, permit, revision, metrics))
    }

    /// Begins a transaction and updates the row of [`Schema::table`], which serializes transactions on both engines. Returns
    /// its revision, too.
    async fn begin(
        &self,
        revision: RevisionUpdate,
    ) -> Result<(Transaction<'static, Any>, i64), DatabaseError> {
        let mut epoch = self.epoch.clone();
        let held = timeout(HOLD_TIME, epoch.wait_for(Option::is_some)).await;
        let Some(epoch) = held.ok().and_then(Result::ok).and_then(|epoch| *epoch) else {
            return Err(DatabaseError::NotHeld);
        };
        let begin = if self.file.is_some() { BEGIN_SQLITE } else { "BEGIN" };
        let mut tx = self.pool.begin_with(begin).await?;
        let table = self.table;
        let row = format!(
            "UPDATE {table} SET revision = revision + $1 WHERE id = 1 AND epoch = $2 RETURNING revision"
        );
        let row = sqlx::query_scalar(AssertSqlSafe(row)).bind(revision as i64).bind(epoch);
        let revision = row.fetch_optional(&mut *tx).await?.ok_or(DatabaseError::NotHeld)?;
        Ok((tx, revision))
    }

    /// Begins to read: everything that is read in it is of one moment.
    pub async fn read(&self) -> Result<Transaction<'static, Any>, DatabaseError> {
        let begin = match self.file {
            Some(_) => "BEGIN",
            None => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(self.pool.begin_with(begin).await?)
    }

    /// Its connections, for reads.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Metrics of the database.
    #[must_use]
    pub fn metrics(&self) -> &DatabaseMetrics {
        &self.metrics
    }

    /// Removes from SQLite's write-ahead log what was written before; a reader that is not done keeps it. The file of before
    /// a migration goes, too: what was deleted is in it. PostgreSQL keeps what was deleted until its vacuum.
    pub async fn checkpoint(&self) -> Result<(), DatabaseError> {
        if let Some(file) = &self.file {
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.pool).await?;
            rehearse::remove_former(file, Duration::ZERO);
        }
        Ok(())
    }

    /// Closes the connections, which checkpoints SQLite's write-ahead log.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

async fn connect(url: &str, options: AnyPoolOptions) -> Result<AnyPool, DatabaseError> {
    let connect: AnyConnectOptions = url.parse().map_err(DatabaseError::opening)?;
    // A pool would retry until its timeout and hide the error.
    let first = AnyConnection::connect_with(&connect).await.map_err(DatabaseError::opening)?;
    first.close().await.map_err(DatabaseError::opening)?;
    options
        .max_connections(CONNECTIONS)
        .acquire_timeout(Duration::from_secs(10))
        .before_acquire(|connection, _| {
            // SQLite rolls back by itself when the disk is full. sqlx does not notice, and begins no transaction there any more.
            let is_usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(is_usable) })
        })
        .connect_with(connect)
        .await
        .map_err(DatabaseError::opening)
}

fn prepare_postgres(
    connection: &mut AnyConnection,
    _: sqlx::pool::PoolConnectionMetadata,
) -> BoxFuture<'_, Result<(), sqlx::Error>> {
    Box::pin(async move {
        for setting in KEEP_ALIVE {
            sqlx::query(setting).execute(&mut *connection).await?;
        }
        // A process that stands still amid a change would keep others that share the database from theirs.
        sqlx::query("SET idle_in_transaction_session_timeout = 10000").execute(connection).await?;
        Ok(())
    })
}

fn prepare_sqlite(
    connection: &mut AnyConnection,
    _: sqlx::pool::PoolConnectionMetadata,
) -> BoxFuture<'_, Result<(), sqlx::Error>> {
    Box::pin(async move {
        for pragma in [
            "PRAGMA busy_timeout = 10000",
            "PRAGMA journal_mode = WAL",
            // Committed transactions survive a power failure.
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            // What is deleted is overwritten: a sealed key that is deleted is destroyed.
            "PRAGMA secure_delete = ON",
            // The journals of savepoints, too: a container has no folder for temporary files.
            "PRAGMA temp_store = MEMORY",
        ] {
            sqlx::query(pragma).execute(&mut *connection).await?;
        }
        Ok(())
    })
}
