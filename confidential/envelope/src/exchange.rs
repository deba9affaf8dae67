//! Sealing and opening of the response to a request.

use zeroize::Zeroizing;

use crate::{
    Aead, ChunkSealer, Limits, Plaintext, SealError, Unopenable,
    aead::{Opener, Position, Sealer},
    chunks::{ChunkOpener, collect},
    random,
    response::Keys,
};

/// The labels of a layer's messages, and the length of its chunks.
#[derive(Debug)]
pub(crate) struct Layer {
    /// A request without chunks.
    pub(crate) request: &'static str,
    /// A request in chunks.
    pub(crate) chunked_request: &'static str,
    /// A response without chunks.
    pub(crate) response: &'static str,
    /// A response in chunks.
    pub(crate) chunked_response: &'static str,
    /// Maximum length of a chunk before sealing, in bytes.
    pub(crate) chunk: usize,
}

/// The secrets of the response, one for each of its forms.
struct Secrets {
    aead: Aead,
    encapsulated_key: Vec<u8>,
    whole: Zeroizing<Vec<u8>>,
    chunked: Zeroizing<Vec<u8>>,
    layer: &'static Layer,
}

impl Secrets {
    /// Exports them from a context.
    fn export<E>(
        layer: &'static Layer,
        aead: Aead,
        encapsulated_key: Vec<u8>,
        export: impl Fn(&[u8], &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut whole = Zeroizing::new(vec![0; aead.key_len()]);
        let mut chunked = whole.clone();
        export(layer.response.as_bytes(), &mut whole)?;
        export(layer.chunked_response.as_bytes(), &mut chunked)?;
        Ok(Self { aead, encapsulated_key, whole, chunked, layer })
    }

    /// Length of the response's nonce in bytes (RFC 9458, section 4.4).
    const fn nonce_len(&self) -> usize {
        self.aead.key_len()
    }

    fn keys(&self, secret: &[u8], nonce: &[u8]) -> Option<Keys> {
        Keys::derive(self.aead, secret, &self.encapsulated_key, nonce)
    }
}

/// Opens the one response to a request.
pub struct ResponseOpener(Secrets);

impl ResponseOpener {
    pub(crate) fn new(
        layer: &'static Layer,
        aead: Aead,
        encapsulated_key: Vec<u8>,
        request: &Sealer,
    ) -> Result<Self, SealError> {
        Secrets::export(layer, aead, encapsulated_key, |label, into| request.0.export(label, into))
            .map(Self)
            .map_err(|_| SealError::Key)
    }

    /// Opens a response without chunks.
    ///
    /// # Errors
    ///
    /// [`Unopenable`].
    pub fn open(self, sealed: &[u8]) -> Result<Plaintext, Unopenable> {
        let (nonce, sealed) = sealed.split_at_checked(self.0.nonce_len()).ok_or(Unopenable)?;
        let keys = self.0.keys(&self.0.whole, nonce).ok_or(Unopenable)?;
        keys.opener().ok_or(Unopenable)?.open_whole(sealed)
    }

    /// Opens a response in chunks.
    #[must_use]
    pub fn chunked(self, limits: Limits) -> ResponseStream {
        ResponseStream { limits, state: State::Nonce(Vec::new(), self.0) }
    }
}

redacted!(ResponseOpener);

/// Opens a response in chunks: [`Self::push`] each part that arrives, [`Self::finish`] at its end.
pub struct ResponseStream {
    limits: Limits,
    state: State,
}

enum State {
    /// The nonce is arriving.
    Nonce(Vec<u8>, Secrets),
    Chunks(ChunkOpener),
    Failed,
}

impl ResponseStream {
    /// Takes received bytes; appends the opened chunks, which are authentic even if the rest never arrives.
    ///
    /// # Errors
    ///
    /// [`Unopenable`], also for every later call. Chunks before the error are appended.
    pub fn push(&mut self, mut bytes: &[u8], into: &mut Plaintext) -> Result<(), Unopenable> {
        if let State::Nonce(nonce, secrets) = &mut self.state {
            if !collect(nonce, secrets.nonce_len(), &mut bytes) {
                return Ok(());
            }
            let opener = secrets.keys(&secrets.chunked, nonce).and_then(Keys::opener);
            self.state = opener.map_or(State::Failed, |opener| {
                State::Chunks(ChunkOpener::new(opener, self.limits))
            });
        }
        match &mut self.state {
            State::Chunks(chunks) => chunks.push(bytes, into),
            State::Nonce(..) | State::Failed => Err(Unopenable),
        }
    }

    /// Ends the response; appends the last chunk.
    ///
    /// # Errors
    ///
    /// [`Unopenable`] if the last chunk is missing: the response is truncated.
    pub fn finish(self, into: &mut Plaintext) -> Result<(), Unopenable> {
        match self.state {
            State::Chunks(chunks) => chunks.finish(into),
            State::Nonce(..) | State::Failed => Err(Unopenable),
        }
    }
}

redacted!(ResponseStream);

/// Seals the one response to a request.
pub struct ResponseSealer(Secrets);

impl ResponseSealer {
    pub(crate) fn new(
        layer: &'static Layer,
        aead: Aead,
        encapsulated_key: Vec<u8>,
        request: &Opener,
    ) -> Result<Self, Unopenable> {
        Secrets::export(layer, aead, encapsulated_key, |label, into| request.0.export(label, into))
            .map(Self)
            .map_err(|_| Unopenable)
    }

    /// Seals a response without chunks.
    ///
    /// # Errors
    ///
    /// [`SealError::Random`].
    pub fn seal(self, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = self.nonce()?;
        self.seal_with(&nonce, plaintext)
    }

    /// Seals a response in chunks.
    ///
    /// # Errors
    ///
    /// [`SealError::Random`].
    pub fn chunked(self) -> Result<ChunkSealer, SealError> {
        let nonce = self.nonce()?;
        self.chunked_with(&nonce)
    }

    pub(crate) fn seal_with(self, nonce: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let keys = self.0.keys(&self.0.whole, nonce).ok_or(SealError::Key)?;
        let mut sealed = plaintext.to_vec();
        keys.sealer().ok_or(SealError::Key)?.seal(&mut sealed, Position::Middle)?;
        Ok([nonce, &sealed].concat())
    }

    pub(crate) fn chunked_with(self, nonce: &[u8]) -> Result<ChunkSealer, SealError> {
        let keys = self.0.keys(&self.0.chunked, nonce).ok_or(SealError::Key)?;
        let sealer = keys.sealer().ok_or(SealError::Key)?;
        Ok(ChunkSealer::new(sealer, nonce.to_vec(), self.0.layer.chunk))
    }

    fn nonce(&self) -> Result<Vec<u8>, SealError> {
        let bytes = random::bytes::<32>()?;
        Ok(bytes[..self.0.nonce_len()].to_vec())
    }
}

redacted!(ResponseSealer);
