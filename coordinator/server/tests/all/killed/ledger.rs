//! What the coordinator was asked for and what it acknowledged, and what must therefore be there afterwards.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::Row as _;

use super::work::Workers;
use crate::{device::Device, process::Root};

/// A one-time key, and the two devices that try it.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: u64,
    pub(super) secret: String,
    pub(super) pair: [Device; 2],
    /// The node key of the one that was told that it is a node.
    pub(super) holder: Option<String>,
    /// Node keys that were ever seen with this key's tag.
    seen: BTreeSet<String>,
}

/// How far a removal has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Removal {
    Asked,
    Acknowledged,
}

/// Everything, by the texts of the admin API.
#[derive(Default)]
pub(super) struct Ledger {
    /// Changes that were acknowledged since the revision was read.
    pub(super) acknowledged: u64,
    revision: i64,
    /// By the tag of their nodes.
    pub(super) keys: BTreeMap<String, Key>,
    /// By node key.
    pub(super) removals: BTreeMap<String, Removal>,
    /// The names that a node may have, by node key.
    pub(super) names: BTreeMap<String, Vec<String>>,
    /// Whose each address is, or was.
    addresses: BTreeMap<String, String>,
    pub(super) users: BTreeSet<String>,
    /// The number of the newest policy that was acknowledged, and of the newest that was asked for.
    pub(super) policy: (u64, u64),
}

/// What there is.
pub(super) struct Observed {
    devices: Vec<Value>,
    keys: Vec<Value>,
    users: Vec<Value>,
    policy: Value,
    revision: i64,
}

impl Observed {
    pub(super) async fn read(root: &Root, work: &Workers) -> Self {
        // Who waits for the database behind what the killed one still had under way, sees that too.
        work.a_user_is_made_after_all().await;
        let list = async |path| work.list(path).await.expect("it runs");
        let (devices, keys, users) =
            (list("/devices").await, list("/keys").await, list("/users").await);
        let policy = work.policy().await.expect("it runs");
        Self { devices, keys, users, policy, revision: revision(root).await }
    }
}

async fn revision(root: &Root) -> i64 {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&root.database_url()).await.unwrap();
    let row = sqlx::query("SELECT revision FROM network").fetch_one(&pool).await.unwrap();
    pool.close().await;
    row.try_get("revision").unwrap()
}

/// A field that is a text.
pub(super) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

/// The tag of the key by which it came.
fn tag_of(device: &Value) -> String {
    device["tags"][0].as_str().unwrap_or_else(|| panic!("no tag: {device}")).to_owned()
}

impl Key {
    /// From the answer of the admin API.
    pub(super) fn new(made: &Value) -> Self {
        Self {
            id: made["id"].as_u64().unwrap(),
            secret: text(made, "key"),
            pair: [Device::new("phone"), Device::new("phone")],
            holder: None,
            seen: BTreeSet::new(),
        }
    }
}

impl Ledger {
    /// Notes a device's answer that it is a node.
    pub(super) fn holds(&mut self, tag: &str, node_key: String) {
        let key = self.keys.get_mut(tag).unwrap();
        if let Some(holder) = &key.holder {
            assert_eq!(*holder, node_key, "{tag}: a one-time key made two nodes");
        }
        key.holder = Some(node_key);
    }

    /// Notes who is there.
    pub(super) fn sees(&mut self, devices: &[Value]) {
        for device in devices {
            let (node_key, tag) = (text(device, "node_key"), tag_of(device));
            let key = self.keys.get_mut(&tag).expect("its key was acknowledged");
            key.seen.insert(node_key.clone());
            assert_eq!(key.seen.len(), 1, "{tag}: a one-time key made two nodes");
            for address in device["addresses"].as_array().unwrap() {
                let address = address.as_str().unwrap().to_owned();
                let of = self.addresses.entry(address.clone()).or_insert_with(|| node_key.clone());
                assert_eq!(*of, node_key, "{address} was another's");
            }
        }
    }

    /// Compares.
    pub(super) fn looks(&mut self, found: &Observed) {
        self.sees(&found.devices);
        let here: BTreeMap<_, _> =
            found.devices.iter().map(|device| (text(device, "node_key"), device)).collect();
        let names: BTreeSet<_> = found.devices.iter().map(|device| text(device, "name")).collect();
        assert_eq!(
            names.len(),
            found.devices.len(),
            "a name was given twice: {:#?}",
            found.devices
        );
        for (node_key, device) in &here {
            assert_eq!(device["state"], "approved", "{device}");
            assert_eq!(device["addresses"].as_array().unwrap().len(), 2, "{device}");
            assert_ne!(self.removals.get(node_key), Some(&Removal::Acknowledged), "{device}");
            if let Some(names) = self.names.get(node_key) {
                assert!(names.contains(&text(device, "name")), "{device} is none of {names:?}");
            }
        }
        self.looks_at_keys(found, &here);
        let users: BTreeSet<_> = found.users.iter().map(|user| text(user, "name")).collect();
        assert_eq!(self.users.difference(&users).next(), None, "a user is gone: {users:?}");
        let policy = policy_number(&found.policy);
        let (acknowledged, asked) = self.policy;
        assert!((acknowledged..=asked).contains(&policy), "{policy} of {:?}", self.policy);
        let least = self.revision + i64::try_from(self.acknowledged).unwrap();
        assert!(found.revision >= least, "revision {} and not {least}", found.revision);
        (self.revision, self.acknowledged) = (found.revision, 0);
    }

    fn looks_at_keys(&self, found: &Observed, here: &BTreeMap<String, &Value>) {
        let keys: BTreeMap<_, _> =
            found.keys.iter().map(|key| (key["id"].as_u64().unwrap(), key)).collect();
        for (tag, key) in &self.keys {
            let stored = keys.get(&key.id).unwrap_or_else(|| panic!("the key of {tag} is gone"));
            assert_eq!(stored["uses"], json!(key.seen.len()), "{tag}: {stored}, {:?}", key.seen);
            let Some(holder) = &key.holder else { continue };
            let is_here = here.contains_key(holder) || self.removals.contains_key(holder);
            assert!(is_here, "{tag}: {holder} was told that it is a node, and is none");
        }
    }

    /// The keys that nobody was told to hold, each with whether one of its devices may be a node now: unless one was, and
    /// is not among these any more.
    pub(super) fn open(&self, devices: &[Value]) -> Vec<(String, Key, bool)> {
        let here: BTreeSet<_> = devices.iter().map(|device| text(device, "node_key")).collect();
        let open = self.keys.iter().filter(|(_, key)| key.holder.is_none());
        open.map(|(tag, key)| (tag.clone(), key.clone(), key.seen.is_subset(&here))).collect()
    }
}

/// The policy of this number, under which everyone reaches everyone.
pub(super) fn policy(number: u64) -> Value {
    json!({ "policy": format!("// {number}\n{}", crate::harness::OPEN) })
}

/// The number of a policy; the first one has none.
fn policy_number(policy: &Value) -> u64 {
    let text = text(policy, "policy");
    let first = text.lines().next().and_then(|line| line.strip_prefix("// ")?.parse().ok());
    first.unwrap_or(0)
}
