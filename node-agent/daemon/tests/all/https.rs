//! An agent whose coordinator is reached by HTTPS, with a certificate of the household's own authority.
//!
//! Fails if the agent believes a certificate that nobody vouches for, does not believe one of the authority that it was
//! given, or does not come back when the certificate has been exchanged.

use std::{path::Path, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use testkit::blocking::eventually;

use super::control_plane::{ControlPlane, Node, ask, root, write};

/// Where the coordinator is.
const HOST: &str = "10.77.1.2";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Leaves a certificate for the coordinator below its root.
fn issue(authority: &Authority, root: &Path) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    write(root, "etc/maru/tls/key.pem", &key.serialize_pem());
    write(root, "etc/maru/tls/cert.pem", &certificate.pem());
}

#[test]
#[ignore = "needs: root"]
fn a_coordinator_behind_https_is_joined_on_the_word_of_an_authority() {
    let (ours, root) = (authority(), root());
    issue(&ours, root.path());
    let settings = format!(
        "listen = [\"0.0.0.0:8443\", \"[::]:8443\"]\nserver_url = \"https://{HOST}:8443\"\n\
         [tls]\ncertificate = \"etc/maru/tls/cert.pem\"\nkey = \"etc/maru/tls/key.pem\"\n"
    );
    let mut plane = ControlPlane::with_settings(&["laptop"], root, &settings);
    let laptop = Node::start(&plane.topology.laptops[0].clone(), "hostname = \"laptop\"\n");
    let invitation = plane.invite("juno", true);
    assert!(invitation.starts_with("https://10.77.1.2:8443/join#"), "another link");

    laptop.join(&invitation);
    let problem =
        eventually("what is wrong", || laptop.status()["problem"].as_str().map(str::to_owned));
    assert!(problem.contains("--ca FILE") || problem.contains("ca-certificates"), "{problem}");
    assert!(plane.ask("GET", "/devices", None).as_array().unwrap().is_empty());

    let body = json!({ "url": invitation, "ca": ours.pem() });
    assert_eq!(ask(&laptop.socket(), "POST", "/v1/join", Some(body)).0, 202);
    let status = laptop.wait_for_state("running");
    assert_eq!(status["coordinator"]["url"], "https://10.77.1.2:8443");

    issue(&ours, plane.root.path());
    let mut serve = plane.serve.take().unwrap();
    assert!(serve.stop(Duration::from_secs(60)).unwrap().success());
    eventually("it is cut", || laptop.status()["coordinator"]["connected"] == false);
    plane.serve();
    eventually("it is back", || laptop.status()["coordinator"]["connected"] == true);
}
