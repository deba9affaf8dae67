//! Apps: programs of this machine, identified by a key.
//!
//! On a loopback address the caller is unknown: it may be any program of any user. So each app has a key, of which only
//! the SHA-256 is stored. Its requests count as the person `app:NAME`, which has fewer rights than a member.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ai_gateway_api::{
    apps::{AddedApp, App, AppKey, AppName, InvalidAppName},
    wire::Fixed,
};
use axum::http::{HeaderMap, header};
use chassis::state::{Format, StateError};
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use mesh_identity::Person;
use mesh_listener::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{
    changes::Changes,
    limits::{Exceeded, Limit},
    usage::utc,
};

/// Most apps.
pub const MAX: usize = 64;
/// Wrong keys in a minute, of all programs together, since they cannot be told apart.
const WRONG_PER_MINUTE: std::num::NonZeroU32 = std::num::NonZeroU32::MIN.saturating_add(59);
/// A day, in seconds.
const DAY: u64 = 24 * 60 * 60;

const FORMAT: Format<File> = Format::new(1);

/// An admin's call failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The name is invalid.
    #[error(transparent)]
    Name(#[from] InvalidAppName),
    /// Another app has this name.
    #[error("an app {0} already exists")]
    Taken(AppName),
    /// The limit is reached.
    #[error("{MAX} apps exist already, which is the limit")]
    TooMany,
    /// No app has this name.
    #[error("there is no such app")]
    Unknown,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// The file could not be written.
    #[error("the apps could not be stored")]
    Store(#[from] StateError),
}

/// Why a program is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRejection {
    /// It sent no key, or an unknown one.
    Unknown,
    /// The same, and too many wrong keys were sent recently. A correct key is accepted nevertheless.
    TooOften(Exceeded),
}

#[derive(Serialize, Deserialize)]
struct File {
    apps: Vec<StoredApp>,
}

/// An app as it is stored in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredApp {
    name: AppName,
    key_sha256: Fixed<32>,
    /// In seconds since 1970.
    created_s: u64,
    /// In days since 1970.
    used_day: Option<u64>,
}

impl StoredApp {
    fn to_app(&self) -> App {
        // Any number in the file is accepted.
        let time = |seconds: u64, format: &str| utc(seconds).strftime(format).to_string();
        App {
            name: self.name.clone(),
            created: time(self.created_s, "%Y-%m-%dT%H:%M:%SZ"),
            last_used: self.used_day.map(|day| time(day.saturating_mul(DAY), "%Y-%m-%d")),
        }
    }
}

#[derive(Debug)]
struct State {
    apps: Vec<Entry>,
    /// Whether a day of last use is not on disk yet.
    changed: bool,
}

impl State {
    /// All apps as they are stored in the file.
    fn stored(&self) -> Vec<StoredApp> {
        self.apps.iter().map(|entry| entry.stored.clone()).collect()
    }
}

#[derive(Debug)]
struct Entry {
    stored: StoredApp,
    /// Connections on which it sent requests.
    connections: Vec<Connection>,
}

impl Entry {
    fn new(stored: StoredApp) -> Self {
        Self { stored, connections: Vec::new() }
    }
}

/// All apps. An admin's change is on disk before the answer, the day of last use within about a minute.
#[derive(Debug)]
pub struct Apps {
    changes: Changes,
    state: Mutex<State>,
    wrong: DefaultDirectRateLimiter,
}

impl Apps {
    /// Loads the apps added earlier.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be used.
    pub fn load(path: PathBuf) -> Result<Self, StateError> {
        let stored = FORMAT.read(&path)?.map_or_else(Vec::new, |file| file.apps);
        let apps = stored.into_iter().map(Entry::new).collect();
        Ok(Self {
            changes: Changes::new(path),
            state: Mutex::new(State { apps, changed: false }),
            wrong: RateLimiter::direct(Quota::per_minute(WRONG_PER_MINUTE)),
        })
    }

    /// The apps, in the order in which they were added.
    #[must_use]
    pub fn list(&self) -> Vec<App> {
        self.lock().apps.iter().map(|entry| entry.stored.to_app()).collect()
    }

