//! The key that requests are sealed to (REK), and the requests that it opened.
//!
//! A request is opened once: what named it is kept for as long as its key lives. Once as many are kept as may be, there
//! is a new key, whose evidence is shown from then on; what was sealed to the old one opens no more, so its clients ask
//! for evidence again.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use confidential_envelope::{
    Decapsulate, Kem, PrivateKey, SharedSecret,
    inner::{self, OpenError},
};
use zeroize::Zeroizing;

use crate::{frame::Refusal, job::Media, locked::Locked};

/// Requests that one key opens, each of which is remembered with 32 bytes.
pub const OPENED_MAX: usize = 100_000;

/// What is in front of the public key in a `KEY_CONFIG`: X-Wing, HKDF-SHA256, AES-128-GCM (identifiers of RFC 9180).
const SUITE: [u8; 6] = [0x64, 0x7a, 0, 1, 0, 1];

/// The present key; there is one at each time.
#[derive(Debug)]
pub struct Reks {
    max: usize,
    present: Mutex<Present>,
}

#[derive(Debug)]
struct Present {
    rek: Arc<Rek>,
    opened: HashSet<[u8; 32]>,
}

#[derive(Debug)]
struct Rek {
    private: Locked,
    key_config: Arc<[u8]>,
}

impl Reks {
    /// Makes the first key.
    ///
    /// # Errors
    ///
    /// The system has no random bytes, or no memory.
    pub fn generate() -> io::Result<Self> {
        Self::with_max(OPENED_MAX)
    }

    fn with_max(max: usize) -> io::Result<Self> {
        let present = Present { rek: Arc::new(Rek::generate()?), opened: HashSet::new() };
        Ok(Self { max, present: Mutex::new(present) })
    }

    /// The present key, as evidence names it.
    #[must_use]
    pub fn key_config(&self) -> Arc<[u8]> {
        Arc::clone(&self.present().rek.key_config)
    }

    /// Opens the key of a request that was sealed to the present key, once.
    ///
    /// # Errors
    ///
    /// [`Refusal::Sealed`] if it does not open or did before, [`Refusal::Failed`] if there must be a new key and none can
    /// be made.
    pub fn open(&self, media: Media, sealed_key: &[u8]) -> Result<SharedSecret, Refusal> {
        let rek = Arc::clone(&self.present().rek);
        let name = inner::replay_id(sealed_key, Kem::XWing).map_err(|_| Refusal::Sealed)?;
        // Outside of the lock: it takes a tenth of a millisecond.
        let secret = rek.open(media, sealed_key)?;
        let mut present = self.present();
        // The key may have been exchanged meanwhile, and what it opened is forgotten.
        if !Arc::ptr_eq(&present.rek, &rek) || !present.opened.insert(name) {
            return Err(Refusal::Sealed);
        }
        if present.opened.len() >= self.max {
            match Rek::generate() {
                Ok(rek) => {
                    tracing::info!(opened = present.opened.len(), "there is a new key");
                    *present = Present { rek: Arc::new(rek), opened: HashSet::new() };
                }
                Err(error) => {
                    tracing::error!(%error, "no new key can be made");
                    return Err(Refusal::Failed);
                }
            }
        }
        Ok(secret)
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rek {
    fn generate() -> io::Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|error| io::Error::other(error.to_string()))?;
        let public = PrivateKey::derive(Kem::XWing, &seed).public().to_bytes();
        let key_config = [&SUITE[..], &public].concat().into();
        Ok(Self { private: Locked::new(&seed)?, key_config })
    }

    fn open(&self, media: Media, sealed_key: &[u8]) -> Result<SharedSecret, Refusal> {
        let chunked = media == Media::Chunked;
        match inner::open_key(sealed_key, chunked, self) {
            Ok(secret) => Ok(secret),
            Err(OpenError::Unopenable(_)) => Err(Refusal::Sealed),
            Err(OpenError::Holder(_)) => Err(Refusal::Failed),
        }
    }
}

/// With a copy of the private key for this one operation, which is wiped after it.
impl Decapsulate for Rek {
    fn kem(&self) -> Kem {
        Kem::XWing
    }

    fn decapsulate(
        &self,
        encapsulated_key: &[u8],
    ) -> Result<SharedSecret, confidential_envelope::DecapsulateError> {
        let seed = Zeroizing::new(*self.private.get());
        PrivateKey::derive(Kem::XWing, &seed).decapsulate(encapsulated_key)
    }
}

/// A secret that was made of a request's key elsewhere, for opening that request alone.
#[derive(Debug)]
pub(crate) struct Known(pub(crate) SharedSecret);

impl Decapsulate for Known {
    fn kem(&self) -> Kem {
        Kem::XWing
    }

    fn decapsulate(
        &self,
        _: &[u8],
    ) -> Result<SharedSecret, confidential_envelope::DecapsulateError> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use confidential_envelope::{Plaintext, inner::Recipient};

    use super::*;
    use crate::test_support::Node;

    fn sealed(reks: &Reks) -> Vec<u8> {
        let node = Node::of(&reks.key_config());
        let recipients = vec![Recipient::new(&node).unwrap()];
        let sealed = inner::seal(recipients, &Plaintext::from(b"question".to_vec())).unwrap();
        sealed.keys[0].bytes.clone()
    }

    #[test]
    fn a_request_is_opened_once_and_a_changed_one_not_at_all() {
        let reks = Reks::generate().unwrap();
        let key = sealed(&reks);
        assert_eq!(
            reks.open(Media::Chunked, &key).unwrap_err(),
            Refusal::Sealed,
            "of another kind"
        );
        assert!(reks.open(Media::Whole, &key).is_ok());
        assert_eq!(reks.open(Media::Whole, &key).unwrap_err(), Refusal::Sealed, "played again");

        let key = sealed(&reks);
        for at in [0, 3, 7, key.len() - 1] {
            let mut changed = key.clone();
            changed[at] ^= 1;
            assert_eq!(reks.open(Media::Whole, &changed).unwrap_err(), Refusal::Sealed, "{at}");
        }
        assert!(reks.open(Media::Whole, &key).is_ok(), "what did not open is not remembered");
        for cut in 0..key.len() {
            assert!(reks.open(Media::Whole, &key[..cut]).is_err());
        }
    }

    #[test]
    fn a_full_memory_makes_a_new_key_and_the_old_one_opens_nothing_more() {
        let reks = Reks::with_max(3).unwrap();
        let (before, kept) = (reks.key_config(), sealed(&reks));
        let first = sealed(&reks);
        for key in [&first, &sealed(&reks)] {
            assert!(reks.open(Media::Whole, key).is_ok());
        }
        assert_eq!(reks.key_config(), before);
        assert!(reks.open(Media::Whole, &sealed(&reks)).is_ok(), "the last that the key opens");

        assert_ne!(reks.key_config(), before);
        for key in [&first, &kept] {
            assert_eq!(reks.open(Media::Whole, key).unwrap_err(), Refusal::Sealed);
        }
        assert!(reks.open(Media::Whole, &sealed(&reks)).is_ok());
    }
}
