//! Keys from seeds that gateway and auth share (option A).

use std::path::{Path, PathBuf};

use chassis::pem::{self, FileError};
use confidential_api::seeds::{self, SEED_MIN, Seed, SeedsError};
use confidential_envelope::{Aead, Kem, PrivateKey, ohttp::GatewayKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::gateway::ring::Timed;

/// The variable that holds seeds where no file is named.
pub(crate) const VARIABLE: &str = "OHTTP_SEEDS_JSON";

/// Seeds cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedsFileError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What they say.
    #[error("the seeds in {place} cannot be used")]
    Seeds {
        /// The file, or the variable.
        place: String,
        /// What is wrong.
        source: SeedsError,
    },
    /// There are none, and none is made up.
    #[error(
        "there are no seeds: name a file in `{0}`, or set {VARIABLE}; or take keys that the gateway makes"
    )]
    Missing(&'static str),
}

/// Reads the seeds of a file below the root, or of the environment.
///
/// # Errors
///
/// Fails if there are none, or they cannot be used. No error quotes one.
pub(crate) fn load(
    root: &Path,
    file: Option<&PathBuf>,
    setting: &'static str,
    variable: Option<Zeroizing<String>>,
) -> Result<Vec<Timed>, SeedsFileError> {
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
    let seeds = seeds::parse(&text).map_err(|source| SeedsFileError::Seeds { place, source })?;
    Ok(seeds.iter().filter_map(derive).collect())
}

/// What the environment holds.
pub(crate) fn variable() -> Option<Zeroizing<String>> {
    std::env::var(VARIABLE).ok().map(Zeroizing::new)
}

/// The ciphers of every key, the preferred one first.
pub(crate) fn ciphers() -> Vec<Aead> {
    vec![Aead::Aes128Gcm, Aead::ChaCha20Poly1305]
}

/// A seed of 32 bytes is used as it is, as OpenPCC's library does with X-Wing; a longer one by its SHA-256.
fn derive(seed: &Seed) -> Option<Timed> {
    let mut ikm = Zeroizing::new([0; SEED_MIN]);
    if seed.seed.len() == ikm.len() {
        ikm.copy_from_slice(&seed.seed);
    } else {
        ikm.copy_from_slice(&Sha256::digest(&*seed.seed));
    }
    let key = GatewayKey::new(seed.key_id, PrivateKey::derive(Kem::XWing, &ikm), ciphers())?;
    Some(Timed { key: key.into(), from: seed.active_from, until: seed.active_until })
}
