//! The request encryption key in a TPM.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use confidential_api::{
    evidence::{EvidencePiece, EvidenceType, bound_nonce},
    quote::TpmQuote,
};
use confidential_envelope::{
    Decapsulate, DecapsulateError, Kem, PublicKey, SharedSecret, kem::check_p256,
};
use tpm2_protocol::data::{Tpm2bAttest, TpmRh};
use zeroize::Zeroizing;

use super::{
    Tpm,
    command::{Commands, CreatedKey},
    error::TpmError,
    public,
};
use crate::holder::{Holder, HolderError, Rek};

/// Maximum number of attempts to make a key: in one of 128, a coordinate begins with zeros.
const TRIES: usize = 8;

/// A P-256 key. Dropping it flushes it from the TPM.
#[derive(Debug)]
pub(super) struct TpmRek {
    tpm: Tpm,
    created: CreatedKey,
    public: PublicKey,
    /// Whether a changed register was logged.
    logged: AtomicBool,
}

impl TpmRek {
    /// Makes a key that is bound to the current values of the registers. It is in the null hierarchy, so that it does not
    /// survive a restart.
    pub(super) fn generate(tpm: Tpm) -> Result<Self, TpmError> {
        let mut commands = tpm.commands();
        // Without it, there is no evidence.
        tpm.ak(&mut commands)?;
        let policy = public::policy(&tpm.registers(&mut commands)?)?;
        let (created, public) = create(&mut commands, policy)?;
        drop(commands);
        Ok(Self { tpm, created, public, logged: AtomicBool::new(false) })
    }

    /// The five pieces of `docs/protocols/confidential.md`.
    fn pieces(&self, nonces: &[u8]) -> Result<Vec<EvidencePiece>, TpmError> {
        let data = bound_nonce(nonces);
        let mut commands = self.tpm.commands();
        // Read each time: it may have been replaced.
        let ak = self.tpm.ak(&mut commands)?;
        let registers = self.tpm.registers(&mut commands)?;
        let quoted = commands.quote(self.tpm.0.ak, &data, &registers)?;
        let certified = commands.certify(self.tpm.0.ak, &data, &self.created)?;
        drop(commands);
        let quote = TpmQuote { attest: public::bytes(&quoted.attest)?, registers };
        let piece = |kind, data, signature| EvidencePiece { kind, data, signature };
        let area = |kind, area: &[u8]| piece(kind, area.to_vec(), public::name(area));
        Ok(vec![
            area(EvidenceType::AK_TPMT_PUBLIC, &ak),
            piece(
                EvidenceType::CERTIFY_REK_CREATION,
                public::bytes(&Tpm2bAttest { inner: certified.attest })?,
                public::bytes(&certified.signature)?,
            ),
            piece(EvidenceType::TPM_QUOTE, quote.encode(), public::bytes(&quoted.signature)?),
            area(EvidenceType::TPMT_PUBLIC, &self.created.bytes),
            piece(EvidenceType::NONCE_SET, nonces.to_vec(), Vec::new()),
        ])
    }

    /// The x coordinate of a point times the private key.
    pub(super) fn multiply(&self, point: &[u8; 65]) -> Result<Zeroizing<[u8; 32]>, TpmError> {
        self.tpm.commands().multiply(self.created.key, &self.tpm.0.registers, point)
    }
}

impl Holder for Tpm {
    fn generate(&self) -> Result<Arc<dyn Rek>, HolderError> {
        Ok(Arc::new(TpmRek::generate(self.clone())?))
    }

    fn is_silent(&self) -> bool {
        self.0.condition.is_silent()
    }
}

impl Rek for TpmRek {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn attest(&self, nonces: &[u8]) -> Result<Vec<EvidencePiece>, HolderError> {
        Ok(self.pieces(nonces)?)
    }

    fn is_lost(&self) -> bool {
        !self.tpm.0.condition.has(self.created.key)
    }
}

impl Decapsulate for TpmRek {
    fn kem(&self) -> Kem {
        Kem::P256
    }

    fn decapsulate(&self, encapsulated_key: &[u8]) -> Result<SharedSecret, DecapsulateError> {
        // Only points on the curve reach the TPM.
        check_p256(encapsulated_key).map_err(|_| DecapsulateError::Invalid)?;
        let point = encapsulated_key.try_into().map_err(|_| DecapsulateError::Invalid)?;
        let product = self.multiply(point).map_err(|error| {
            if !matches!(error, TpmError::Changed) || !self.logged.swap(true, Ordering::Relaxed) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a request could not be opened");
            }
            DecapsulateError::Holder(error.into())
        })?;
        SharedSecret::from_p256_dh(&product, encapsulated_key, &self.public)
            .map_err(|_| DecapsulateError::Invalid)
    }
}

impl Drop for TpmRek {
    fn drop(&mut self) {
        // A lost key needs no flush.
        if !self.is_lost() {
            self.tpm.commands().flush(self.created.key);
        }
    }
}

/// Makes a key with a policy.
fn create(commands: &mut Commands, policy: [u8; 32]) -> Result<(CreatedKey, PublicKey), TpmError> {
    for _ in 0..TRIES {
        let mut unique = [0; 32];
        getrandom::fill(&mut unique).map_err(|_| TpmError::Random)?;
        let created = commands.create(TpmRh::Null, public::rek(policy, unique)?)?;
        let point = public::point(&created.public);
        let public = point.and_then(|point| PublicKey::from_bytes(Kem::P256, &point).ok());
        match public {
            Some(public) => return Ok((created, public)),
            None => commands.flush(created.key),
        }
    }
    Err(TpmError::Malformed("CreatePrimary"))
}
