//! The HTTP client for the next server of the chain, with a connection pool and TLS. It trusts one certificate authority, and
//! may have a client certificate. Dropping a response closes its connection, which cancels the request.

use std::{
    error::Error as StdError,
    future::Future,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
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
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::pki_types::ServerName;
use tokio::time::timeout;

/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept, less than the servers keep it.
const KEPT: Duration = Duration::from_secs(10);
/// Maximum number of idle connections to a server.
const KEPT_MAX: usize = 64;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// No request was sent: the server is unreachable or not trusted.
    #[error("the connection failed")]
    Connect(#[source] Box<dyn StdError + Send + Sync>),
    /// The server may have received the request.
    #[error("the server did not respond")]
    Answer(#[source] Box<dyn StdError + Send + Sync>),
    /// The response did not begin in time.
    #[error("the server did not respond in time")]
    Time,
    /// The server's health checks failed.
    #[error("the server's health checks failed")]
    Fails,
}

/// A client for servers of one certificate authority.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamClient(Client<Connector, Body>);

/// A client for one server.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    asking: UpstreamClient,
    /// Without a trailing slash.
    base: String,
}

/// An upstream that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSettingsError {
    /// Its URL.
    #[error(
        "`{0}` cannot be used as a URL: write https://host:port, or http:// with a loopback address"
    )]
    Url(String),
    /// The name of its certificate.
    #[error("`{0}` is not a DNS name or address")]
    Name(String),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl UpstreamClient {
    /// Trusts certificates of this authority for the host of the URL, or for `name` if given. `own` is the client certificate.
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

    /// Sends a request to its URL; waits at most so long for the response's head.
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
    /// A client of these settings; paths are below the root. `own` is the client certificate.
    pub(crate) fn new(
        root: &Path,
        settings: &settings::Upstream,
        own: Option<tls::CertificateFiles>,
    ) -> Result<Self, UpstreamSettingsError> {
        let base =
            check(&settings.url).ok_or_else(|| UpstreamSettingsError::Url(settings.url.clone()))?;
        let name = settings.server_name.as_deref();
        let asking = match base.starts_with("https:") {
            true => UpstreamClient::new(root.join(&settings.ca), own, name)?,
            false => UpstreamClient::with(None, None),
        };
        Ok(Self { asking, base })
    }

    /// Sends a request with only these headers.
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

/// The base URL without trailing slash, if it uses TLS or is on this machine.
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

/// An address without the brackets of a URL.
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
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Stream>>> + Send>>;

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
    async fn connect(self, uri: &Uri) -> io::Result<TokioIo<Stream>> {
        let host = bare(uri.host().ok_or(io::ErrorKind::InvalidInput)?);
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let trust = match (is_tls, self.tls) {
            (false, _) => None,
            (true, Some(tls)) => {
                let named = || ServerName::try_from(host.to_owned()).map_err(io::Error::other);
                Some((tls.current(), self.name.map_or_else(named, Ok)?))
            }
            (true, None) => return Err(io::Error::other("there is no certificate authority")),
        };
        let stream = dial::secure(dial::tcp(host, port).await?, trust).await?;
        Ok(TokioIo::new(stream))
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
