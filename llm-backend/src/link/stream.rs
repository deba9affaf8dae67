//! One connection: a UNIX socket or TCP, with TLS or without.

use std::io;

use bytes::Bytes;
use chassis::{client, dial, unix::Connector};
use http_body_util::Full;

use crate::{address::Address, settings::SocketTrust};

/// A connection to a backend.
pub(super) type Connection = client::Connection<Full<Bytes>>;

/// The identity of a file: its device and inode. Another file at the same path has another identity.
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
    /// `trust` defines which UNIX sockets are trusted.
    pub(super) fn of(address: &Address, trust: &SocketTrust) -> Self {
        match address {
            Address::Unix(path) => {
                Self::Socket(Connector::new(&trust.root, path).listener(trust.uid))
            }
            Address::Tcp { host, port, .. } => Self::Tcp(host.clone(), *port),
        }
    }

    /// The file of the UNIX socket; `None` for TCP, or if there is no file.
    pub(super) fn socket(&self) -> Option<FileId> {
        match self {
            Self::Socket(connector) => connector.file(),
            Self::Tcp(..) => None,
        }
    }

    /// Connects, with TLS if `tls` is given; the server's certificate must be for its name.
    pub(super) async fn connect(&self, tls: Option<dial::Trust>) -> io::Result<dial::Stream> {
        match self {
            Self::Socket(connector) => dial::secure(connector.connect().await?, tls).await,
            Self::Tcp(host, port) => dial::secure(dial::tcp(host, *port).await?, tls).await,
        }
    }
}
