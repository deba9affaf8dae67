//! The gateway's long-term identity, and the last epoch of its keys.
//!
//! The identity is an Ed25519 key, made at the first start. Apps pin the public key, which `maru up` publishes at the
//! coordinator; the file `identity.pub` contains it as base64url.

use std::{
    io,
    path::{Path, PathBuf},
};

use ai_gateway_api::wire::Fixed;
use chassis::state::{Format, StateError};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, ZeroizeOnDrop};

const KEY_FILE: &str = "identity.key";
const PUBLIC_FILE: &str = "identity.pub";
const EPOCH_FILE: &str = "epoch.json";

/// The identity cannot be loaded or created.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The public key could not be written.
    #[error("cannot write {}", .path.display())]
    Public {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The key file is invalid.
    #[error("{} contains no key: restore it from a backup", .0.display())]
    Key(PathBuf),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

const KEY: Format<KeyFile> =
    Format::new(1).remedy(|| "restore it from a backup: apps pinned this identity".into());
const EPOCH: Format<EpochFile> = Format::new(1);

#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
struct KeyFile {
    /// The Ed25519 seed, base64url.
    seed: String,
}

#[derive(Serialize, Deserialize)]
struct EpochFile {
    epoch: u64,
}

/// Loads the identity from `directory`, or makes it. An existing key is never replaced.
pub(crate) fn load(directory: &Path) -> Result<SigningKey, IdentityError> {
    let path = directory.join(KEY_FILE);
    let key = match KEY.read(&path)? {
        Some(file) => {
            let mut seed: Fixed<32> =
                file.seed.parse().map_err(|_| IdentityError::Key(path.clone()))?;
            let key = SigningKey::from_bytes(&seed.0);
            seed.0.zeroize();
            key
        }
        None => make(&path)?,
    };
    publish(&key, directory.join(PUBLIC_FILE))?;
    Ok(key)
}

fn make(path: &Path) -> Result<SigningKey, IdentityError> {
    let mut seed = Fixed([0; 32]);
    getrandom::fill(&mut seed.0).map_err(|_| IdentityError::Random)?;
    KEY.write(path, &KeyFile { seed: seed.to_string() })?;
    let key = SigningKey::from_bytes(&seed.0);
    seed.0.zeroize();
    tracing::info!("created this gateway's identity");
    Ok(key)
}

fn publish(key: &SigningKey, path: PathBuf) -> Result<(), IdentityError> {
    let text = format!("{}\n", Fixed(key.verifying_key().to_bytes()));
    if std::fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(());
    }
    std::fs::write(&path, text).map_err(|source| IdentityError::Public { path, source })
}

/// A secret for one purpose, which the identity determines.
#[must_use]
pub(crate) fn derive(identity: &SigningKey, purpose: &str) -> [u8; 32] {
    Sha256::new_with_prefix(purpose).chain_update(identity.as_bytes()).finalize().into()
}

/// The last epoch of this gateway's keys; 0 if unknown.
pub(crate) fn last_epoch(directory: &Path) -> Result<u64, StateError> {
    Ok(EPOCH.read(&directory.join(EPOCH_FILE))?.map_or(0, |file| file.epoch))
}

/// Stores the epoch for the next start.
pub(crate) fn keep_epoch(directory: &Path, epoch: u64) -> Result<(), StateError> {
    EPOCH.write(&directory.join(EPOCH_FILE), &EpochFile { epoch })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_identity_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = load(dir.path()).unwrap();
        assert_eq!(load(dir.path()).unwrap().to_bytes(), first.to_bytes());
        let mode = std::fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let public = std::fs::read_to_string(dir.path().join(PUBLIC_FILE)).unwrap();
        assert_eq!(public.trim().parse::<Fixed<32>>().unwrap().0, first.verifying_key().to_bytes());
    }

    #[test]
    fn a_file_of_a_later_version_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"version": 2, "seed": {"sealed": true}}"#;
        std::fs::write(dir.path().join(KEY_FILE), text).unwrap();
        let error = load(dir.path()).unwrap_err();
        assert!(matches!(error, IdentityError::State(StateError::Newer { found: 2, .. })));
        assert_eq!(std::fs::read_to_string(dir.path().join(KEY_FILE)).unwrap(), text);

        std::fs::write(dir.path().join(KEY_FILE), "half a fi").unwrap();
        let error = load(dir.path()).unwrap_err();
        assert!(matches!(error, IdentityError::State(StateError::Damaged { .. })));
    }

    #[test]
    fn epochs_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last_epoch(dir.path()).unwrap(), 0);
        keep_epoch(dir.path(), 7).unwrap();
        keep_epoch(dir.path(), 8).unwrap();
        assert_eq!(last_epoch(dir.path()).unwrap(), 8);
    }
}
