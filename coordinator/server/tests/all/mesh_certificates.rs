//! Public certificates for names of the mesh: for the node to which the admin gave them, from Pebble.

use std::{net::SocketAddr, path::Path, sync::Arc};

use control_protocol::{
    CAPABILITY_VERSION,
    certificate::{CertificateRequest, CertificateResponse, MAX_REQUEST_LEN, PATH},
};
use coordinator::config::Config;
use coordinator_api::settings::{Acme, Settings, Tls};
use hyper::{Method, StatusCode};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    client::verify_server_name,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use serde_json::json;
use testkit::eventually_within;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::{
    acme::{NAME, listening, pebble},
    device::{Channel, Device},
    harness::{Coordinator, OPEN, PATIENCE, configured, settings, whole},
    relay,
    tls::Authority,
};

const NETWORK: &str = "home.example.org";
const ROOMS: &str = "rooms.home.example.org";
/// Orders of one name at once.
const BURST: usize = 5;

fn config(listen: SocketAddr, authority: SocketAddr, folder: &Path) -> Config {
    let acme = Acme {
        directory: format!("https://{authority}/dir"),
        contact: None,
        ca: Some(folder.join("ca.pem")),
        mesh_names: true,
    };
    let tls = Some(Tls { acme: Some(acme), ..Tls::default() });
    let server_url = Some(format!("https://{NAME}"));
    let network = NETWORK.to_owned();
    configured(Settings { listen: listen.into(), server_url, network, tls, ..settings() })
}

/// A coordinator with two nodes, the first of which has the names of the services, and Pebble.
struct Fixture {
    coordinator: Coordinator,
    listen: SocketAddr,
    home: Channel,
    member: Channel,
    devices: [Device; 2],
    _folder: tempfile::TempDir,
}

impl Fixture {
    /// `authority` is where Pebble listens.
    async fn new(authority: SocketAddr, folder: tempfile::TempDir, listen: SocketAddr) -> Self {
        let coordinator = Coordinator::with(config(listen, authority, folder.path()), None).await;
        coordinator.ok(Method::PUT, "/policy", json!({ "policy": OPEN })).await;
        let devices = ["server", "laptop"].map(Device::new);
        let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
        let home = devices[0].join(&coordinator, &key).await;
        let key = coordinator.key(json!({ "user": "bob", "pre_approved": true })).await;
        let member = devices[1].join(&coordinator, &key).await;
        let listed = coordinator.devices().await;
        let id = &listed.iter().find(|device| device["hostname"] == "server").unwrap()["id"];
        for label in ["chat", "rooms", "nas"] {
            let path = format!("/records/{label}");
            coordinator.ok(Method::PUT, &path, json!({ "device": id })).await;
        }
        Self { coordinator, listen, home, member, devices, _folder: folder }
    }
}

/// A key, and its signing request for these names.
fn request(names: &[&str]) -> (KeyPair, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    (key, pem)
}

async fn ask(channel: &mut Channel, device: &Device, pem: &str) -> (StatusCode, String) {
    let request = CertificateRequest {
        version: CAPABILITY_VERSION,
        node_key: device.key(),
        signing_request: pem.to_owned(),
    };
    let response = channel.post(PATH, serde_json::to_vec(&request).unwrap().into()).await;
    let status = response.status();
    (status, String::from_utf8(whole(response).await.unwrap().to_vec()).unwrap())
}

/// Begins TLS with the public port for a name, trusting nobody.
async fn hello(address: SocketAddr, name: &str) -> String {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap_err().to_string()
}

