//! TLS to a coordinator at `https://`.
//!
//! All messages are inside Noise, too. TLS passes middleboxes, and authenticates the coordinator at the first contact of a
//! device without an invitation.

use std::{error::Error as StdError, io, sync::Arc};

use messages::{Message, message};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, InvalidDnsNameError, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::server::Server;

/// Longest text with authorities, in bytes.
const CA_MAX: usize = 64 * 1024;

/// TLS failed.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub enum TlsError {
    Authorities,
    NoRoots,
    Host { url: String, source: InvalidDnsNameError },
    Untrusted { url: String, source: rustls::Error },
    Handshake { url: String, source: io::Error },
    Unavailable(#[source] rustls::Error),
}

impl TlsError {
    /// What is wrong, and what to do.
    pub(crate) fn message(&self) -> Message {
        match self {
            Self::Authorities => message!("problem-agent-ca-unusable"),
            Self::NoRoots => message!("problem-agent-no-authorities"),
            Self::Host { url, .. } => message!("problem-agent-host", url),
            Self::Untrusted { url, source } => message!("problem-agent-untrusted", url, source),
            Self::Handshake { url, source } => message!("problem-agent-no-https", url, source),
            Self::Unavailable(source) => message!("problem-agent-no-tls", source),
        }
    }
}

/// Checks that these authorities can be used.
pub(crate) fn check(ca: &str) -> Result<(), TlsError> {
    parse(ca).map(drop)
}

/// Opens TLS over `stream` to `server`, whose certificate must be for `host` and from an authority that is trusted.
pub(super) async fn connect(
    stream: TcpStream,
    server: Server<'_>,
    host: &str,
) -> Result<TlsStream<TcpStream>, TlsError> {
    let url = || server.url.to_owned();
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|source| TlsError::Host { url: url(), source })?;
    let roots = roots(server.ca).await?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unavailable)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(|source| match untrusted(&source) {
        Some(reason) => TlsError::Untrusted { url: url(), source: reason },
        None => TlsError::Handshake { url: url(), source },
    })
}

/// The authorities of a text in PEM, or those that this machine trusts.
pub(crate) async fn roots(ca: Option<&str>) -> Result<RootCertStore, TlsError> {
    match ca {
        Some(ca) => parse(ca),
        None => system().await,
    }
}

/// The authorities of a text in PEM.
fn parse(ca: &str) -> Result<RootCertStore, TlsError> {
    if ca.len() > CA_MAX {
        return Err(TlsError::Authorities);
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let certificate = certificate.map_err(|_| TlsError::Authorities)?;
        roots.add(certificate).map_err(|_| TlsError::Authorities)?;
    }
    if roots.is_empty() { Err(TlsError::Authorities) } else { Ok(roots) }
}

/// The authorities that this machine trusts, which its administrator or `SSL_CERT_FILE` may have added to.
async fn system() -> Result<RootCertStore, TlsError> {
    // Reading hundreds of files blocks.
    let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    let mut roots = RootCertStore::empty();
    if let Ok(found) = found {
        roots.add_parsable_certificates(found.certs);
    }
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

/// The reason, if the certificate is not trusted.
fn untrusted(error: &io::Error) -> Option<rustls::Error> {
    let inner: &(dyn StdError + 'static) = error.get_ref()?;
    let error = inner.downcast_ref::<rustls::Error>()?;
    matches!(error, rustls::Error::InvalidCertificate(_)).then(|| error.clone())
}

#[cfg(test)]
mod tests;
