//! The keys of a reply, and the gateway's side: seals it.

use ai_gateway_api::{
    sealed::{Chunk, Final, Start},
    wire::{Bytes, Fixed, Version},
};
use confidential_envelope::{
    Aead,
    aead::{Opener, Position, Sealer},
    response,
};
use zeroize::Zeroizing;

use crate::padding::{self, TooLong, pad, unpad};

/// The keys of one reply, the same on both sides (RFC 9458, section 4.4); `None` never happens.
pub(crate) fn reply_keys(
    secret: &Zeroizing<[u8; 32]>,
    encapsulated_key: &[u8],
    response_nonce: &[u8; 32],
) -> Option<response::Keys> {
    response::Keys::derive(Aead::ChaCha20Poly1305, &**secret, encapsulated_key, response_nonce)
}

/// Opens the next chunk, the last one if `position` says so.
pub(crate) fn open_chunk(
    opener: &mut Opener,
    sealed: &Bytes,
    position: Position,
) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(sealed.0.clone());
    opener.open(&mut buffer, position).ok()?;
    unpad(buffer, padding::CHUNK)
}

/// Seals one reply: [`Self::start`] first, then chunks, then [`Self::finish`].
///
/// If it is dropped without `finish`, the client sees a cut reply, as for an interrupted generation.
#[derive(Debug)]
pub struct ReplySealer {
    sealer: Sealer,
    response_nonce: [u8; 32],
    /// Chunks so far.
    count: u64,
}

impl ReplySealer {
    /// `None` never happens.
    pub(crate) fn new(keys: response::Keys, response_nonce: [u8; 32]) -> Option<Self> {
        Some(Self { sealer: keys.sealer()?, response_nonce, count: 0 })
    }

    /// Data of the event `start`, which is sent first.
    #[must_use]
    pub const fn start(&self) -> Start {
        Start { version: Version, response_nonce: Fixed(self.response_nonce) }
    }

    /// Seals the next chunk.
    ///
    /// # Errors
    ///
    /// [`TooLong`]; nothing was sealed and the reply can continue.
    pub fn chunk(&mut self, plaintext: &[u8]) -> Result<Chunk, TooLong> {
        let data = self.seal(plaintext, Position::Middle)?;
        let seq = self.count;
        self.count += 1;
        Ok(Chunk { seq, data })
    }

    /// Seals the last chunk.
    ///
    /// # Errors
    ///
    /// [`TooLong`]; the reply remains incomplete.
    pub fn finish(mut self, plaintext: &[u8]) -> Result<Final, TooLong> {
        Ok(Final { data: self.seal(plaintext, Position::Last)? })
    }

    fn seal(&mut self, plaintext: &[u8], position: Position) -> Result<Bytes, TooLong> {
        let mut buffer = pad(plaintext, padding::CHUNK)?;
        self.sealer.seal(&mut buffer, position).map_err(|_| TooLong)?;
        Ok(Bytes(std::mem::take(&mut *buffer)))
    }
}
