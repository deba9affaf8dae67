//! HPKE's key schedule, base mode, HKDF-SHA256 (RFC 9180, section 5.1): from a shared secret to a context.
//!
//! It is separate from encapsulation, so that a secret may come from a device or be made in advance.

use hpke::{
    Kem as HpkeKem, OpModeR,
    aead::{Aead as HpkeAead, AeadCtx, AeadCtxR, AeadCtxS, AesGcm128, AesGcm256},
    hybrid_array::typenum::U32,
    kdf::{HkdfSha256, Kdf as _},
    kem::{self, DhP256HkdfSha256, X25519HkdfSha256, XWing},
};

use crate::{
    Aead, Kem, SharedSecret,
    aead::{OpenContext, Opener, SealContext, Sealer},
};

/// HPKE's identifier of HKDF-SHA256, the one KDF here.
pub(crate) const KDF: u16 = 0x0001;

/// Bytes of [`header`].
pub(crate) const HEADER: usize = 7;

/// The header of a request (RFC 9458, section 4.1): which key, which algorithms.
pub(crate) fn header(key_id: u8, kem: Kem, aead: Aead) -> [u8; HEADER] {
    let ([k0, k1], [d0, d1], [a0, a1]) =
        (kem.id().to_be_bytes(), KDF.to_be_bytes(), aead.id().to_be_bytes());
    [key_id, k0, k1, d0, d1, a0, a1]
}

/// The `info` that binds a request to its kind and header (RFC 9458, section 4.3).
pub(crate) fn info(label: &str, header: &[u8; HEADER]) -> Vec<u8> {
    [label.as_bytes(), &[0], header].concat()
}

/// The client's context.
pub(crate) fn sender(kem: Kem, aead: Aead, secret: &SharedSecret, info: &[u8]) -> Sealer {
    fn make<A: HpkeAead + 'static, K: HpkeKem<NSecret = U32> + 'static>(
        secret: &SharedSecret,
        info: &[u8],
    ) -> Sealer
    where
        AeadCtxS<A, HkdfSha256, K>: SealContext,
    {
        Sealer(Box::new(AeadCtxS::from(context::<A, K>(secret, info))))
    }
    match (kem, aead) {
        (Kem::XWing, Aead::Aes128Gcm) => make::<AesGcm128, XWing>(secret, info),
        (Kem::XWing, Aead::Aes256Gcm) => make::<AesGcm256, XWing>(secret, info),
        (Kem::XWing, Aead::ChaCha20Poly1305) => make::<ChaCha, XWing>(secret, info),
        (Kem::X25519, Aead::Aes128Gcm) => make::<AesGcm128, X25519HkdfSha256>(secret, info),
        (Kem::X25519, Aead::Aes256Gcm) => make::<AesGcm256, X25519HkdfSha256>(secret, info),
        (Kem::X25519, Aead::ChaCha20Poly1305) => make::<ChaCha, X25519HkdfSha256>(secret, info),
        (Kem::P256, Aead::Aes128Gcm) => make::<AesGcm128, DhP256HkdfSha256>(secret, info),
        (Kem::P256, Aead::Aes256Gcm) => make::<AesGcm256, DhP256HkdfSha256>(secret, info),
        (Kem::P256, Aead::ChaCha20Poly1305) => make::<ChaCha, DhP256HkdfSha256>(secret, info),
    }
}

/// The context of the holder of the private key.
pub(crate) fn receiver(kem: Kem, aead: Aead, secret: &SharedSecret, info: &[u8]) -> Opener {
    fn make<A: HpkeAead + 'static, K: HpkeKem<NSecret = U32> + 'static>(
        secret: &SharedSecret,
        info: &[u8],
    ) -> Opener
    where
        AeadCtxR<A, HkdfSha256, K>: OpenContext,
    {
        Opener(Box::new(AeadCtxR::from(context::<A, K>(secret, info))))
    }
    match (kem, aead) {
        (Kem::XWing, Aead::Aes128Gcm) => make::<AesGcm128, XWing>(secret, info),
        (Kem::XWing, Aead::Aes256Gcm) => make::<AesGcm256, XWing>(secret, info),
        (Kem::XWing, Aead::ChaCha20Poly1305) => make::<ChaCha, XWing>(secret, info),
        (Kem::X25519, Aead::Aes128Gcm) => make::<AesGcm128, X25519HkdfSha256>(secret, info),
        (Kem::X25519, Aead::Aes256Gcm) => make::<AesGcm256, X25519HkdfSha256>(secret, info),
        (Kem::X25519, Aead::ChaCha20Poly1305) => make::<ChaCha, X25519HkdfSha256>(secret, info),
        (Kem::P256, Aead::Aes128Gcm) => make::<AesGcm128, DhP256HkdfSha256>(secret, info),
        (Kem::P256, Aead::Aes256Gcm) => make::<AesGcm256, DhP256HkdfSha256>(secret, info),
        (Kem::P256, Aead::ChaCha20Poly1305) => make::<ChaCha, DhP256HkdfSha256>(secret, info),
    }
}

type ChaCha = hpke::aead::ChaCha20Poly1305;

fn context<A: HpkeAead, K: HpkeKem<NSecret = U32>>(
    secret: &SharedSecret,
    info: &[u8],
) -> AeadCtx<A, HkdfSha256, K> {
    let mut shared = kem::SharedSecret::<K>::default();
    shared.0.copy_from_slice(&**secret.as_bytes());
    HkdfSha256::combine_secrets::<A, K, _>(&OpModeR::<K>::Base, shared, info)
}
