//! Why a role does not run.

use std::error::Error as StdError;

use chassis::{pem::FileError, state::StateError};
use confidential_api::signed::SignedError;

pub use crate::{
    http::{listen::ListenError, upstream::UpstreamSettingsError},
    seeds::SeedsFileError,
};

/// Why a role does not run, or cannot renew what it serves.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is missing or impossible.
    #[error("correct the settings: {0}")]
    Setting(&'static str),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// Where it listens.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Whom it asks.
    #[error(transparent)]
    Upstream(#[from] UpstreamSettingsError),
    /// The seeds.
    #[error(transparent)]
    Seeds(#[from] SeedsFileError),
    /// A signed document.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// The clock is beyond what a certificate can say.
    #[error("this machine's clock is wrong: correct it")]
    Clock,
    /// A TLS certificate cannot be made.
    #[error("the certificate cannot be made: correct its hosts, or the authority's files")]
    Certificate(#[source] rcgen::Error),
    /// The gateway gave no bundle.
    #[error("the gateway cannot be asked for its bundle of keys")]
    Bundle(#[source] Box<dyn StdError + Send + Sync>),
    /// The same, in its own words.
    #[error("the gateway answers {0} to the question for its bundle: are its keys from seeds?")]
    NoBundle(u16),
    /// The gateway's bundle has a key that is none.
    #[error("the gateway's bundle has a key that cannot be read")]
    BundleKeys,
    /// The certificate of the key that signs begins later.
    #[error(
        "the signing key's certificate is not valid yet: correct this machine's clock or, if that is right, the clock of the \
         machine that certified the key, and certify it there once more"
    )]
    CertificateEarly,
    /// The certificate of the key that signs has ended.
    #[error("the signing key's certificate has ended: certify the key once more")]
    CertificateOver,
    /// What a key signs has an epoch, and those that it was certified for are used up.
    #[error(
        "the signing key's certificate is for no epoch after the last: certify the key once more"
    )]
    Epochs,
    /// The last epoch is of a later certificate.
    #[error(
        "the last epoch in {0} is of a later certificate of the signing key: put that one in place; if it was made while a \
         clock was ahead, so that no home took it, set `epoch` to 0 in this file"
    )]
    LaterEpoch(std::path::PathBuf),
    /// The gateway's bundle is older than one before.
    #[error("the gateway's bundle is older than one that was served: restore the gateway's state")]
    BundleBack,
}
