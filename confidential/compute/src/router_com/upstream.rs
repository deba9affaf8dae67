//! The client of the router.

use std::{io, path::PathBuf, time::Duration};

use chassis::{
    dial,
    tls::{self, CertificateFiles},
};
use confidential_api::{names::media, settings::Upstream};
use hyper::{Uri, header::HeaderValue};
use rustls::pki_types::ServerName;
use tokio::time::timeout;

use crate::{Error, Root, http};

/// Timeout of a request to the router.
const PATIENCE: Duration = Duration::from_secs(5);

/// The router.
#[derive(Debug)]
pub(super) struct Router {
    host: String,
    port: u16,
    authority: HeaderValue,
    /// `None` if the router is on this machine's loopback.
    secure: Option<Secure>,
}

#[derive(Debug)]
struct Secure {
    ca: PathBuf,
    own: CertificateFiles,
    name: ServerName<'static>,
}

impl Router {
    /// Reads the settings.
    pub(super) fn new(
        root: &Root,
        upstream: &Upstream,
        own: CertificateFiles,
    ) -> Result<Self, Error> {
        let wrong = |reason| Error::Url("router.url", upstream.url.clone(), reason);
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
                    ServerName::try_from(name).map_err(|_| wrong("its host is not a DNS name"))?;
                Some(Secure { ca: root.path(&upstream.ca), own, name })
            }
            "http" if loopback => None,
            _ => return Err(wrong("write https://, or http:// with a loopback address")),
        };
        let port = authority.port_u16().unwrap_or(if secure.is_some() { 443 } else { 80 });
        let authority = HeaderValue::from_str(authority.as_str())
            .map_err(|_| wrong("its host is not a DNS name"))?;
        Ok(Self { host, port, authority, secure })
    }

    /// Sends a message to a path.
    pub(super) async fn post(&self, path: &'static str, body: Vec<u8>) -> io::Result<()> {
        let sent = async {
            let stream = dial::tcp(&self.host, self.port).await?;
            let trust = match &self.secure {
                Some(Secure { ca, own, name }) => {
                    // Loaded each time, so that replaced files are used at once.
                    let config = tls::client(ca, Some(own), &[&rustls::version::TLS13]);
                    Some((config.map_err(io::Error::other)?, name.clone()))
                }
                None => None,
            };
            let stream = dial::secure(stream, trust).await?;
            http::post(stream, self.authority.clone(), path, media::BINARY, body.into()).await
        };
        let sent = timeout(PATIENCE, sent).await;
        let status = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?.status();
        if status.is_success() {
            return Ok(());
        }
        Err(io::Error::other(format!("the router responded with status {status}")))
    }
}
