//! How TLS is spoken with the certificates of files: HTTP/1.1 inside, one authority on each side.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::verify_server_name,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};

use crate::{
    pem::{self, FileError},
    watched::Watched,
};

/// The one protocol inside.
const ALPN: &[u8] = b"http/1.1";
const NO_TLS: &str = "TLS is not available";
const BROKEN: &str = "a certificate in it is broken";

/// A client: it speaks to servers with a certificate of this authority alone, and shows its own certificate if it has one
/// (certificate and private key).
///
/// # Errors
///
/// A file cannot be used.
pub fn client(
    ca: &Path,
    own: Option<(&Path, &Path)>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ClientConfig, FileError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .map_err(|error| FileError::caused(ca, NO_TLS, error))?
        .with_root_certificates(roots(ca)?);
    let mut config = match own {
        Some((certificate, key)) => {
            let chain = pem::certificates(certificate)?;
            builder.with_client_auth_cert(chain, pem::private_key(key)?).map_err(|error| {
                FileError::caused(certificate, "it does not belong to the private key", error)
            })?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// A server with the certificate of two files, which are read again when they change. Where an authority for `clients` is
/// named, they may show a certificate of it, and none of another; whether one was shown is for each request to ask.
///
/// # Errors
///
/// A file cannot be used.
pub fn server(
    certificate: PathBuf,
    key: PathBuf,
    clients: Option<&Path>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ServerConfig, FileError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| FileError::caused(&certificate, NO_TLS, error))?;
    let builder = match clients {
        Some(ca) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca)?.into(), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| FileError::caused(ca, BROKEN, error))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let paths = vec![certificate.clone(), key.clone()];
    let read = move || certified(&certificate, &key);
    let watched = Watched::load("the certificate of this server", paths, read)?;
    let mut config = builder.with_cert_resolver(Arc::new(Files(watched)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// Whether a certificate is for this name.
#[must_use]
pub fn is_for(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(name) = ServerName::try_from(name) else { return false };
    ParsedCertificate::try_from(certificate)
        .is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
}

fn roots(ca: &Path) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(ca)? {
        roots.add(certificate).map_err(|error| FileError::caused(ca, BROKEN, error))?;
    }
    Ok(roots)
}

fn certified(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, FileError> {
    let (chain, private) = (pem::certificates(certificate)?, pem::private_key(key)?);
    let certified = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider());
    certified.map(Arc::new).map_err(|error| {
        let reason = format!("it does not belong to the private key in {}", key.display());
        FileError::caused(certificate, reason, error)
    })
}

/// The certificate of two files.
#[derive(Debug)]
struct Files(Watched<Arc<CertifiedKey>, FileError>);

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}
