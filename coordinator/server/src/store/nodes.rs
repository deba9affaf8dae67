//! Queries on nodes and on extra DNS names.

use std::{collections::BTreeSet, net::Ipv4Addr};

use ::store::{DatabaseError, column::sql};
use control_protocol::key::{MachinePublic, NodePublic};
use coordinator_core::{
    address,
    model::{NewNode, Node, NodeId, Owner, Record},
    name,
    time::Millis,
};
use sqlx::{query, query_scalar};

use super::{Change, error::StoreError, rows::NodeRow, select::Query};
use crate::random;

/// All nodes.
pub(super) fn all() -> Query {
    query("SELECT * FROM nodes ORDER BY id")
}

/// The node that has a node key.
pub(super) fn by_node_key(key: &NodePublic) -> Query {
    query("SELECT * FROM nodes WHERE node_key = $1").bind(key.as_bytes().to_vec())
}

/// All extra DNS names.
pub(super) fn records() -> Query {
    query("SELECT name, node_id FROM records ORDER BY name")
}

impl Change {
    /// Finds a node by its number.
    pub async fn node(&mut self, id: NodeId) -> Result<Option<Node>, StoreError> {
        self.first(query("SELECT * FROM nodes WHERE id = $1").bind(sql(id))).await
    }

    /// Finds a node by its node key.
    pub async fn node_by_key(&mut self, key: &NodePublic) -> Result<Option<Node>, StoreError> {
        self.first(by_node_key(key)).await
    }

    /// Finds the nodes of a machine.
    pub async fn nodes_of_machine(
        &mut self,
        machine: &MachinePublic,
    ) -> Result<Vec<Node>, StoreError> {
        let nodes = query("SELECT * FROM nodes WHERE machine_key = $1 ORDER BY id");
        self.all(nodes.bind(machine.as_bytes().to_vec())).await
    }

    /// The names of nodes and the extra names, which must all differ.
    pub async fn names(&mut self) -> Result<BTreeSet<String>, StoreError> {
        let names = query_scalar("SELECT name FROM nodes UNION SELECT name FROM records");
        Ok(names.fetch_all(self.connection()).await?.into_iter().collect())
    }

    async fn allocate_addresses(&mut self) -> Result<address::Addresses, StoreError> {
        let last = query_scalar("SELECT last_ipv4 FROM network WHERE id = 1");
        let last: Option<String> = last.fetch_one(self.connection()).await?;
        let last = last.and_then(|text| text.parse().ok());
        // The next one is used only after all have been given once.
        let next = address::allocate(self.pool(), last, |_| false).ok_or(StoreError::Full)?;
        let known = query_scalar("SELECT count(*) FROM nodes WHERE ipv4 = $1");
        let known: i64 = known.bind(next.v4.to_string()).fetch_one(self.connection()).await?;
        let addresses = if known == 0 {
            next
        } else {
            let used = query_scalar("SELECT ipv4 FROM nodes").fetch_all(self.connection()).await?;
            let parse = |text: &String| text.parse().map_err(|_| DatabaseError::Row("ipv4"));
            let used: BTreeSet<Ipv4Addr> = used.iter().map(parse).collect::<Result<_, _>>()?;
            let free = address::allocate(self.pool(), last, |v4| used.contains(&v4));
            free.ok_or(StoreError::Full)?
        };
        let update = query("UPDATE network SET last_ipv4 = $1 WHERE id = 1");
        self.execute(update.bind(addresses.v4.to_string())).await?;
        Ok(addresses)
    }

    /// A free name for a node of `owner`.
    async fn unique_name(&mut self, hostname: &str, owner: &Owner) -> Result<String, StoreError> {
        let wanted = name::unique(hostname, owner, |_| false);
        let known = query_scalar(
            "SELECT (SELECT count(*) FROM nodes WHERE name = $1) + \
             (SELECT count(*) FROM records WHERE name = $1)",
        );
        let known: i64 = known.bind(wanted.clone()).fetch_one(self.connection()).await?;
        if known == 0 {
            return Ok(wanted);
        }
        let names = self.names().await?;
        Ok(name::unique(hostname, owner, |name| names.contains(name)))
    }

    /// Inserts a node.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] if no address is free.
    pub async fn insert_node(&mut self, new: NewNode, now: Millis) -> Result<Node, StoreError> {
        let id = match new.id {
            Some(id) => id,
            None => self.next_id().await?,
        };
        let name = match &new.name {
            Some(name) => name.clone(),
            None => self.unique_name(&new.device.hostinfo.hostname, &new.owner).await?,
        };
        let stable_id = format!("n{}", random::hex::<8>());
        let addresses = self.allocate_addresses().await?;
        let node = new.into_node(id, (stable_id, name), addresses, now);
        NodeRow::of(&node)?.insert(self.connection()).await?;
        Ok(node)
    }

    /// Writes a node over the revision that was read. Number, stable name, machine key and address never change.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Conflict`] if it has changed since.
    pub async fn update_node(&mut self, node: &Node) -> Result<(), StoreError> {
        Ok(NodeRow::of(node)?.update(self.connection()).await?)
    }

    /// Deletes a node and its extra names.
    pub async fn delete_node(&mut self, id: NodeId) -> Result<(), StoreError> {
        self.execute(query("DELETE FROM records WHERE node_id = $1").bind(sql(id))).await?;
        self.execute(query("DELETE FROM nodes WHERE id = $1").bind(sql(id))).await?;
        Ok(())
    }

    /// Points an extra name at a node.
    pub async fn set_record(&mut self, record: &Record) -> Result<(), StoreError> {
        let upsert = query(
            "INSERT INTO records (name, node_id) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET node_id = excluded.node_id",
        );
        self.execute(upsert.bind(record.name.clone()).bind(sql(record.node))).await?;
        Ok(())
    }

    /// Deletes an extra name; false if there was none.
    pub async fn delete_record(&mut self, name: &str) -> Result<bool, StoreError> {
        self.execute(query("DELETE FROM records WHERE name = $1").bind(name.to_owned())).await
    }
}
