//! Keys that sign, in files: 32 bytes as base64url on one line, which their owner alone reads.

use std::{ops::Range, path::Path};

use chassis::{
    durable::{self, Access},
    pem::{self, FileError},
};
use common::wire::Fixed;
use confidential_api::{
    certificate::Certificate,
    signed::{PublicKey, Signed},
};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::Error;

/// Reads a key.
///
/// # Errors
///
/// Fails if it cannot be read, others may read it, or it is none.
pub(crate) fn read(path: &Path) -> Result<SigningKey, FileError> {
    let text = pem::secret(path)?;
    let text = std::str::from_utf8(&text).map(str::trim).unwrap_or_default();
    let key: Option<Zeroizing<[u8; 32]>> = text.parse().ok().map(|Fixed(key)| Zeroizing::new(key));
    let key = key.ok_or_else(|| FileError::new(path, "it holds no key: 32 bytes, base64url"))?;
    Ok(SigningKey::from_bytes(&key))
}

/// Makes a key in a file that is not there yet.
///
/// # Errors
///
/// Fails if the file is there, or cannot be written, or the system gives no random bytes.
pub(crate) fn create(path: &Path) -> Result<SigningKey, FileError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *secret)
        .map_err(|error| FileError::caused(path, "the system gives no random bytes", error))?;
    let text = Zeroizing::new(format!("{}\n", Fixed(*secret)));
    let created = durable::create(path, Access::SECRET, text.as_bytes())
        .map_err(|error| FileError::caused(path, "it cannot be written", error))?;
    if !created {
        return Err(FileError::new(path, "it is there already: a key is never replaced"));
    }
    Ok(SigningKey::from_bytes(&secret))
}

/// The public half, as it is written.
pub(crate) fn public(key: &SigningKey) -> PublicKey {
    Fixed(key.verifying_key().to_bytes())
}

/// Reads a certificate as it is sent, and what it says. Whether the identity signed it is for who relies on it.
///
/// # Errors
///
/// Fails if it cannot be read, or is none.
pub(crate) fn certificate(
    path: &Path,
    of: &SigningKey,
) -> Result<(Signed<Certificate>, Certificate), FileError> {
    let signed = Signed::<Certificate>::parse(&pem::contents(path)?)
        .map_err(|error| FileError::caused(path, "it holds no certificate", error))?;
    let inside = serde_json::from_str::<Certificate>(&signed.payload)
        .map_err(|error| FileError::caused(path, "it holds no certificate", error))?;
    if inside.key != public(of) {
        return Err(FileError::new(path, "it is the certificate of another key"));
    }
    Ok((signed, inside))
}

/// The epoch after `last`, of those that the key was certified for.
///
/// # Errors
///
/// There is none left, or the certificate is older than the one of `last`.
pub(crate) fn next_epoch(last: u64, epochs: &Range<u64>) -> Result<u64, Error> {
    let next = last.saturating_add(1).max(epochs.start);
    if epochs.contains(&next) { Ok(next) } else { Err(Error::Epochs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_rise_and_stay_within_the_certificate() {
        for (last, epochs, next) in [
            (0, 0..10, Some(1)),
            (8, 0..10, Some(9)),
            (9, 0..10, None),
            (7, 100..200, Some(100)),
            (150, 100..200, Some(151)),
            (250, 100..200, None),
            (u64::MAX, 100..200, None),
        ] {
            assert_eq!(next_epoch(last, &epochs).ok(), next, "{last} {epochs:?}");
        }
    }
}
