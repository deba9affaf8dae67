//! One change of the network, all of it or nothing.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
};

use ::store::{Write, column};
use control_protocol::{
    key::{DiscoPublic, MachinePublic, NodePublic},
    map::CapMap,
};
use coordinator_api::Actor;
use coordinator_core::{
    address,
    api_key::{self, ApiKey, ApiKeyHash},
    key::{KeyHash, PreAuthKey},
    model::{Claims, Keys, Node, NodeId, NodeTimes, Owner, Pending, Record, User, UserId},
    name,
    route::Decisions,
    time::Millis,
};
use sqlx::{AnyConnection, Row};

use super::{
    api_keys,
    audit::{self, Noted},
    error::StoreError,
    keys,
    new::{NewNode, NewPending, Waiting},
    nodes, pending, users,
};
use crate::{clock, random};

/// A write transaction. Nothing is changed until [`Change::commit`].
#[derive(Debug)]
pub struct Change {
    write: Write,
    actor: Actor,
    /// What goes into the audit log.
    noted: Vec<Noted>,
}

impl Change {
    pub(super) async fn begin(mut write: Write, actor: Actor) -> Result<Self, StoreError> {
        // It may have been removed while its request was on the way, or waited for its turn.
        if let Actor::ApiKey { id, .. } = actor {
            let key = api_keys::by_id(write.connection(), id).await?;
            api_key::admit(key.as_ref(), true, clock::now()).map_err(StoreError::Denied)?;
        }
        Ok(Self { write, actor, noted: Vec::new() })
    }

    /// Who makes the change.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Says who makes the change, where that is known only from what the change has read.
    pub fn is_made_by(&mut self, actor: Actor) {
        self.actor = actor;
    }

    /// Says what the change does, for the audit log: the action, what it is done to, and what else is worth a line; no
    /// secret. It is written if and when the change is made.
    pub fn note(&mut self, action: &'static str, target: impl ToString, details: &str) {
        self.noted.push(Noted::new(action, &target.to_string(), details));
    }

