//! The client's side: seals one request to several nodes.

use hpke::rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    Aead, ChunkSealer, Plaintext, ResponseOpener, SealError, Unopenable,
    aead::{NONCE, Position, Sealer},
    candidates::MAX_CANDIDATES,
    inner::{
        names::{CHUNKED_REQUEST, DEK, DEK_AAD, KEY_ID, LAYER, REQUEST},
        rek::Rek,
    },
    kem::Encapsulation,
    random::SystemRandom,
    schedule::{self, header, info},
};

/// A node to which requests may be sealed.
///
/// Only the type that the attestation verifier returns may implement this, so that nothing is sealed to an unverified key.
pub trait Candidate {
    /// Identifies the node in the router's response.
    type Id: Clone + PartialEq;

    /// The node's ID.
    fn id(&self) -> Self::Id;

    /// The key that the evidence names.
    fn rek(&self) -> &Rek;
}

/// A candidate with an encapsulated secret for one request; it may be made in advance.
pub struct Recipient<I> {
    id: I,
    encapsulation: Encapsulation,
}

impl<I: Clone + PartialEq> Recipient<I> {
    /// Encapsulates a new secret to a verified node.
    ///
    /// # Errors
    ///
    /// [`SealError::Random`] or [`SealError::Key`].
    pub fn new<C: Candidate<Id = I>>(candidate: &C) -> Result<Self, SealError> {
        let mut rng = SystemRandom::default();
        let recipient = Self::with_rng(candidate, &mut rng)?;
        if rng.failed() { Err(SealError::Random) } else { Ok(recipient) }
    }

    /// [`Self::new`] with the given randomness, for test vectors.
    pub(crate) fn with_rng<C: Candidate<Id = I>>(
        candidate: &C,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SealError> {
        Ok(Self { id: candidate.id(), encapsulation: candidate.rek().public().encapsulate(rng)? })
    }

    /// A candidate with this secret.
    #[cfg(test)]
    pub(crate) const fn given(id: I, encapsulation: Encapsulation) -> Self {
        Self { id, encapsulation }
    }

    /// The node's ID.
    pub const fn id(&self) -> &I {
        &self.id
    }

    /// Seals the request's key to it.
    fn seal(self, dek: &Dek, label: &str) -> Result<(SealedKey<I>, ResponseOpener), SealError> {
        let Encapsulation { kem, encapsulated_key, secret } = self.encapsulation;
        let aead = Aead::Aes128Gcm;
        let header = header(KEY_ID, kem, aead);
        let mut sealer = schedule::sender(kem, aead, &secret, &info(label, &header));
        let mut sealed = dek.to_vec();
        sealer.0.seal(&mut sealed, DEK_AAD).map_err(|_| SealError::Exhausted)?;
        let bytes = [&header[..], &encapsulated_key, &sealed].concat();
        let opener = ResponseOpener::new(&LAYER, aead, encapsulated_key, &sealer)?;
        Ok((SealedKey { id: self.id, bytes }, opener))
    }
}

redacted!(Recipient<I>);

type Dek = Zeroizing<[u8; DEK]>;

/// A request's key, sealed to one node; OpenPCC calls it the encapsulated key of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKey<I> {
    /// The node.
    pub id: I,
    /// Header, encapsulated key and sealed key: 120 bytes for P-256, 1,175 for X-Wing.
    pub bytes: Vec<u8>,
}

/// A sealed request.
#[derive(Debug)]
pub struct Sealed<I> {
    /// Nonce and ciphertext, of media type [`REQUEST`].
    pub body: Vec<u8>,
    /// Its key for each candidate, in their order.
    pub keys: Vec<SealedKey<I>>,
    /// Opens the response.
    pub answers: ResponseOpeners<I>,
}

/// Opens the response of any of the nodes.
pub struct ResponseOpeners<I>(Vec<(I, ResponseOpener)>);

impl<I: PartialEq> ResponseOpeners<I> {
    /// Opens the response of this node.
    ///
    /// # Errors
    ///
    /// [`Unopenable`] if the request was not sealed to it.
    pub fn of(self, id: &I) -> Result<ResponseOpener, Unopenable> {
        let answer = self.0.into_iter().find(|(candidate, _)| candidate == id);
        answer.map(|(_, opener)| opener).ok_or(Unopenable)
    }
}

