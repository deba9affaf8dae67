//! The ciphers, and contexts that seal several messages with one key.

use hpke::{
    Deserializable as _, HpkeError, Kem as HpkeKem, Serializable as _,
    aead::{Aead as HpkeAead, AeadCtxR, AeadCtxS, AeadTag, AesGcm128, AesGcm256},
    danger::streaming_enc::{
        AeadKey, AeadNonce, ExporterSecret, create_receiver_context, create_sender_context,
    },
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{Plaintext, SealError, Unopenable};

/// Length of the tag that sealing appends, in bytes, for every cipher here.
pub const TAG: usize = 16;

/// Length of a nonce in bytes, for every cipher here.
pub const NONCE: usize = 12;

/// Associated data of everything but the last chunk.
const MIDDLE: &[u8] = b"";

/// Associated data of the last chunk (draft-ietf-ohai-chunked-ohttp-08, section 6.1).
const LAST: &[u8] = b"final";

/// A cipher (RFC 9180, section 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aead {
    /// AES-128-GCM.
    Aes128Gcm,
    /// AES-256-GCM, which only the inner layer's request is sealed with; no suite names it.
    Aes256Gcm,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
}

impl Aead {
    /// HPKE's identifier.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::Aes128Gcm => 0x0001,
            Self::Aes256Gcm => 0x0002,
            Self::ChaCha20Poly1305 => 0x0003,
        }
    }

    /// The cipher of an identifier that a suite may name.
    #[must_use]
    pub const fn from_id(id: u16) -> Option<Self> {
        match id {
            0x0001 => Some(Self::Aes128Gcm),
            0x0003 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    /// Length of a key in bytes, and of a response's nonce (RFC 9458, section 4.4).
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }
}

/// Whether a chunk is the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// A chunk before the last one, or a message without chunks.
    Middle,
    /// The last chunk.
    Last,
}

impl Position {
    const fn aad(self) -> &'static [u8] {
        match self {
            Self::Middle => MIDDLE,
            Self::Last => LAST,
        }
    }
}

/// Seals messages in order: the nonce is XORed with a counter from 0 (RFC 9180, section 5.2).
pub struct Sealer(pub(crate) Box<dyn SealContext>);

/// Opens in order what a [`Sealer`] with the same key and nonce sealed.
pub struct Opener(pub(crate) Box<dyn OpenContext>);

impl Sealer {
    /// A sealer with this key and nonce, a pair that must never be used again; `None` if the key has another length than
    /// the cipher's.
    #[must_use]
    pub fn new(aead: Aead, key: &[u8], nonce: &[u8; NONCE]) -> Option<Self> {
        fn make<A: HpkeAead + 'static>(key: &[u8], nonce: &[u8; NONCE]) -> Option<Sealer> {
            let (key, nonce) = pair::<A>(key, nonce)?;
            let none = ExporterSecret::<HkdfSha256>::default();
            Some(Sealer(Box::new(create_sender_context::<_, _, X25519HkdfSha256>(
                &key, nonce, none,
            ))))
        }
        match aead {
            Aead::Aes128Gcm => make::<AesGcm128>(key, nonce),
            Aead::Aes256Gcm => make::<AesGcm256>(key, nonce),
            Aead::ChaCha20Poly1305 => make::<hpke::aead::ChaCha20Poly1305>(key, nonce),
        }
    }

    /// Seals the next message in place, and appends [`TAG`] bytes.
    ///
    /// # Errors
    ///
    /// [`SealError::Exhausted`] after 2⁶⁴ messages.
    pub fn seal(&mut self, buffer: &mut Vec<u8>, position: Position) -> Result<(), SealError> {
        self.0.seal(buffer, position.aad()).map_err(|_| SealError::Exhausted)
    }
}

