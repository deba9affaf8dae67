use std::net::SocketAddr;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    control::channel::{ChannelError, fetch_key},
    dns::forward::Forwarder,
};

/// An authority of one's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A server with a certificate for `name`, which answers every connection with the key 07…; its address.
    async fn serve(&self, name: &str) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let body = format!(r#"{{"publicKey":"mkey:{}"}}"#, "07".repeat(32));
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        address
    }
}

async fn key(url: &str, ca: Option<&str>) -> Result<String, ChannelError> {
    fetch_key(Server { url, ca }, &Forwarder::default()).await.map(|key| key.to_string())
}

#[tokio::test]
async fn a_coordinator_is_believed_on_the_word_of_the_authority_that_was_given_and_of_no_other() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let url = format!("https://{}", ours.serve("127.0.0.1").await);
    let misnamed = format!("https://{}", ours.serve("other.example").await);

    assert_eq!(key(&url, Some(&ours.0.pem())).await.unwrap(), format!("mkey:{}", "07".repeat(32)));
    for (url, ca) in [(&url, Some(theirs.0.pem())), (&misnamed, Some(ours.0.pem()))] {
        let error = key(url, ca.as_deref()).await.unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, ChannelError::Tls(TlsError::Untrusted { .. })), "{said}");
        assert!(said.contains(url.as_str()) && said.contains("--ca FILE"), "{said}");
    }
    let public = key(&url, None).await.unwrap_err();
    let refused =
        matches!(public, ChannelError::Tls(TlsError::Untrusted { .. } | TlsError::NoRoots));
    assert!(refused, "{public}");
}

#[tokio::test]
async fn what_speaks_no_tls_is_told_from_what_cannot_be_trusted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });

    let error = key(&url, Some(&Authority::new().0.pem())).await.unwrap_err();

    assert!(error.to_string().contains("does not speak HTTPS"), "{error}");
}

#[test]
fn authorities_are_checked_before_anything_is_asked() {
    assert!(check(&Authority::new().0.pem()).is_ok());
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for text in ["", "no PEM", broken, &"x".repeat(CA_MAX + 1)] {
        assert!(check(text).is_err(), "{}", text.len());
    }
}
