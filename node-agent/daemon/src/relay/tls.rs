//! TLS to a relay that is known by its certificate's hash, or whose certificate an authority vouches for.

use std::{io, sync::Arc};

use control_protocol::map::DerpNode;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::control::tls;

/// How a relay proves that it is the one which the map means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof<'a> {
    /// By the one certificate with this SHA-256.
    Pin([u8; 32]),
    /// By a certificate for this name, from an authority that the coordinator's own would be believed from.
    Name(&'a str),
}

/// What the map says; `None` if it says nothing that could be proved.
pub(super) fn proof(node: &DerpNode) -> Option<Proof<'_>> {
    match node.certificate_pin() {
        Some(pin) => pin.map(Proof::Pin),
        None if !node.cert_name.is_empty() => Some(Proof::Name(&node.cert_name)),
        None => (!node.host_name.is_empty()).then_some(Proof::Name(&node.host_name)),
    }
}

/// Accepts the one certificate whose SHA-256 it was told, whatever else that says.
#[derive(Debug)]
struct Pinned {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if Sha256::digest(end_entity).as_slice() == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("the relay's certificate is not the one that the map pins".into()))
        }
    }

    // That the relay has the certificate's key is proved by these two.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

/// Opens TLS over `stream` to the relay at `host`, which must prove itself so; `ca` is the authorities for a name, in PEM.
///
/// # Errors
///
/// Fails if the relay has another certificate, or lacks its key.
pub(super) async fn connect(
    stream: TcpStream,
    host: &str,
    proof: Proof<'_>,
    ca: Option<&str>,
) -> io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let (config, name) = match proof {
        Proof::Pin(pin) => {
            let verifier = Arc::new(Pinned { pin, provider });
            (config.dangerous().with_custom_certificate_verifier(verifier), host)
        }
        Proof::Name(name) => {
            let roots = tls::roots(ca).await.map_err(io::Error::other)?;
            (config.with_root_certificates(roots), name)
        }
    };
    let name =
        ServerName::try_from(name.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config.with_no_client_auth())).connect(name, stream).await
}
