//! An X-Wing key in an enclave's memory; the security module signs its hash.

use std::{io, sync::Arc};

use confidential_api::evidence::{EvidencePiece, EvidenceType, bound_nonce};
use confidential_envelope::{
    Decapsulate, DecapsulateError, Kem, PrivateKey, PublicKey, SharedSecret,
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    holder::{Holder, HolderError, Rek},
    locked::Locked,
    nsm::Nsm,
};

/// The bytes before the public key in a `KEY_CONFIG`: X-Wing, HKDF-SHA256, AES-128-GCM (identifiers of RFC 9180).
const SUITE: [u8; 6] = [0x64, 0x7a, 0, 1, 0, 1];

impl Holder for Nsm {
    fn generate(&self) -> Result<Arc<dyn Rek>, HolderError> {
        Ok(Arc::new(EnclaveRek::generate(self.clone())?))
    }
}

#[derive(Debug)]
struct EnclaveRek {
    nsm: Nsm,
    private: Locked,
    public: PublicKey,
}

impl EnclaveRek {
    fn generate(nsm: Nsm) -> io::Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|error| io::Error::other(error.to_string()))?;
        let public = PrivateKey::derive(Kem::XWing, &seed).public();
        Ok(Self { nsm, private: Locked::new(&seed)?, public })
    }
}

impl Rek for EnclaveRek {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn attest(&self, nonces: &[u8]) -> Result<Vec<EvidencePiece>, HolderError> {
        let key_config = [&SUITE[..], &self.public.to_bytes()].concat();
        let document = self.nsm.attest(&Sha256::digest(&key_config), &bound_nonce(nonces))?;
        let piece = |kind, data| EvidencePiece { kind, data, signature: Vec::new() };
        Ok(vec![
            piece(EvidenceType::NITRO_DOCUMENT, document),
            piece(EvidenceType::NONCE_SET, nonces.to_vec()),
            piece(EvidenceType::KEY_CONFIG, key_config),
        ])
    }
}

/// Uses a temporary copy of the private key, which is zeroized.
impl Decapsulate for EnclaveRek {
    fn kem(&self) -> Kem {
        Kem::XWing
    }

    fn decapsulate(&self, encapsulated_key: &[u8]) -> Result<SharedSecret, DecapsulateError> {
        let seed = Zeroizing::new(*self.private.get());
        PrivateKey::derive(Kem::XWing, &seed).decapsulate(encapsulated_key)
    }
}
