//! One connection to the coordinator: HTTP/2 inside the Noise channel inside TCP, or inside TLS.

use std::time::Duration;

use bytes::Bytes;
use chassis::{body::whole, client, dial};
use common::mesh;
use control_protocol::{
    CAPABILITY_VERSION,
    key::{MachinePrivate, MachinePublic},
    key_response::{self, KeyResponse},
};
use control_stream::client::{Connect, ConnectError, connect};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use messages::{Message, message};
use serde::Serialize;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use super::{
    server::Server,
    tls::{self, TlsError},
};
use crate::{connect, dns::forward::Forwarder};

/// How long connecting, and each short request, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Interval and timeout of keep-alive pings.
const PING: Duration = Duration::from_secs(20);

/// The coordinator is not available.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub enum ChannelError {
    /// Its name has no address.
    Name {
        /// The coordinator's address.
        url: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It has mesh addresses only, which need the coordinator.
    Mesh(String),
    /// It cannot be reached.
    Dial {
        /// The coordinator's address.
        url: String,
        /// Why not.
        source: std::io::Error,
    },
    /// TLS failed.
    Tls(#[from] TlsError),
    /// The server is not a coordinator.
    NotCoordinator(String),
    /// The Noise handshake failed.
    Connect(#[source] ConnectError),
    /// The connection ended.
    Http(#[source] hyper::Error),
    /// The answer is too long, cut off or late.
    Answer,
    /// Timeout.
    Silent,
}

impl ChannelError {
    /// What is wrong, and what to do.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::Name { url, source } => message!("problem-agent-no-address", url, source),
            Self::Mesh(url) => message!("problem-agent-mesh-address", url),
            Self::Dial { url, source } => message!("problem-agent-not-reached", url, source),
            Self::Tls(error) => error.message(),
            Self::NotCoordinator(url) => message!("problem-agent-not-a-coordinator", url),
            Self::Connect(source) => message!("problem-agent-no-channel", source),
            Self::Http(_) => message!("problem-agent-ended"),
            Self::Answer => message!("problem-agent-invalid-answer"),
            Self::Silent => message!("problem-agent-no-answer"),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// All of it.
    pub body: Bytes,
}

/// An open channel. Dropping it closes the connection.
pub struct Channel {
    sender: http2::SendRequest<Full<Bytes>>,
    authority: String,
    driver: JoinHandle<()>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Channel {
    /// Opens a channel to the coordinator that has this key.
    ///
    /// # Errors
    ///
    /// See [`ChannelError`].
    pub async fn open(
        server: Server<'_>,
        machine: &MachinePrivate,
        key: MachinePublic,
        forwarder: &Forwarder,
    ) -> Result<Self, ChannelError> {
        let connection = server.connect(forwarder).await?;
        let host = server.authority();
        let version = u16::try_from(CAPABILITY_VERSION).unwrap_or(u16::MAX);
        let options = Connect { host, machine, server: key, version, timeout: PATIENCE };
        let noise = connect(connection, &options).await.map_err(ChannelError::Connect)?;
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(noise));
        let (sender, connection) = timeout(PATIENCE, handshake)
            .await
            .map_err(|_| ChannelError::Silent)?
            .map_err(ChannelError::Http)?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "channel ended");
            }
        });
        Ok(Self { sender, authority: host.to_owned(), driver })
    }

    /// Sends a request and reads the whole answer. The answer may start late, but its body must follow without delay.
    ///
    /// # Errors
    ///
    /// Fails if the connection ends, or the answer is longer than `limit` bytes.
    pub async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: usize,
    ) -> Result<Reply, ChannelError> {
        let response = self.start(path, body).await?;
        let status = response.status().as_u16();
        let body = whole(response.into_body(), limit, PATIENCE).await;
        let body = body.map_err(|_| ChannelError::Answer)?;
        Ok(Reply { status, body })
    }

    /// Sends a request and returns the response; its body is not read yet.
    ///
    /// # Errors
    ///
    /// Fails if the connection ends.
    pub async fn start(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Response<Incoming>, ChannelError> {
        let body = serde_json::to_vec(body).map_err(|_| ChannelError::Answer)?;
        let request = Request::post(format!("http://{}{path}", self.authority))
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| ChannelError::Answer)?;
        let mut sender = self.sender.clone();
        sender.ready().await.map_err(ChannelError::Http)?;
        sender.send_request(request).await.map_err(ChannelError::Http)
    }
}

/// Fetches the coordinator's Noise key. Over plain HTTP the answer is not authenticated.
///
/// # Errors
///
/// See [`ChannelError`].
pub async fn fetch_key(
    server: Server<'_>,
    forwarder: &Forwarder,
) -> Result<MachinePublic, ChannelError> {
    let connection = server.connect(forwarder).await?;
    let asked = timeout(PATIENCE, ask_key(connection, server.authority())).await;
    let body = asked.map_err(|_| ChannelError::Silent)?;
    let stranger = || ChannelError::NotCoordinator(server.url.to_owned());
    let response: KeyResponse =
        body.and_then(|body| serde_json::from_slice(&body).ok()).ok_or_else(stranger)?;
    if response.public_key.is_zero() { Err(stranger()) } else { Ok(response.public_key) }
}

async fn ask_key(connection: dial::Stream, host: &str) -> Option<Bytes> {
    let request = Request::get(format!("{}?v={CAPABILITY_VERSION}", key_response::PATH))
        .header(hyper::header::HOST, host)
        .body(Full::<Bytes>::default())
        .ok()?;
    let response = client::send(connection, request).await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    whole(response.into_body(), key_response::MAX_LEN, PATIENCE).await.ok()
}

/// Why the control client stopped; the caller decides what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ControlEnd {
    /// The coordinator refused this device; the sentence says what to do.
    Refused(Message),
    /// The node key has expired: another one must be registered in its place.
    KeyExpired,
}

/// Why a session ended.
pub(super) enum SessionEnd {
    /// A retry cannot help.
    Final(ControlEnd),
    /// The coordinator does not know this node: register again.
    NotRegistered,
    /// A retry may help; the sentence says what happened.
    Transient(Message),
}

impl From<ChannelError> for SessionEnd {
    fn from(error: ChannelError) -> Self {
        Self::Transient(error.message())
    }
}

impl Server<'_> {
    async fn connect(self, forwarder: &Forwarder) -> Result<dial::Stream, ChannelError> {
        let usual = if self.is_secure() { 443 } else { 80 };
        let (host, port) = match self.authority().rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap_or(usual)),
            _ => (self.authority(), usual),
        };
        let tcp = self.dial(host, port, forwarder).await?;
        if !self.is_secure() {
            return Ok(Box::new(tcp));
        }
        let secured = timeout(PATIENCE, tls::connect(tcp, self, host)).await;
        Ok(Box::new(secured.map_err(|_| ChannelError::Silent)??))
    }

    async fn dial(
        self,
        host: &str,
        port: u16,
        forwarder: &Forwarder,
    ) -> Result<TcpStream, ChannelError> {
        let name = |source| ChannelError::Name { url: self.url.to_owned(), source };
        let failed = |source| ChannelError::Dial { url: self.url.to_owned(), source };
        let mut addresses = forwarder.lookup(host).await.map_err(name)?;
        // The tunnel to a mesh address needs a map of the coordinator.
        addresses.retain(|address| mesh::is_outside(*address));
        if addresses.is_empty() {
            return Err(ChannelError::Mesh(self.url.to_owned()));
        }
        let connected = timeout(PATIENCE, connect::tcp(&addresses, port)).await;
        let stream = connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let stream = stream.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests;
