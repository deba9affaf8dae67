//! One connection: a UNIX socket or TCP, with TLS or without.

use std::io;

use bytes::Bytes;
use chassis::{client, dial, unix::Connector};
use http_body_util::Full;

use crate::{address::Address, settings::SocketTrust};

/// A connection to a backend.
pub(super) type Connection = client::Connection<Full<Bytes>>;

/// Which file a path names at the moment: its device and number. Another file under the same name has others.
pub(super) type FileId = (u64, u64);

/// Where connections are made to.
#[derive(Debug)]
pub(super) enum Target {
    /// A UNIX socket.
    Socket(Connector),
    /// A host, by its name or address, and a port.
    Tcp(String, u16),
}

impl Target {
    /// `trust` says which UNIX sockets are connected to.
    pub(super) fn of(address: &Address, trust: &SocketTrust) -> Self {
        match address {
            Address::Unix(path) => {
                Self::Socket(Connector::new(&trust.root, path).listener(trust.uid))
            }
            Address::Tcp { host, port, .. } => Self::Tcp(host.clone(), *port),
        }
    }

    /// The socket that a connection would be made to; `None` for TCP, and where none is.
    pub(super) fn socket(&self) -> Option<FileId> {
        match self {
            Self::Socket(connector) => connector.file(),
            Self::Tcp(..) => None,
        }
    }

    /// Connects; speaks TLS where `tls` says how, and takes only a certificate for its name.
    pub(super) async fn connect(&self, tls: Option<dial::Trust>) -> io::Result<dial::Stream> {
        match self {
            Self::Socket(connector) => dial::secure(connector.connect().await?, tls).await,
            Self::Tcp(host, port) => dial::secure(dial::tcp(host, *port).await?, tls).await,
        }
    }
}
