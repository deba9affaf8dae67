//! Queries on pre-auth keys.

use ::store::column::sql;
use coordinator_core::{
    key::{KeyHash, PreAuthKey},
    model::Pending,
    time::Millis,
};
use sqlx::query;

use super::{Change, error::StoreError, pending, rows::KeyRow, select::Query};

/// All keys.
pub(super) fn all() -> Query {
    query("SELECT * FROM preauth_keys ORDER BY id")
}

/// The key with a hash.
pub(super) fn by_hash(hash: &KeyHash) -> Query {
    query("SELECT * FROM preauth_keys WHERE hash = $1").bind(hash.0.to_vec())
}

impl Change {
    /// Finds a pre-auth key.
    pub async fn key(&mut self, hash: &KeyHash) -> Result<Option<PreAuthKey>, StoreError> {
        self.first(by_hash(hash)).await
    }

    /// Finds a pre-auth key by its number.
    pub async fn key_by_id(&mut self, id: u64) -> Result<Option<PreAuthKey>, StoreError> {
        self.first(query("SELECT * FROM preauth_keys WHERE id = $1").bind(sql(id))).await
    }

    /// Inserts a pre-auth key under a new number, and returns it with that.
    pub async fn insert_key(
        &mut self,
        key: PreAuthKey,
        hash: &KeyHash,
    ) -> Result<PreAuthKey, StoreError> {
        let key = PreAuthKey { id: self.next_id().await?, ..key };
        KeyRow::of(&key, hash)?.insert(self.connection()).await?;
        Ok(key)
    }

    /// Uses a pre-auth key once; false if it can no longer be used.
    pub async fn consume_key(&mut self, id: u64, now: Millis) -> Result<bool, StoreError> {
        let update = query(
            "UPDATE preauth_keys SET uses = uses + 1 \
             WHERE id = $1 AND expires > $2 AND (reusable = 1 OR uses = 0)",
        );
        self.execute(update.bind(sql(id)).bind(now)).await
    }

    /// Expires a pre-auth key now, unless it has expired.
    pub async fn expire_key(&mut self, id: u64, now: Millis) -> Result<(), StoreError> {
        let update = query("UPDATE preauth_keys SET expires = $2 WHERE id = $1 AND expires > $2");
        self.execute(update.bind(sql(id)).bind(now)).await?;
        Ok(())
    }

    /// Deletes a pre-auth key; false, and nothing changes, while a device waits that used it.
    pub async fn delete_key(&mut self, id: u64) -> Result<bool, StoreError> {
        let waiting: Vec<Pending> = self.all(pending::all()).await?;
        let used = |pending: &Pending| pending.key.as_ref().is_some_and(|(key, _)| *key == id);
        if waiting.iter().any(used) {
            return Ok(false);
        }
        self.execute(query("DELETE FROM preauth_keys WHERE id = $1").bind(sql(id))).await?;
        Ok(true)
    }
}
