//! The present key that requests are sealed to (REK), and the requests that it opened.
//!
//! A request is opened once: what named it is kept for as long as its key lives. Once as many are kept as may be, there
//! is a new key, whose evidence is shown from then on; what was sealed to the old one opens no more, so its clients ask
//! for evidence again. The same happens where a TPM lost its key.

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

/// Requests that one key opens, each of which is remembered with 32 bytes.
pub const OPENED_MAX: usize = 100_000;

/// The present key; there is one at each time. What is asked of it may take as long as its holder does, and nobody waits for
/// that who does not need the holder, or a key that it makes.
#[derive(Debug)]
pub struct Reks {
    holder: Box<dyn Holder>,
    max: usize,
    present: Mutex<Present>,
}

#[derive(Debug)]
struct Present {
    rek: Arc<dyn Rek>,
    opened: HashSet<[u8; 32]>,
}

impl Reks {
    /// Has the first key made.
    ///
    /// # Errors
    ///
    /// The holder makes none.
    pub fn new(holder: Box<dyn Holder>) -> Result<Self, HolderError> {
        Self::with_max(holder, OPENED_MAX)
    }

    pub(crate) fn with_max(holder: Box<dyn Holder>, max: usize) -> Result<Self, HolderError> {
        let present = Mutex::new(Present { rek: holder.generate()?, opened: HashSet::new() });
        Ok(Self { holder, max, present })
    }

    /// The present key; one that was lost, or opened as much as it may, is replaced first.
    ///
    /// # Errors
    ///
    /// The holder makes no other.
    pub fn present(&self) -> Result<Arc<dyn Rek>, HolderError> {
        let mut present = self.lock();
        let old = if self.is_over(&present) { Some(self.replace(&mut present)?) } else { None };
        let rek = Arc::clone(&present.rek);
        drop(present);
        drop(old);
        Ok(rek)
    }

    /// Whether the holder did not answer when it was last asked.
    pub fn is_silent(&self) -> bool {
        self.holder.is_silent()
    }

    /// Opens the key of a request that was sealed to the present key, once.
    ///
    /// # Errors
    ///
    /// [`Refusal::Sealed`] if it does not open or did before, [`Refusal::Failed`] if the holder fails, or if there had to be
    /// a new key and none can be made.
    pub fn open(&self, media: Media, sealed_key: &[u8]) -> Result<Job, Refusal> {
        let rek = self.present().map_err(|error| failed(&error))?;
        let kem = rek.kem();
        let name = inner::replay_id(sealed_key, kem).map_err(|_| Refusal::Sealed)?;
        // One that is played again costs its holder nothing.
        if self.lock().opened.contains(&name) {
            return Err(Refusal::Sealed);
        }
        // Outside of the lock: it takes a tenth of a millisecond, and with a TPM much longer.
        let secret = open(&*rek, media, sealed_key)?;
        let mut present = self.lock();
        // The key may have been exchanged meanwhile, and what it opened is forgotten; or the same request came twice.
        if !Arc::ptr_eq(&present.rek, &rek) || !present.opened.insert(name) {
            return Err(Refusal::Sealed);
        }
        if self.is_over(&present)
            && let Err(error) = self.replace(&mut present)
        {
            // This one is opened; whoever comes next has it tried again.
            let _ = failed(&error);
        }
        Ok(Job { media, kem, encapsulated_key: sealed_key.to_vec(), secret })
    }

    /// Whether there must be another key: this one was lost, or opened as many requests as can be remembered.
    fn is_over(&self, present: &Present) -> bool {
        present.rek.is_lost() || present.opened.len() >= self.max
    }

    /// Has a new key made; the one before is to be dropped outside of the lock, as its holder is told.
    fn replace(&self, present: &mut Present) -> Result<Arc<dyn Rek>, HolderError> {
        let rek = self.holder.generate()?;
        tracing::info!(opened = present.opened.len(), "there is a new key");
        Ok(mem::replace(present, Present { rek, opened: HashSet::new() }).rek)
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: &HolderError) -> Refusal {
    let error = error as &dyn std::error::Error;
    tracing::error!(error, "no new key can be made");
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

/// A secret that was made of a request's key elsewhere, for opening that request alone.
#[derive(Debug)]
pub(crate) struct Known(pub(crate) Kem, pub(crate) SharedSecret);

impl Decapsulate for Known {
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

    fn reks(max: usize) -> Reks {
        Reks::with_max(Box::new(Nsm::Socket("unused".into())), max).unwrap()
    }

    fn sealed(reks: &Reks) -> Vec<u8> {
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
    struct Slow {
        private: Arc<PrivateKey>,
        public: PublicKey,
        opening: Arc<Barrier>,
        asked: Arc<AtomicUsize>,
        /// Whether it makes no other key.
        fails: Arc<AtomicBool>,
    }

    impl Slow {
        fn new(together: usize) -> Self {
            let private = Arc::new(PrivateKey::generate(Kem::P256).unwrap());
            let opening = Arc::new(Barrier::new(together));
            let (asked, fails) = (Arc::default(), Arc::default());
            Self { public: private.public(), private, opening, asked, fails }
        }
    }

    impl Holder for Slow {
        fn generate(&self) -> Result<Arc<dyn Rek>, HolderError> {
            match self.fails.load(Ordering::Relaxed) {
                true => Err(HolderError::Machine(std::io::ErrorKind::OutOfMemory.into())),
                false => Ok(Arc::new(self.clone())),
            }
        }
    }

    impl Rek for Slow {
        fn public(&self) -> &PublicKey {
            &self.public
        }

        fn attest(&self, _: &[u8]) -> Result<Vec<EvidencePiece>, HolderError> {
            Ok(Vec::new())
        }
    }

    impl Decapsulate for Slow {
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
        let slow = Slow::new(1);
        let reks = Reks::new(Box::new(slow.clone())).unwrap();
        let key = sealed(&reks);
        assert!(reks.open(Media::Whole, &key).is_ok());
        for _ in 0..3 {
            assert_eq!(reks.open(Media::Whole, &key).unwrap_err(), Refusal::Sealed);
        }
        assert_eq!(slow.asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn where_no_other_key_can_be_made_the_full_one_opens_nothing_more() {
        let slow = Slow::new(1);
        let reks = Reks::with_max(Box::new(slow.clone()), 2).unwrap();
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
        let reks = Reks::new(Box::new(Slow::new(2))).unwrap();
        let key = sealed(&reks);
        let opened = thread::scope(|threads| {
            let open = || threads.spawn(|| reks.open(Media::Whole, &key).is_ok());
            [open(), open()].map(|opening| opening.join().unwrap())
        });
        assert_eq!(opened.into_iter().filter(|opened| *opened).count(), 1);
    }
}
