//! A certificate from Pebble, the test authority of Let's Encrypt, by ACME.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use coordinator::config::Config;
use coordinator_api::settings::{Acme, Settings, Tls};
use hyper::Method;
use serde_json::json;
use testkit::{
    eventually, eventually_within,
    pebble::{Pebble, names},
};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    device::Device,
    harness::{Coordinator, OPEN, PATIENCE, configured, relay_was_here, settings},
    relay,
    tls::Authority,
};

/// The name that is proved.
pub(crate) const NAME: &str = "maru.example.org";
/// Life of a certificate, in seconds.
const LIFE_S: u64 = 20;

/// Ended when dropped.
pub(crate) struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An authority at `address`, which proves names at the port of `coordinator`.
pub(crate) fn pebble(folder: &Path, address: SocketAddr, coordinator: SocketAddr) -> Program {
    let dns = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let management = lab::free_port().unwrap();
    let (tls_port, address_of_names) = (coordinator.port(), dns.local_addr().unwrap());
    let pebble = Pebble {
        folder,
        listen: address,
        management,
        dns: address_of_names,
        tls_port,
        life_s: LIFE_S,
    };
    names(dns, Ipv4Addr::LOCALHOST);
    let mut command = Command::new(Pebble::program());
    pebble.configure(&mut command).unwrap();
    Program(command.spawn().unwrap())
}

/// The certificate that is shown.
async fn shown(address: SocketAddr) -> Vec<u8> {
    let stream = relay::tls(address).await;
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// Waits until the address is listened on.
pub(crate) async fn listening(address: SocketAddr) {
    eventually("it listens", async || tokio::net::TcpStream::connect(address).await).await;
}

fn config(listen: SocketAddr, authority: SocketAddr, folder: &Path) -> Config {
    let acme = Acme {
        directory: format!("https://{authority}/dir"),
        contact: Some("mailto:admin@example.org".to_owned()),
        ca: Some(folder.join("ca.pem")),
        mesh_names: false,
    };
    let tls = Some(Tls { acme: Some(acme), ..Tls::default() });
    let server_url = Some(format!("https://{NAME}"));
    configured(Settings { listen: listen.into(), server_url, tls, ..settings() })
}

/// The coordinator as a program that logs to `log`.
fn program(
    root: &Path,
    log: &Path,
    listen: SocketAddr,
    authority: SocketAddr,
    folder: &Path,
) -> Program {
    let ca = folder.join("ca.pem");
    let settings = format!(
        "listen = \"{listen}\"\nserver_url = \"https://{NAME}\"\n[tls.acme]\n\
         directory = \"https://{authority}/dir\"\nca = {ca:?}\n"
    );
    let settings_folder = root.join("etc/maru");
    std::fs::create_dir_all(&settings_folder).unwrap();
    std::fs::write(settings_folder.join("coordinator.toml"), settings).unwrap();
    let log = std::fs::File::create(log).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_maru-coordinator"));
    program.arg("--root").arg(root).arg("serve").stdin(Stdio::null());
    Program(program.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
}

#[tokio::test]
async fn devices_are_served_while_there_is_no_certificate() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (folder, ours) = (tempfile::tempdir().unwrap(), Authority::new());
    std::fs::write(folder.path().join("ca.pem"), ours.pem()).unwrap();
    let (listen, silent) =
        (lab::free_port().unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let config = config(listen, silent.local_addr().unwrap(), folder.path());

    let coordinator = Coordinator::with(config, None).await;
    let asked = timeout(PATIENCE, silent.accept()).await.expect("a certificate is ordered");

    coordinator.ok(Method::PUT, "/policy", json!({ "policy": OPEN })).await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let mut channel = Device::new("node").join(&coordinator, &key).await;
    assert_eq!(channel.update(channel.map_request()).await.0, 200);
    assert!(relay::try_tls(listen).await.is_err(), "there is nothing to show");
    drop(asked);
}

#[tokio::test]
#[ignore = "needs: go"]
async fn a_certificate_is_issued_and_renewed_and_stays_where_the_authority_is_gone() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (folder, ours) = (tempfile::tempdir().unwrap(), Authority::new());
    ours.issue(folder.path(), "127.0.0.1");
    std::fs::write(folder.path().join("ca.pem"), ours.pem()).unwrap();
    let [listen, authority] = [(); 2].map(|()| lab::free_port().unwrap());
    let config = config(listen, authority, folder.path());

    let pebble = pebble(folder.path(), authority, listen);
    listening(authority).await;
    let mut coordinator = Coordinator::with(config, None).await;
    // What fails once is tried again after a minute.
    let issued = async || relay::try_tls(listen).await.is_ok();
    eventually_within(4 * PATIENCE, "it is issued", issued).await;
    let first = shown(listen).await;

    let second = eventually_within(4 * PATIENCE, "it is renewed", async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Some(shown(listen).await).filter(|now| *now != first)
    })
    .await;

    drop(pebble);
    let gone = TcpListener::bind(authority).await.unwrap();
    coordinator.restart().await;
    assert_eq!(shown(listen).await, second, "what was issued is kept");
    let asked = timeout(2 * PATIENCE, gone.accept()).await.expect("it is to be renewed again");
    drop(asked);
    assert_eq!(shown(listen).await, second, "the old one stays");
}

#[tokio::test]
#[ignore = "needs: go"]
async fn an_authority_that_cannot_prove_the_name_is_quoted() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (folder, ours) = (tempfile::tempdir().unwrap(), Authority::new());
    ours.issue(folder.path(), "127.0.0.1");
    std::fs::write(folder.path().join("ca.pem"), ours.pem()).unwrap();
    let [listen, authority, elsewhere] = [(); 3].map(|()| lab::free_port().unwrap());
    let config = config(listen, authority, folder.path());
    let _pebble = pebble(folder.path(), authority, elsewhere);
    listening(authority).await;
    let root = tempfile::tempdir().unwrap();
    relay_was_here(root.path(), &config).await;

    let log = root.path().join("log");
    let _coordinator = program(root.path(), &log, listen, authority, folder.path());

    let said = eventually("it says why", async || {
        let said = std::fs::read_to_string(&log).unwrap();
        said.contains("there is no certificate").then_some(said)
    })
    .await;
    assert!(said.contains(&format!("issued no certificate for {NAME}: ")), "{said}");
    assert!(said.contains(&elsewhere.port().to_string()), "the authority's own words: {said}");
    assert!(said.contains("TCP port 443"), "{said}");
    let kept = root.path().join("var/lib/maru/coordinator/acme/certificate.pem");
    assert!(!kept.exists());
}
