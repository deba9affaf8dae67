//! A name of a network with a public domain: its certificate comes from an authority outside (Pebble), by ACME.
//!
//! Fails if a device that trusts only that authority does not reach the service by its name; if the certificate is not renewed; if
//! the network's own certificate does not take its place when the authority is gone; if the status does not say how it stands; or
//! if the private key is in the coordinator's state. Blind to the Internet: Pebble asks a resolver of the test.

use std::{net::TcpListener, path::Path, time::Duration};

use lab::Process;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use testkit::{
    blocking::eventually_within,
    pebble::{Pebble, names},
};

use super::{
    control_plane::{ControlPlane, Node, echo, root, write},
    mesh_https::hello,
};

const HOST: &str = "10.77.1.2";
const NAME: &str = "rooms.home.example.org";
const SERVICE: &str = "hostname = \"server\"\n[[service]]\nname = \"echo\"\nport = 80\n\
    socket = \"run/maru/echo/http.sock\"\nhttps = [\"rooms\"]\n";
const LIFE_S: u64 = 30;
/// An order that fails once is tried again after a minute or two.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Pebble on the home machine, and the settings of a coordinator that orders there.
fn pebble(plane: &ControlPlane, folder: &Path) -> Process {
    let machine = &plane.topology.home;
    let dns = machine.in_network(|| TcpListener::bind((HOST, 0)).unwrap());
    let address = dns.local_addr().unwrap();
    names(dns, HOST.parse().unwrap());
    let mut command = machine.command(Pebble::program());
    let pebble = Pebble {
        folder,
        listen: format!("{HOST}:14000").parse().unwrap(),
        management: format!("{HOST}:15000").parse().unwrap(),
        dns: address,
        tls_port: 8443,
        life_s: LIFE_S,
    };
    pebble.configure(&mut command).unwrap();
    machine.spawn(&mut command).unwrap()
}

/// Leaves a certificate for Pebble's directory in the folder, and whoever signed it below the coordinator's root.
fn directory(folder: &Path, root: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ours = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    write(folder, "cert.pem", &params.signed_by(&key, &ours).unwrap().pem());
    write(folder, "key.pem", &key.serialize_pem());
    write(root, "etc/maru/ca.pem", &ours.pem());
}

/// What the home node's status says of the name.
fn state(home: &Node) -> Option<Value> {
    home.status()["certificates"].as_array()?.iter().find(|it| it["name"] == NAME).cloned()
}

/// What the home node's agent has stored.
fn stored(home: &Node) -> Value {
    serde_json::from_str(&home.stored("state.json").unwrap()).unwrap()
}

/// The stored chain without the leaf: the authority that a device is to trust.
fn intermediate(home: &Node) -> String {
    let stored = stored(home);
    let chain = stored["certificates"][0]["chain"].as_str().unwrap();
    chain[chain.rfind("-----BEGIN").unwrap()..].to_owned()
}

#[test]
#[ignore = "needs: root, go"]
fn a_name_of_a_public_domain_is_certified_renewed_and_not_lost_with_the_authority() {
    let (folder, root) = (root(), root());
    directory(folder.path(), root.path());
    let settings = format!(
        "server_url = \"https://maru.example.org\"\nnetwork = \"home.example.org\"\n[relay]\n\
         host = \"{HOST}\"\n[tls.acme]\ndirectory = \"https://{HOST}:14000/dir\"\n\
         ca = \"etc/maru/ca.pem\"\nmesh_names = true\n"
    );
    let plane = ControlPlane::with_settings(&["laptop"], root, &settings);
    let mut authority_outside = pebble(&plane, folder.path());
    plane.open_policy();
    // The devices of this test reach the coordinator by its address: nobody resolves its name.
    let join = |node: &Node, user: &str| {
        let invitation = plane.invite(user, true);
        let inside = format!("maru://{HOST}:8443");
        node.join(&invitation.replace("https://maru.example.org", &inside));
        node.wait_for_state("running");
    };
    let home = Node::start(&plane.topology.home.clone(), SERVICE);
    let _callers = echo(&home.root.path().join("run/maru/echo/http.sock"));
    join(&home, "mina");
    let laptop = Node::start(&plane.topology.laptops[0].clone(), "hostname = \"laptop\"\n");
    join(&laptop, "juno");
    assert_eq!(state(&home), None, "the name is nobody's yet");
    let id = plane.device("server")["id"].clone();
    plane.ask("PUT", "/records/rooms", Some(json!({ "device": id })));

    let first = eventually_within(PATIENCE, "a certificate", || {
        state(&home).filter(|state| state["ends"].is_string())
    });
    assert_eq!(first["problem"], Value::Null, "{first}");
    let outside = intermediate(&home);
    let address = home.address();
    let greet = |root: &str| hello(&laptop, &address, NAME, root);
    assert_eq!(greet(&outside).unwrap(), "hello");

    let second = eventually_within(PATIENCE, "another certificate", || {
        state(&home).filter(|state| state["ends"].is_string() && state["ends"] != first["ends"])
    });
    assert_eq!(second["problem"], Value::Null, "{second}");
    assert_eq!(greet(&outside).unwrap(), "hello");

    authority_outside.stop(Duration::from_secs(20)).unwrap();
    let own = stored(&home)["authority"]["root"].as_str().unwrap().to_owned();
    let problem = eventually_within(PATIENCE, "what is wrong", || {
        state(&home)?["problem"].as_str().map(str::to_owned)
    });
    assert!(problem.contains("certificate authority"), "{problem}");
    eventually_within(PATIENCE, "the network's own certificate", || {
        greet(&own).ok().filter(|back| back == "hello")
    });
    let text = home.stored("state.json").unwrap();
    assert_eq!(text.matches("BEGIN PRIVATE KEY").count(), 2, "the own authority's and this");
    let folder = plane.root.path().join("var/lib/maru/coordinator");
    let folders = [folder.join("acme"), folder];
    let key = stored(&home)["certificates"][0]["key"].clone();
    let secret = key.as_str().unwrap().lines().nth(1).unwrap().to_owned();
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap().flatten());
    for file in files.map(|it| it.path()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let found = bytes.windows(secret.len()).any(|it| it == secret.as_bytes());
        assert!(!found, "{}", file.display());
    }
}
