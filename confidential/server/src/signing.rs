//! Keys that sign, in files: 32 bytes as base64url on one line, which their owner alone reads.

use std::path::Path;

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

/// The epoch after `last`, which is kept in `file`: one of those that the key was certified for. A certificate that is not
/// valid now gives none: no home takes what it signs, and an epoch of it would keep out those of the next.
///
/// # Errors
///
/// There is none left, or the certificate is not valid at `now_ms`, milliseconds since 1970, or older than the one of `last`.
pub(crate) fn next_epoch(
    last: u64,
    file: &Path,
    certificate: &Certificate,
    now_ms: u64,
) -> Result<u64, Error> {
    if now_ms < certificate.not_before {
        return Err(Error::CertificateEarly);
    }
    if now_ms >= certificate.not_after {
        return Err(Error::CertificateOver);
    }
    let epochs = certificate.epochs();
    let next = last.saturating_add(1).max(epochs.start);
    match epochs.contains(&next) {
        true => Ok(next),
        false if last >= epochs.end => Err(Error::LaterEpoch(file.to_owned())),
        false => Err(Error::Epochs),
    }
}

#[cfg(test)]
mod tests {
    use common::wire::Version;
    use confidential_api::certificate::{EPOCHS, Use};

    use super::*;

    fn next(last: u64, first_epoch: u64, now_ms: u64) -> Result<u64, String> {
        let certificate = Certificate {
            version: Version,
            usage: Use::Bundle,
            key: Fixed([1; 32]),
            not_before: 1000,
            not_after: 2000,
            first_epoch,
        };
        let file = Path::new("the/state.json");
        next_epoch(last, file, &certificate, now_ms).map_err(|error| error.to_string())
    }

    #[test]
    fn epochs_rise_and_stay_within_the_certificate() {
        for (last, first, wanted) in [
            (0, 0, Ok(1)),
            (8, 0, Ok(9)),
            (7, 100, Ok(100)),
            (150, 100, Ok(151)),
            (EPOCHS + 98, 100, Ok(EPOCHS + 99)),
            (EPOCHS + 99, 100, Err("certify the key once more")),
            (EPOCHS + 100, 100, Err("the/state.json")),
            (u64::MAX, 100, Err("the/state.json")),
        ] {
            match (next(last, first, 1500), wanted) {
                (Ok(next), Ok(wanted)) => assert_eq!(next, wanted, "{last} {first}"),
                (Err(said), Err(wanted)) => assert!(said.contains(wanted), "{said}"),
                other => panic!("{last} {first}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_certificate_that_is_not_valid_now_gives_no_epoch() {
        for (now, said) in [(999, "not valid yet"), (2000, "has ended"), (u64::MAX, "has ended")] {
            assert!(next(0, 0, now).unwrap_err().contains(said), "{now}");
        }
        assert_eq!((next(0, 0, 1000), next(0, 0, 1999)), (Ok(1), Ok(1)));
    }
}
