//! `maru-compute`, the *attester* and *target* of the confidential chain: a node that shows what it runs, and answers
//! sealed requests, each in a process of its own (`docs/protocols/confidential.md`).
//!
//! ```text
//! router ══ TLS ══▶ router-com ── frames ──▶ boot ──▶ worker (one for each request) ──▶ engine
//!                   sealed bytes alone      private key, evidence    question and answer
//! ```
//!
//! * [`boot`] holds the private key, or has a TPM hold it, and shows signed evidence of it.
//! * [`router_com`] faces the network, and sees nothing but what is sealed.
//! * [`worker`] opens one request, asks the engine, seals its answer, and is gone.
//!
//! Whoever asks is known to none of them.
#![allow(clippy::disallowed_methods, reason = "a daemon is a shell: it reads the clock")]

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use chassis::{
    pem::FileError,
    settings::SettingsError,
    unix::{BindError, Connector},
};
use confidential_api::settings::compute::{FILE, Settings};

pub mod boot;
mod enclave;
pub mod evidence;
pub mod frame;
pub mod holder;
pub mod job;
mod locked;
pub mod nsm;
pub mod rek;
pub mod router_com;
#[cfg(test)]
mod test_support;
pub mod tpm;
pub mod worker;

/// Why one of the processes ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root is not safe.
    #[error(transparent)]
    Root(#[from] chassis::root::UnsafeRoot),
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// An address in the settings cannot be used.
    #[error("{what} = {url:?} in confidential-compute.toml cannot be used: {reason}")]
    Url {
        /// Which key.
        what: &'static str,
        /// What it says.
        url: String,
        /// What to write.
        reason: &'static str,
    },
    /// No model is named.
    #[error("models in confidential-compute.toml names none: write those that the engine has")]
    Models,
    /// A certificate cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The port cannot be bound.
    #[error("cannot listen on {at}: is another process there?")]
    Listen {
        /// Where.
        at: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Signals cannot be watched.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
    /// The process could not give up its rights.
    #[error("cannot confine this process")]
    Confine(#[source] io::Error),
    /// Two places for the key are named.
    #[error(
        "nsm and tpm are both in confidential-compute.toml: name the one that this machine has"
    )]
    TwoHolders,
    /// No TPM is named.
    #[error(
        "confidential-compute.toml names no tpm, so there is no attestation key to make: write tpm = \"/dev/tpmrm0\""
    )]
    NoTpm,
    /// There is no key.
    #[error("no key can be made")]
    Key(#[source] holder::HolderError),
    /// The node has no name.
    #[error("no name can be made for this node")]
    NodeId,
    /// A worker could not do its job; what that was is nobody's to know.
    #[error("the job could not be done")]
    Job(#[source] io::Error),
}

/// The directory below which all paths of the settings lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// Takes a directory as it is.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// Where a path of the settings is.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// How a socket of the settings is connected to.
    fn connector(&self, path: &Path) -> Connector {
        Connector::new(&self.0, &self.path(path))
    }
}

/// Reads the settings that were named, or those below the root.
///
/// # Errors
///
/// [`Error::Root`] or [`Error::Settings`].
pub fn load(root: &Path, named: Option<&Path>) -> Result<Settings, Error> {
    chassis::root::check(root)?;
    Ok(chassis::settings::load(named, &root.join(FILE), Ok)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_example_is_read_and_says_the_defaults() {
        let text = include_str!("../confidential-compute.example.toml");
        let read: Settings = chassis::settings::parse(Path::new(FILE), text).unwrap();
        let usual = Settings {
            url: read.url.clone(),
            models: read.models.clone(),
            router: read.router.clone(),
            ..Settings::default()
        };
        assert_eq!(read, usual);
        assert_eq!(read.models, ["smollm2"]);
    }
}
