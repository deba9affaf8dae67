//! A person's laptop asks the homeserver over HTTPS, with a certificate of the network's own authority.
//!
//! Fails if a device that trusts the network's root is not answered at `https://rooms.<network>`, or one that does not is; if a
//! request for another host than that of the handshake is answered; if apps are not offered HTTPS and OAuth there; or if a
//! service answers in place of the agent on that port without TLS. Blind to browsers.

use std::{net::TcpStream, sync::Arc, time::Duration};

use lab::{Deployment, Member};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::Value;
use testkit::blocking::{eventually, http};

const ROOMS: &str = "rooms.maru.home.arpa";
const CHAT: &str = "chat.maru.home.arpa";
const PATIENCE: Duration = Duration::from_secs(60);
const CLIENT: &str = "/.well-known/matrix/client";
const OAUTH: &str = "/_matrix/client/v1/auth_metadata";

fn connect(member: &Member) -> TcpStream {
    let stream = member.instance.dial(443).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Asks by plain HTTP on the port of HTTPS.
fn plain(member: &Member, path: &str) -> (u16, String) {
    let answer = http::request(connect(member), "GET", path, ROOMS, &[], None).unwrap();
    (answer.status, answer.body().unwrap())
}

/// Asks a host over TLS that was begun for `name`, trusting `root` alone.
fn secure(
    member: &Member,
    root: &str,
    name: &str,
    (host, path): (&str, &str),
) -> Result<(u16, Value), String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, connect(member));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).map_err(|error| error.to_string())?;
    }
    let answer = http::request(stream, "GET", path, host, &[], None).unwrap();
    let status = answer.status;
    let body = answer.body().unwrap();
    Ok((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
}

#[test]
#[ignore = "needs: root, podman, model"]
fn rooms_are_asked_over_https_by_who_trusts_the_network() {
    let mut deployment = Deployment::start().unwrap();
    let alices = deployment.member("alices-laptop", "alice").unwrap();
    let root = eventually("the certificate", || {
        let (status, pem) = plain(&alices, "/root.pem");
        (status == 200).then_some(pem)
    });
    assert!(plain(&alices, "/").1.contains("maru trust"));
    assert_eq!(plain(&alices, CLIENT).0, 404, "only the agent speaks plain HTTP there");

    let (status, found) = secure(&alices, &root, ROOMS, (ROOMS, CLIENT)).unwrap();
    assert_eq!(status, 200);
    assert_eq!(found["m.homeserver"]["base_url"], format!("https://{ROOMS}"));
    let (status, oauth) = secure(&alices, &root, ROOMS, (ROOMS, OAUTH)).unwrap();
    assert_eq!(status, 200);
    assert!(oauth["issuer"].as_str().unwrap().starts_with("https://"), "{oauth}");
    assert_eq!(secure(&alices, &root, CHAT, (CHAT, "/v1/models")).unwrap().0, 200, "the gateway");

    for (name, host) in [(ROOMS, CHAT), (CHAT, ROOMS), (ROOMS, "home.maru.home.arpa")] {
        assert_eq!(secure(&alices, &root, name, (host, CLIENT)).unwrap().0, 421, "{name} {host}");
    }
    let other = rcgen::generate_simple_self_signed([ROOMS.to_owned()]).unwrap().cert.pem();
    let error = secure(&alices, &other, ROOMS, (ROOMS, CLIENT)).unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
}
