//! The current request encryption key (REK), and the requests that it opened.
//!
//! A request is opened once: its replay ID is stored as long as the key is used. When the store is full, or the TPM lost the
//! key, a new key is made. Requests that are sealed to the old key then fail, and clients request evidence again.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use confidential_envelope::{
    Decapsulate, DecapsulateError, Kem, SharedSecret,
    inner::{self, OpenError},
};

use crate::{
    frame::Refusal,
    holder::{Holder, HolderError, Rek},
    job::{Job, Media},
};

/// Maximum number of requests that one key opens; each needs 32 bytes.
pub const OPENED_MAX: usize = 100_000;

/// The current key. Slow operations of the holder block only callers that need the holder or a new key.
#[derive(Debug)]
pub struct RekStore {
    holder: Box<dyn Holder>,
    max: usize,
    present: Mutex<CurrentKey>,
}

#[derive(Debug)]
struct CurrentKey {
    rek: Arc<dyn Rek>,
    opened: HashSet<[u8; 32]>,
}

impl RekStore {
    /// Makes the first key.
    ///
    /// # Errors
    ///
    /// The holder failed.
    pub fn new(holder: Box<dyn Holder>) -> Result<Self, HolderError> {
        Self::with_max(holder, OPENED_MAX)
    }

    pub(crate) fn with_max(holder: Box<dyn Holder>, max: usize) -> Result<Self, HolderError> {
        let present = Mutex::new(CurrentKey { rek: holder.generate()?, opened: HashSet::new() });
        Ok(Self { holder, max, present })
    }

    /// The current key; a lost or full one is replaced first.
    ///
    /// # Errors
    ///
    /// The holder failed.
    pub fn present(&self) -> Result<Arc<dyn Rek>, HolderError> {
        let mut present = self.lock();
        let old = if self.is_over(&present) { Some(self.replace(&mut present)?) } else { None };
        let rek = Arc::clone(&present.rek);
        drop(present);
        drop(old);
        Ok(rek)
    }

    /// Whether the holder did not respond to the last request.
    pub fn is_silent(&self) -> bool {
        self.holder.is_silent()
    }

    /// Opens the key of a request, once.
    ///
    /// # Errors
    ///
    /// [`Refusal::Sealed`] if it does not open or was opened before, [`Refusal::Failed`] if the holder fails.
    pub fn open(&self, media: Media, sealed_key: &[u8]) -> Result<Job, Refusal> {
        let rek = self.present().map_err(|error| failed(&error))?;
        let kem = rek.kem();
        let name = inner::replay_id(sealed_key, kem).map_err(|_| Refusal::Sealed)?;
        // A replayed request does not reach the holder.
        if self.lock().opened.contains(&name) {
            return Err(Refusal::Sealed);
        }
        // Without the lock: it takes a tenth of a millisecond, and with a TPM much longer.
        let secret = open(&*rek, media, sealed_key)?;
        let mut present = self.lock();
        // Meanwhile the key may have been replaced, or the same request opened.
        if !Arc::ptr_eq(&present.rek, &rek) || !present.opened.insert(name) {
            return Err(Refusal::Sealed);
        }
        if self.is_over(&present)
            && let Err(error) = self.replace(&mut present)
        {
            // This request is opened; the next one tries to replace the key again.
            let _ = failed(&error);
        }
        Ok(Job { media, kem, encapsulated_key: sealed_key.to_vec(), secret })
    }

    /// Whether the key must be replaced: it was lost, or opened the maximum number of requests.
    fn is_over(&self, present: &CurrentKey) -> bool {
        present.rek.is_lost() || present.opened.len() >= self.max
    }

    /// Replaces the key; the caller must drop the old one without the lock, because that calls the holder.
    fn replace(&self, present: &mut CurrentKey) -> Result<Arc<dyn Rek>, HolderError> {
        let rek = self.holder.generate()?;
        tracing::info!(opened = present.opened.len(), "the key was replaced");
        Ok(mem::replace(present, CurrentKey { rek, opened: HashSet::new() }).rek)
    }

    fn lock(&self) -> MutexGuard<'_, CurrentKey> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: &HolderError) -> Refusal {
    let error = error as &dyn std::error::Error;
    tracing::error!(error, "the key cannot be made");
    Refusal::Failed
}

fn open(rek: &dyn Rek, media: Media, sealed_key: &[u8]) -> Result<SharedSecret, Refusal> {
    let chunked = media == Media::Chunked;
    match inner::open_key(sealed_key, chunked, rek) {
        Ok(secret) => Ok(secret),
        Err(OpenError::Unopenable(_)) => Err(Refusal::Sealed),
        Err(OpenError::Holder(_)) => Err(Refusal::Failed),
    }
}

/// A secret that another process decapsulated, for opening one request.
#[derive(Debug)]
pub(crate) struct DecapsulatedKey(pub(crate) Kem, pub(crate) SharedSecret);

impl Decapsulate for DecapsulatedKey {
    fn kem(&self) -> Kem {
        self.0
    }

