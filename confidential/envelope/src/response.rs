//! The keys of a response (RFC 9458, section 4.4), for both layers and for sealed chat.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    Aead,
    aead::{NONCE, Opener, Sealer},
};

/// Key and nonce of one response; for one [`Sealer`] or one [`Opener`].
pub struct Keys {
    aead: Aead,
    key: Zeroizing<Vec<u8>>,
    nonce: Zeroizing<[u8; NONCE]>,
}

impl Keys {
    /// Derives them from the exported secret, the request's encapsulated key and the response's nonce.
    ///
    /// It is never `None`: HKDF can derive keys of this length.
    #[must_use]
    pub fn derive(
        aead: Aead,
        secret: &[u8],
        encapsulated_key: &[u8],
        response_nonce: &[u8],
    ) -> Option<Self> {
        let salt = [encapsulated_key, response_nonce].concat();
        let prk = Hkdf::<Sha256>::new(Some(&salt), secret);
        let (mut key, mut nonce) =
            (Zeroizing::new(vec![0; aead.key_len()]), Zeroizing::new([0; NONCE]));
        prk.expand(b"key", &mut key).ok()?;
        prk.expand(b"nonce", &mut *nonce).ok()?;
        Some(Self { aead, key, nonce })
    }

    /// The sealer; never `None`.
    #[must_use]
    pub fn sealer(self) -> Option<Sealer> {
        Sealer::new(self.aead, &self.key, &self.nonce)
    }

    /// The opener; never `None`.
    #[must_use]
    pub fn opener(self) -> Option<Opener> {
        Opener::new(self.aead, &self.key, &self.nonce)
    }
}

redacted!(Keys);
