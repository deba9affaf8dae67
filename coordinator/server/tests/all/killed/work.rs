//! What everyone asks of the coordinator until it is killed, each told apart by a number.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use control_protocol::key::MachinePublic;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::eventually;
use tokio::net::TcpStream;

use super::ledger::{Key, Ledger, Observed, Removal, policy, text};
use crate::{
    device::{Device, server_key},
    harness::ask_admin,
};

/// Devices that stay, for the next rounds.
const FEW: u64 = 5;

/// Those who ask, and what they note. A clone notes it in the same place.
#[derive(Clone)]
pub(super) struct Workers {
    root: PathBuf,
    ledger: Arc<Mutex<Ledger>>,
    numbers: Arc<AtomicU64>,
    /// Whether they still ask.
    asks: Arc<AtomicBool>,
}

/// They, with a coordinator that runs.
#[derive(Clone)]
pub(super) struct Workload {
    work: Workers,
    address: SocketAddr,
    server: MachinePublic,
}

impl Workers {
    pub(super) fn new(root: &Path) -> Self {
        let asks = Arc::new(AtomicBool::new(true));
        Self { root: root.to_owned(), ledger: Arc::default(), numbers: Arc::default(), asks }
    }

    /// The same who ask, and note it in the same place, at another coordinator of the network.
    pub(super) fn beside(&self, root: &Path) -> Self {
        let asks = Arc::new(AtomicBool::new(true));
        Self { root: root.to_owned(), asks, ..self.clone() }
    }

    /// Whether they still ask.
    pub(super) fn ask(&self) -> bool {
        self.asks.load(Ordering::Relaxed)
    }

    /// Lets them ask again, or stop once what they asked for is answered.
    pub(super) fn let_ask(&self, asks: bool) {
        self.asks.store(asks, Ordering::Relaxed);
    }

