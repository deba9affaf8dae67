//! The gateway's current keys, and the signed bundle of them.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{durable::Access, state::Format};
use confidential_api::{
    certificate::Certificate, config::KeySource, settings::gateway::Settings, signed::Signed,
};
use confidential_envelope::{Kem, PrivateKey, ohttp::GatewayKey};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use tokio::{task::spawn_blocking, time::sleep};

use super::ring::{self, Plan, Ring};
use crate::{Error, clock, seeds, signing, state};

/// How often key rotation is checked.
const LOOK: Duration = Duration::from_millis(500);
const RANDOM: Error = Error::Reason("the system has no random bytes");
/// The state file, below the state folder.
const FILE: &str = "keys.json";
const FORMAT: Format<StoredState> = Format::new(1).access(Access::SECRET);

/// The stored state: IDs and epochs that must not be used again, but no keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct StoredState {
    /// The epoch of the last bundle.
    epoch: u64,
    /// The ID of the last key.
    key_id: u8,
}

/// The keys of a gateway.
pub(crate) enum GatewayKeys {
    /// Generated here.
    GeneratedKeys(Arc<GeneratedKeys>),
    /// Derived from seeds; auth publishes them.
    Seeds(Vec<ring::ScheduledKey>),
}

/// Keys that are generated here.
pub(crate) struct GeneratedKeys {
    path: PathBuf,
    signer: SigningKey,
    certificate: Signed<Certificate>,
    /// The content of the certificate.
    certified: Certificate,
    state: Mutex<State>,
}

struct State {
    kept: StoredState,
    ring: Ring,
    /// The signed bundle that is served.
    bundle: Arc<str>,
    /// Whether the bundle has an expired key.
    is_stale: bool,
}

impl GatewayKeys {
    /// Opens the keys of these settings; paths are below the root.
    pub(crate) fn open(root: &Path, settings: &Settings) -> Result<Self, Error> {
        match settings.keys.source {
            KeySource::Seeds => {
                let file = settings.keys.seeds_file.as_ref();
                let keys = seeds::load(root, file, "keys.seeds_file", seeds::variable())?;
                Ok(Self::Seeds(keys))
            }
            KeySource::Gateway => {
                GeneratedKeys::open(root, settings).map(|made| Self::GeneratedKeys(Arc::new(made)))
            }
        }
    }

    /// The keys that are accepted now.
    pub(crate) fn accepted(&self) -> Vec<Arc<GatewayKey>> {
        let now = clock::now_ms();
        match self {
            Self::GeneratedKeys(made) => ring::accepted(made.state().ring.keys(), now),
            Self::Seeds(keys) => ring::accepted(keys, now),
        }
    }

    /// The signed bundle; `None` with seeds.
    pub(crate) fn bundle(&self) -> Option<Arc<str>> {
        match self {
            Self::GeneratedKeys(made) => Some(Arc::clone(&made.state().bundle)),
            Self::Seeds(_) => None,
        }
    }

    /// Rotates the keys, forever.
    pub(crate) async fn rotate(&self) {
        let Self::GeneratedKeys(made) = self else { return };
        let mut failing = false;
        loop {
            sleep(LOOK).await;
            let this = Arc::clone(made);
            // It writes to disk.
            match spawn_blocking(move || this.step(clock::now_ms())).await {
                Ok(Ok(())) if failing => {
                    tracing::info!("keys are rotated again");
                    failing = false;
                }
                Ok(Err(error)) if !failing => {
                    failing = true;
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        error,
                        "keys cannot be rotated: the current ones are used until they expire"
                    );
                }
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "key rotation failed"),
            }
        }
    }
}

impl GeneratedKeys {
    fn open(root: &Path, settings: &Settings) -> Result<Self, Error> {
        let plan = Plan::new(&settings.keys).map_err(Error::Setting)?;
        let folder = root.join(&settings.state);
        state::state_folder(&folder)?;
        let path = folder.join(FILE);
        let kept = FORMAT.read(&path)?.unwrap_or_default();
        let signer = signing::read(&root.join(&settings.bundle.key))?;
        let place = root.join(&settings.bundle.certificate);
        let (certificate, certified) = signing::certificate(&place, &signer)?;
        let state = State { kept, ring: Ring::new(plan), bundle: Arc::from(""), is_stale: false };
        let made = Self { path, signer, certificate, certified, state: Mutex::new(state) };
        made.step(clock::now_ms())?;
        Ok(made)
    }