#[tokio::test]
#[ignore = "needs: go"]
async fn the_node_with_a_name_gets_its_certificate_and_the_public_port_serves_nothing_for_it() {
    let _ = aws_lc_rs::default_provider().install_default();
    let (folder, ours) = (tempfile::tempdir().unwrap(), Authority::new());
    ours.issue(folder.path(), "127.0.0.1");
    std::fs::write(folder.path().join("ca.pem"), ours.pem()).unwrap();
    let [listen, authority] = [(); 2].map(|()| lab::free_port().unwrap());
    let _pebble = pebble(folder.path(), authority, listen);
    listening(authority).await;
    let mut it = Fixture::new(authority, folder, listen).await;
    let told = it.home.stream().await.next().await.unwrap().dns_config.unwrap().cert_domains;
    assert_eq!(told, ["chat.home.example.org", ROOMS]);

    let (key, pem) = request(&[ROOMS]);
    let (status, body) = ask(&mut it.home, &it.devices[0], &pem).await;

    assert_eq!(status, 200, "{body}");
    let chain = serde_json::from_str::<CertificateResponse>(&body).unwrap().chain;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
    assert_eq!(chain.len(), 2, "its own and an intermediate");
    let parsed = ParsedCertificate::try_from(&chain[0]).unwrap();
    verify_server_name(&parsed, &ServerName::try_from(ROOMS).unwrap()).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).expect("it is for our key");

    let issued = async || relay::try_tls(listen).await.is_ok();
    eventually_within(4 * PATIENCE, "the coordinator has its own", issued).await;
    assert!(hello(it.listen, NAME).await.contains("UnknownIssuer"), "the control");
    let nothing = hello(it.listen, ROOMS).await;
    assert!(!nothing.contains("UnknownIssuer") && nothing.contains("alert"), "{nothing}");
}

#[tokio::test]
async fn a_node_with_a_modified_client_orders_nothing_for_names_of_others() {
    let _ = aws_lc_rs::default_provider().install_default();
    let (folder, ours) = (tempfile::tempdir().unwrap(), Authority::new());
    std::fs::write(folder.path().join("ca.pem"), ours.pem()).unwrap();
    // Whoever takes its connections issues nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (authority, listen) = (silent.local_addr().unwrap(), lab::free_port().unwrap());
    let mut it = Fixture::new(authority, folder, listen).await;
    drop(silent);
    let asked = it.member.stream().await.next().await.unwrap().dns_config.unwrap();
    assert!(asked.cert_domains.is_empty());

    let (_, rooms) = request(&[ROOMS]);
    let long = "a".repeat(MAX_REQUEST_LEN);
    for (names, status) in [
        (&[ROOMS][..], 403),
        (&["laptop.home.example.org"], 403),
        (&["bank.example"], 403),
        (&[ROOMS, "bank.example"], 400),
        (&[], 400),
    ] {
        let (_, pem) = request(names);
        let (got, body) = ask(&mut it.member, &it.devices[1], &pem).await;
        assert_eq!(got, status, "{names:?} {body}");
    }
    // The admin gave these to the home node, but they are no service's over HTTPS, or not of the network.
    for name in ["nas.home.example.org", "server.home.example.org", NAME, "rooms.example.org"] {
        let (_, pem) = request(&[name]);
        assert_eq!(ask(&mut it.home, &it.devices[0], &pem).await.0, 403, "{name}");
    }
    let (another, own) = (it.devices[0].clone(), it.devices[1].clone());
    assert_eq!(ask(&mut it.member, &another, &rooms).await.0, 404, "another machine's node");
    assert_eq!(ask(&mut it.home, &it.devices[0], "no PEM").await.0, 400);
    assert_eq!(ask(&mut it.member, &own, &long).await.0, 413);

    for _ in 0..BURST {
        let (status, said) = ask(&mut it.home, &it.devices[0], &rooms).await;
        assert_eq!(status, 502, "it was allowed: {said}");
        assert!(said.contains("cannot reach the certificate authority"), "{said}");
    }
    let (status, said) = ask(&mut it.home, &it.devices[0], &rooms).await;
    assert_eq!(status, 429, "{said}");
    let (_, chat) = request(&["chat.home.example.org"]);
    assert_eq!(
        ask(&mut it.home, &it.devices[0], &chat).await.0,
        502,
        "another name is not kept out"
    );
    it.coordinator.stop().await;
}