    pub(super) async fn at(&self, address: SocketAddr) -> Workload {
        Workload { work: self.clone(), address, server: server_key(address).await }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn looks(&self, found: &Observed) {
        self.ledger().looks(found);
    }

    /// Waits until so many changes were acknowledged since the last look.
    pub(super) async fn acknowledged(&self, changes: u64) {
        let counted = async || self.ledger().acknowledged >= changes;
        eventually("changes are acknowledged", counted).await;
    }

    /// Asks for a change: whether it was made; `None` if that is not known.
    async fn change(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Option<Result<Value, Value>> {
        let (status, answer) = ask_admin(&self.root, method, path, body).await?;
        if status.is_success() {
            self.ledger().acknowledged += 1;
            return Some(Ok(answer));
        }
        let is_refused = [StatusCode::NOT_FOUND, StatusCode::CONFLICT].contains(&status)
            || status == StatusCode::UNPROCESSABLE_ENTITY;
        assert!(is_refused, "{path}: {status} {answer}");
        Some(Err(answer))
    }

    pub(super) async fn list(&self, path: &str) -> Option<Vec<Value>> {
        Some(self.read(path).await?.as_array().unwrap().clone())
    }

    pub(super) async fn policy(&self) -> Option<Value> {
        self.read("/policy").await
    }

    async fn read(&self, path: &str) -> Option<Value> {
        let (status, answer) = ask_admin(&self.root, Method::GET, path, Value::Null).await?;
        assert_eq!(status, 200, "{path}: {answer}");
        Some(answer)
    }

    pub(super) async fn a_user_is_made_after_all(&self) {
        self.user().await.expect("it runs");
    }

    async fn user(&self) -> Option<()> {
        let name = format!("u{}", self.number());
        self.change(Method::POST, "/users", json!({ "name": name })).await?.unwrap();
        self.ledger().users.insert(name);
        Some(())
    }

    /// Removes devices, so that there are never more than a household has, however many rounds there are.
    pub(super) async fn leaves_few(&self, address: SocketAddr) {
        let to = self.at(address).await;
        while to.devices().await.expect("it runs").len() > usize::try_from(FEW).unwrap() {
            to.a_device_is_removed().await.expect("it runs");
        }
    }

    /// The devices that have no answer ask again, as they would, and who tries a used key besides.
    pub(super) async fn tries_again(&self, address: SocketAddr) {
        let to = self.at(address).await;
        let devices = to.devices().await.expect("it runs");
        let open = self.ledger().open(&devices);
        for (tag, key, is_free) in open {
            let [first, second] = &key.pair;
            let answers =
                tokio::join!(to.registers(first, &tag, &key), to.registers(second, &tag, &key));
            let nodes =
                u32::from(answers.0.expect("it runs")) + u32::from(answers.1.expect("it runs"));
            assert_eq!(nodes, u32::from(is_free), "{tag}");
        }
        let used = self
            .ledger()
            .keys
            .iter()
            .find(|(_, key)| key.holder.is_some())
            .map(|(tag, key)| (tag.clone(), key.clone()));
        if let Some((tag, key)) = used {
            let is_node = to.registers(&Device::new("late"), &tag, &key).await.expect("it runs");
            assert!(!is_node, "{tag}: a used key admits");
        }
    }
}

impl Workload {
    /// Makes a one-time key, and lets two devices try it at once.
    pub(super) async fn a_pair_registers(&self) -> Option<()> {
        let tag = format!("tag:k{}", self.work.number());
        let wanted = json!({ "tags": [tag], "pre_approved": true });
        let made = self.work.change(Method::POST, "/keys", wanted).await?.unwrap();
        let key = Key::new(&made);
        self.work.ledger().keys.insert(tag.clone(), key.clone());
        let [first, second] = &key.pair;
        let (first, second) =
            tokio::join!(self.registers(first, &tag, &key), self.registers(second, &tag, &key));
        let admitted = [first, second].iter().filter(|answer| **answer == Some(true)).count();
        self.work.ledger().acknowledged += u64::try_from(admitted).unwrap();
        first.and(second).map(drop)
    }

    /// Whether the device is told that it is a node; `None` if it is told nothing.
    async fn registers(&self, device: &Device, tag: &str, key: &Key) -> Option<bool> {
        let stream = TcpStream::connect(self.address).await.ok()?;
        let mut channel = device.connect_over(stream, self.server).await?;
        let answer = channel.try_register(&device.with_key(&key.secret)).await?;
        assert_ne!(answer.machine_authorized, !answer.error.is_empty(), "{answer:?}");
        if answer.machine_authorized {
            self.work.ledger().holds(tag, device.key().to_string());
        }
        Some(answer.machine_authorized)
    }

    pub(super) async fn the_policy_is_replaced(&self) -> Option<()> {
        let number = self.work.number();
        self.work.ledger().policy.1 = number;
        self.work.change(Method::PUT, "/policy", policy(number)).await?.unwrap();
        self.work.ledger().policy.0 = number;
        Some(())
    }

    pub(super) async fn a_user_is_made(&self) -> Option<()> {
        self.work.user().await
    }

    /// Gives two devices one name, at once: one of them gets it, unless it is removed meanwhile.
    pub(super) async fn two_devices_want_one_name(&self) -> Option<()> {
        let (number, devices) = (self.work.number(), self.devices().await?);
        let some = |more: usize| {
            let at = usize::try_from(number).unwrap() + more;
            devices.get(at % devices.len().max(1)).cloned()
        };
        let (Some(one), Some(other)) = (some(0), some(1)) else { return self.nothing_yet().await };
        if one == other {
            return self.nothing_yet().await;
        }
        let name = format!("r{number}");
        let both = [text(&one, "node_key"), text(&other, "node_key")];
        let (one, other) = tokio::join!(self.renames(&one, &name), self.renames(&other, &name));
        // The name of one that was removed in between is free again.
        let is_free = both.iter().any(|key| self.work.ledger().removals.contains_key(key));
        assert!(!(one? && other?) || is_free, "both are {name}");
        Some(())
    }

    async fn renames(&self, device: &Value, name: &str) -> Option<bool> {
        let (node_key, now) = (text(device, "node_key"), text(device, "name"));
        let may = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            self.work.ledger().names.insert(node_key.clone(), names);
        };
        may(&[&now, name]);
        let path = format!("/devices/{}/rename", device["id"]);
        let answer = self.work.change(Method::POST, &path, json!({ "name": name })).await?;
        may(&[if answer.is_ok() { name } else { &now }]);
        Some(answer.is_ok())
    }

    pub(super) async fn a_device_is_removed(&self) -> Option<()> {
        let (number, devices) = (self.work.number(), self.devices().await?);
        let count = u64::try_from(devices.len()).unwrap();
        if count < FEW {
            return self.nothing_yet().await;
        }
        let device = &devices[usize::try_from(number % count).unwrap()];
        let node_key = text(device, "node_key");
        self.work.ledger().removals.insert(node_key.clone(), Removal::Asked);
        let path = format!("/devices/{}", device["id"]);
        self.work.change(Method::DELETE, &path, Value::Null).await?.unwrap();
        self.work.ledger().removals.insert(node_key, Removal::Acknowledged);
        Some(())
    }

    async fn devices(&self) -> Option<Vec<Value>> {
        let devices = self.work.list("/devices").await?;
        self.work.ledger().sees(&devices);
        Some(devices)
    }

    async fn nothing_yet(&self) -> Option<()> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some(())
    }
}
