//! The lock that makes one process the only user of a database: others would not know the state that it keeps in memory.
//!
//! On SQLite it is a locked file beside the database, which the kernel unlocks when the process ends. On PostgreSQL it is an
//! advisory lock of a separate connection, which the server releases when the connection ends. If the process loses the lock
//! (the server was restarted, or the connection broke), it notices within seven seconds. It then writes nothing until it has
//! the lock again, and exits if another process has taken it.
//!
//! The epoch protects the time until the loss is noticed: it is a number in the database that each new owner of the lock
//! increments, and every write transaction checks that it has not changed.
//!
//! Several processes that keep in step share a lock on PostgreSQL ([`DatabaseLock::join`]): it excludes who wants the database
//! alone. The first of them has it alone while it runs migrations, and begins the epoch of all that follow.

use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::OFlags;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{database::Database, error::DatabaseError, schema::Schema};

/// How long a starting process waits for the lock.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same for one that lost a lock that it shares.
const SHARED_PATIENCE: Duration = Duration::from_secs(15);
/// Interval of attempts.
const RETRY: Duration = Duration::from_millis(100);
/// Interval of checking that PostgreSQL still has the lock.
const LOOK: Duration = Duration::from_secs(2);
/// Timeout of such a check.
const ANSWER: Duration = Duration::from_secs(5);
/// Longest name of an owner: PostgreSQL's limit for `application_name`.
const NAME_MAX: usize = 63;
/// Stands for an owner without a name.
const NAMELESS: &str = "with an unknown name";

/// PostgreSQL's keep-alives, in seconds, by which it detects that the process's machine is down.
pub(crate) const KEEP_ALIVE: [&str; 3] = [
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
];
/// Takes the lock of this PostgreSQL schema, whose first key is [`Schema::lock`].
const TRY_LOCK: &str =
    "SELECT pg_try_advisory_lock($1, hashtext(COALESCE(current_schema()::text, ''))) AS held";
/// Shares it.
const TRY_SHARE: &str = "SELECT pg_try_advisory_lock_shared($1, hashtext(COALESCE(current_schema()::text, ''))) AS held";
/// Shares a lock that this connection has alone.
const SHARE: &str = "SELECT pg_try_advisory_lock_shared($1, hashtext(COALESCE(current_schema()::text, ''))) \
     AND pg_advisory_unlock($1, hashtext(COALESCE(current_schema()::text, ''))) AS held";
/// Whether this connection has the lock.
const IS_HELD: &str = "SELECT count(*) AS held FROM pg_locks WHERE locktype = 'advisory' AND granted \
     AND pid = pg_backend_pid() AND classid::bigint = $1 \
     AND objid::bigint = (hashtext(COALESCE(current_schema()::text, ''))::bigint & 4294967295)";
/// The name of the lock's owner.
const HOLDER: &str = "SELECT COALESCE(a.application_name, '') AS name \
     FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database() \
     WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = $1 \
     AND l.objid::bigint = (hashtext(COALESCE(current_schema()::text, ''))::bigint & 4294967295) \
     AND l.pid <> pg_backend_pid() LIMIT 1";

/// The database cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has the lock.
    #[error(
        "another process uses this database ({0}); stop that process, or configure another database"
    )]
    Held(String),
    /// Another version has changed the tables while the lock was lost.
    #[error(
        "a newer Maru has changed the tables of the database meanwhile: update Maru on this machine"
    )]
    Migrated,
    /// The lock file cannot be used.
    #[error("cannot lock {}; check the owner of the file and of its directory", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// PostgreSQL does not answer.
    #[error(
        "cannot open the database; check that it runs, the URL in `database_url_file`, and its permissions"
    )]
    Database(#[source] sqlx::Error),
}

impl From<LockError> for DatabaseError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Database(error) => error.into(),
            LockError::Held(_) | LockError::Migrated | LockError::File(..) => Self::NotHeld,
        }
    }
}

/// The lock on a database, until it is dropped.
#[derive(Debug)]
pub struct DatabaseLock {
    lock: Lock,
    schema: Schema,
    /// The epoch of this process; `None` before it begins, and while the lock is lost.
    epoch: watch::Sender<Option<i64>>,
}

#[derive(Debug)]
enum Lock {
    File(#[expect(dead_code, reason = "it is locked while it is open")] File),
    Connection {
        server: Server,
        /// `None` while the lock is lost.
        connection: Option<AnyConnection>,
        /// Whether no other process has it now.
        is_alone: bool,
    },
}

/// The parameters of a lock on PostgreSQL.
#[derive(Clone, Debug)]
struct Server {
    url: String,
    /// The name of this process.
    name: String,
    schema: Schema,
    /// Whether other processes may have it as well.
    is_shared: bool,
}

impl DatabaseLock {
    /// Takes the database alone. Waits a few seconds for a process that is about to end.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if another process has it.
    pub async fn take(database: &Database, schema: &Schema) -> Result<Self, LockError> {
        Self::begin(database, schema, false).await
    }

