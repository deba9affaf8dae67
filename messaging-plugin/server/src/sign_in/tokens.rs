//! The access tokens, by their hash: in memory, so that a request costs no query, and in the table `devices`.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use mesh_identity::User;
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use sqlx::{AnyPool, Row as _};
use store::column;
use tokio::sync::watch;

use crate::error::Error;

/// How often the time of the last request is stored, in milliseconds.
const SEEN_INTERVAL: u64 = 60 * 60 * 1000;

/// An app that is signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// The person.
    pub user: OwnedUserId,
    /// The app.
    pub device: OwnedDeviceId,
    /// Stable id of the node to which the token is bound.
    pub node: String,
    /// The coordinator's number of the person.
    pub owner: u64,
    /// The person's login when it asked last.
    login: Mutex<String>,
    /// When it asked last, in Unix milliseconds, as stored.
    seen: AtomicU64,
    ended: watch::Sender<bool>,
}

/// A change of the tokens, which others see after the transaction's commit.
#[derive(Clone, Debug)]
pub enum Change {
    /// An app signed in; its older token is void.
    Opened([u8; 32], Arc<SignedIn>),
    /// An app is signed out.
    Closed(OwnedUserId, OwnedDeviceId),
}

/// All access tokens.
#[derive(Debug, Default)]
pub struct Tokens(RwLock<HashMap<[u8; 32], Arc<SignedIn>>>);

impl SignedIn {
    /// An app of a person with this number and login, which asked last at `seen`, in Unix milliseconds.
    pub fn new(
        user: OwnedUserId,
        device: OwnedDeviceId,
        node: String,
        person: User,
        seen: u64,
    ) -> Self {
        let (owner, login) = (person.id, Mutex::new(person.login));
        let ended = watch::Sender::new(false);
        Self { user, device, node, owner, login, seen: seen.into(), ended }
    }

    /// Notes the person's login. Returns whether it is another than before.
    pub fn is_renamed(&self, login: &str) -> bool {
        let mut known = self.login.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = *known != login;
        if is_other {
            login.clone_into(&mut known);
        }
        is_other
    }

    /// Notes that the app asks at `now`, in Unix milliseconds. Returns whether this is to be stored: once an hour.
    pub fn note(&self, now: u64) -> bool {
        let before = self.seen.load(Ordering::Relaxed);
        now.saturating_sub(before) >= SEEN_INTERVAL
            && self.seen.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Returns when the app is signed out.
    pub async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as `self`.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    fn end(&self) {
        self.ended.send_replace(true);
    }
}

impl Tokens {
    /// Loads the tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn load(&self, pool: &AnyPool) -> Result<(), Error> {
        let query = "SELECT d.token_hash, d.user_id, d.device_id, d.node, d.seen_at, p.mesh_user, p.login \
             FROM devices d JOIN people p ON p.user_id = d.user_id WHERE p.removed_at IS NULL";
        let mut loaded = HashMap::new();
        for row in sqlx::query(query).fetch_all(pool).await? {
            let hash = column::bytes::<32>(row.try_get("token_hash")?, "token_hash")?;
            let user: String = row.try_get("user_id")?;
            let user = UserId::parse(user).map_err(|_| store::DatabaseError::Row("user_id"))?;
            let (device, node, login): (String, String, String) =
                (row.try_get("device_id")?, row.try_get("node")?, row.try_get("login")?);
            let owner = column::number(&row, "mesh_user")?;
            let seen = column::number(&row, "seen_at")?;
            let app = SignedIn::new(user, device.into(), node, User { id: owner, login }, seen);
            loaded.insert(hash, Arc::new(app));
        }
        let mut tokens = self.writer();
        for (hash, app) in &mut loaded {
            match tokens.remove(hash) {
                // Requests that wait keep their sign of its end.
                Some(known) if known.node == app.node && known.owner == app.owner => *app = known,
                Some(other) => other.end(),
                None => {}
            }
        }
        let gone = std::mem::replace(&mut *tokens, loaded);
        drop(tokens);
        gone.values().for_each(|app| app.end());
        Ok(())
    }

    /// The app with this token.
    pub fn get(&self, hash: &[u8; 32]) -> Option<Arc<SignedIn>> {
        self.reader().get(hash).cloned()
    }

    /// Publishes what a transaction changed. Requests of apps that are signed out end.
    pub fn apply(&self, changes: &[Change]) {
        let mut tokens = self.writer();
        for change in changes {
            let (user, device) = match change {
                Change::Opened(_, app) => (&app.user, &app.device),
                Change::Closed(user, device) => (user, device),
            };
            let old = tokens.extract_if(|_, app| app.user == *user && app.device == *device);
            old.for_each(|(_, app)| app.end());
            if let Change::Opened(hash, app) = change {
                tokens.insert(*hash, Arc::clone(app));
            }
        }
    }

    /// When a person's app asked last, in Unix milliseconds.
    pub fn last_seen(&self, user: &UserId, device: &str) -> Option<u64> {
        let tokens = self.reader();
        let app = tokens.values().find(|app| app.user == *user && app.device == device)?;
        Some(app.seen.load(Ordering::Relaxed))
    }

    fn reader(&self) -> RwLockReadGuard<'_, HashMap<[u8; 32], Arc<SignedIn>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> RwLockWriteGuard<'_, HashMap<[u8; 32], Arc<SignedIn>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
