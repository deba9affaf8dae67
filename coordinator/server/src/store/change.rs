//! A write transaction on the network.

use ::store::{WriteTransaction, column::sql};
use coordinator_api::Actor;
use coordinator_core::{
    api_key::{self, ApiKey, ApiKeyHash},
    model::NodeId,
};
use ipnet::Ipv4Net;
use sqlx::{AnyConnection, query, query_scalar};

use super::{
    audit::{self, AuditNote},
    error::StoreError,
    replica,
    rows::FromRow,
    select::{self, Query},
};
use crate::clock;

/// A write transaction. Nothing is changed until [`Change::commit`].
#[derive(Debug)]
pub struct Change {
    write: WriteTransaction,
    actor: Actor,
    /// Where addresses of new nodes are from.
    pool: Ipv4Net,
    /// Entries for the audit log.
    notes: Vec<AuditNote>,
    /// Whether other coordinators are told.
    is_shared: bool,
    /// The node of which alone the change is.
    only: Option<NodeId>,
}

impl Change {
    pub(super) async fn begin(
        mut write: WriteTransaction,
        actor: Actor,
        pool: Ipv4Net,
        is_shared: bool,
    ) -> Result<Self, StoreError> {
        // The key may have been removed since the request was let in.
        if let Actor::ApiKey { id, .. } = actor {
            let stored = query("SELECT * FROM api_keys WHERE id = $1").bind(sql(id));
            let key: Option<(ApiKeyHash, ApiKey)> =
                select::first(write.connection(), stored).await?;
            let key = key.map(|(_, key)| key);
            api_key::admit(key.as_ref(), true, clock::now()).map_err(StoreError::AccessDenied)?;
        }
        Ok(Self { write, actor, pool, notes: Vec::new(), is_shared, only: None })
    }

    /// Sets who makes the change, where that is known only from what the change has read.
    pub fn set_actor(&mut self, actor: Actor) {
        self.actor = actor;
    }

    /// The change is of this node alone: other coordinators read only this node again.
    pub fn is_of(&mut self, node: NodeId) {
        self.only = Some(node);
    }

    /// Adds an entry to the audit log: the action, its target, and details; no secret. It is written with the commit.
    pub fn note(&mut self, action: &'static str, target: impl ToString, details: &str) {
        self.notes.push(AuditNote::new(action, &target.to_string(), details));
    }

    /// Commits the change. If the database fails now, it is not known whether the change was made.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        for note in std::mem::take(&mut self.notes) {
            audit::insert(self.write.connection(), &self.actor, note, clock::now()).await?;
        }
        if self.is_shared {
            let revision = self.write.revision();
            replica::tell_change(self.write.connection(), revision, self.only).await?;
        }
        Ok(self.write.commit().await?)
    }

    /// The revision that the network has once this is committed.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.write.revision()
    }

    pub(super) fn pool(&self) -> Ipv4Net {
        self.pool
    }

    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        self.write.connection()
    }

    pub(super) async fn all<T: FromRow>(&mut self, query: Query) -> Result<Vec<T>, StoreError> {
        Ok(select::all(self.connection(), query).await?)
    }

    pub(super) async fn first<T: FromRow>(
        &mut self,
        query: Query,
    ) -> Result<Option<T>, StoreError> {
        Ok(select::first(self.connection(), query).await?)
    }

    /// Whether the statement changed a row.
    pub(super) async fn execute(&mut self, query: Query) -> Result<bool, StoreError> {
        Ok(query.execute(self.connection()).await?.rows_affected() > 0)
    }

    pub(super) async fn next_id(&mut self) -> Result<u64, StoreError> {
        let next = query_scalar(
            "UPDATE network SET next_id = next_id + 1 WHERE id = 1 RETURNING next_id - 1",
        );
        let next: i64 = next.fetch_one(self.connection()).await?;
        Ok(::store::column::unsigned(next, "next_id")?)
    }

    /// The policy's text.
    pub async fn policy(&mut self) -> Result<String, StoreError> {
        let policy = query_scalar("SELECT policy FROM network WHERE id = 1");
        Ok(policy.fetch_one(self.connection()).await?)
    }

    /// The number of the policy, which each new policy increments.
    pub async fn policy_revision(&mut self) -> Result<i64, StoreError> {
        let revision = query_scalar("SELECT policy_revision FROM network WHERE id = 1");
        Ok(revision.fetch_one(self.connection()).await?)
    }

    /// Replaces the policy.
    pub async fn set_policy(&mut self, text: &str) -> Result<(), StoreError> {
        let update = query(
            "UPDATE network SET policy = $1, policy_revision = policy_revision + 1 WHERE id = 1",
        );
        self.execute(update.bind(text.to_owned())).await?;
        Ok(())
    }
}