    /// Shares a PostgreSQL database with others that call this. A SQLite file is for one process alone.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if a process has it alone.
    pub async fn join(database: &Database, schema: &Schema) -> Result<Self, LockError> {
        Self::begin(database, schema, true).await
    }

    async fn begin(
        database: &Database,
        schema: &Schema,
        is_shared: bool,
    ) -> Result<Self, LockError> {
        let name = process_name();
        let (schema, started) = (*schema, Instant::now());
        loop {
            let taken = match database {
                Database::Sqlite(path) => lock_file(path, &name).map(Lock::File),
                Database::Postgres(url) => {
                    let (url, name) = (url.clone(), name.clone());
                    let server = Server { url, name, schema, is_shared };
                    server.connect().await.map(|(connection, is_alone)| {
                        let connection = Some(connection);
                        Lock::Connection { server, connection, is_alone }
                    })
                }
            };
            match taken {
                Ok(lock) => return Ok(Self { lock, schema, epoch: watch::Sender::new(None) }),
                Err(LockError::Held(_)) if started.elapsed() < PATIENCE => sleep(RETRY).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// The epoch in which this process may write.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<i64>> {
        self.epoch.subscribe()
    }

    /// The name of another process that shares the database, and so keeps it from being migrated; `None` if there is none.
    pub async fn other(&mut self) -> Result<Option<String>, LockError> {
        match &mut self.lock {
            Lock::Connection { server, connection: Some(connection), is_alone: false } => {
                server.holder(connection).await.map(Some)
            }
            Lock::Connection { .. } | Lock::File(_) => Ok(None),
        }
    }

    /// Begins an epoch, which ends the writes of earlier ones; or joins that of the others who share the lock.
    pub(crate) async fn begin_epoch(&self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        let is_alone = !matches!(self.lock, Lock::Connection { is_alone: false, .. });
        self.epoch.send_replace(Some(epoch(self.schema.table, connection, is_alone).await?));
        Ok(())
    }

    /// Lets others share the lock, once the tables are current and the epoch has begun.
    pub async fn let_others_in(&mut self) -> Result<(), LockError> {
        match &mut self.lock {
            Lock::Connection { server, connection: Some(connection), is_alone }
                if server.is_shared && *is_alone =>
            {
                server.share(connection).await?;
                *is_alone = false;
                Ok(())
            }
            Lock::Connection { .. } | Lock::File(_) => Ok(()),
        }
    }

    /// Watches the lock, and takes it again if it is lost; returns when another process has it.
    pub async fn lost(&mut self) -> LockError {
        let Lock::Connection { server, connection, is_alone } = &mut self.lock else {
            return std::future::pending().await;
        };
        loop {
            sleep(LOOK).await;
            if let Some(connection) = connection
                && server.holds(connection).await
            {
                continue;
            }
            self.epoch.send_replace(None);
            tracing::warn!("lost the lock on the database; taking it again");
            // Closed first: on a slow server the old connection would still have the lock.
            drop(connection.take());
            match server.take_again().await {
                Ok((again, epoch)) => {
                    *connection = Some(again);
                    *is_alone = !server.is_shared;
                    self.epoch.send_replace(Some(epoch));
                }
                Err(lost) => return lost,
            }
            tracing::info!("took the lock on the database again");
        }
    }
}

impl Server {
    /// Retries until the database answers. Until the server notices that the old connection is closed, that has the lock,
    /// under this process's name or, while it ends, without a name. A process sets its name before it takes the lock.
    async fn take_again(&self) -> Result<(AnyConnection, i64), LockError> {
        let taken = async || {
            let (mut connection, is_alone) = self.connect().await?;
            if self.is_shared && !self.is_current(&mut connection).await? {
                return Err(LockError::Migrated);
            }
            let epoch = epoch(self.schema.table, &mut connection, is_alone).await;
            let epoch = epoch.map_err(LockError::Database)?;
            if self.is_shared && is_alone {
                self.share(&mut connection).await?;
            }
            Ok((connection, epoch))
        };
        // One that shares it has it alone for a moment, while it begins the epoch.
        let patience = if self.is_shared { SHARED_PATIENCE } else { Duration::ZERO };
        let started = Instant::now();
        loop {
            match timeout(ANSWER, taken()).await {
                Ok(Ok(taken)) => return Ok(taken),
                Ok(Err(LockError::Held(by)))
                    if by != self.name && by != NAMELESS && started.elapsed() >= patience =>
                {
                    return Err(LockError::Held(by));
                }
                Ok(Err(LockError::Migrated)) => return Err(LockError::Migrated),
                Ok(Err(_)) | Err(_) => sleep(RETRY).await,
            }
        }
    }

    /// Whether the tables are those of this version.
    async fn is_current(&self, connection: &mut AnyConnection) -> Result<bool, LockError> {
        let newest = sqlx::query("SELECT MAX(version) AS version FROM _sqlx_migrations");
        let newest = newest.fetch_one(connection).await.and_then(|row| row.try_get("version"));
        let newest: Option<i64> = newest.map_err(LockError::Database)?;
        Ok(newest.is_some_and(|it| usize::try_from(it) == Ok(self.schema.migrations.len())))
    }

    async fn holds(&self, connection: &mut AnyConnection) -> bool {
        let asked = sqlx::query(IS_HELD).bind(self.schema.lock).fetch_one(connection);
        let asked = timeout(ANSWER, asked).await;
        matches!(asked, Ok(Ok(row)) if row.try_get::<i64, _>("held").is_ok_and(|held| held > 0))
    }

    /// Opens a connection and takes the lock; returns also whether it has it alone.
    async fn connect(&self) -> Result<(AnyConnection, bool), LockError> {
        sqlx::any::install_default_drivers();
        let failed = LockError::Database;
        let mut connection = AnyConnection::connect(&self.url).await.map_err(failed)?;
        for setting in KEEP_ALIVE {
            sqlx::query(setting).execute(&mut connection).await.map_err(failed)?;
        }
        let named = sqlx::query("SELECT set_config('application_name', $1, false)");
        named.bind(self.name.clone()).fetch_one(&mut connection).await.map_err(failed)?;
        if self.ask(TRY_LOCK, &mut connection).await? {
            return Ok((connection, true));
        }
        if self.is_shared && self.ask(TRY_SHARE, &mut connection).await? {
            return Ok((connection, false));
        }
        Err(LockError::Held(self.holder(&mut connection).await?))
    }

    /// Turns the lock from one that excludes into one that is shared.
    async fn share(&self, connection: &mut AnyConnection) -> Result<(), LockError> {
        match self.ask(SHARE, connection).await? {
            true => Ok(()),
            false => Err(LockError::Held(NAMELESS.to_owned())),
        }
    }

    /// Whether a query about the lock says that it is held.
    async fn ask(
        &self,
        query: &'static str,
        connection: &mut AnyConnection,
    ) -> Result<bool, LockError> {
        let row = sqlx::query(query).bind(self.schema.lock).fetch_one(connection).await;
        row.and_then(|row| row.try_get("held")).map_err(LockError::Database)
    }

    /// The name of a process other than this one that has the lock.
    async fn holder(&self, connection: &mut AnyConnection) -> Result<String, LockError> {
        let holder = sqlx::query(HOLDER).bind(self.schema.lock).fetch_optional(connection).await;
        let holder: Option<String> =
            holder.map_err(LockError::Database)?.and_then(|row| row.try_get("name").ok());
        Ok(shown(&holder.unwrap_or_default()))
    }
}

/// The epoch: the next one for who has the lock alone, otherwise the current one. The next one waits for a current write
/// transaction, which is the last of the old epoch.
async fn epoch(table: &str, connection: &mut AnyConnection, is_alone: bool) -> sqlx::Result<i64> {
    let row = match is_alone {
        true => format!("UPDATE {table} SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch"),
        false => format!("SELECT epoch FROM {table} WHERE id = 1"),
    };
    sqlx::query(AssertSqlSafe(row)).fetch_one(connection).await?.try_get("epoch")
}

/// Locks the file beside the database, and writes this process's name into it.
fn lock_file(database: &Path, name: &str) -> Result<File, LockError> {
    let path = beside(database);
    let failed = |error: io::Error| LockError::File(path.clone(), error);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file =
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = Vec::new();
            let len = u64::try_from(NAME_MAX).unwrap_or(u64::MAX);
            file.take(len).read_to_end(&mut holder).map_err(failed)?;
            return Err(LockError::Held(shown(&String::from_utf8_lossy(&holder))));
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0).and_then(|()| file.write_all(name.as_bytes())).map_err(failed)?;
    Ok(file)
}

/// `db.sqlite.lock` beside the file, with symbolic links resolved.
fn beside(database: &Path) -> PathBuf {
    let mut path = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    path.push(".lock");
    path.into()
}

/// How this process is named to others: its number and its machine.
#[must_use]
pub fn process_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    shown(&format!("process {} on {host}", std::process::id()))
}

/// Sanitizes a name for messages.
fn shown(name: &str) -> String {
    let kept = name.chars().filter(|it| it.is_ascii_graphic() || *it == ' ').take(NAME_MAX);
    let name = kept.collect::<String>().trim().to_owned();
    if name.is_empty() { NAMELESS.to_owned() } else { name }
}
