//! How a backend is reached: address, key, certificates, patience.

use std::{fmt, path::PathBuf, time::Duration};

use zeroize::Zeroizing;

/// Everything that a connection to a backend needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `unix:///path/to.sock`, `http://host:port` on this machine or in the mesh, or `https://host:port`; a trailing
    /// `/v1` is understood.
    pub base_url: String,
    /// Sent with each request as `Authorization: Bearer`, if there is one.
    pub key: Option<ApiKey>,
    /// For `https://`, and for a UNIX socket that leads to a TLS server.
    pub tls: Tls,
    /// For a UNIX socket.
    pub socket: SocketTrust,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl Settings {
    /// An address without key and certificates, with the usual patience.
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

/// What tells a backend that we may use it. `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub enum ApiKey {
    /// The key itself.
    Text(Zeroizing<String>),
    /// A file that holds it; read again when it changes.
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

/// The PEM files of TLS; each is read again when it changes, while replies go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of the authorities that the server's certificate may come from: no others are trusted.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown to the server, with its chain.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// Name that the server's certificate must be for, if it is not the address's host.
    pub server_name: Option<String>,
}

/// How long to wait for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, TLS included. Default: 5 s.
    pub connect: Duration,
    /// For an answer that takes no model: health, lists, slots. Default: 5 s.
    pub health: Duration,
    /// For a reply's first delta: the model may load, and it reads the whole prompt first. Default: 900 s.
    pub first: Duration,
    /// Between two signs of life after that; comment lines count. Default: 60 s.
    pub idle: Duration,
    /// For the reply, from its first delta on. Default: 600 s.
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