    /// Makes the change. If the database fails now, it is not known whether the change was made.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        for noted in std::mem::take(&mut self.noted) {
            audit::insert(self.write.connection(), &self.actor, noted, clock::now()).await?;
        }
        Ok(self.write.commit().await?)
    }

    fn connection(&mut self) -> &mut AnyConnection {
        self.write.connection()
    }

    async fn next_id(&mut self) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "UPDATE network SET next_id = next_id + 1 WHERE id = 1 RETURNING next_id - 1 AS id",
        )
        .fetch_one(self.connection())
        .await?;
        Ok(column::number(&row, "id")?)
    }

    /// Finds a node by its number.
    pub async fn node(&mut self, id: NodeId) -> Result<Option<Node>, StoreError> {
        Ok(nodes::by_id(self.connection(), id).await?)
    }

    /// Finds a node by its node key.
    pub async fn node_by_key(&mut self, key: &NodePublic) -> Result<Option<Node>, StoreError> {
        Ok(nodes::by_node_key(self.connection(), key).await?)
    }

    /// Finds the nodes of a machine.
    pub async fn nodes_of_machine(
        &mut self,
        machine: &MachinePublic,
    ) -> Result<Vec<Node>, StoreError> {
        Ok(nodes::of_machine(self.connection(), machine).await?)
    }

    /// Names that are taken, by nodes and by extra records.
    pub async fn names(&mut self) -> Result<BTreeSet<String>, StoreError> {
        Ok(nodes::names(self.connection()).await?)
    }

    /// Makes a node.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] if no address is free.
    pub async fn insert_node(&mut self, new: NewNode, now: Millis) -> Result<Node, StoreError> {
        let id = match new.id {
            Some(id) => id,
            None => self.next_id().await?,
        };
        let names = self.names().await?;
        let used = nodes::addresses(self.connection()).await?;
        let row = sqlx::query("SELECT last_ipv4 FROM network WHERE id = 1")
            .fetch_one(self.connection())
            .await?;
        let last: Option<Ipv4Addr> =
            row.try_get::<Option<String>, _>("last_ipv4")?.and_then(|text| text.parse().ok());
        let addresses = address::allocate(last, |v4| used.contains(&v4)).ok_or(StoreError::Full)?;
        sqlx::query("UPDATE network SET last_ipv4 = $1 WHERE id = 1")
            .bind(addresses.v4.to_string())
            .execute(self.connection())
            .await?;
        let node = Node {
            id,
            revision: 1,
            stable_id: format!("n{}", random::hex::<8>()),
            name: new.name.unwrap_or_else(|| {
                name::unique(&new.hostinfo.hostname, &new.owner, |name| names.contains(name))
            }),
            owner: new.owner,
            keys: Keys { machine: new.machine, node: new.node_key, disco: DiscoPublic::default() },
            addresses,
            times: NodeTimes {
                created: now,
                expires: new.expires,
                last_seen: None,
                ephemeral: new.ephemeral,
            },
            claims: Claims { hostinfo: new.hostinfo, version: new.version, ..Claims::default() },
            capabilities: CapMap::new(),
            routes: Decisions::default(),
        };
        nodes::insert(self.connection(), &node).await?;
        Ok(node)
    }

    /// Writes a node over the revision that was read.
    ///
    /// # Errors
    ///
    /// [`Conflict`](::store::DatabaseError::Conflict) if it has changed since.
    pub async fn update_node(&mut self, node: &Node) -> Result<(), StoreError> {
        Ok(nodes::update(self.connection(), node).await?)
    }

    /// Deletes a node and its extra names.
    pub async fn delete_node(&mut self, id: NodeId) -> Result<(), StoreError> {
        Ok(nodes::delete(self.connection(), id).await?)
    }

    /// Finds a device that waits by its node key.
    pub async fn pending_by_key(
        &mut self,
        key: &NodePublic,
    ) -> Result<Option<Pending>, StoreError> {
        Ok(pending::by_node_key(self.connection(), key).await?)
    }

    /// Finds a device that waits by its number.
    pub async fn pending(&mut self, id: NodeId) -> Result<Option<Pending>, StoreError> {
        Ok(pending::by_id(self.connection(), id).await?)
    }

    /// Finds a device that waits by its ticket.
    pub async fn pending_by_ticket(&mut self, ticket: &str) -> Result<Option<Pending>, StoreError> {
        Ok(pending::by_ticket(self.connection(), ticket).await?)
    }

    /// Forgets who came without a key and has not asked since; returns who still waits.
    pub async fn waiting(
        &mut self,
        machine: &MachinePublic,
        since: Millis,
    ) -> Result<Waiting, StoreError> {
        Ok(pending::waiting(self.connection(), machine, since).await?)
    }

    /// Lets a device wait. One that waits already under the node key keeps its number and ticket.
    pub async fn insert_pending(
        &mut self,
        new: NewPending,
        now: Millis,
    ) -> Result<Pending, StoreError> {
        let before = self.pending_by_key(&new.node_key).await?;
        let (id, ticket, created) = match before {
            Some(before) => {
                self.delete_pending(before.id).await?;
                (before.id, before.ticket, before.created)
            }
            None => (self.next_id().await?, random::hex::<16>(), now),
        };
        let pending = Pending {
            id,
            ticket,
            machine: new.machine,
            node_key: new.node_key,
            hostinfo: new.hostinfo,
            version: new.version,
            source: new.source,
            key: None,
            replaces: new.replaces,
            ephemeral: new.ephemeral,
            created,
            asked: now,
        };
        pending::insert(self.connection(), &pending, new.key).await?;
        Ok(pending)
    }

    /// Notes that a device that waits has asked again.
    pub async fn set_asked(&mut self, id: NodeId, now: Millis) -> Result<(), StoreError> {
        Ok(pending::set_asked(self.connection(), id, now).await?)
    }

    /// Forgets a device that waits.
    pub async fn delete_pending(&mut self, id: NodeId) -> Result<(), StoreError> {
        Ok(pending::delete(self.connection(), id).await?)
    }

    /// Finds a user by name.
    pub async fn user(&mut self, name: &str) -> Result<Option<User>, StoreError> {
        Ok(users::by_name(self.connection(), name).await?)
    }

    /// Makes a user.
    pub async fn insert_user(&mut self, name: &str, now: Millis) -> Result<User, StoreError> {
        let user = User { id: self.next_id().await?, name: name.to_owned(), created: now };
        users::insert(self.connection(), &user).await?;
        Ok(user)
    }

    /// Deletes a user and its keys; false, and nothing happens, while a device is its.
    pub async fn delete_user(&mut self, user: &User) -> Result<bool, StoreError> {
        let owned = nodes::count_of_user(self.connection(), user.id).await?;
        let waiting = pending::all(self.connection()).await?;
        let waits = |pending: &Pending| {
            pending.key.as_ref().is_some_and(|(_, owner)| *owner == Owner::User(user.id))
        };
        if owned > 0 || waiting.iter().any(waits) {
            return Ok(false);
        }
        users::delete(self.connection(), user.id).await?;
        Ok(true)
    }

    /// Gives a user another name, which nobody may have.
    pub async fn rename_user(&mut self, id: UserId, name: &str) -> Result<(), StoreError> {
        Ok(users::rename(self.connection(), id, name).await?)
    }

    /// All users.
    pub async fn users(&mut self) -> Result<Vec<User>, StoreError> {
        Ok(users::all(self.connection()).await?)
    }

    /// Finds a pre-auth key.
    pub async fn key(&mut self, hash: &KeyHash) -> Result<Option<PreAuthKey>, StoreError> {
        Ok(keys::by_hash(self.connection(), hash).await?)
    }

    /// Finds a pre-auth key by its number.
    pub async fn key_by_id(&mut self, id: u64) -> Result<Option<PreAuthKey>, StoreError> {
        Ok(keys::by_id(self.connection(), id).await?)
    }

    /// Stores a key under a new number, which is returned.
    pub async fn insert_key(
        &mut self,
        key: PreAuthKey,
        hash: &KeyHash,
    ) -> Result<PreAuthKey, StoreError> {
        let key = PreAuthKey { id: self.next_id().await?, ..key };
        keys::insert(self.connection(), &key, hash).await?;
        Ok(key)
    }

    /// Uses a key once; false if it cannot be used any more.
    pub async fn consume_key(&mut self, id: u64, now: Millis) -> Result<bool, StoreError> {
        Ok(keys::consume(self.connection(), id, now).await?)
    }

    /// Ends a key.
    pub async fn expire_key(&mut self, id: u64, now: Millis) -> Result<(), StoreError> {
        Ok(keys::expire(self.connection(), id, now).await?)
    }

    /// Deletes a key; false, and nothing happens, while a device waits that used it.
    pub async fn delete_key(&mut self, id: u64) -> Result<bool, StoreError> {
        let waiting = pending::all(self.connection()).await?;
        let used = |pending: &Pending| pending.key.as_ref().is_some_and(|(key, _)| *key == id);
        if waiting.iter().any(used) {
            return Ok(false);
        }
        keys::delete(self.connection(), id).await?;
        Ok(true)
    }

    /// All API keys, by their hashes.
    pub async fn api_keys(&mut self) -> Result<HashMap<ApiKeyHash, ApiKey>, StoreError> {
        Ok(api_keys::all(self.connection()).await?)
    }

    /// Stores an API key under a new number, which is returned.
    pub async fn insert_api_key(
        &mut self,
        key: ApiKey,
        hash: &ApiKeyHash,
    ) -> Result<ApiKey, StoreError> {
        let key = ApiKey { id: self.next_id().await?, ..key };
        api_keys::insert(self.connection(), &key, hash).await?;
        Ok(key)
    }

    /// Deletes an API key.
    pub async fn delete_api_key(&mut self, id: u64) -> Result<(), StoreError> {
        Ok(api_keys::delete(self.connection(), id).await?)
    }

    /// Points an extra name at a node.
    pub async fn set_record(&mut self, record: &Record) -> Result<(), StoreError> {
        Ok(nodes::set_record(self.connection(), record).await?)
    }

    /// Deletes an extra name; false if there was none.
    pub async fn delete_record(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(nodes::delete_record(self.connection(), name).await?)
    }

    /// The policy's text.
    pub async fn policy(&mut self) -> Result<String, StoreError> {
        let row = sqlx::query("SELECT policy FROM network WHERE id = 1")
            .fetch_one(self.connection())
            .await?;
        Ok(row.try_get("policy")?)
    }

    /// Which policy it is: their number goes up by one with each.
    pub async fn policy_revision(&mut self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT policy_revision FROM network WHERE id = 1")
            .fetch_one(self.connection())
            .await?;
        Ok(row.try_get("policy_revision")?)
    }

    /// Replaces the policy.
    pub async fn set_policy(&mut self, text: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE network SET policy = $1, policy_revision = policy_revision + 1 WHERE id = 1",
        )
        .bind(text.to_owned())
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
