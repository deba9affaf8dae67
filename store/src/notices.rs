//! Notices of PostgreSQL (`LISTEN` and `NOTIFY`), which wake other processes on the same database. A notice may be lost, so who
//! listens also looks by itself from time to time.

use std::time::Duration;

use sqlx::{AnyConnection, postgres::PgListener};
use tokio::time::sleep;

use crate::{database::Database, error::DatabaseError};

/// Interval of attempts to listen again.
const RETRY: Duration = Duration::from_secs(1);

/// Sends a notice once the transaction is committed.
pub async fn notify(
    connection: &mut AnyConnection,
    channel: &'static str,
    text: &'static str,
) -> Result<(), DatabaseError> {
    let notice = sqlx::query("SELECT 1 AS done FROM pg_notify($1, $2)");
    notice.bind(channel).bind(text).fetch_one(connection).await?;
    Ok(())
}

/// Receives the notices of a channel.
#[derive(Debug)]
pub struct Notices {
    /// `None` on SQLite, which has none.
    listener: Option<PgListener>,
}

impl Notices {
    /// Begins to listen.
    pub async fn listen(database: &Database, channel: &str) -> Result<Self, DatabaseError> {
        let Database::Postgres(url) = database else { return Ok(Self { listener: None }) };
        let mut listener = PgListener::connect(url).await.map_err(DatabaseError::opening)?;
        listener.listen(channel).await.map_err(DatabaseError::opening)?;
        Ok(Self { listener: Some(listener) })
    }

    /// The text of the next notice; `None` after the connection was lost, when notices may have been lost with it.
    pub async fn next(&mut self) -> Option<String> {
        let Some(listener) = &mut self.listener else { return std::future::pending().await };
        match listener.try_recv().await {
            Ok(notice) => notice.map(|notice| notice.payload().to_owned()),
            Err(_) => {
                sleep(RETRY).await;
                None
            }
        }
    }
}
