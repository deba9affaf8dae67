//! That one process alone works on a database: another one would not know what this one keeps in memory.
//!
//! On SQLite it is a locked file beside the database, which the kernel lets go when the process ends, however it ends.
//! On PostgreSQL it is an advisory lock of a connection that is used for nothing else; the server lets go when that
//! connection ends. If it is lost while the process runs (the server was restarted, another took its place), or cannot be
//! asked for, the process notices within seven seconds. From then on nothing is written until the lock is taken again, and
//! if another process was faster, this one gives up.
//!
//! What it may not have noticed yet is caught by the epoch, a number in the database: whoever takes the lock counts it
//! up, and every transaction that writes looks whether it is still its own.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{database::Database, schema::Schema};

/// How long a process that starts waits for one that ends.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between two tries.
const RETRY: Duration = Duration::from_millis(100);
/// Time between two looks whether PostgreSQL still holds the lock.
const LOOK: Duration = Duration::from_secs(2);
/// How long PostgreSQL may take to answer such a question.
const ANSWER: Duration = Duration::from_secs(5);
/// Most characters of a holder's name: PostgreSQL keeps 63 of an `application_name`.
const NAME_MAX: usize = 63;
/// Who has it without having said a name.
const NAMELESS: &str = "which does not say where it runs";

/// After how many seconds without a sign of life PostgreSQL takes the machine of a process for dead, and when it asks.
const KEEP_ALIVE: [&str; 3] = [
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
];
/// Takes the lock of this PostgreSQL schema whose first number is [`Schema::lock`].
const TRY_LOCK: &str =
    "SELECT pg_try_advisory_lock($1, hashtext(COALESCE(current_schema()::text, ''))) AS held";
/// Whether this connection holds it.
const IS_HELD: &str = "SELECT count(*) AS held FROM pg_locks WHERE locktype = 'advisory' AND granted \
     AND pid = pg_backend_pid() AND classid::bigint = $1 \
     AND objid::bigint = (hashtext(COALESCE(current_schema()::text, ''))::bigint & 4294967295)";
/// Who holds it.
const HOLDER: &str = "SELECT COALESCE(a.application_name, '') AS name \
     FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database() \
     WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = $1 \
     AND l.objid::bigint = (hashtext(COALESCE(current_schema()::text, ''))::bigint & 4294967295) LIMIT 1";

/// The database cannot be had alone.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process works on it.
    #[error(
        "another process works on this database ({0}); stop that one, or give this one a database of its own"
    )]
    Held(String),
    /// The file that is locked cannot be used.
    #[error("cannot lock {}; look who owns it and its directory", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// PostgreSQL does not answer.
    #[error(
        "cannot open the database; look whether it runs, where `database_url_file` points, and who may write there"
    )]
    Database(#[source] sqlx::Error),
}

/// The database is this process's alone, until it is dropped.
#[derive(Debug)]
pub struct DatabaseLock {
    by: Lock,
    schema: Schema,
    /// The epoch that this process began; `None` before the first, and while the lock is lost.
    epoch: watch::Sender<Option<i64>>,
}

