//! Whom the port for everyone lets in when it is crowded, and whose word about addresses counts.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use coordinator::config::Config;
use coordinator_api::settings::{Proxy, Settings};
use hyper::Method;
use serde_json::json;
use testkit::{eventually, http::exchange};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    device::{Channel, Device, server_key},
    harness::{Coordinator, OPEN, PATIENCE, config, configured, settings},
    process::{Process, Root},
    tls::Authority,
};

/// Connections of whom nothing is known that there may be in all.
const NEWCOMERS: usize = 1024;
/// The same of one address.
const NEWCOMERS_PER_ADDRESS: usize = 64;
/// Channels of machines that are no node, in all.
const STRANGERS: usize = 128;
/// The same of one address.
const STRANGERS_PER_ADDRESS: usize = 32;
/// Requests that one address may send at once.
pub(crate) const BURST: usize = 256;

/// Connects from an address of loopback, which has as many as a stranger could wish for.
async fn from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    socket.connect(address).await.unwrap()
}

/// Status of the answer to a request for the Noise key.
pub(crate) async fn ask(source: [u8; 4], address: SocketAddr, forwarded_for: Option<&str>) -> u16 {
    let stream = from(source, address).await;
    let header = forwarded_for.map(|text| format!("X-Forwarded-For: {text}\r\n"));
    let request = format!(
        "GET /key?v=130 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n",
        header.unwrap_or_default()
    );
    let answer = exchange(stream, request.as_bytes()).await;
    answer.split(' ').nth(1).unwrap_or_default().parse().unwrap()
}

/// Requests until one is answered with something else than 200; the number of those that were.
pub(crate) async fn until_refused(mut ask: impl AsyncFnMut(usize) -> u16) -> usize {
    for number in 0..3 * BURST {
        match ask(number).await {
            200 => {}
            429 => return number,
            other => panic!("status {other}"),
        }
    }
    panic!("all {} were answered", 3 * BURST);
}

#[tokio::test]
async fn connections_from_everywhere_keep_no_node_out() {
    chassis::process::raise_file_limit();
    let coordinator = Coordinator::open().await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let node = Device::new("node");
    let mut channel = node.join(&coordinator, &key).await;
    let mut silent = Vec::new();
    for number in 0..NEWCOMERS + 2 * NEWCOMERS_PER_ADDRESS {
        let byte = u8::try_from(number / NEWCOMERS_PER_ADDRESS).unwrap();
        silent.push(from([127, 0, 1, byte], coordinator.address).await);
    }

    let mut again = node.connect(coordinator.address).await;

    let map = |channel: &Channel| channel.map_request();
    assert_eq!(again.update(map(&again)).await.0, 200);
    assert_eq!(channel.update(map(&channel)).await.0, 200, "what was open stays");
    let oldest = timeout(PATIENCE, silent[0].read(&mut [0])).await.expect("it gives way");
    assert!(matches!(oldest, Ok(0) | Err(_)), "{oldest:?}");
}

/// A channel from an address, of a machine that is nobody's.
async fn stranger(source: [u8; 4], coordinator: &Coordinator) -> Channel {
    let server = server_key(coordinator.address).await;
    let stream = from(source, coordinator.address).await;
    Device::new("stranger").connect_over(stream, server).await.expect("nobody is refused")
}

/// Waits until a channel is closed.
async fn cut(channel: &mut Channel) {
    let is_cut = async || channel.try_update(channel.map_request()).await.is_none();
    eventually("it is cut", is_cut).await;
}

#[tokio::test]
async fn machines_that_are_no_node_share_few_channels_and_keep_neither_new_ones_nor_nodes_out() {
    let coordinator = Coordinator::open().await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let node = Device::new("node");
    let mut first = node.join(&coordinator, &key).await;
    let mut strangers = Vec::new();
    for number in 0..STRANGERS {
        let byte = u8::try_from(2 + number / STRANGERS_PER_ADDRESS).unwrap();
        strangers.push(stranger([127, 0, 2, byte], &coordinator).await);
    }

    let mut new = stranger([127, 0, 2, 99], &coordinator).await;
    cut(&mut strangers[0]).await;
    for _ in 0..STRANGERS_PER_ADDRESS {
        strangers.push(stranger([127, 0, 2, 3], &coordinator).await);
    }
    cut(&mut strangers[STRANGERS_PER_ADDRESS]).await;

    assert!(new.try_update(new.map_request()).await.is_some(), "who is alone is not pushed out");
    let mut second_oldest = strangers.swap_remove(1);
    let update = second_oldest.try_update(second_oldest.map_request()).await;
    assert!(update.is_some(), "nor is another address by a crowd of one");
    assert_eq!(first.update(first.map_request()).await.0, 200);
    let mut second = node.connect(coordinator.address).await;
    assert_eq!(second.update(second.map_request()).await.0, 200);
}

#[tokio::test]
async fn a_machine_that_does_not_become_a_node_in_time_is_cut_and_one_that_does_is_not() {
    let config = Config { stranger_time: Duration::from_secs(2), ..config() };
    let coordinator = Coordinator::with(config, None).await;
    coordinator.ok(Method::PUT, "/policy", json!({ "policy": OPEN })).await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let waiting = Device::new("waiting");
    let mut waits = waiting.connect(coordinator.address).await;
    assert!(!waits.register(&waiting.request()).await.auth_url.is_empty());
    let mut joined = Device::new("node").join(&coordinator, &key).await;
    let mut map = joined.stream().await;

    cut(&mut waits).await;

    assert_eq!(joined.update(joined.map_request()).await.0, 200);
    assert!(map.next().await.is_some());
}

