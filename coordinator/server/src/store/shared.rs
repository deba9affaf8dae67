//! What several coordinators on one PostgreSQL database tell each other: leases, presence, what was changed, and the
//! network's Noise key.
//!
//! Leases count by the database's clock, so clocks that differ harm nothing.

use std::collections::BTreeSet;

use ::store::{
    DatabaseError,
    column::number,
    notices,
    seal::{Cell, Key},
};
use control_protocol::key::MachinePrivate;
use coordinator_core::{
    model::{Node, NodeId},
    time::Millis,
};
use sqlx::{Row as _, query, query_scalar};

use super::{
    Store, StoreError,
    replica::{CHANNEL, Lease, MOVED, Replica},
    select,
};

/// The database's time, in milliseconds.
const NOW: &str = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT";
/// Whether a lease lives. One that ends later than any could was given before the clock was set back.
const LIVES: &str = "lease_ends BETWEEN (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT \
     AND (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT + 60000";
/// Changes that are taken over one by one; after more the whole network is read.
const FOLLOWED_MAX: i64 = 256;
/// How long an ended lease is still listed.
const LISTED: Millis = 60_000;
/// The row of the network's Noise key.
const NOISE_KEY: &str = "noise.key";

/// What was changed since a revision.
#[derive(Debug)]
pub(crate) enum News {
    /// Nothing.
    Nothing,
    /// These nodes, and nothing else; with the newest revision.
    Nodes(Vec<Node>, i64),
    /// More than can be told.
    More,
}

impl Store {
    /// Begins a lease; returns the database's time.
    pub async fn begin_lease(&self, lease: &Lease) -> Result<Millis, StoreError> {
        let begin = format!(
            "INSERT INTO coordinators (id, name, version, relays, started, lease_ends) \
             VALUES ($1, $2, $3, $4, {NOW}, {NOW} + $5) RETURNING started"
        );
        let Replica { id, name, version, relays, .. } = &lease.replica;
        let begin = query(sqlx::AssertSqlSafe(begin)).bind(id.clone()).bind(name.clone());
        let begin = begin.bind(version.clone()).bind(relays.clone()).bind(lease.length);
        Ok(begin.fetch_one(self.base.pool()).await?.try_get("started")?)
    }

    /// Renews a lease; returns the database's time, or `None` if the lease has ended.
    pub async fn renew(&self, lease: &Lease) -> Result<Option<Millis>, StoreError> {
        let renew = format!(
            "UPDATE coordinators SET relays = $2, lease_ends = {NOW} + $3 \
             WHERE id = $1 AND {LIVES} RETURNING lease_ends"
        );
        let Lease { replica, length } = lease;
        let renew = query(sqlx::AssertSqlSafe(renew)).bind(replica.id.clone());
        let renew = renew.bind(replica.relays.clone()).bind(*length);
        let renewed = renew.fetch_optional(self.base.pool()).await?;
        let ends = renewed.map(|row| row.try_get::<Millis, _>("lease_ends")).transpose()?;
        Ok(ends.map(|ends| ends.saturating_sub(*length)))
    }

