//! The node's side: opens a request with the key that was sealed to it.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    Aead, Decapsulate, DecapsulateError, Kem, Limits, Plaintext, ResponseSealer, SharedSecret,
    Unopenable,
    aead::{NONCE, Opener, TAG},
    chunks::{ChunkOpener, collect},
    inner::names::{CHUNKED_REQUEST, DEK, DEK_AAD, KEY_ID, LAYER, REQUEST},
    schedule::{self, HEADER, header, info},
};

/// Why a request was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not for this node, or was changed: 400 without a reason.
    #[error(transparent)]
    Unopenable(#[from] Unopenable),
    /// The holder of the key failed: 503.
    #[error("the holder of the node's key failed")]
    Holder(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<DecapsulateError> for OpenError {
    fn from(error: DecapsulateError) -> Self {
        match error {
            DecapsulateError::Invalid => Unopenable.into(),
            DecapsulateError::Holder(source) => Self::Holder(source),
        }
    }
}

/// An opened request.
#[derive(Debug)]
pub struct Opened {
    /// The request, Binary HTTP.
    pub plaintext: Plaintext,
    /// Seals the response.
    pub response: ResponseSealer,
}

/// The parts of a request's sealed key.
struct SealedKeyParts<'a> {
    header: [u8; HEADER],
    encapsulated_key: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> SealedKeyParts<'a> {
    /// Splits a sealed key; the header and the lengths of its parts must be those of this KEM.
    fn read(sealed_key: &'a [u8], kem: Kem) -> Result<Self, Unopenable> {
        let (&named, rest) = sealed_key.split_first_chunk::<HEADER>().ok_or(Unopenable)?;
        let (encapsulated_key, sealed) =
            rest.split_at_checked(kem.encapsulated_len()).ok_or(Unopenable)?;
        if named != header(KEY_ID, kem, Aead::Aes128Gcm) || sealed.len() != DEK + TAG {
            return Err(Unopenable);
        }
        Ok(Self { header: named, encapsulated_key, sealed })
    }

    /// Opens the request's key.
    fn open(
        &self,
        key: &impl Decapsulate,
        label: &str,
    ) -> Result<(Zeroizing<Vec<u8>>, ResponseSealer), OpenError> {
        let secret = key.decapsulate(self.encapsulated_key)?;
        Ok(self.open_with(key.kem(), &secret, label)?)
    }

    fn open_with(
        &self,
        kem: Kem,
        secret: &SharedSecret,
        label: &str,
    ) -> Result<(Zeroizing<Vec<u8>>, ResponseSealer), Unopenable> {
        let aead = Aead::Aes128Gcm;
        let mut opener = schedule::receiver(kem, aead, secret, &info(label, &self.header));
        let mut dek = Zeroizing::new(self.sealed.to_vec());
        opener.0.open(&mut dek, DEK_AAD).map_err(|_| Unopenable)?;
        let response = ResponseSealer::new(&LAYER, aead, self.encapsulated_key.to_vec(), &opener)?;
        Ok((dek, response))
    }
}

/// The ID of a request in the set of those that a key has opened: SHA-256 of its encapsulated key. A replayed request has
/// the same ID; a changed one does not open.
///
/// # Errors
///
/// [`Unopenable`] if `sealed_key` is not one of this KEM.
pub fn replay_id(sealed_key: &[u8], kem: Kem) -> Result<[u8; 32], Unopenable> {
    Ok(Sha256::digest(SealedKeyParts::read(sealed_key, kem)?.encapsulated_key).into())
}

/// Opens only a request's key, and returns the shared secret, with which another process can open this one request.
/// `chunked` says whether the request is in chunks.
///
/// # Errors
///
/// See [`OpenError`].
pub fn open_key(
    sealed_key: &[u8],
    chunked: bool,
    key: &(impl Decapsulate + ?Sized),
) -> Result<SharedSecret, OpenError> {
    let parts = SealedKeyParts::read(sealed_key, key.kem())?;
    let secret = key.decapsulate(parts.encapsulated_key)?;
    let label = if chunked { CHUNKED_REQUEST } else { REQUEST };
    parts.open_with(key.kem(), &secret, label)?;
    Ok(secret)
}

/// Opens a request without chunks. `sealed_key` is the decoded `X-Encapsulated-Key`. The caller has checked its
/// [`replay_id`], and stores it if this succeeds.
///
/// # Errors
///
/// See [`OpenError`].
pub fn open(sealed_key: &[u8], body: &[u8], key: &impl Decapsulate) -> Result<Opened, OpenError> {
    let parts = SealedKeyParts::read(sealed_key, key.kem())?;
    let (nonce, ciphertext) = body.split_first_chunk::<NONCE>().ok_or(Unopenable)?;
    let (dek, response) = parts.open(key, REQUEST)?;
    let opener = Opener::new(Aead::Aes256Gcm, &dek, nonce).ok_or(Unopenable)?;
    Ok(Opened { plaintext: opener.open_whole(ciphertext)?, response })
}

/// Opens a request in chunks: [`Self::push`] each part that arrives, [`Self::finish`] at its end.
pub struct RequestStream {
    limits: Limits,
    response: ResponseSealer,
    state: State,
}

enum State {
    /// The nonce is arriving.
    Nonce(Zeroizing<Vec<u8>>, Vec<u8>),
    Chunks(ChunkOpener),
    Failed,
}

impl RequestStream {
    /// Opens the request's key; as [`open`] otherwise.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn new(
        sealed_key: &[u8],
        key: &impl Decapsulate,
        limits: Limits,
    ) -> Result<Self, OpenError> {
        let (dek, response) =
            SealedKeyParts::read(sealed_key, key.kem())?.open(key, CHUNKED_REQUEST)?;
        Ok(Self { limits, response, state: State::Nonce(dek, Vec::new()) })
    }

    /// Takes received bytes; appends the opened chunks. They must not be used before [`Self::finish`] has succeeded.
    ///
    /// # Errors
    ///
    /// [`Unopenable`], also for every later call.
    pub fn push(&mut self, mut bytes: &[u8], into: &mut Plaintext) -> Result<(), Unopenable> {
        if let State::Nonce(dek, nonce) = &mut self.state {
            if !collect(nonce, NONCE, &mut bytes) {
                return Ok(());
            }
            let nonce = nonce.first_chunk().ok_or(Unopenable)?;
            let opener = Opener::new(Aead::Aes256Gcm, dek, nonce);
            self.state = opener.map_or(State::Failed, |opener| {
                State::Chunks(ChunkOpener::new(opener, self.limits))
            });
        }
        match &mut self.state {
            State::Chunks(chunks) => chunks.push(bytes, into),
            State::Nonce(..) | State::Failed => Err(Unopenable),
        }
    }

    /// Ends the request; appends the last chunk, and returns the sealer of the response.
    ///
    /// # Errors
    ///
    /// [`Unopenable`].
    pub fn finish(self, into: &mut Plaintext) -> Result<ResponseSealer, Unopenable> {
        match self.state {
            State::Chunks(chunks) => chunks.finish(into).map(|()| self.response),
            State::Nonce(..) | State::Failed => Err(Unopenable),
        }
    }
}

redacted!(RequestStream);
