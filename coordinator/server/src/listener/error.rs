//! Why the coordinator cannot be reached.

use std::{io, net::SocketAddr};

use chassis::pem;

use crate::files::FileError;

/// The coordinator cannot be reached as its settings want it.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// `[tls]`, `[proxy]` and `server_url` do not go together.
    #[error("cannot use coordinator.toml: {0}")]
    Settings(String),
    /// The certificate or its key, or what is believed of an authority.
    #[error(transparent)]
    Certificate(#[from] pem::FileError),
    /// What belongs to it.
    #[error(transparent)]
    File(#[from] FileError),
    /// TLS itself.
    #[error("TLS is not available")]
    Tls(#[from] rustls::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}; {}", advice(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

fn advice(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return "ports below 1024 are root's: let your router, or a rule of nftables, lead that port to `listen` in \
                coordinator.toml, such as 443 to 8443";
    }
    if error.kind() == io::ErrorKind::AddrNotAvailable {
        return "this machine does not have that address: correct `listen` in coordinator.toml";
    }
    "stop what uses the port, or set `listen` in coordinator.toml"
}
