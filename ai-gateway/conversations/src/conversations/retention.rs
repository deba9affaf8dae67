//! Deletes what is kept no longer.

use store::Priority;

use super::Conversations;
use crate::error::Error;

/// How long conversations are kept, and how many; by default for ever, and all. Each person's last used one stays, unless it
/// is too old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How long after they were last used, in milliseconds.
    pub age_ms: Option<i64>,
    /// How many of each person: the last used.
    pub conversations: Option<i64>,
    /// As many of each person as these bytes hold, as they are stored: the last used.
    pub person_bytes: Option<i64>,
}

impl Conversations {
    /// Deletes what is kept no longer at this time, in Unix milliseconds; returns how many conversations that were.
    ///
    /// # Errors
    ///
    /// The database fails; then nothing is deleted.
    pub async fn retain(&self, retention: Retention, now_ms: i64) -> Result<u64, Error> {
        let mut tx = self.write(Priority::Low).await?;
        let connection = tx.connection();
        let old = sqlx::query("DELETE FROM conversations WHERE used_at < $1")
            .bind(now_ms.saturating_sub(retention.age_ms.unwrap_or(i64::MAX)))
            .execute(&mut *connection)
            .await?;
        let ranked = sqlx::query(
            "DELETE FROM conversations WHERE id IN (SELECT id FROM (SELECT id, \
             ROW_NUMBER() OVER (PARTITION BY person ORDER BY used_at DESC, id) AS place, \
             CAST(SUM(bytes) OVER (PARTITION BY person ORDER BY used_at DESC, id) AS BIGINT) AS held \
             FROM conversations) AS ranked WHERE place > 1 AND (place > $1 OR held > $2))",
        )
        .bind(retention.conversations.unwrap_or(i64::MAX))
        .bind(retention.person_bytes.unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await?;
        let deleted = old.rows_affected() + ranked.rows_affected();
        if deleted == 0 {
            return Ok(0);
        }
        let recount = "UPDATE people SET bytes = (SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) \
             FROM conversations WHERE conversations.person = people.person)";
        sqlx::query(recount).execute(connection).await?;
        tx.commit().await?;
        self.store.checkpoint().await?;
        Ok(deleted)
    }
}
