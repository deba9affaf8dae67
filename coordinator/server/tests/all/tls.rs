//! The coordinator behind TLS of its own.

use std::{net::SocketAddr, path::Path, sync::Arc};

use control_protocol::key_response::KeyResponse;
use coordinator_api::settings::{Settings, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use serde_json::json;
use testkit::http::exchange;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    device::Device,
    harness::{Coordinator, configured, settings},
    http::get,
};

pub(crate) const NAME: &str = "coordinator.test";

/// An authority of one's own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Leaves a certificate for `name` and its key in the folder.
    pub(crate) fn issue(&self, folder: &Path, name: &str) {
        self.write(folder, CertificateParams::new(vec![name.to_owned()]).unwrap());
    }

    /// The same, with a certificate that has expired.
    pub(crate) fn issue_expired(&self, folder: &Path, name: &str) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(2026, 1, 1);
        self.write(folder, params);
    }

    fn write(&self, folder: &Path, params: CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    }

    /// Opens TLS; an error if the certificate is another authority's.
    pub(crate) async fn open(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        self.open_over(TcpStream::connect(address).await?).await
    }

    /// The same over a connection.
    pub(crate) async fn open_over(
        &self,
        stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from(NAME).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// A folder with a certificate, and a coordinator that has it.
pub(crate) async fn start(authority: &Authority) -> (tempfile::TempDir, Coordinator) {
    start_with(authority, settings()).await
}

/// The same with these settings besides.
pub(crate) async fn start_with(
    authority: &Authority,
    settings: Settings,
) -> (tempfile::TempDir, Coordinator) {
    let folder = tempfile::tempdir().unwrap();
    authority.issue(folder.path(), NAME);
    let file = |name: &str| Some(folder.path().join(name));
    let tls = Tls { certificate: file("cert.pem"), key: file("key.pem"), ..Tls::default() };
    let server_url = Some(format!("https://{NAME}:8443"));
    let config = configured(Settings { server_url, tls: Some(tls), ..settings });
    (folder, Coordinator::with(config, None).await)
}

pub(crate) async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
    exchange(stream, request.as_bytes()).await
}

#[tokio::test]
async fn a_device_joins_over_tls() {
    let authority = Authority::new();
    let (_folder, coordinator) = start(&authority).await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let mut first = authority.open(coordinator.address).await.unwrap();
    assert_eq!(first.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let answer = ask(&mut first, "/key?v=130").await;
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let server = serde_json::from_str::<KeyResponse>(body).unwrap().public_key;

    let device = Device::new("laptop");
    let stream = authority.open(coordinator.address).await.unwrap();
    let mut channel = device.connect_over(stream, server).await.expect("a channel opens");
    let response = channel.register(&device.with_key(&key)).await;

    assert!(response.machine_authorized, "{response:?}");
    let mut map = channel.stream().await;
    assert!(map.next().await.unwrap().node.is_some());
    let mut page = authority.open(coordinator.address).await.unwrap();
    let page = ask(&mut page, "/join").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<script"), "{page}");
}

#[tokio::test]
async fn a_certificate_that_is_exchanged_is_shown_from_then_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let (folder, coordinator) = start(&old).await;
    assert!(old.open(coordinator.address).await.is_ok());

    std::fs::write(folder.path().join("cert.pem"), "no certificate").unwrap();
    assert!(old.open(coordinator.address).await.is_ok(), "what is unusable is not used");
    new.issue(folder.path(), NAME);

    assert!(new.open(coordinator.address).await.is_ok());
    assert!(old.open(coordinator.address).await.is_err());
}

#[tokio::test]
async fn without_tls_devices_that_joined_before_go_on_and_pages_are_not_shown() {
    let (_folder, coordinator) = start(&Authority::new()).await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;

    Device::new("home").join(&coordinator, &key).await;

    let (status, body) = get(coordinator.address, "/join").await;
    assert_eq!(status, 426);
    assert!(body.contains(&format!("https://{NAME}:8443")), "{body}");
}
