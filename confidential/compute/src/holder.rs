//! Who holds the key that requests are sealed to, and proves where this program runs: an enclave's memory with its security
//! module, or a TPM.

use std::{fmt, io, sync::Arc};

use confidential_api::evidence::EvidencePiece;
use confidential_envelope::{Decapsulate, PublicKey};

use crate::{nsm::NsmError, tpm::TpmError};

/// The key that requests are sealed to (REK). What is asked of it may take a while.
pub trait Rek: Decapsulate + fmt::Debug + Send + Sync {
    /// Its public half.
    fn public(&self) -> &PublicKey;

    /// Makes the pieces of evidence for this key and these nonces, joined.
    ///
    /// # Errors
    ///
    /// Its holder gave none.
    fn attest(&self, nonces: &[u8]) -> Result<Vec<EvidencePiece>, HolderError>;

    /// Whether its holder lost it, so that there must be another; told without waiting for the holder.
    fn is_lost(&self) -> bool {
        false
    }
}

/// What makes such keys.
pub trait Holder: fmt::Debug + Send + Sync {
    /// Makes one; this may take a while.
    ///
    /// # Errors
    ///
    /// There can be none.
    fn generate(&self) -> Result<Arc<dyn Rek>, HolderError>;

    /// Whether it did not answer when it was last asked; told without waiting for it.
    fn is_silent(&self) -> bool {
        false
    }
}

/// A holder did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum HolderError {
    /// This machine has no random bytes or no memory.
    #[error("this machine has no random bytes, or no memory")]
    Machine(#[from] io::Error),
    /// The security module gave no document.
    #[error(transparent)]
    Nsm(#[from] NsmError),
    /// The TPM did not do it.
    #[error(transparent)]
    Tpm(#[from] TpmError),
}
