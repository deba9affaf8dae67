//! Queries on devices that wait for approval.

use std::collections::BTreeSet;

use ::store::column::{number, sql};
use control_protocol::key::{MachinePublic, NodePublic};
use coordinator_core::{
    model::{NewPending, NodeId, Pending},
    time::Millis,
};
use sqlx::{Row as _, query};

use super::{Change, error::StoreError, rows::PendingRow, select::Query};
use crate::random;

/// Joined with the key, which has the owner.
macro_rules! select {
    ($rest:literal) => {
        query(concat!(
            "SELECT pending.*, preauth_keys.user_id, preauth_keys.tags FROM pending ",
            "LEFT JOIN preauth_keys ON preauth_keys.id = pending.key_id ",
            $rest
        ))
    };
}

/// The devices that wait for approval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingDevices {
    /// Those that came without a key.
    pub keyless: BTreeSet<NodeId>,
    /// How many of those have the machine key in question.
    pub of_machine: usize,
    /// How many came with a key.
    pub by_key: usize,
}

/// All of them.
pub(super) fn all() -> Query {
    select!("ORDER BY pending.id")
}

/// The one that waits under a node key.
pub(super) fn by_node_key(key: &NodePublic) -> Query {
    select!("WHERE pending.node_key = $1").bind(key.as_bytes().to_vec())
}

impl Change {
    /// Finds a waiting device by its node key.
    pub async fn pending_by_key(
        &mut self,
        key: &NodePublic,
    ) -> Result<Option<Pending>, StoreError> {
        self.first(by_node_key(key)).await
    }

    /// Finds a waiting device by its number.
    pub async fn pending(&mut self, id: NodeId) -> Result<Option<Pending>, StoreError> {
        self.first(select!("WHERE pending.id = $1").bind(sql(id))).await
    }

    /// Finds a waiting device by its ticket.
    pub async fn pending_by_ticket(&mut self, ticket: &str) -> Result<Option<Pending>, StoreError> {
        self.first(select!("WHERE pending.ticket = $1").bind(ticket.to_owned())).await
    }

    /// Deletes the devices that came without a key and have not asked since, and counts the others.
    pub async fn waiting(
        &mut self,
        machine: &MachinePublic,
        since: Millis,
    ) -> Result<WaitingDevices, StoreError> {
        let forget = query("DELETE FROM pending WHERE key_id IS NULL AND asked < $1");
        self.execute(forget.bind(since)).await?;
        let rows = query("SELECT id, machine_key, key_id FROM pending");
        let mut waiting = WaitingDevices::default();
        for row in &rows.fetch_all(self.connection()).await? {
            if row.try_get::<Option<i64>, _>("key_id")?.is_some() {
                waiting.by_key += 1;
                continue;
            }
            waiting.keyless.insert(number(row, "id")?);
            let own: Vec<u8> = row.try_get("machine_key")?;
            waiting.of_machine += usize::from(own == machine.as_bytes());
        }
        Ok(waiting)
    }

    /// Inserts a waiting device. One that waits already under the node key keeps its number and ticket.
    pub async fn insert_pending(
        &mut self,
        new: NewPending,
        now: Millis,
    ) -> Result<Pending, StoreError> {
        let before = self.pending_by_key(&new.device.node_key).await?;
        let (id, ticket, created) = match before {
            Some(before) => {
                self.delete_pending(before.id).await?;
                (before.id, before.ticket, before.created)
            }
            None => (self.next_id().await?, random::hex::<16>(), now),
        };
        let NewPending { device, source, key, replaces } = new;
        let pending =
            Pending { id, ticket, device, source, key: None, replaces, created, asked: now };
        PendingRow::of(&pending, key)?.insert(self.connection()).await?;
        Ok(pending)
    }

    /// Stores when a waiting device last asked.
    pub async fn set_asked(&mut self, id: NodeId, now: Millis) -> Result<(), StoreError> {
        let update = query("UPDATE pending SET asked = $2 WHERE id = $1");
        self.execute(update.bind(sql(id)).bind(now)).await?;
        Ok(())
    }

    /// Deletes a waiting device.
    pub async fn delete_pending(&mut self, id: NodeId) -> Result<(), StoreError> {
        self.execute(query("DELETE FROM pending WHERE id = $1").bind(sql(id))).await?;
        Ok(())
    }
}
