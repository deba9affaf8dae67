//! HTTP over one UNIX socket.

use std::{io, path::Path, time::Duration};

use chassis::unix::{ConnectError, Connector, VerifiedSocket};
use services::Link;

/// HTTP clients for sockets and the mesh, without certificate authorities.
pub fn plain() -> reqwest::ClientBuilder {
    reqwest::Client::builder().tls_certs_only([])
}

/// Connects to `link` in the instance at `root`, where its owner must listen.
#[must_use]
pub fn connector(link: &Link, root: &Path) -> Connector {
    Connector::new(root, &link.path(root)).listener(link.owner)
}

/// An HTTP client for one socket, whose listener was checked.
#[derive(Debug)]
pub struct LocalClient {
    /// Connects to that socket, whatever the URL is.
    pub http: reqwest::Client,
    /// Keeps the socket that the client's path leads to.
    _socket: VerifiedSocket,
}

impl LocalClient {
    /// A client with a timeout for each request.
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
