//! Errors of the public port.

use std::{io, net::SocketAddr};

use chassis::pem;

use crate::files::FileError;

/// The public port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// `[tls]`, `[proxy]` and `server_url` are inconsistent.
    #[error("cannot use coordinator.toml: {0}")]
    Settings(String),
    /// The certificate, its key, or the CA of the ACME directory.
    #[error(transparent)]
    Certificate(#[from] pem::FileError),
    /// A file or directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// TLS cannot be configured.
    #[error("TLS is not available")]
    Tls(#[from] rustls::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {}; {}", .0, advice(.1))]
    Listen(SocketAddr, #[source] io::Error),
}

fn advice(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return "ports below 1024 need root: forward the port to `listen` in coordinator.toml, such as 443 to 8443, with your \
                router or an nftables rule";
    }
    if error.kind() == io::ErrorKind::AddrNotAvailable {
        return "this machine does not have that address: correct `listen` in coordinator.toml";
    }
    "stop what uses the port, or set `listen` in coordinator.toml"
}
