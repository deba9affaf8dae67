//! Signing keys in files that only their owner may read: 32 bytes as base64url on one line.

use std::path::Path;

use chassis::{
    durable::Access,
    pem::{self, FileError},
};
use common::wire::Fixed;
use confidential_api::{
    certificate::Certificate,
    signed::{PublicKey, Signed},
};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::{Error, state};

/// Reads a key.
pub(crate) fn read(path: &Path) -> Result<SigningKey, FileError> {
    let text = pem::secret(path)?;
    let text = std::str::from_utf8(&text).map(str::trim).unwrap_or_default();
    let key: Option<Zeroizing<[u8; 32]>> = text.parse().ok().map(|Fixed(key)| Zeroizing::new(key));
    let key =
        key.ok_or_else(|| FileError::new(path, "it does not contain a key: 32 bytes, base64url"))?;
    Ok(SigningKey::from_bytes(&key))
}

/// Makes a key in a new file.
pub(crate) fn create(path: &Path) -> Result<SigningKey, FileError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *secret)
        .map_err(|error| FileError::caused(path, "the system gives no random bytes", error))?;
    state::create(path, Access::SECRET, &Zeroizing::new(format!("{}\n", Fixed(*secret))))?;
    Ok(SigningKey::from_bytes(&secret))
}

/// The public key.
pub(crate) fn public(key: &SigningKey) -> PublicKey {
    Fixed(key.verifying_key().to_bytes())
}

/// Reads the certificate of this key, in signed and decoded form. Its signature is not verified.
pub(crate) fn certificate(
    path: &Path,
    of: &SigningKey,
) -> Result<(Signed<Certificate>, Certificate), FileError> {
    let signed = Signed::<Certificate>::parse(&pem::contents(path)?)
        .map_err(|error| FileError::caused(path, "it does not contain a certificate", error))?;
    let inside = serde_json::from_str::<Certificate>(&signed.payload)
        .map_err(|error| FileError::caused(path, "it does not contain a certificate", error))?;
    if inside.key != public(of) {
        return Err(FileError::new(path, "it is the certificate of another key"));
    }
    Ok((signed, inside))
}

/// The epoch after `last`, which is stored in `file`: one of those of the certificate. If the certificate is not valid at
/// `now_ms`, there is none: homes would refuse its documents, and its epochs could exclude those of the next certificate.
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
        return Err(Error::Reason(
            "the signing key's certificate has expired: certify the key again",
        ));
    }
    let epochs = certificate.epochs();
    let next = last.saturating_add(1).max(epochs.start);
    match epochs.contains(&next) {
        true => Ok(next),
        false if last >= epochs.end => Err(Error::LaterEpoch(file.to_owned())),
        false => Err(Error::Reason(
            "the signing key's certificate has no epochs left: certify the key again",
        )),
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
            (EPOCHS + 99, 100, Err("certify the key again")),
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
        for (now, said) in
            [(999, "not valid yet"), (2000, "has expired"), (u64::MAX, "has expired")]
        {
            assert!(next(0, 0, now).unwrap_err().contains(said), "{now}");
        }
        assert_eq!((next(0, 0, 1000), next(0, 0, 1999)), (Ok(1), Ok(1)));
    }
}
