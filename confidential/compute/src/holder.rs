//! The holder of the request encryption key (REK), which also makes the evidence: an enclave with its security module, or a
//! TPM.

use std::{fmt, io, sync::Arc};

use confidential_api::evidence::EvidencePiece;
use confidential_envelope::{Decapsulate, PublicKey};

use crate::{nsm::NsmError, tpm::TpmError};

/// The request encryption key. Its operations may be slow.
pub trait Rek: Decapsulate + fmt::Debug + Send + Sync {
    /// Its public key.
    fn public(&self) -> &PublicKey;

    /// Makes the evidence of this key for a nonce set.
    ///
    /// # Errors
    ///
    /// The holder failed.
    fn attest(&self, nonces: &[u8]) -> Result<Vec<EvidencePiece>, HolderError>;

    /// Whether the holder lost the key, so that it must be replaced; does not wait for the holder.
    fn is_lost(&self) -> bool {
        false
    }
}

/// A holder of keys.
pub trait Holder: fmt::Debug + Send + Sync {
    /// Makes a key; this may be slow.
    ///
    /// # Errors
    ///
    /// The holder failed.
    fn generate(&self) -> Result<Arc<dyn Rek>, HolderError>;

    /// Whether it did not respond to the last request; does not wait for it.
    fn is_silent(&self) -> bool {
        false
    }
}

/// The holder failed.
#[derive(Debug, thiserror::Error)]
pub enum HolderError {
    /// The system failed.
    #[error("this machine has no random bytes, or no memory")]
    Machine(#[from] io::Error),
    /// The security module failed.
    #[error(transparent)]
    Nsm(#[from] NsmError),
    /// The TPM failed.
    #[error(transparent)]
    Tpm(#[from] TpmError),
}