impl Opener {
    /// An opener with this key and nonce; `None` if the key has another length than the cipher's.
    #[must_use]
    pub fn new(aead: Aead, key: &[u8], nonce: &[u8; NONCE]) -> Option<Self> {
        fn make<A: HpkeAead + 'static>(key: &[u8], nonce: &[u8; NONCE]) -> Option<Opener> {
            let (key, nonce) = pair::<A>(key, nonce)?;
            let none = ExporterSecret::<HkdfSha256>::default();
            Some(Opener(Box::new(create_receiver_context::<_, _, X25519HkdfSha256>(
                &key, nonce, none,
            ))))
        }
        match aead {
            Aead::Aes128Gcm => make::<AesGcm128>(key, nonce),
            Aead::Aes256Gcm => make::<AesGcm256>(key, nonce),
            Aead::ChaCha20Poly1305 => make::<hpke::aead::ChaCha20Poly1305>(key, nonce),
        }
    }

    /// Opens the next message in place.
    ///
    /// # Errors
    ///
    /// [`Unopenable`]; the buffer is then empty, and the opener must not be used again.
    pub fn open(&mut self, buffer: &mut Vec<u8>, position: Position) -> Result<(), Unopenable> {
        let opened = self.0.open(buffer, position.aad());
        if opened.is_err() {
            buffer.zeroize();
        }
        opened.map_err(|_| Unopenable)
    }

    /// Opens a message without chunks.
    pub(crate) fn open_whole(mut self, sealed: &[u8]) -> Result<Plaintext, Unopenable> {
        let mut buffer = Zeroizing::new(sealed.to_vec());
        self.open(&mut buffer, Position::Middle)?;
        Ok(buffer.into())
    }
}

redacted!(Sealer, Opener);

fn pair<A: HpkeAead>(key: &[u8], nonce: &[u8; NONCE]) -> Option<(AeadKey<A>, AeadNonce<A>)> {
    let (mut into, mut base) = (AeadKey::<A>::default(), AeadNonce::<A>::default());
    if into.0.len() != key.len() || base.0.len() != nonce.len() {
        return None;
    }
    into.0.copy_from_slice(key);
    base.0.copy_from_slice(nonce);
    Some((into, base))
}

/// A context of any suite that seals.
pub(crate) trait SealContext: Send + Sync {
    fn seal(&mut self, buffer: &mut Vec<u8>, aad: &[u8]) -> Result<(), HpkeError>;
    fn export(&self, label: &[u8], into: &mut [u8]) -> Result<(), HpkeError>;
}

/// A context of any suite that opens.
pub(crate) trait OpenContext: Send + Sync {
    fn open(&mut self, buffer: &mut Vec<u8>, aad: &[u8]) -> Result<(), HpkeError>;
    fn export(&self, label: &[u8], into: &mut [u8]) -> Result<(), HpkeError>;
}

impl<A: HpkeAead, K: HpkeKem> SealContext for AeadCtxS<A, HkdfSha256, K>
where
    Self: Send + Sync,
{
    fn seal(&mut self, buffer: &mut Vec<u8>, aad: &[u8]) -> Result<(), HpkeError> {
        let tag = self.seal_inout_detached(InOutBuf::from(&mut buffer[..]), aad)?;
        buffer.extend_from_slice(&tag.to_bytes());
        Ok(())
    }

    fn export(&self, label: &[u8], into: &mut [u8]) -> Result<(), HpkeError> {
        Self::export(self, label, into)
    }
}

impl<A: HpkeAead, K: HpkeKem> OpenContext for AeadCtxR<A, HkdfSha256, K>
where
    Self: Send + Sync,
{
    fn open(&mut self, buffer: &mut Vec<u8>, aad: &[u8]) -> Result<(), HpkeError> {
        let at = buffer.len().checked_sub(TAG).ok_or(HpkeError::OpenError)?;
        let tag = AeadTag::<A>::from_bytes(&buffer[at..])?;
        buffer.truncate(at);
        self.open_inout_detached(InOutBuf::from(&mut buffer[..]), aad, &tag)
    }

    fn export(&self, label: &[u8], into: &mut [u8]) -> Result<(), HpkeError> {
        Self::export(self, label, into)
    }
}
