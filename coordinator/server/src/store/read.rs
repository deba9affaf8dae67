//! Reads outside of a write transaction.

use control_protocol::key::NodePublic;
use coordinator_api::LogEntry;
use coordinator_core::{
    key::{KeyHash, PreAuthKey},
    model::{Node, Pending},
};

use super::{
    Store,
    audit::{self, LogQuery},
    error::StoreError,
    keys, nodes, pending,
    rows::FromRow,
    select::{self, Query},
};

impl Store {
    async fn first<T: FromRow>(&self, query: Query) -> Result<Option<T>, StoreError> {
        Ok(select::first(&mut *self.base.pool().acquire().await?, query).await?)
    }

    /// Lists the pre-auth keys, without their secrets.
    pub async fn keys(&self) -> Result<Vec<PreAuthKey>, StoreError> {
        Ok(select::all(&mut *self.base.pool().acquire().await?, keys::all()).await?)
    }

    /// Finds a node by its node key.
    pub async fn node(&self, node_key: &NodePublic) -> Result<Option<Node>, StoreError> {
        self.first(nodes::by_node_key(node_key)).await
    }

    /// Finds a waiting device by its node key.
    pub async fn pending(&self, node_key: &NodePublic) -> Result<Option<Pending>, StoreError> {
        self.first(pending::by_node_key(node_key)).await
    }

    /// Finds a pre-auth key.
    pub async fn key(&self, hash: &KeyHash) -> Result<Option<PreAuthKey>, StoreError> {
        self.first(keys::by_hash(hash)).await
    }

    /// Reads a part of the audit log, oldest entry first.
    pub async fn log(&self, query: &LogQuery) -> Result<Vec<LogEntry>, StoreError> {
        Ok(select::all(&mut *self.base.pool().acquire().await?, audit::page(query)).await?)
    }

    /// The revision of the network: the number of changes so far, by any coordinator.
    pub async fn revision(&self) -> Result<i64, StoreError> {
        let revision = sqlx::query_scalar("SELECT revision FROM network WHERE id = 1");
        Ok(revision.fetch_one(self.base.pool()).await?)
    }
}
