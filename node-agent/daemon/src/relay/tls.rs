//! TLS to a relay, authenticated by its certificate's hash or by an authority.

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

/// How a relay is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpectedIdentity<'a> {
    /// By the one certificate with this SHA-256.
    Pin([u8; 32]),
    /// By a certificate for this name, from an authority that is trusted for the coordinator, too.
    Name(&'a str),
}

/// The identity in the map; `None` if it cannot be authenticated.
pub(super) fn expected_identity(node: &DerpNode) -> Option<ExpectedIdentity<'_>> {
    match node.certificate_pin() {
        Some(pin) => pin.map(ExpectedIdentity::Pin),
        None if !node.cert_name.is_empty() => Some(ExpectedIdentity::Name(&node.cert_name)),
        None => (!node.host_name.is_empty()).then_some(ExpectedIdentity::Name(&node.host_name)),
    }
}

/// Accepts only the certificate with this SHA-256.
#[derive(Debug)]
struct PinnedVerifier {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedVerifier {
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

    // These two prove that the relay has the certificate's key.
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

/// Has the library gather randomness, for which it takes 30 ms the first time: the first relay is dialled without that pause.
pub(super) fn prepare() {
    if aws_lc_rs::default_provider().secure_random.fill(&mut [0]).is_err() {
        tracing::debug!("no randomness yet");
    }
}

/// Opens TLS over `stream` to the relay at `host`, which must have this identity; `ca` is the authorities for a name, in PEM.
pub(super) async fn connect(
    stream: TcpStream,
    host: &str,
    proof: ExpectedIdentity<'_>,
    ca: Option<&str>,
) -> io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let (config, name) = match proof {
        ExpectedIdentity::Pin(pin) => {
            let verifier = Arc::new(PinnedVerifier { pin, provider });
            (config.dangerous().with_custom_certificate_verifier(verifier), host)
        }
        ExpectedIdentity::Name(name) => {
            let roots = tls::roots(ca).await.map_err(io::Error::other)?;
            (config.with_root_certificates(roots), name)
        }
    };
    let name =
        ServerName::try_from(name.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config.with_no_client_auth())).connect(name, stream).await
}