redacted!(ResponseOpeners<I>);

/// Seals a request, padded to a multiple of [`PADDING`](super::PADDING), to these nodes.
///
/// # Errors
///
/// [`SealError::Candidates`] or [`SealError::Random`].
pub fn seal<I: Clone + PartialEq>(
    recipients: Vec<Recipient<I>>,
    question: &Plaintext,
) -> Result<Sealed<I>, SealError> {
    let mut rng = SystemRandom::default();
    let sealed = seal_with(recipients, question, &mut rng)?;
    if rng.failed() { Err(SealError::Random) } else { Ok(sealed) }
}

/// [`seal`] with the given randomness, for test vectors.
pub(crate) fn seal_with<I: Clone + PartialEq>(
    recipients: Vec<Recipient<I>>,
    question: &Plaintext,
    rng: &mut impl CryptoRng,
) -> Result<Sealed<I>, SealError> {
    let (mut sealer, nonce, keys, answers) = begin(recipients, REQUEST, rng)?;
    let mut ciphertext = question.to_vec();
    sealer.seal(&mut ciphertext, Position::Middle)?;
    Ok(Sealed { body: [&nonce[..], &ciphertext].concat(), keys, answers })
}

/// Seals a request in chunks to these nodes; the body has media type [`CHUNKED_REQUEST`].
///
/// # Errors
///
/// [`SealError::Candidates`] or [`SealError::Random`].
#[expect(clippy::type_complexity, reason = "three things of one call, each named by its type")]
pub fn seal_chunked<I: Clone + PartialEq>(
    recipients: Vec<Recipient<I>>,
) -> Result<(ChunkSealer, Vec<SealedKey<I>>, ResponseOpeners<I>), SealError> {
    let mut rng = SystemRandom::default();
    let sealed = seal_chunked_with(recipients, &mut rng)?;
    if rng.failed() { Err(SealError::Random) } else { Ok(sealed) }
}

/// [`seal_chunked`] with the given randomness, for test vectors.
#[expect(clippy::type_complexity, reason = "as above")]
pub(crate) fn seal_chunked_with<I: Clone + PartialEq>(
    recipients: Vec<Recipient<I>>,
    rng: &mut impl CryptoRng,
) -> Result<(ChunkSealer, Vec<SealedKey<I>>, ResponseOpeners<I>), SealError> {
    let (sealer, nonce, keys, answers) = begin(recipients, CHUNKED_REQUEST, rng)?;
    Ok((ChunkSealer::new(sealer, nonce.to_vec(), LAYER.chunk), keys, answers))
}

/// Makes the request's key and nonce, and seals the key to each node.
#[expect(clippy::type_complexity, reason = "as above")]
fn begin<I: Clone + PartialEq>(
    recipients: Vec<Recipient<I>>,
    label: &str,
    rng: &mut impl CryptoRng,
) -> Result<(Sealer, [u8; NONCE], Vec<SealedKey<I>>, ResponseOpeners<I>), SealError> {
    let twice = |(at, recipient): (usize, &Recipient<I>)| {
        recipients[..at].iter().any(|other| other.id == recipient.id)
    };
    if !(1..=MAX_CANDIDATES).contains(&recipients.len()) || recipients.iter().enumerate().any(twice)
    {
        return Err(SealError::Candidates);
    }
    let (mut dek, mut nonce) = (Dek::default(), [0; NONCE]);
    rng.fill_bytes(&mut *dek);
    rng.fill_bytes(&mut nonce);
    let sealer = Sealer::new(Aead::Aes256Gcm, &*dek, &nonce).ok_or(SealError::Key)?;
    let (mut keys, mut answers) = (Vec::new(), Vec::new());
    for recipient in recipients {
        let (key, opener) = recipient.seal(&dek, label)?;
        answers.push((key.id.clone(), opener));
        keys.push(key);
    }
    Ok((sealer, nonce, keys, ResponseOpeners(answers)))
}
