//! What is read one by one, without a turn to change the database.

use control_protocol::key::NodePublic;
use coordinator_api::LogEntry;
use coordinator_core::{
    key::{KeyHash, PreAuthKey},
    model::{Node, Pending},
};
use sqlx::Row as _;

use super::{
    Store,
    audit::{self, LogQuery},
    error::StoreError,
    keys, nodes, pending,
};

impl Store {
    /// Lists the pre-auth keys, without the keys themselves, which nobody has.
    pub async fn keys(&self) -> Result<Vec<PreAuthKey>, StoreError> {
        Ok(keys::all(&mut *self.base.pool().acquire().await?).await?)
    }

    /// Finds a node by its node key.
    pub async fn node(&self, node_key: &NodePublic) -> Result<Option<Node>, StoreError> {
        Ok(nodes::by_node_key(&mut *self.base.pool().acquire().await?, node_key).await?)
    }

    /// Finds a device that waits by its node key.
    pub async fn pending(&self, node_key: &NodePublic) -> Result<Option<Pending>, StoreError> {
        Ok(pending::by_node_key(&mut *self.base.pool().acquire().await?, node_key).await?)
    }

    /// Finds a pre-auth key.
    pub async fn key(&self, hash: &KeyHash) -> Result<Option<PreAuthKey>, StoreError> {
        Ok(keys::by_hash(&mut *self.base.pool().acquire().await?, hash).await?)
    }

    /// Reads some of the audit log, oldest first.
    pub async fn log(&self, query: &LogQuery) -> Result<Vec<LogEntry>, StoreError> {
        Ok(audit::page(&mut *self.base.pool().acquire().await?, query).await?)
    }

    /// How many changes there were, whoever made them.
    pub async fn revision(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT revision FROM network WHERE id = 1");
        let row = row.fetch_one(self.base.pool()).await?;
        Ok(row.try_get("revision")?)
    }
}
