//! The keys of a response (RFC 9458, section 4.4), which both layers here and sealed chat use.

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
    /// `None` never happens: HKDF makes keys this short from anything.
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

    /// The answering side; `None` never happens.
    #[must_use]
    pub fn sealer(self) -> Option<Sealer> {
        Sealer::new(self.aead, &self.key, &self.nonce)
    }

    /// The asking side; `None` never happens.
    #[must_use]
    pub fn opener(self) -> Option<Opener> {
        Opener::new(self.aead, &self.key, &self.nonce)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}