#[tokio::test]
async fn an_address_that_asks_too_often_waits_and_no_other() {
    let coordinator = Coordinator::start().await;
    let address = coordinator.address;

    let answered = until_refused(async |_| ask([127, 0, 3, 1], address, None).await).await;

    assert!(answered >= BURST, "{answered}");
    assert_eq!(ask([127, 0, 3, 2], address, None).await, 200);
    // Nobody is believed where no proxy is trusted.
    let number = |number: usize| format!("192.0.2.{}", number % 250);
    let lies = async |at| ask([127, 0, 3, 3], address, Some(&number(at))).await;
    assert!(until_refused(lies).await >= BURST);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_device_counts_for_itself() {
    let trusted = vec!["127.0.4.0/24".to_owned()];
    let server_url = Some("https://coordinator.test".to_owned());
    let config = configured(Settings { server_url, proxy: Some(Proxy { trusted }), ..settings() });
    let coordinator = Coordinator::with(config, None).await;
    let (address, proxy) = (coordinator.address, [127, 0, 4, 1]);

    // What a device claims stands before what the proxy adds.
    let lie = |at: usize| format!("203.0.113.{}, 192.0.2.1", at % 250);
    assert!(until_refused(async |at| ask(proxy, address, Some(&lie(at))).await).await >= BURST);

    assert_eq!(ask(proxy, address, Some("192.0.2.2")).await, 200);
    assert_eq!(ask(proxy, address, None).await, 200, "the proxy itself");
    let other =
        async |at: usize| ask([127, 0, 5, 1], address, Some(&format!("10.0.0.{}", at % 250))).await;
    assert!(until_refused(other).await >= BURST, "who is not trusted counts itself");
}

/// What the program says, in one line, before it ends with status 1.
fn refusal(settings: &str) -> String {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/maru");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("coordinator.toml"), settings).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_maru-coordinator"));
    let ended = program.arg("--root").arg(root.path()).arg("serve").output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{settings}: {ended:?}");
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!root.path().join("var").exists(), "nothing is left half-done: {said}");
    said
}

#[test]
fn what_cannot_work_is_refused_in_one_sentence_that_says_what_to_do() {
    let [folder, ended] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    Authority::new().issue(folder.path(), "coordinator.test");
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    Authority::new().issue_expired(ended.path(), "coordinator.test");
    let [old_cert, old_key] = ["cert.pem", "key.pem"].map(|name| ended.path().join(name));
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = held.local_addr().unwrap();
    let url = |host: &str| format!("server_url = \"https://{host}\"\nlisten = \"127.0.0.1:0\"\n");
    let tls = |host: &str, certificate: &Path, key: &Path| {
        format!("{}[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n", url(host))
    };
    let here = url("coordinator.test");

    for (settings, said) in [
        (format!("listen = \"{busy}\""), "stop what uses the port"),
        ("listen = \"192.0.2.1:8443\"".to_owned(), "does not have that address"),
        (tls("coordinator.test", &folder.path().join("none"), &key), "check who may read it"),
        (tls("coordinator.test", &key, &key), "it holds no certificate"),
        (tls("other.test", &cert, &key), "it is not for other.test"),
        (
            tls("coordinator.test", &old_cert, &old_key),
            "it expired at 2026-01-01T00:00:00Z: renew it",
        ),
        (tls("coordinator.test", &cert, &old_key), "it does not belong to the private key in"),
        (format!("{here}[tls]\ncertificate = \"a\""), "set key"),
        (format!("{here}[tls.acme]\ncontact = \"me\""), "mailto:"),
        (format!("{here}[tls.acme]\nca = \"none\""), "check who may read it"),
        (format!("{here}[tls.acme]\ndirectory = \"https://a b\""), "is not a URL"),
        (format!("{here}[proxy]\ntrusted = []"), "trusts nobody"),
        (format!("{here}[proxy]\ntrusted = [\"nginx\"]"), "neither an address"),
    ] {
        let line = refusal(&settings);
        assert!(line.contains(said), "{line}");
    }
    drop(held);
}

#[tokio::test]
async fn a_proxy_that_is_not_listed_is_named_once_with_what_to_do() {
    let settings =
        "server_url = \"https://coordinator.test\"\n[proxy]\ntrusted = [\"127.0.4.1\"]\n";
    let root = Root::new(settings, None).await;
    let mut process = Process::start(&root);
    let address = process.serves().await;

    for _ in 0..3 {
        assert_eq!(ask([127, 0, 5, 1], address, Some("192.0.2.1")).await, 200);
    }

    let said = process.says("of an untrusted peer").await;
    assert!(said.contains("peer=127.0.5.1") && said.contains("add it to `trusted` under [proxy]"));
    assert_eq!(ask([127, 0, 5, 1], address, Some("192.0.2.1")).await, 200);
    assert_eq!(
        process.said("of an untrusted peer").len(),
        1,
        "who causes it does not fill the log"
    );
}

#[tokio::test]
async fn an_authority_that_is_not_reached_is_named_with_what_to_do_and_devices_are_served() {
    // Bound, so nobody else gets the port, and never listened on.
    let away = TcpSocket::new_v4().unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = away.local_addr().unwrap();
    let settings = format!(
        "server_url = \"https://coordinator.test\"\n[tls.acme]\ndirectory = \"https://{nobody}/dir\"\n"
    );
    let root = Root::new(&settings, None).await;
    let mut process = Process::start(&root);
    let address = process.serves().await;

    let said = process.says("there is no certificate").await;

    let words = format!("cannot reach the certificate authority at https://{nobody}/dir: check");
    assert!(said.contains(&words) && said.contains("this machine's Internet connection"), "{said}");
    assert_eq!(ask([127, 0, 0, 1], address, None).await, 200);
    let kept = root.path().join("var/lib/maru/coordinator/acme/certificate.pem");
    assert!(!kept.exists(), "nothing is left half-done");
}
