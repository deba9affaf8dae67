//! `maru-compute`, the *attester* and *target* of the confidential chain: a node that makes evidence of its software, and
//! answers sealed requests, each in a process of its own (`docs/protocols/confidential.md`).
//!
//! ```text
//! router ══ TLS ══▶ router-com ── frames ──▶ boot ──▶ worker (one for each request) ──▶ engine
//!                   sealed bytes only       private key, evidence    request and response
//! ```
//!
//! * [`boot`] holds the private key, in memory or in a TPM, and makes evidence of it.
//! * [`router_com`] faces the network, and sees only sealed bytes.
//! * [`worker`] opens one request, sends it to the engine, seals the response, and ends.
//!
//! None of them sees the client's address.
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

mod args;
pub mod boot;
mod enclave;
pub mod evidence;
pub mod frame;
pub mod holder;
mod http;
pub mod job;
mod locked;
pub mod nsm;
pub mod rek;
pub mod router_com;
#[cfg(test)]
mod test_support;
pub mod tpm;
pub mod worker;

pub use args::{Args, Process};

/// Why one of the processes failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root is unsafe.
    #[error(transparent)]
    Root(#[from] chassis::root::UnsafeRoot),
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// An address in the settings cannot be used.
    #[error("{0} = {1:?} in confidential-compute.toml cannot be used: {2}")]
    Url(&'static str, String, &'static str),
    /// There are no models.
    #[error("models in confidential-compute.toml is empty: list the models of the engine")]
    Models,
    /// A certificate cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The port cannot be bound.
    #[error("cannot listen on {0}: does another process use it?")]
    Listen(SocketAddr, #[source] io::Error),
    /// Signals cannot be watched.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
    /// The process could not drop its rights.
    #[error("cannot confine this process")]
    Confine(#[source] io::Error),
    /// Both `nsm` and `tpm` are set.
    #[error(
        "both nsm and tpm are set in confidential-compute.toml: set the one that this machine has"
    )]
    TwoHolders,
    /// `tpm` is not set.
    #[error(
        "tpm is not set in confidential-compute.toml, so no attestation key can be made: write tpm = \"/dev/tpmrm0\""
    )]
    NoTpm,
    /// The key cannot be made.
    #[error("the key cannot be made")]
    Key(#[source] holder::HolderError),
    /// The node's ID cannot be made.
    #[error("the node's ID cannot be made")]
    NodeId,
    /// A worker failed; the error contains nothing of the request.
    #[error("the worker failed")]
    Job(#[source] io::Error),
}

/// The root directory of all paths in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// The root at this path.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// The absolute form of a path in the settings.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A connector to a socket in the settings.
    fn connector(&self, path: &Path) -> Connector {
        Connector::new(&self.0, &self.path(path))
    }
}

/// Reads the given settings file, or the default one.
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
