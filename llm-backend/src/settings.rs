//! Settings of the connection to a backend: address, key, certificates, timeouts.

use std::{fmt, path::PathBuf, time::Duration};

use zeroize::Zeroizing;

/// Everything that a connection to a backend needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `unix:///path/to.sock`, `http://host:port` on this machine or in the mesh, or `https://host:port`; a trailing
    /// `/v1` is allowed.
    pub base_url: String,
    /// Sent with each request as `Authorization: Bearer`, if there is one.
    pub key: Option<ApiKey>,
    /// For `https://`, and for a UNIX socket that leads to a TLS server.
    pub tls: Tls,
    /// For a UNIX socket.
    pub socket: SocketTrust,
    /// Timeouts.
    pub timeouts: Timeouts,
}

impl Settings {
    /// An address without key and certificates, with the default timeouts.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            key: None,
            tls: Tls::default(),
            socket: SocketTrust::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// Which UNIX sockets are connected to: those on which one user listens, and to which no link leads
/// ([`chassis::unix::Connector`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketTrust {
    /// The folder below which no part of the socket's path is a link. Default: `/`.
    pub root: PathBuf,
    /// The user id of who listens. Default: the owner of the socket's folder.
    pub uid: Option<u32>,
}

impl Default for SocketTrust {
    fn default() -> Self {
        Self { root: PathBuf::from("/"), uid: None }
    }
}

/// The key of a backend's API. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub enum ApiKey {
    /// The key itself.
    Text(Zeroizing<String>),
    /// A file that contains it; read again when it changes.
    File(PathBuf),
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text([redacted])"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// The PEM files of TLS; each is read again when it changes, without interrupting replies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of the CAs that may have issued the server's certificate: no others are trusted.
    pub ca: Option<PathBuf>,
    /// The client certificate, with its chain.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// Name that the server's certificate must be for, if it is not the address's host.
    pub server_name: Option<String>,
}

/// Timeouts of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, TLS included. Default: 5 s.
    pub connect: Duration,
    /// For an answer that needs no model: health, lists, slots. Default: 5 s.
    pub health: Duration,
    /// For a reply's first delta: the model may load, and it reads the whole prompt first. Default: 900 s.
    pub first: Duration,
    /// Between two pieces of a reply after that; comment lines count. Default: 60 s.
    pub idle: Duration,
    /// For the reply after its first delta. Default: 600 s.
    pub budget: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            health: Duration::from_secs(5),
            first: Duration::from_secs(900),
            idle: Duration::from_secs(60),
            budget: Duration::from_secs(600),
        }
    }
}
