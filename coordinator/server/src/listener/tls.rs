//! TLS on the public port.

use std::{io, path::PathBuf, sync::Arc};

use chassis::{pem::FileError, watched::WatchedFiles};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{acme, certificate, error::ListenError};
use crate::clock;

/// The first byte of a TLS connection: a handshake record (RFC 8446, section 5.1). HTTP never begins with it.
const HANDSHAKE: u8 = 22;
/// HTTP/1.1 only: Tailscale clients upgrade from it, which HTTP/2 does not support.
const ALPN: &[u8] = b"http/1.1";

/// Accepts TLS connections.
#[derive(Clone)]
pub(super) struct Tls(TlsAcceptor);

/// An accepted connection.
pub(super) enum Opened {
    /// It uses TLS.
    Secure(Box<TlsStream<TcpStream>>),
    /// It does not begin with a TLS handshake.
    Plain(TcpStream),
    /// It was an ACME challenge, which is complete.
    Proved,
}

impl Tls {
    /// Uses the certificate of two files, which are reloaded when they change.
    pub(super) fn from_files(
        certificate: PathBuf,
        key: PathBuf,
        host: &str,
    ) -> Result<Self, ListenError> {
        let (paths, host) = (vec![certificate.clone(), key.clone()], host.to_owned());
        let read = move || certificate::read(&certificate, &key, &host, clock::now());
        let watched = WatchedFiles::load("the coordinator's certificate", paths, read)?;
        Self::new(Arc::new(FileCertificate(watched)))
    }

    /// Uses the certificates of a resolver.
    pub(super) fn new(certificates: Arc<dyn ResolvesServerCert>) -> Result<Self, ListenError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificates);
        config.alpn_protocols = vec![ALPN.to_vec(), acme::ALPN.to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Accepts a connection.
    pub(super) async fn open(&self, stream: TcpStream) -> io::Result<Opened> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
            return Ok(Opened::Plain(stream));
        }
        let stream = self.0.accept(stream).await?;
        if stream.get_ref().1.alpn_protocol() == Some(acme::ALPN) {
            return Ok(Opened::Proved);
        }
        Ok(Opened::Secure(Box::new(stream)))
    }
}

/// The certificate of two files.
#[derive(Debug)]
struct FileCertificate(WatchedFiles<Arc<CertifiedKey>, FileError>);

impl ResolvesServerCert for FileCertificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Challenges are not expected.
        (!acme::asks(&hello)).then(|| self.0.current())
    }
}
