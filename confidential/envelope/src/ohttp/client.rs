//! The client's side: seals a request to the gateway.

use hpke::rand_core::CryptoRng;

use crate::{
    ChunkSealer, Plaintext, ResponseOpener, SealError,
    aead::{Aead, Position, Sealer},
    kem::Encapsulation,
    ohttp::{key_config::KeyConfig, names::LAYER},
    random::SystemRandom,
    schedule::{self, HEADER, header, info},
};

/// A request with an encapsulated secret, ready to be sealed; it may be made in advance.
pub struct Request {
    header: [u8; HEADER],
    aead: Aead,
    encapsulation: Encapsulation,
}

impl Request {
    /// Encapsulates a new secret to the gateway's key, for its preferred cipher.
    ///
    /// # Errors
    ///
    /// [`SealError::Random`] or [`SealError::Key`].
    pub fn new(config: &KeyConfig) -> Result<Self, SealError> {
        let mut rng = SystemRandom::default();
        let request = Self::with_rng(config, &mut rng)?;
        if rng.failed() { Err(SealError::Random) } else { Ok(request) }
    }

    /// [`Self::new`] with the given randomness, for test vectors.
    pub(crate) fn with_rng(
        config: &KeyConfig,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SealError> {
        Ok(Self::given(config, config.public().encapsulate(rng)?))
    }

    /// A request with this secret.
    pub(crate) fn given(config: &KeyConfig, encapsulation: Encapsulation) -> Self {
        let aead = config.preferred();
        Self { header: header(config.key_id(), encapsulation.kem, aead), aead, encapsulation }
    }

    /// Seals a request without chunks.
    ///
    /// # Errors
    ///
    /// None occurs with a request from [`Self::new`].
    pub fn seal(self, plaintext: &Plaintext) -> Result<(Vec<u8>, ResponseOpener), SealError> {
        let mut sealer = self.sealer(LAYER.request);
        let mut sealed = plaintext.to_vec();
        sealer.seal(&mut sealed, Position::Middle)?;
        let (head, opener) = self.split(&sealer)?;
        Ok(([head, sealed].concat(), opener))
    }

    /// Seals a request in chunks.
    ///
    /// # Errors
    ///
    /// None occurs with a request from [`Self::new`].
    pub fn chunked(self) -> Result<(ChunkSealer, ResponseOpener), SealError> {
        let sealer = self.sealer(LAYER.chunked_request);
        let (head, opener) = self.split(&sealer)?;
        Ok((ChunkSealer::new(sealer, head, LAYER.chunk), opener))
    }

    fn sealer(&self, label: &str) -> Sealer {
        let Encapsulation { kem, secret, .. } = &self.encapsulation;
        schedule::sender(*kem, self.aead, secret, &info(label, &self.header))
    }

    /// The bytes before the ciphertext, and the opener of the response.
    fn split(self, sealer: &Sealer) -> Result<(Vec<u8>, ResponseOpener), SealError> {
        let encapsulated_key = self.encapsulation.encapsulated_key;
        let head = [&self.header[..], &encapsulated_key].concat();
        Ok((head, ResponseOpener::new(&LAYER, self.aead, encapsulated_key, sealer)?))
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("header", &self.header).finish_non_exhaustive()
    }
}