    /// Adds an app and makes its key, which cannot be shown again.
    ///
    /// # Errors
    ///
    /// See [`AppError`].
    pub fn add(&self, name: &str, now_ms: u64) -> Result<AddedApp, AppError> {
        let name: AppName = name.parse()?;
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|_| AppError::Random)?;
        let key = AppKey::new(random);
        let change = self.changes.begin();
        let mut next = self.lock().stored();
        if next.iter().any(|stored| stored.name == name) {
            return Err(AppError::Taken(name));
        }
        if next.len() >= MAX {
            return Err(AppError::TooMany);
        }
        let (key_sha256, created_s) = (digest(&key), now_ms / 1000);
        let stored = StoredApp { name, key_sha256, created_s, used_day: None };
        next.push(stored.clone());
        change.write(&FORMAT, &File { apps: next })?;
        let app = stored.to_app();
        self.lock().apps.push(Entry::new(stored));
        Ok(AddedApp { app, key })
    }

    /// Removes an app. Its key is invalid at once, and its connections are closed.
    ///
    /// # Errors
    ///
    /// See [`AppError`].
    pub fn remove(&self, name: &str) -> Result<App, AppError> {
        let change = self.changes.begin();
        let mut next = self.lock().stored();
        // The index stays valid: only changes move apps, and this is the only change now.
        let at = next.iter().position(|stored| stored.name.as_str() == name);
        let at = at.ok_or(AppError::Unknown)?;
        next.remove(at);
        change.write(&FORMAT, &File { apps: next })?;
        let entry = self.lock().apps.remove(at);
        entry.connections.iter().for_each(Connection::close);
        Ok(entry.stored.to_app())
    }

    /// Returns the app with this key, and records that it uses this connection.
    ///
    /// # Errors
    ///
    /// [`KeyRejection`].
    pub fn enter(
        &self,
        key: Option<&str>,
        connection: &Connection,
        now_ms: u64,
    ) -> Result<Person, KeyRejection> {
        let Some(key) = key else { return Err(KeyRejection::Unknown) };
        let mut state = self.lock();
        let Some(at) = AppKey::read(key).and_then(|key| find(&state.apps, &digest(&key))) else {
            drop(state);
            return Err(self.wrong_key());
        };
        let today = now_ms / 1000 / DAY;
        let entry = &mut state.apps[at];
        entry.connections.retain(|other| !other.is_over());
        if !entry.connections.iter().any(|other| other.is(connection)) {
            entry.connections.push(connection.clone());
        }
        let person = Person::App(entry.stored.name.to_string());
        if entry.stored.used_day.replace(today) != Some(today) {
            state.changed = true;
        }
        Ok(person)
    }

    fn wrong_key(&self) -> KeyRejection {
        match self.wrong.check() {
            Ok(()) => KeyRejection::Unknown,
            Err(not) => {
                let wait = not.wait_time_from(DefaultClock::default().now());
                KeyRejection::TooOften(Exceeded {
                    limit: Limit::Rate,
                    retry_after_s: wait.as_secs() + 1,
                })
            }
        }
    }

    /// Stores the days of last use. Call it each minute.
    pub fn keep(&self) {
        let change = self.changes.begin();
        let next = {
            let mut state = self.lock();
            if !std::mem::take(&mut state.changed) {
                return;
            }
            state.stored()
        };
        if let Err(error) = change.write(&FORMAT, &File { apps: next }) {
            self.lock().changed = true;
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the days of last use of apps could not be stored");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(key: &AppKey) -> Fixed<32> {
    Fixed(Sha256::digest(key.reveal()).into())
}

/// Compares all of them, so that the time does not depend on the position.
fn find(apps: &[Entry], digest: &Fixed<32>) -> Option<usize> {
    let is_its = |entry: &Entry| bool::from(entry.stored.key_sha256.0.ct_eq(&digest.0));
    apps.iter().enumerate().fold(None, |found, (at, entry)| is_its(entry).then_some(at).or(found))
}

/// The key that a request carries (RFC 6750, section 2.1).
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim_matches(' '))
}

#[cfg(test)]
mod tests;
