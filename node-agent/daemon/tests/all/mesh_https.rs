//! A name of the network over HTTPS, on lab machines with the real coordinator.
//!
//! Fails if a device that trusts the network's root does not reach the service by its name, or another reaches it; if the
//! service does not learn who called and for which name; if another node does not get the root, or gets another one after a
//! restart. Blind to browsers and phones.

use std::{
    io::{Error, ErrorKind, Read as _, Write as _},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::{Value, json};
use testkit::blocking::eventually;

use super::control_plane::{ControlPlane, Node, ask, echo};

const SERVICE: &str = "hostname = \"server\"\n[[service]]\nname = \"echo\"\nport = 80\n\
    socket = \"run/maru/echo/http.sock\"\nhttps = [\"rooms\"]\n";
const NAME: &str = "rooms.maru.home.arpa";

/// The authority that a node's agent tells, once it can.
fn authority(node: &Node) -> Value {
    eventually("the authority", || {
        let (status, body) = ask(&node.socket(), "GET", "/v1/authority", None);
        (status == 200).then_some(body)
    })
}

/// Says hello over TLS to `name` at the home node; `root` is the only certificate that is trusted.
pub(crate) fn hello(node: &Node, home: &str, name: &str, root: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = ClientConnection::new(Arc::new(config), name).map_err(Error::other)?;
    let mut stream = StreamOwned::new(client, node.connect(&format!("{home}:443"))?);
    stream.write_all(b"hello")?;
    stream.conn.send_close_notify();
    stream.flush()?;
    let mut back = String::new();
    match stream.read_to_string(&mut back) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        Ok(_) | Err(_) => Ok(back),
    }
}

#[test]
#[ignore = "needs: root"]
fn a_device_that_trusts_the_root_calls_a_name_over_https() {
    let plane = ControlPlane::new();
    plane.open_policy();
    let mut home = Node::start(&plane.topology.home.clone(), SERVICE);
    let callers = echo(&home.root.path().join("run/maru/echo/http.sock"));
    home.join(&plane.invite("mina", true));
    home.wait_for_state("running");
    let id = plane.device("server")["id"].clone();
    let gateway = json!({ "maru/gateway-identity": ["c29tZSBrZXk"] });
    plane.ask("PUT", &format!("/devices/{id}/capabilities"), Some(gateway));
    for label in ["chat", "rooms"] {
        plane.ask("PUT", &format!("/records/{label}"), Some(json!({ "device": id })));
    }
    let laptop = Node::start(&plane.topology.laptops[0].clone(), "hostname = \"laptop\"\n");
    laptop.join(&plane.invite("juno", true));
    laptop.wait_for_state("running");

    let found = authority(&laptop);
    assert_eq!(found["network"], "maru.home.arpa");
    assert_eq!(found["page"], "http://rooms.maru.home.arpa:443/");
    assert_eq!(found["certificate"], authority(&home)["certificate"]);
    let root = found["certificate"].as_str().unwrap();
    let address = home.address();
    let named = eventually("the name", || laptop.resolve(NAME).filter(|(code, _)| *code == 0));
    assert_eq!(named.1, [address.as_str()]);

    assert_eq!(hello(&laptop, &address, NAME, root).unwrap(), "hello");
    let header = callers.try_recv().unwrap();
    assert_eq!(header.authority.as_deref(), Some(NAME));
    assert_eq!(header.identity.user.unwrap().login, "juno");
    assert_eq!((header.identity.service.as_str(), header.destination.port()), ("echo", 443));

    let other = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap().cert.pem();
    let error = hello(&laptop, &address, NAME, &other).unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
    assert!(hello(&laptop, &address, "chat.maru.home.arpa", root).is_err(), "it is not offered");
    assert!(callers.try_recv().is_err(), "the service heard of neither");

    home.stop();
    home.run();
    eventually("the same authority after a restart", || {
        hello(&laptop, &address, NAME, root).ok().filter(|back| back == "hello")
    });
    let stored = home.stored("state.json").unwrap();
    assert_eq!(stored.matches("BEGIN PRIVATE KEY").count(), 1, "the intermediate's alone");
}
