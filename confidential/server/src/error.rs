//! Errors of the roles.

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
    /// A setting is missing or invalid.
    #[error("correct the settings: {0}")]
    Setting(&'static str),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// A listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An upstream server.
    #[error(transparent)]
    Upstream(#[from] UpstreamSettingsError),
    /// The seeds.
    #[error(transparent)]
    Seeds(#[from] SeedsFileError),
    /// A signed document.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// Something that has no cause in a file or a server.
    #[error("{0}")]
    Reason(&'static str),
    /// A TLS certificate cannot be made.
    #[error("the certificate cannot be made: correct its hosts, or the authority's files")]
    Certificate(#[source] rcgen::Error),
    /// The gateway did not respond with its bundle.
    #[error("the gateway's bundle of keys cannot be fetched")]
    Bundle(#[source] Box<dyn StdError + Send + Sync>),
    /// The gateway responded with another status.
    #[error(
        "the gateway responded with status {0} instead of its bundle: are its keys from seeds?"
    )]
    NoBundle(u16),
    /// The certificate of the signing key is not valid yet.
    #[error(
        "the signing key's certificate is not valid yet: correct this machine's clock or, if that is right, the clock of the \
         machine that certified the key, and certify it there again"
    )]
    CertificateEarly,
    /// The last epoch belongs to a later certificate.
    #[error(
        "the last epoch in {0} belongs to a later certificate of the signing key: install that certificate; if it was made \
         while a clock was ahead, so that no home accepted it, set `epoch` to 0 in this file"
    )]
    LaterEpoch(std::path::PathBuf),
}