#[derive(Debug)]
enum Lock {
    File(#[expect(dead_code, reason = "it is locked while it is open")] File),
    Connection {
        server: Server,
        /// `None` while the lock is taken again.
        connection: Option<AnyConnection>,
    },
}

/// What is needed to take a lock of PostgreSQL.
#[derive(Clone, Debug)]
struct Server {
    url: String,
    /// Who takes it.
    name: String,
    schema: Schema,
}

impl DatabaseLock {
    /// Takes the database. WaitingHigh a few seconds for a process that is about to end.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if another process works on it.
    pub async fn take(database: &Database, schema: &Schema) -> Result<Self, LockError> {
        let name = own_name();
        let (schema, started) = (*schema, Instant::now());
        loop {
            let taken = match database {
                Database::Sqlite(path) => lock_file(path, &name).map(Lock::File),
                Database::Postgres(url) => {
                    let server = Server { url: url.clone(), name: name.clone(), schema };
                    let connection = server.connect().await;
                    connection.map(|it| Lock::Connection { server, connection: Some(it) })
                }
            };
            match taken {
                Ok(by) => return Ok(Self { by, schema, epoch: watch::Sender::new(None) }),
                Err(LockError::Held(_)) if started.elapsed() < PATIENCE => sleep(RETRY).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// The epoch under which the database may be written at this moment.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<i64>> {
        self.epoch.subscribe()
    }

    /// Begins an epoch: what began before it may write nothing more.
    pub(crate) async fn begin_epoch(&self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        self.epoch.send_replace(Some(next_epoch(self.schema.table, connection).await?));
        Ok(())
    }

    /// Looks after it; returns once another process has it.
    pub async fn lost(&mut self) -> LockError {
        let Lock::Connection { server, connection } = &mut self.by else {
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
            tracing::warn!("the database let go of this process; taking it again");
            // Closed first: a server that was only slow would let it keep the lock from the next one.
            drop(connection.take());
            match server.take_again().await {
                Ok((again, epoch)) => {
                    *connection = Some(again);
                    self.epoch.send_replace(Some(epoch));
                }
                Err(lost) => return lost,
            }
            tracing::info!("this process has its database again");
        }
    }
}

impl Server {
    /// Tries until the database answers. The connection before is closed; until the server sees that, it has the lock, and
    /// while the server ends it, it has the lock without a name. A process names itself before it takes the lock.
    async fn take_again(&self) -> Result<(AnyConnection, i64), LockError> {
        let taken = async || {
            let mut connection = self.connect().await?;
            let epoch = next_epoch(self.schema.table, &mut connection).await;
            Ok((connection, epoch.map_err(LockError::Database)?))
        };
        loop {
            match timeout(ANSWER, taken()).await {
                Ok(Ok(taken)) => return Ok(taken),
                Ok(Err(LockError::Held(by))) if by != self.name && by != NAMELESS => {
                    return Err(LockError::Held(by));
                }
                Ok(Err(_)) | Err(_) => sleep(RETRY).await,
            }
        }
    }

    async fn holds(&self, connection: &mut AnyConnection) -> bool {
        let asked = sqlx::query(IS_HELD).bind(self.schema.lock).fetch_one(connection);
        let asked = timeout(ANSWER, asked).await;
        matches!(asked, Ok(Ok(row)) if row.try_get::<i64, _>("held").is_ok_and(|held| held > 0))
    }

    /// A connection that has the lock.
    async fn connect(&self) -> Result<AnyConnection, LockError> {
        sqlx::any::install_default_drivers();
        let failed = LockError::Database;
        let mut connection = AnyConnection::connect(&self.url).await.map_err(failed)?;
        for setting in KEEP_ALIVE {
            sqlx::query(setting).execute(&mut connection).await.map_err(failed)?;
        }
        let named = sqlx::query("SELECT set_config('application_name', $1, false)");
        named.bind(self.name.clone()).fetch_one(&mut connection).await.map_err(failed)?;
        let row = sqlx::query(TRY_LOCK).bind(self.schema.lock).fetch_one(&mut connection).await;
        if row.and_then(|row| row.try_get("held")).map_err(failed)? {
            return Ok(connection);
        }
        let holder =
            sqlx::query(HOLDER).bind(self.schema.lock).fetch_optional(&mut connection).await;
        let holder: Option<String> =
            holder.map_err(failed)?.and_then(|row| row.try_get("name").ok());
        Err(LockError::Held(shown(&holder.unwrap_or_default())))
    }
}

/// Counts the epoch up. It waits for a transaction that writes now, which is then the last of the epoch before.
async fn next_epoch(table: &str, connection: &mut AnyConnection) -> sqlx::Result<i64> {
    let row = format!("UPDATE {table} SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch");
    sqlx::query(AssertSqlSafe(row)).fetch_one(connection).await?.try_get("epoch")
}

/// Locks the file beside the database and writes into it who did.
fn lock_file(database: &Path, name: &str) -> Result<File, LockError> {
    let path = beside(database);
    let failed = |source: io::Error| LockError::File { path: path.clone(), source };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| failed(errno.into()))?;
    let mut file = File::from(file);
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = Vec::new();
            let len = u64::try_from(NAME_MAX).unwrap_or(u64::MAX);
            (&file).take(len).read_to_end(&mut holder).map_err(failed)?;
            return Err(LockError::Held(shown(&String::from_utf8_lossy(&holder))));
        }
        Err(errno) => return Err(failed(errno.into())),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(name.as_bytes())
    };
    write(&mut file).map_err(failed)?;
    Ok(file)
}

/// `db.sqlite.lock` beside the file itself: who reaches it by a link meets the same lock.
fn beside(database: &Path) -> PathBuf {
    let mut path = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    path.push(".lock");
    path.into()
}

fn own_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    shown(&format!("process {} on {host}", std::process::id()))
}

/// What somebody else left, as it may stand in a sentence.
fn shown(name: &str) -> String {
    let kept = name.chars().filter(|it| it.is_ascii_graphic() || *it == ' ').take(NAME_MAX);
    let name = kept.collect::<String>().trim().to_owned();
    if name.is_empty() { NAMELESS.to_owned() } else { name }
}
