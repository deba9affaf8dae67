//! The way to the router: one request on a connection of its own.

use std::{io, path::PathBuf, time::Duration};

use bytes::Bytes;
use chassis::{
    client,
    dial::Io,
    tls::{self, CertificateFiles},
};
use confidential_api::{names::media, settings::Upstream};
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST, HeaderValue},
};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::{Error, Root};

/// How long the router may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The router.
#[derive(Debug)]
pub(super) struct Router {
    host: String,
    port: u16,
    authority: HeaderValue,
    /// For TLS; without it the router is on this machine's loopback.
    secure: Option<Secure>,
}

#[derive(Debug)]
struct Secure {
    ca: PathBuf,
    own: CertificateFiles,
    name: ServerName<'static>,
}

impl Router {
    /// Reads where it is.
    ///
    /// # Errors
    ///
    /// [`Error::Url`] if the URL is none that may be used.
    pub(super) fn new(
        root: &Root,
        upstream: &Upstream,
        own: CertificateFiles,
    ) -> Result<Self, Error> {
        let wrong = |reason| Error::Url { what: "router.url", url: upstream.url.clone(), reason };
        let url: Uri = upstream.url.parse().map_err(|_| wrong("write https://host:port"))?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(wrong("write https://host:port"));
        };
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let loopback = host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        let secure = match scheme {
            "https" => {
                let name = upstream.server_name.clone().unwrap_or_else(|| host.clone());
                let name =
                    ServerName::try_from(name).map_err(|_| wrong("its name is no DNS name"))?;
                Some(Secure { ca: root.path(&upstream.ca), own, name })
            }
            "http" if loopback => None,
            _ => return Err(wrong("write https://, or http:// with a loopback address")),
        };
        let port = authority.port_u16().unwrap_or(if secure.is_some() { 443 } else { 80 });
        let authority = HeaderValue::from_str(authority.as_str())
            .map_err(|_| wrong("its name is no DNS name"))?;
        Ok(Self { host, port, authority, secure })
    }

    /// Sends a message to a path.
    ///
    /// # Errors
    ///
    /// It is not reached, does not answer in time, or refuses.
    pub(super) async fn post(&self, path: &'static str, body: Vec<u8>) -> io::Result<()> {
        let sent = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            match &self.secure {
                Some(Secure { ca, own, name }) => {
                    // Read each time: an exchanged file is used at once.
                    let config = tls::client(ca, Some(own), &[&rustls::version::TLS13]);
                    let connector = TlsConnector::from(config.map_err(io::Error::other)?);
                    self.send(connector.connect(name.clone(), stream).await?, path, body).await
                }
                None => self.send(stream, path, body).await,
            }
        };
        let status = timeout(PATIENCE, sent)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        if status.is_success() {
            return Ok(());
        }
        Err(io::Error::other(format!("it answered {status}")))
    }

    async fn send(
        &self,
        stream: impl Io + 'static,
        path: &'static str,
        body: Vec<u8>,
    ) -> io::Result<StatusCode> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(path);
        let headers = request.headers_mut();
        headers.insert(HOST, self.authority.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::BINARY));
        let answer = client::send(stream, request).await;
        answer.map(|answer| answer.status()).map_err(io::Error::other)
    }
}
