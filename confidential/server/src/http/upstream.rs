//! Asking the next one in the chain: connections are kept for further requests, over TLS with a certificate of one
//! authority, to which our own is shown where it is asked for. Dropping an answer before its end closes its connection, so that leaving is cancelling.

use std::{
    error::Error as StdError,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, Request, Response, Uri, uri::Scheme},
};
use chassis::{
    dial::{self, Stream},
    pem::FileError,
    tls,
};
use confidential_api::settings;
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::pki_types::ServerName;
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};
use tokio::time::timeout;

/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection is kept that nobody uses; servers here keep it longer.
const KEPT: Duration = Duration::from_secs(10);
/// How many are kept to one server.
const KEPT_MAX: usize = 64;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Nothing was sent: nobody is there, or nobody who is trusted.
    #[error("it cannot be connected to")]
    Connect(#[source] Box<dyn StdError + Send + Sync>),
    /// The request may have arrived.
    #[error("it gave no answer")]
    Answer(#[source] Box<dyn StdError + Send + Sync>),
    /// It did not begin to answer.
    #[error("it did not answer in time")]
    Time,
    /// It does not answer when it is looked at.
    #[error("it does not answer when it is looked at")]
    Fails,
}

/// Asks servers that are trusted alike.
#[derive(Clone, Debug)]
pub(crate) struct Asking(Client<Connector, Body>);

/// Asks one server.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    asking: Asking,
    /// Without a slash at its end.
    base: String,
}

/// An upstream that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSettingsError {
    /// Its URL.
    #[error(
        "`{0}` is no URL for this: write https://host:port, or http:// with a loopback address"
    )]
    Url(String),
    /// The name of its certificate.
    #[error("`{0}` is no name of a certificate")]
    Name(String),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Asking {
    /// Trusts servers with a certificate of this authority for the host of their URL, or for `name` where that is given;
    /// shows them our own.
    pub(crate) fn new(
        ca: PathBuf,
        own: Option<tls::CertificateFiles>,
        name: Option<&str>,
    ) -> Result<Self, UpstreamSettingsError> {
        let name = name.map(|name| {
            ServerName::try_from(name.to_owned())
                .map_err(|_| UpstreamSettingsError::Name(name.to_owned()))
        });
        Ok(Self::with(Some(tls::watch_client(ca, own)?.into()), name.transpose()?))
    }

    fn with(tls: Option<Arc<tls::Client>>, name: Option<ServerName<'static>>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .pool_max_idle_per_host(KEPT_MAX)
            .build(Connector { tls, name });
        Self(client)
    }

    /// Sends a request to a whole URL and waits at most so long for the head of the answer.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        limit: Duration,
    ) -> Result<Response<Incoming>, UpstreamError> {
        match timeout(limit, self.0.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.is_connect() => Err(UpstreamError::Connect(error.into())),
            Ok(Err(error)) => Err(UpstreamError::Answer(error.into())),
            Err(_) => Err(UpstreamError::Time),
        }
    }
}

impl Upstream {
    /// The one that the settings name; paths are below the root. Our `own` certificate is shown to it.
    pub(crate) fn new(
        root: &Path,
        settings: &settings::Upstream,
        own: Option<tls::CertificateFiles>,
    ) -> Result<Self, UpstreamSettingsError> {
        let base =
            check(&settings.url).ok_or_else(|| UpstreamSettingsError::Url(settings.url.clone()))?;
        let name = settings.server_name.as_deref();
        // Nothing of TLS is needed for a server on this machine.
        let asking = match base.starts_with("https:") {
            true => Asking::new(root.join(&settings.ca), own, name)?,
            false => Asking::with(None, None),
        };
        Ok(Self { asking, base })
    }

    /// Sends a request to a path, with these headers and no others.
    pub(crate) async fn send(
        &self,
        method: hyper::Method,
        path: &str,
        headers: HeaderMap,
        body: Body,
        limit: Duration,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.base)
            .parse()
            .map_err(|error| UpstreamError::Connect(Box::new(error)))?;
        *request.headers_mut() = headers;
        self.asking.send(request, limit).await
    }
}

/// Copies headers, each with all of its values.
pub(crate) fn copy(from: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut to = HeaderMap::new();
    for name in names {
        for value in from.get_all(name) {
            to.append(name.clone(), value.clone());
        }
    }
    to
}

/// The host of a URL, an address without brackets.
pub(crate) fn host(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    uri.host().map(|host| bare(host).to_owned())
}

/// A usable base URL without the slash at its end: over TLS, or on this machine.
pub(crate) fn check(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let is_loopback = authority.host() == "localhost"
        || bare(authority.host()).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let plain = authority.as_str().contains('@') || uri.query().is_some() || url.contains('#');
    let usable = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => is_loopback,
        Some(_) | None => false,
    };
    (usable && !plain).then(|| url.trim_end_matches('/').to_owned())
}

/// An address without the brackets that a URL puts around it.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Makes connections.
#[derive(Clone, Debug)]
struct Connector {
    tls: Option<Arc<tls::Client>>,
    name: Option<ServerName<'static>>,
}

impl tower::Service<Uri> for Connector {
    type Response = Dialled;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Dialled>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let connected = timeout(CONNECT, this.connect(&uri)).await;
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    }
}

impl Connector {
    async fn connect(self, uri: &Uri) -> io::Result<Dialled> {
        let host = bare(uri.host().ok_or(io::ErrorKind::InvalidInput)?);
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let trust = match (is_tls, self.tls) {
            (false, _) => None,
            (true, Some(tls)) => {
                let named = || ServerName::try_from(host.to_owned()).map_err(io::Error::other);
                Some((tls.current(), self.name.map_or_else(named, Ok)?))
            }
            (true, None) => return Err(io::Error::other("no authority is known")),
        };
        let stream = dial::secure(dial::tcp(host, port).await?, trust).await?;
        Ok(Dialled(TokioIo::new(stream)))
    }
}

/// A connection for hyper's pool.
struct Dialled(TokioIo<Stream>);

impl Connection for Dialled {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl Write for Dialled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in [
            "https://gateway:3200",
            "https://192.0.2.1/",
            "http://127.0.0.1:3600",
            "http://localhost:1",
            "http://[::1]:1",
        ] {
            assert_eq!(check(url).as_deref(), Some(url.trim_end_matches('/')), "{url}");
        }
        for url in [
            "",
            "gateway",
            "/",
            "http://gateway",
            "http://192.0.2.1",
            "http://100.64.0.1",
            "https://me@gateway",
            "ftp://127.0.0.1",
            "https://gateway/?a",
            "https://gateway/#a",
        ] {
            assert_eq!(check(url), None, "{url}");
        }
    }
}
