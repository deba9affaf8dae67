//! Queries on API keys.

use std::collections::HashMap;

use ::store::column::sql;
use coordinator_core::api_key::{ApiKey, ApiKeyHash};
use sqlx::query;

use super::{Change, error::StoreError, rows::ApiKeyRow, select::Query};

/// All API keys.
pub(super) fn all() -> Query {
    query("SELECT * FROM api_keys")
}

impl Change {
    /// All API keys, by their hashes.
    pub async fn api_keys(&mut self) -> Result<HashMap<ApiKeyHash, ApiKey>, StoreError> {
        Ok(self.all(all()).await?.into_iter().collect())
    }

    /// Inserts an API key under a new number, and returns it with that.
    pub async fn insert_api_key(
        &mut self,
        key: ApiKey,
        hash: &ApiKeyHash,
    ) -> Result<ApiKey, StoreError> {
        let key = ApiKey { id: self.next_id().await?, ..key };
        ApiKeyRow::of(&key, hash).insert(self.connection()).await?;
        Ok(key)
    }

    /// Deletes an API key.
    pub async fn delete_api_key(&mut self, id: u64) -> Result<(), StoreError> {
        self.execute(query("DELETE FROM api_keys WHERE id = $1").bind(sql(id))).await?;
        Ok(())
    }
}
