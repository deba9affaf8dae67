//! HTTP over one UNIX socket.

use std::{io, path::Path, time::Duration};

use chassis::unix::{ConnectError, Connector, VerifiedSocket};
use services::Link;

/// Makes HTTP clients for sockets and the mesh: no certificate authority is asked there, nor read from the disk.
pub fn plain() -> reqwest::ClientBuilder {
    reqwest::Client::builder().tls_certs_only([])
}

/// How `link` is connected to in the instance at `root`: its owner listens there.
#[must_use]
pub fn connector(link: &Link, root: &Path) -> Connector {
    Connector::new(root, &link.path(root)).listener(link.owner)
}

/// An HTTP client for one socket, whose listener was checked.
#[derive(Debug)]
pub struct Local {
    /// It connects to that socket, whatever the URL says.
    pub http: reqwest::Client,
    /// The client's path leads there.
    _socket: VerifiedSocket,
}

impl Local {
    /// A client whose requests may take so long each.
    ///
    /// # Errors
    ///
    /// Fails if nobody listens there, or another user does.
    pub async fn open(connector: &Connector, patience: Duration) -> Result<Self, ConnectError> {
        let socket = connector.checked().await?;
        let http = plain().unix_socket(socket.path()).timeout(patience).build();
        let failed = |error| ConnectError::Unreachable {
            path: connector.path(),
            source: io::Error::other(error),
        };
        Ok(Self { http: http.map_err(failed)?, _socket: socket })
    }
}
