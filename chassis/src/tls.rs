//! TLS between machines, from PEM files. A client trusts only the authority in its settings, not the system's.

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

use crate::{
    pem::{self, FileError},
    watched::WatchedFiles,
};

/// The application protocol.
const ALPN: &[u8] = b"http/1.1";

/// The files of a certificate and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Creates a client's configuration: it trusts the authorities of `ca`, and shows the certificate `own`, if there is one.
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

/// A client's configuration, reloaded when a file changes.
pub type Client = WatchedFiles<Arc<ClientConfig>, FileError>;

/// Watches the files of a client's configuration for TLS 1.3.
///
/// # Errors
///
/// A file cannot be used.
pub fn watch_client(ca: PathBuf, own: Option<CertificateFiles>) -> Result<Client, FileError> {
    let files = own.iter().flat_map(|own| [&own.certificate, &own.key]);
    let paths = files.chain([&ca]).cloned().collect();
    let read = move || client(&ca, own.as_ref(), &[&rustls::version::TLS13]);
    WatchedFiles::load("the TLS files of a client", paths, read)
}

/// Creates a server's configuration for TLS 1.3. If `clients` is set, clients must show a certificate of its authorities
/// ([`rustls::CommonState::peer_certificates`]).
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

/// A server's configuration, reloaded when a file changes.
pub type Server = WatchedFiles<Arc<ServerConfig>, FileError>;

/// Watches the files of a server's configuration.
///
/// # Errors
///
/// A file cannot be used.
pub fn watch_server(own: CertificateFiles, clients: Option<PathBuf>) -> Result<Server, FileError> {
    let paths = [&own.certificate, &own.key].into_iter().chain(&clients).cloned().collect();
    let read = move || server(&own, clients.as_deref());
    WatchedFiles::load("this server's certificate", paths, read)
}

/// Whether a certificate is valid for this name or address.
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
