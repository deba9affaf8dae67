//! The reply's keys, and the gateway's side of it.

use std::fmt;

use ai_gateway_api::{
    sealed::{Chunk, Final, Start},
    wire::{Bytes, Fixed, Version},
};
use chacha20poly1305::{AeadInPlace, ChaCha20Poly1305, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::padding::{self, TooLong, pad, unpad};

/// Associated data of every chunk but the last.
const MIDDLE: &[u8] = b"";

/// Associated data of the last chunk.
const LAST: &[u8] = b"final";

/// Key, nonce and counter of one reply; the same on both sides (RFC 9458, section 4.4, and chunked OHTTP).
pub(crate) struct ReplyKeys {
    cipher: ChaCha20Poly1305,
    nonce: Zeroizing<[u8; 12]>,
    /// Chunks so far.
    count: u64,
}

impl ReplyKeys {
    /// Derives them; `None` never happens with these lengths.
    pub(crate) fn derive(
        secret: &Zeroizing<[u8; 32]>,
        encapsulated_key: &[u8],
        response_nonce: &[u8; 32],
    ) -> Option<Self> {
        let salt = [encapsulated_key, response_nonce].concat();
        let prk = Hkdf::<Sha256>::new(Some(&salt), &**secret);
        let (mut key, mut nonce) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 12]));
        prk.expand(b"key", &mut *key).ok()?;
        prk.expand(b"nonce", &mut *nonce).ok()?;
        Some(Self { cipher: ChaCha20Poly1305::new((&*key).into()), nonce, count: 0 })
    }

    /// Number of chunks so far.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    fn next_nonce(&mut self) -> [u8; 12] {
        let mut nonce = *self.nonce;
        for (byte, counter) in nonce[4..].iter_mut().zip(self.count.to_be_bytes()) {
            *byte ^= counter;
        }
        self.count += 1;
        nonce
    }

    fn seal(&mut self, plaintext: &[u8], aad: &[u8]) -> Result<Bytes, TooLong> {
        let mut buffer = pad(plaintext, padding::CHUNK)?;
        let nonce = self.next_nonce();
        self.cipher.encrypt_in_place((&nonce).into(), aad, &mut *buffer).map_err(|_| TooLong)?;
        Ok(Bytes(std::mem::take(&mut *buffer)))
    }

    /// Opens the next chunk, the last one if `last`.
    pub(crate) fn open(&mut self, sealed: &Bytes, last: bool) -> Option<Zeroizing<Vec<u8>>> {
        let mut buffer = Zeroizing::new(sealed.0.clone());
        let nonce = self.next_nonce();
        let aad = if last { LAST } else { MIDDLE };
        self.cipher.decrypt_in_place((&nonce).into(), aad, &mut *buffer).ok()?;
        unpad(buffer, padding::CHUNK)
    }
}

impl fmt::Debug for ReplyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyKeys").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Seals one reply: [`Self::start`] first, then chunks, then [`Self::finish`].
///
/// Dropped without `finish`, the client sees a cut reply, which is what an interrupted generation is.
#[derive(Debug)]
pub struct ReplySealer {
    keys: ReplyKeys,
    response_nonce: [u8; 32],
}

impl ReplySealer {
    pub(crate) const fn new(keys: ReplyKeys, response_nonce: [u8; 32]) -> Self {
        Self { keys, response_nonce }
    }

    /// Data of the event `start`, to be sent first.
    #[must_use]
    pub const fn start(&self) -> Start {
        Start { version: Version, response_nonce: Fixed(self.response_nonce) }
    }

    /// Seals the next chunk.
    ///
    /// # Errors
    ///
    /// [`TooLong`]; nothing was sealed and the reply can go on.
    pub fn chunk(&mut self, plaintext: &[u8]) -> Result<Chunk, TooLong> {
        let seq = self.keys.count();
        Ok(Chunk { seq, data: self.keys.seal(plaintext, MIDDLE)? })
    }

    /// Seals the last chunk.
    ///
    /// # Errors
    ///
    /// [`TooLong`]; the reply stays without an end.
    pub fn finish(mut self, plaintext: &[u8]) -> Result<Final, TooLong> {
        Ok(Final { data: self.keys.seal(plaintext, LAST)? })
    }
}
