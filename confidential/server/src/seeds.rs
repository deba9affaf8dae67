//! Keys from seeds that gateway and auth share (option A).

use std::path::{Path, PathBuf};

use chassis::pem::{self, FileError};
use confidential_api::seeds::{self, SEED_MIN, Seed, SeedsError};
use confidential_envelope::{Aead, Kem, PrivateKey, ohttp::GatewayKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::gateway::ring::ScheduledKey;

/// The environment variable with the seeds, if no file is set.
pub(crate) const VARIABLE: &str = "OHTTP_SEEDS_JSON";

/// The seeds cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedsFileError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Their content.
    #[error("the seeds in {0} cannot be used")]
    Seeds(String, #[source] SeedsError),
    /// There are none.
    #[error(
        "there are no seeds: set `{0}` to a file, or set {VARIABLE}; or use keys that the gateway makes"
    )]
    Missing(&'static str),
}

/// Reads seeds from a file below the root, or from the environment variable. No error contains a seed.
pub(crate) fn load(
    root: &Path,
    file: Option<&PathBuf>,
    setting: &'static str,
    variable: Option<Zeroizing<String>>,
) -> Result<Vec<ScheduledKey>, SeedsFileError> {
    let (text, place) = match file {
        Some(file) => {
            let path = root.join(file);
            let bytes = pem::secret(&path)?;
            let text =
                std::str::from_utf8(&bytes).map_err(|_| FileError::new(&path, "it is not text"))?;
            (Zeroizing::new(text.to_owned()), path.display().to_string())
        }
        None => (variable.ok_or(SeedsFileError::Missing(setting))?, VARIABLE.to_owned()),
    };
    let seeds = seeds::parse(&text).map_err(|error| SeedsFileError::Seeds(place, error))?;
    Ok(seeds.iter().filter_map(derive).collect())
}

/// The value of the environment variable.
pub(crate) fn variable() -> Option<Zeroizing<String>> {
    std::env::var(VARIABLE).ok().map(Zeroizing::new)
}

/// The ciphers of every key, the preferred one first.
pub(crate) fn ciphers() -> Vec<Aead> {
    vec![Aead::Aes128Gcm, Aead::ChaCha20Poly1305]
}

/// Derives a key from a seed of 32 bytes, as OpenPCC's library does with X-Wing, or from the SHA-256 of a longer one.
fn derive(seed: &Seed) -> Option<ScheduledKey> {
    let mut ikm = Zeroizing::new([0; SEED_MIN]);
    if seed.seed.len() == ikm.len() {
        ikm.copy_from_slice(&seed.seed);
    } else {
        ikm.copy_from_slice(&Sha256::digest(&*seed.seed));
    }
    let key = GatewayKey::new(seed.key_id, PrivateKey::derive(Kem::XWing, &ikm), ciphers())?;
    Some(ScheduledKey { key: key.into(), from: seed.active_from, until: seed.active_until })
}
