//! The gateway's keys at work: which are accepted now, and the signed bundle that says so.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{
    durable::Access,
    state::{Format, StateError},
};
use confidential_api::{
    certificate::Certificate, config::KeySource, settings::gateway::Settings, signed::Signed,
};
use confidential_envelope::{Kem, PrivateKey, ohttp::GatewayKey};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::ring::{self, Plan, Ring};
use crate::{Error, clock, seeds, signing};

/// How often it is looked whether a key should be made.
const LOOK: Duration = Duration::from_millis(500);
/// The state file, below the state folder.
const FILE: &str = "keys.json";
const FORMAT: Format<Kept> = Format::new(1).access(Access::SECRET);

/// What outlives the process: no key, but what no other process may use again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Of the last bundle.
    epoch: u64,
    /// Of the last key.
    key_id: u8,
}

/// The keys of a gateway.
#[derive(Debug)]
pub(crate) enum GatewayKeys {
    /// Made here.
    Made(Box<Made>),
    /// Derived from seeds; auth publishes them.
    Seeds(Vec<ring::Timed>),
}

/// Keys that are made here.
pub(crate) struct Made {
    path: PathBuf,
    signer: SigningKey,
    certificate: Signed<Certificate>,
    state: Mutex<State>,
}

struct State {
    kept: Kept,
    ring: Ring,
    /// The signed bundle as it is served.
    bundle: Arc<str>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").finish_non_exhaustive()
    }
}

impl GatewayKeys {
    /// As the settings say; paths are below the root.
    pub(crate) fn open(root: &Path, settings: &Settings) -> Result<Self, Error> {
        match settings.keys.source {
            KeySource::Seeds => {
                let file = settings.keys.seeds_file.as_ref();
                let keys = seeds::load(root, file, "keys.seeds_file", seeds::variable())?;
                Ok(Self::Seeds(keys))
            }
            KeySource::Gateway => Made::open(root, settings).map(|made| Self::Made(Box::new(made))),
        }
    }

    /// Those that are accepted now.
    pub(crate) fn accepted(&self) -> Vec<Arc<GatewayKey>> {
        let now = clock::now_ms();
        match self {
            Self::Made(made) => ring::accepted(made.state().ring.keys(), now),
            Self::Seeds(keys) => ring::accepted(keys, now),
        }
    }

    /// The signed bundle; none with seeds.
    pub(crate) fn bundle(&self) -> Option<Arc<str>> {
        match self {
            Self::Made(made) => Some(Arc::clone(&made.state().bundle)),
            Self::Seeds(_) => None,
        }
    }

    /// Makes and forgets keys until `stop` is cancelled.
    pub(crate) async fn rotate(&self, stop: CancellationToken) {
        let Self::Made(made) = self else { return };
        let mut failing = false;
        while stop.run_until_cancelled(sleep(LOOK)).await.is_some() {
            match made.step() {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "no new key can be made: the keys that there are end");
                }
                Err(_) => {}
            }
        }
    }
}

impl Made {
    fn open(root: &Path, settings: &Settings) -> Result<Self, Error> {
        let plan = Plan::new(&settings.keys).map_err(Error::Setting)?;
        let folder = root.join(&settings.state);
        crate::state_folder(&folder)?;
        let path = folder.join(FILE);
        let kept = FORMAT.read(&path)?.unwrap_or_default();
        let signer = signing::read(&root.join(&settings.bundle.key))?;
        let certificate = signing::certificate(&root.join(&settings.bundle.certificate), &signer)?;
        let state = State { kept, ring: Ring::new(plan), bundle: Arc::from("") };
        let made = Self { path, signer, certificate, state: Mutex::new(state) };
        made.step()?;
        Ok(made)
    }

    /// Makes the keys that are due, and signs the bundle anew if anything changed.
    fn step(&self) -> Result<(), Error> {
        let now = clock::now_ms();
        let mut state = self.state();
        let mut changed = state.ring.forget(now);
        while let Some(due) = state.ring.due(now) {
            let id = state.ring.next_id(state.kept.key_id);
            // Kept before it is used: an id is never used for another key while a client may know the first.
            let kept = Kept { key_id: id, ..state.kept };
            self.keep(&mut state, kept)?;
            let private = PrivateKey::generate(Kem::XWing).map_err(|_| Error::Random)?;
            let key = GatewayKey::new(id, private, seeds::ciphers()).ok_or(Error::Random)?;
            state.ring.add(key, due);
            tracing::info!(key_id = id, "a new key is published");
            changed = true;
        }
        if changed {
            let kept = Kept { epoch: state.kept.epoch + 1, ..state.kept };
            self.keep(&mut state, kept)?;
            let bundle = state.ring.bundle(state.kept.epoch);
            let signed = Signed::sign(&bundle, &self.signer, Some(self.certificate.clone()))?;
            state.bundle = signed.to_json().into();
        }
        Ok(())
    }

    fn keep(&self, state: &mut State, kept: Kept) -> Result<(), StateError> {
        FORMAT.write(&self.path, &kept)?;
        state.kept = kept;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