    fn decapsulate(&self, _: &[u8]) -> Result<SharedSecret, DecapsulateError> {
        Ok(self.1.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicBool, AtomicUsize, Ordering},
        },
        thread,
    };

    use confidential_api::evidence::EvidencePiece;
    use confidential_envelope::{Plaintext, PrivateKey, PublicKey, inner::Recipient};

    use super::*;
    use crate::{nsm::Nsm, test_support::Node};

    fn reks(max: usize) -> RekStore {
        RekStore::with_max(Box::new(Nsm::Socket("unused".into())), max).unwrap()
    }

    fn sealed(reks: &RekStore) -> Vec<u8> {
        let node = Node::of(&*reks.present().unwrap());
        let recipients = vec![Recipient::new(&node).unwrap()];
        let sealed = inner::seal(recipients, &Plaintext::from(b"question".to_vec())).unwrap();
        sealed.keys[0].bytes.clone()
    }

    #[test]
    fn a_request_is_opened_once_and_a_changed_one_not_at_all() {
        let reks = reks(OPENED_MAX);
        let key = sealed(&reks);
        assert_eq!(
            reks.open(Media::Chunked, &key).unwrap_err(),
            Refusal::Sealed,
            "of another kind"
        );
        assert_eq!(reks.open(Media::Whole, &key).unwrap().kem, Kem::XWing);
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
        let reks = reks(3);
        let (before, kept) = (reks.present().unwrap(), sealed(&reks));
        let first = sealed(&reks);
        for key in [&first, &sealed(&reks)] {
            assert!(reks.open(Media::Whole, key).is_ok());
        }
        assert!(Arc::ptr_eq(&reks.present().unwrap(), &before));
        assert!(reks.open(Media::Whole, &sealed(&reks)).is_ok(), "the last that the key opens");

        assert!(!Arc::ptr_eq(&reks.present().unwrap(), &before));
        for key in [&first, &kept] {
            assert_eq!(reks.open(Media::Whole, key).unwrap_err(), Refusal::Sealed);
        }
        assert!(reks.open(Media::Whole, &sealed(&reks)).is_ok());
    }

    /// A key that takes its time: a request is opened when as many as there may be are being opened.
    #[derive(Clone, Debug)]
    struct SlowHolder {
        private: Arc<PrivateKey>,
        public: PublicKey,
        opening: Arc<Barrier>,
        asked: Arc<AtomicUsize>,
        /// Whether it makes no other key.
        fails: Arc<AtomicBool>,
    }

    impl SlowHolder {
        fn new(together: usize) -> Self {
            let private = Arc::new(PrivateKey::generate(Kem::P256).unwrap());
            let opening = Arc::new(Barrier::new(together));
            let (asked, fails) = (Arc::default(), Arc::default());
            Self { public: private.public(), private, opening, asked, fails }
        }
    }

    impl Holder for SlowHolder {
        fn generate(&self) -> Result<Arc<dyn Rek>, HolderError> {
            match self.fails.load(Ordering::Relaxed) {
                true => Err(HolderError::Machine(std::io::ErrorKind::OutOfMemory.into())),
                false => Ok(Arc::new(self.clone())),
            }
        }
    }

    impl Rek for SlowHolder {
        fn public(&self) -> &PublicKey {
            &self.public
        }

        fn attest(&self, _: &[u8]) -> Result<Vec<EvidencePiece>, HolderError> {
            Ok(Vec::new())
        }
    }

    impl Decapsulate for SlowHolder {
        fn kem(&self) -> Kem {
            Kem::P256
        }

        fn decapsulate(&self, key: &[u8]) -> Result<SharedSecret, DecapsulateError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.opening.wait();
            self.private.decapsulate(key)
        }
    }

    #[test]
    fn a_request_that_is_played_again_costs_its_holder_nothing() {
        let slow = SlowHolder::new(1);
        let reks = RekStore::new(Box::new(slow.clone())).unwrap();
        let key = sealed(&reks);
        assert!(reks.open(Media::Whole, &key).is_ok());
        for _ in 0..3 {
            assert_eq!(reks.open(Media::Whole, &key).unwrap_err(), Refusal::Sealed);
        }
        assert_eq!(slow.asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn where_no_other_key_can_be_made_the_full_one_opens_nothing_more() {
        let slow = SlowHolder::new(1);
        let reks = RekStore::with_max(Box::new(slow.clone()), 2).unwrap();
        let keys: Vec<_> = (0..3).map(|_| sealed(&reks)).collect();
        slow.fails.store(true, Ordering::Relaxed);
        for key in &keys[..2] {
            assert!(
                reks.open(Media::Whole, key).is_ok(),
                "the last one too, which asks for a new key"
            );
        }

        assert_eq!(reks.open(Media::Whole, &keys[2]).unwrap_err(), Refusal::Failed);
        assert_eq!(slow.asked.load(Ordering::Relaxed), 2, "and it cost the holder nothing");

        slow.fails.store(false, Ordering::Relaxed);
        assert!(reks.open(Media::Whole, &sealed(&reks)).is_ok(), "by another key");
        assert_eq!(reks.lock().opened.len(), 1);
    }

    #[test]
    fn of_one_request_that_comes_twice_at_once_one_is_opened() {
        let reks = RekStore::new(Box::new(SlowHolder::new(2))).unwrap();
        let key = sealed(&reks);
        let opened = thread::scope(|threads| {
            let open = || threads.spawn(|| reks.open(Media::Whole, &key).is_ok());
            [open(), open()].map(|opening| opening.join().unwrap())
        });
        assert_eq!(opened.into_iter().filter(|opened| *opened).count(), 1);
    }
}