    /// Removes expired keys, even if the rest fails. Then makes the keys that are due and signs a new bundle if anything
    /// changed: either completely or, on an error, not at all, so that the next step tries again. Readers are not blocked.
    fn step(&self, now: u64) -> Result<(), Error> {
        let (mut kept, mut ring, mut changed) = {
            let mut state = self.state();
            state.is_stale |= state.ring.forget(now);
            (state.kept, state.ring.clone(), state.is_stale)
        };
        while let Some(due) = ring.due(now) {
            kept.key_id = ring.next_id(kept.key_id);
            let private = PrivateKey::generate(Kem::XWing).map_err(|_| RANDOM)?;
            let key = GatewayKey::new(kept.key_id, private, seeds::ciphers());
            ring.add(key.ok_or(RANDOM)?, due);
            changed = true;
        }
        if !changed {
            return Ok(());
        }
        kept.epoch = signing::next_epoch(kept.epoch, &self.path, &self.certified, now)?;
        let bundle = ring.bundle(kept.epoch);
        let signed = Signed::sign(&bundle, &self.signer, Some(self.certificate.clone()))?;
        // Stored before it is published, so that no ID or epoch is reused.
        FORMAT.write(&self.path, &kept)?;
        tracing::info!(key_id = kept.key_id, epoch = kept.epoch, "a new bundle is published");
        *self.state() = State { kept, ring, bundle: signed.to_json().into(), is_stale: false };
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use common::wire::Version;
    use confidential_api::{bundle::Bundle, certificate::Use, settings::gateway::Keys};

    use super::*;

    const NOW: u64 = 1_795_000_000_000;
    const DAY: u64 = 86_400_000;

    fn made(folder: &Path) -> GeneratedKeys {
        let signer = signing::create(&folder.join("bundle.key")).unwrap();
        let certificate = Certificate {
            version: Version,
            usage: Use::Bundle,
            key: signing::public(&signer),
            not_before: 0,
            not_after: 2 * NOW,
            first_epoch: 500,
        };
        let plan = Plan::new(&Keys::default()).unwrap();
        let (kept, ring) = (StoredState::default(), Ring::new(plan));
        let state = State { kept, ring, bundle: Arc::from(""), is_stale: false };
        GeneratedKeys {
            path: folder.join(FILE),
            certificate: Signed::sign(&certificate, &signer, None).unwrap(),
            certified: certificate,
            signer,
            state: Mutex::new(state),
        }
    }

    fn published(made: &GeneratedKeys) -> Bundle {
        let signed = Signed::<Bundle>::parse(made.state().bundle.as_bytes()).unwrap();
        serde_json::from_str(&signed.payload).unwrap()
    }

    #[test]
    fn where_nothing_can_be_written_the_keys_serve_on_and_a_new_one_follows_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let made = made(folder.path());
        made.step(NOW).unwrap();
        let first = published(&made);
        assert_eq!((first.epoch, first.keys.len()), (500, 1));

        // Something stands in the file's place.
        fs::remove_file(&made.path).unwrap();
        fs::create_dir(&made.path).unwrap();
        let due = NOW + DAY - 2 * 3_600_000;
        for later in 0..3 {
            assert!(made.step(due + later).is_err());
            assert_eq!(published(&made), first, "what is served stays");
            assert_eq!(ring::accepted(made.state().ring.keys(), due).len(), 1);
        }

        fs::remove_dir(&made.path).unwrap();
        made.step(due + 3).unwrap();
        let second = published(&made);
        assert_eq!((second.epoch, second.keys.len()), (501, 2));
        assert_eq!(second.keys[0], first.keys[0]);
        let kept = FORMAT.read(&made.path).unwrap().unwrap();
        assert_eq!((kept.epoch, kept.key_id), (501, second.keys[1].key_id));
    }

    #[test]
    fn a_key_that_has_ended_is_forgotten_though_nothing_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let made = made(folder.path());
        made.step(NOW).unwrap();
        fs::remove_file(&made.path).unwrap();
        fs::create_dir(&made.path).unwrap();

        assert!(made.step(NOW + DAY).is_err());

        assert!(made.state().ring.keys().is_empty());
        fs::remove_dir(&made.path).unwrap();
        made.step(NOW + DAY + 1).unwrap();
        assert_eq!(published(&made).keys.len(), 1);
    }

    #[test]
    fn a_certificate_from_a_clock_that_is_ahead_uses_up_no_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let mut made = made(folder.path());
        made.certified.not_before = NOW + 1;

        assert!(matches!(made.step(NOW), Err(Error::CertificateEarly)));

        assert!(!made.path.exists(), "nothing is kept of it");
        made.certified.not_before = NOW;
        made.step(NOW).unwrap();
    }
}