    /// Deletes what coordinators left behind whose leases ended a minute ago.
    pub async fn forget_ended(&self) -> Result<(), StoreError> {
        let mut tx = self.base.pool().begin().await?;
        let ended = format!("DELETE FROM coordinators WHERE lease_ends < {NOW} - {LISTED}");
        query(sqlx::AssertSqlSafe(ended)).execute(&mut *tx).await?;
        let presence =
            "DELETE FROM presence WHERE coordinator NOT IN (SELECT id FROM coordinators)";
        query(presence).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// Lists the coordinators, also those whose leases ended a moment ago.
    pub async fn replicas(&self) -> Result<Vec<Replica>, StoreError> {
        let all = format!(
            "SELECT *, lease_ends - {NOW} AS time_left FROM coordinators ORDER BY started, id"
        );
        let rows = query(sqlx::AssertSqlSafe(all)).fetch_all(self.base.pool()).await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok::<_, sqlx::Error>(Replica {
                id: row.try_get("id")?,
                name: row.try_get("name")?,
                version: row.try_get("version")?,
                relays: row.try_get("relays")?,
                started: row.try_get("started")?,
                left: row.try_get("time_left")?,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// The nodes that other coordinators report as connected.
    pub async fn present_elsewhere(&self, id: &str) -> Result<BTreeSet<NodeId>, StoreError> {
        let present = format!(
            "SELECT DISTINCT p.node FROM presence p JOIN coordinators c ON c.id = p.coordinator \
             WHERE c.id <> $1 AND {LIVES}"
        );
        let present = query(sqlx::AssertSqlSafe(present)).bind(id.to_owned());
        let rows = present.fetch_all(self.base.pool()).await?;
        Ok(rows.iter().map(|row| number(row, "node")).collect::<Result<_, _>>()?)
    }

    /// Stores which nodes came to a coordinator and which went, and notifies the others.
    pub async fn tell_presence(
        &self,
        id: &str,
        came: &BTreeSet<NodeId>,
        went: &BTreeSet<NodeId>,
    ) -> Result<(), StoreError> {
        let mut tx = self.base.pool().begin().await?;
        let insert = "INSERT INTO presence (coordinator, node) \
             SELECT $1, given.id::BIGINT FROM json_array_elements_text($2::JSON) AS given(id) ON CONFLICT DO NOTHING";
        let delete = "DELETE FROM presence WHERE coordinator = $1 AND node IN \
             (SELECT given.id::BIGINT FROM json_array_elements_text($2::JSON) AS given(id))";
        for (statement, nodes) in [(insert, came), (delete, went)] {
            if !nodes.is_empty() {
                let statement = query(statement).bind(id.to_owned()).bind(list(nodes)?);
                statement.execute(&mut *tx).await?;
            }
        }
        notices::notify(&mut tx, CHANNEL, MOVED).await?;
        Ok(tx.commit().await?)
    }

    /// What was changed since this revision, by any coordinator.
    pub(crate) async fn news_since(&self, revision: i64) -> Result<News, StoreError> {
        let mut tx = self.base.read().await?;
        let since =
            "SELECT revision, node FROM changes WHERE revision > $1 ORDER BY revision LIMIT $2";
        let since = query(since).bind(revision).bind(FOLLOWED_MAX);
        let rows = since.fetch_all(&mut *tx).await?;
        let (mut newest, mut nodes) = (revision, BTreeSet::new());
        for row in &rows {
            let (at, node): (i64, Option<i64>) = (row.try_get("revision")?, row.try_get("node")?);
            match node {
                Some(node) if newest.checked_add(1) == Some(at) => {
                    nodes.insert(::store::column::unsigned(node, "node")?);
                    newest = at;
                }
                Some(_) | None => return Ok(News::More),
            }
        }
        let now: i64 =
            query_scalar("SELECT revision FROM network WHERE id = 1").fetch_one(&mut *tx).await?;
        if now != newest && rows.is_empty() {
            return Ok(News::More);
        }
        if nodes.is_empty() {
            return Ok(News::Nothing);
        }
        if now != newest && i64::try_from(rows.len()).unwrap_or(i64::MAX) < FOLLOWED_MAX {
            return Ok(News::More);
        }
        let read = "SELECT * FROM nodes WHERE id IN \
             (SELECT given.id::BIGINT FROM json_array_elements_text($1::JSON) AS given(id)) ORDER BY id";
        let read: Vec<Node> = select::all(&mut tx, query(read).bind(list(&nodes)?)).await?;
        let is_whole = read.len() == nodes.len();
        Ok(if is_whole { News::Nodes(read, newest) } else { News::More })
    }

    /// Whether several coordinators have used the database: its network's Noise key is sealed in it.
    pub async fn was_shared(&self) -> Result<bool, StoreError> {
        let stored = query("SELECT name FROM secrets WHERE name = $1").bind(NOISE_KEY);
        Ok(stored.fetch_optional(self.base.pool()).await?.is_some())
    }

    /// The network's Noise key, sealed with `key`. The first coordinator stores the one that `first` returns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Sealed`] if it does not open.
    pub async fn noise_key<E: From<StoreError>>(
        &self,
        key: &Key,
        first: impl FnOnce() -> Result<MachinePrivate, E>,
    ) -> Result<MachinePrivate, E> {
        let cell = Cell { table: "secrets", column: "sealed", row: NOISE_KEY.as_bytes() };
        let read = async || {
            let stored = query("SELECT sealed FROM secrets WHERE name = $1").bind(NOISE_KEY);
            let row = stored.fetch_optional(self.base.pool()).await?;
            row.map(|row| row.try_get::<Vec<u8>, _>("sealed")).transpose()
        };
        let mut stored = read().await.map_err(StoreError::from)?;
        if stored.is_none() {
            let sealed = key.seal(cell, first()?.to_text().as_bytes());
            let sealed = sealed.map_err(|_| StoreError::Sealed)?;
            let insert =
                query("INSERT INTO secrets (name, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING");
            let insert = insert.bind(NOISE_KEY).bind(sealed);
            insert.execute(self.base.pool()).await.map_err(StoreError::from)?;
            stored = read().await.map_err(StoreError::from)?;
        }
        let opened = stored.and_then(|sealed| key.open(cell, &sealed).ok());
        let text = opened.as_deref().and_then(|text| std::str::from_utf8(text).ok());
        Ok(text.and_then(|text| text.parse().ok()).ok_or(StoreError::Sealed)?)
    }
}

/// A list of numbers, in JSON.
fn list(nodes: &BTreeSet<NodeId>) -> Result<String, DatabaseError> {
    ::store::column::to_json(nodes, "node")
}
