//! The gateway's side: opens requests with the key that they name.

use std::sync::Arc;

use crate::{
    Aead, Limits, Plaintext, PrivateKey, ResponseSealer, Unopenable,
    aead::Opener,
    chunks::{ChunkOpener, collect},
    kem::Decapsulate as _,
    ohttp::{key_config::KeyConfig, names::LAYER},
    schedule::{self, HEADER, header, info},
};

/// A private key of the gateway with its public configuration.
#[derive(Clone, Debug)]
pub struct GatewayKey {
    private: PrivateKey,
    config: KeyConfig,
}

/// Why a request was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OpenError {
    /// It names a key that the gateway does not have. The client must fetch the keys again.
    #[error("unknown key")]
    UnknownKey,
    /// Anything else: 400 without a reason.
    #[error(transparent)]
    Unopenable(#[from] Unopenable),
}

/// An opened request.
#[derive(Debug)]
pub struct Opened {
    /// The request, Binary HTTP.
    pub plaintext: Plaintext,
    /// Seals the response.
    pub response: ResponseSealer,
}

impl GatewayKey {
    /// A private key with its ID and its ciphers, the preferred one first; `None` without a cipher.
    #[must_use]
    pub fn new(key_id: u8, private: PrivateKey, aeads: Vec<Aead>) -> Option<Self> {
        let config = KeyConfig::new(key_id, private.public(), aeads)?;
        Some(Self { private, config })
    }

    /// Its public configuration.
    #[must_use]
    pub const fn config(&self) -> &KeyConfig {
        &self.config
    }

    /// The cipher that a header names, if the header is one of this key.
    fn aead(&self, named: &[u8; HEADER]) -> Option<Aead> {
        let known = |aead: &Aead| header(self.config.key_id(), self.private.kem(), *aead) == *named;
        self.config.aeads().iter().copied().find(known)
    }

    /// Decapsulates the secret; returns opener and sealer.
    fn begin(
        &self,
        named: &[u8; HEADER],
        encapsulated_key: &[u8],
        label: &str,
    ) -> Result<(Opener, ResponseSealer), Unopenable> {
        let aead = self.aead(named).ok_or(Unopenable)?;
        let secret = self.private.decapsulate(encapsulated_key).map_err(|_| Unopenable)?;
        let opener = schedule::receiver(self.private.kem(), aead, &secret, &info(label, named));
        let response = ResponseSealer::new(&LAYER, aead, encapsulated_key.to_vec(), &opener)?;
        Ok((opener, response))
    }
}

/// The key that a header names.
fn find<'a>(
    keys: &'a [Arc<GatewayKey>],
    named: &[u8; HEADER],
) -> Result<&'a Arc<GatewayKey>, OpenError> {
    keys.iter().find(|key| key.config.key_id() == named[0]).ok_or(OpenError::UnknownKey)
}

/// Opens a request without chunks with one of these keys.
///
/// # Errors
///
/// See [`OpenError`].
pub fn open(keys: &[Arc<GatewayKey>], request: &[u8]) -> Result<Opened, OpenError> {
    let (named, rest) = request.split_first_chunk::<HEADER>().ok_or(Unopenable)?;
    let key = find(keys, named)?;
    let (encapsulated_key, sealed) =
        rest.split_at_checked(key.private.kem().encapsulated_len()).ok_or(Unopenable)?;
    let (opener, response) = key.begin(named, encapsulated_key, LAYER.request)?;
    Ok(Opened { plaintext: opener.open_whole(sealed)?, response })
}

/// Opens a request in chunks: [`Self::push`] each part that arrives, [`Self::finish`] at its end.
pub struct RequestStream {
    keys: Vec<Arc<GatewayKey>>,
    limits: Limits,
    state: State,
}

enum State {
    /// The header is arriving.
    Header(Vec<u8>),
    /// The encapsulated key is arriving.
    Key([u8; HEADER], Arc<GatewayKey>, Vec<u8>),
    Chunks(ChunkOpener, ResponseSealer),
    Failed(OpenError),
}

impl RequestStream {
    /// A stream of a request to one of these keys.
    #[must_use]
    pub const fn new(keys: Vec<Arc<GatewayKey>>, limits: Limits) -> Self {
        Self { keys, limits, state: State::Header(Vec::new()) }
    }

    /// Takes received bytes; appends the opened chunks. They must not be used before [`Self::finish`] has succeeded.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; every later call returns the same.
    pub fn push(&mut self, mut bytes: &[u8], into: &mut Plaintext) -> Result<(), OpenError> {
        loop {
            let step = match &mut self.state {
                State::Header(header) => match collect(header, HEADER, &mut bytes) {
                    false => return Ok(()),
                    true => self.header(),
                },
                State::Key(_, key, encapsulated) => {
                    match collect(encapsulated, key.private.kem().encapsulated_len(), &mut bytes) {
                        false => return Ok(()),
                        true => self.begin(),
                    }
                }
                State::Chunks(chunks, _) => match chunks.push(bytes, into) {
                    Ok(()) => return Ok(()),
                    Err(error) => Err(error.into()),
                },
                State::Failed(error) => return Err(*error),
            };
            self.state = step.unwrap_or_else(State::Failed);
        }
    }

    /// Ends the request; appends the last chunk, and returns the sealer of the response.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn finish(self, into: &mut Plaintext) -> Result<ResponseSealer, OpenError> {
        match self.state {
            State::Chunks(chunks, response) => {
                chunks.finish(into)?;
                Ok(response)
            }
            State::Failed(error) => Err(error),
            State::Header(_) | State::Key(..) => Err(Unopenable.into()),
        }
    }

    fn header(&self) -> Result<State, OpenError> {
        let State::Header(header) = &self.state else { return Err(Unopenable.into()) };
        let named = <[u8; HEADER]>::try_from(&header[..]).map_err(|_| Unopenable)?;
        let key = Arc::clone(find(&self.keys, &named)?);
        Ok(State::Key(named, key, Vec::new()))
    }

    fn begin(&self) -> Result<State, OpenError> {
        let State::Key(named, key, encapsulated) = &self.state else {
            return Err(Unopenable.into());
        };
        let (opener, response) = key.begin(named, encapsulated, LAYER.chunked_request)?;
        Ok(State::Chunks(ChunkOpener::new(opener, self.limits), response))
    }
}

redacted!(RequestStream);
