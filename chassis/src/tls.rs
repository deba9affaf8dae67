//! TLS between machines, from PEM files: a client trusts the authority that its settings name and no other, the
//! system's neither.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::verify_server_name,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName},
    server::{ParsedCertificate, WebPkiClientVerifier},
};
use sha2::{Digest as _, Sha256};

use crate::{
    pem::{self, FileError},
    watched::WatchedFiles,
};

/// The one protocol inside.
const ALPN: &[u8] = b"http/1.1";

/// A certificate and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, with its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How TLS is spoken as a client: with servers whose certificate comes from an authority of `ca`, with our own
/// certificate if there is one, in these versions.
///
/// # Errors
///
/// A file cannot be used.
pub fn client(
    ca: &Path,
    own: Option<&CertificateFiles>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ClientConfig>, FileError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(|error| FileError::caused(ca, "TLS is not available", error))?
        .with_root_certificates(roots(ca)?);
    let mut config = match own {
        Some(CertificateFiles { certificate, key }) => {
            let chain = pem::certificates(certificate)?;
            let built = builder.with_client_auth_cert(chain, pem::private_key(key)?);
            built.map_err(|error| foreign_key(certificate, error))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// The same in version 1.3, read again when a file changes.
#[derive(Debug)]
pub struct Client(WatchedFiles<Arc<ClientConfig>, FileError>);

impl Client {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// A file cannot be used.
    pub fn load(ca: PathBuf, own: Option<CertificateFiles>) -> Result<Self, FileError> {
        let files = own.iter().flat_map(|own| [&own.certificate, &own.key]);
        let paths = files.chain([&ca]).cloned().collect();
        let read = move || client(&ca, own.as_ref(), &[&rustls::version::TLS13]);
        WatchedFiles::load("what this client trusts and shows", paths, read).map(Self)
    }

    /// What the files say now; while one of them cannot be used, what they said before.
    #[must_use]
    pub fn current(&self) -> Arc<ClientConfig> {
        self.0.current()
    }
}

/// How TLS is spoken as a server, in version 1.3. Where there is `clients`, whoever calls must show a certificate of an
/// authority of it, and [`rustls::CommonState::peer_certificates`] tells which it was.
///
/// # Errors
///
/// A file cannot be used.
pub fn server(
    own: &CertificateFiles,
    clients: Option<&Path>,
) -> Result<Arc<ServerConfig>, FileError> {
    let CertificateFiles { certificate, key } = own;
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| FileError::caused(certificate, "TLS is not available", error))?;
    let builder = match clients {
        Some(ca) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider).build();
            let failed = |error| FileError::caused(ca, "it holds no authority", error);
            builder.with_client_cert_verifier(verifier.map_err(failed)?)
        }
        None => builder.with_no_client_auth(),
    };
    let chain = pem::certificates(certificate)?;
    let built = builder.with_single_cert(chain, pem::private_key(key)?);
    let mut config = built.map_err(|error| foreign_key(certificate, error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// The same, read again when a file changes.
#[derive(Debug)]
pub struct Server(WatchedFiles<Arc<ServerConfig>, FileError>);

impl Server {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// A file cannot be used.
    pub fn load(own: CertificateFiles, clients: Option<PathBuf>) -> Result<Self, FileError> {
        let paths = [&own.certificate, &own.key].into_iter().chain(&clients).cloned().collect();
        let read = move || server(&own, clients.as_deref());
        WatchedFiles::load("this server's certificate", paths, read).map(Self)
    }

    /// What the files say now; while one of them cannot be used, what they said before.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        self.0.current()
    }
}

/// What tells one holder of a certificate from every other: SHA-256 of the public key (`SubjectPublicKeyInfo`, RFC 5280),
/// which a renewed certificate may keep; `None` if it is no certificate.
#[must_use]
pub fn key_of(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let key = parsed.subject_public_key_info();
    Some(Sha256::digest(&key).into())
}

/// Whether a certificate is for this name or address.
#[must_use]
pub fn is_for(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(name) = ServerName::try_from(name) else { return false };
    ParsedCertificate::try_from(certificate)
        .is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(ca: &Path) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(ca)? {
        roots
            .add(certificate)
            .map_err(|error| FileError::caused(ca, "a certificate in it is broken", error))?;
    }
    Ok(roots)
}

fn foreign_key(certificate: &Path, error: rustls::Error) -> FileError {
    FileError::caused(certificate, "it does not belong to the private key", error)
}
