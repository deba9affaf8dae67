//! TLS on the port for everyone.

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

use super::{
    acme::{self, Acme},
    certificate,
    error::ListenError,
};
use crate::clock;

/// How a TLS connection begins: the type of a record that holds a handshake message (RFC 8446, section 5.1). No method
/// of HTTP begins so.
const HANDSHAKE: u8 = 22;
/// The one protocol inside: a Tailscale client upgrades from HTTP/1.1, which HTTP/2 cannot.
const ALPN: &[u8] = b"http/1.1";

/// Speaks TLS with who calls.
#[derive(Clone)]
pub(super) struct Tls(TlsAcceptor);

/// A connection that has begun.
pub(super) enum Opened {
    /// TLS is spoken.
    Secure(Box<TlsStream<TcpStream>>),
    /// The client speaks something else.
    Plain(TcpStream),
    /// An authority has seen the proof that it asked for; nothing more is said.
    Proved,
}

impl Tls {
    /// With the certificate of two files, which are read again when they change.
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

    /// With a certificate that an authority is asked for.
    pub(super) fn from_acme(acme: Arc<Acme>) -> Result<Self, ListenError> {
        Self::new(acme)
    }

    fn new(certificates: Arc<dyn ResolvesServerCert>) -> Result<Self, ListenError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificates);
        config.alpn_protocols = vec![ALPN.to_vec(), acme::ALPN.to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Begins to talk with who called.
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
        // No authority asks for a proof.
        (!acme::asks(&hello)).then(|| self.0.current())
    }
}
