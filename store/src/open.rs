//! Opening a database, and the write transactions that it takes.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Row as _, SqlSafeStr as _,
    Transaction,
    any::{AnyConnectOptions, AnyPoolOptions},
    migrate::{self, MigrationType, Migrator},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    database::{Database, file_url},
    error::DatabaseError,
    lock::DatabaseLock,
    metrics::DatabaseMetrics,
    queue::{Priority, Queue},
    schema::{Migration, Schema},
    write::{RevisionUpdate, WriteTransaction},
};

/// Connections to the database.
const CONNECTIONS: u32 = 8;
/// How long a write waits for a database that has let go of this process.
const HOLD_TIME: Duration = Duration::from_secs(10);

/// A database that is open, and whose tables are up to date. The row of [`Schema::table`] may be missing yet.
#[derive(Debug)]
pub struct Opened {
    pool: AnyPool,
    begin: &'static str,
    table: &'static str,
}

impl Opened {
    /// Opens the database, creating the file if there is none, and brings its tables up to date.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be opened, or is newer than this program.
    pub async fn open(database: &Database, schema: &Schema) -> Result<Self, DatabaseError> {
        database.check()?;
        sqlx::any::install_default_drivers();
        let (pool, begin) = match database {
            Database::Sqlite(path) => {
                let pool = connect(
                    &file_url(path, "rwc")?,
                    AnyPoolOptions::new().after_connect(prepare_sqlite),
                )
                .await?;
                migrate(schema.sqlite, &pool).await?;
                (pool, "BEGIN IMMEDIATE")
            }
            Database::Postgres(url) => {
                let pool = connect(url, AnyPoolOptions::new()).await?;
                migrate(schema.postgres, &pool).await?;
                (pool, "BEGIN")
            }
        };
        Ok(Self { pool, begin, table: schema.table })
    }

    /// Its connections, for what the daemon does before the first write transaction: it makes sure that the row of
    /// [`Schema::table`] is there.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Takes it under the epoch of whoever has it now.
    pub async fn store(self) -> Result<Store, DatabaseError> {
        let Self { pool, begin, table } = self;
        let row = AssertSqlSafe(format!("SELECT epoch FROM {table} WHERE id = 1"));
        let epoch: i64 = sqlx::query(row).fetch_one(&pool).await?.try_get("epoch")?;
        let (queue, metrics) = (Queue::default(), DatabaseMetrics::default());
        Ok(Store { pool, begin, table, queue, epoch: watch::channel(Some(epoch)).1, metrics })
    }
}

/// A database that may be read and written.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    begin: &'static str,
    table: &'static str,
    /// Writes of this process wait here, and not on a connection that others need to read.
    queue: Queue,
    /// The epoch under which this process may write; `None` while the database is not this process's.
    epoch: watch::Receiver<Option<i64>>,
    metrics: DatabaseMetrics,
}

impl Store {
    /// The same, which writes only while the database is held. From now on nothing is written by a store that was opened
    /// before, wherever it runs.
    pub async fn locked_by(self, hold: &DatabaseLock) -> Result<Self, DatabaseError> {
        hold.begin_epoch(&mut *self.pool.acquire().await?).await?;
        Ok(Self { epoch: hold.watch(), ..self })
    }

    /// WaitingHigh for a turn and begins a write transaction in it. Dropping it undoes it.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::NotHeld`] if another process has taken the database, whether or not this one knows it yet.
    pub async fn write(
        &self,
        priority: Priority,
        counted: RevisionUpdate,
    ) -> Result<WriteTransaction, DatabaseError> {
        let asked = Instant::now();
        let permit = self.queue.turn(priority).await;
        let metrics = match counted {
            RevisionUpdate::Increment => Some(self.metrics.clone()),
            RevisionUpdate::Keep => None,
        };
        if let Some(metrics) = &metrics {
            metrics.wait.observe(asked.elapsed().as_secs_f64());
        }
        Ok(WriteTransaction::new(self.begin(counted).await?, permit, metrics))
    }

    /// Begins a transaction, and takes the row of [`Schema::table`], so that all of them wait for each other on both
    /// engines.
    async fn begin(
        &self,
        counted: RevisionUpdate,
    ) -> Result<Transaction<'static, Any>, DatabaseError> {
        let mut epoch = self.epoch.clone();
        let held = timeout(HOLD_TIME, epoch.wait_for(Option::is_some)).await;
        let Some(epoch) = held.ok().and_then(Result::ok).and_then(|epoch| *epoch) else {
            return Err(DatabaseError::NotHeld);
        };
        let mut tx = self.pool.begin_with(self.begin).await?;
        let table = self.table;
        let row =
            format!("UPDATE {table} SET revision = revision + $1 WHERE id = 1 AND epoch = $2");
        let row = sqlx::query(AssertSqlSafe(row)).bind(counted as i64).bind(epoch);
        match row.execute(&mut *tx).await?.rows_affected() {
            0 => Err(DatabaseError::NotHeld),
            _ => Ok(tx),
        }
    }

    /// Its connections, to read.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// What is counted of the database.
    #[must_use]
    pub fn metrics(&self) -> &DatabaseMetrics {
        &self.metrics
    }

    /// Closes the connections, writing out what SQLite keeps in its log.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

async fn connect(url: &str, options: AnyPoolOptions) -> Result<AnyPool, DatabaseError> {
    let connect: AnyConnectOptions = url.parse().map_err(DatabaseError::Open)?;
    // A pool would try until its time is over, and not say why it failed.
    let first = AnyConnection::connect_with(&connect).await.map_err(DatabaseError::Open)?;
    first.close().await.map_err(DatabaseError::Open)?;
    options
        .max_connections(CONNECTIONS)
        .acquire_timeout(Duration::from_secs(10))
        .connect_with(connect)
        .await
        .map_err(DatabaseError::Open)
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
async fn migrate(texts: &[Migration], pool: &AnyPool) -> Result<(), DatabaseError> {
    let migration = |(version, &(name, text)): (i64, &Migration)| {
        let (kind, text) = (MigrationType::Simple, text.into_sql_str());
        migrate::Migration::new(version, name.into(), kind, text, false)
    };
    let migrations = (1..).zip(texts).map(migration).collect();
    Migrator::with_migrations(migrations).run(pool).await.map_err(DatabaseError::Migrate)
}
