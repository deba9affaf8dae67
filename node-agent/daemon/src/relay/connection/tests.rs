use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use derp::{ServerInfo, server};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::{self, sign::any_supported_type},
    pki_types::PrivateKeyDer,
    sign::{self, SingleCertAndKey},
};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A relay on this machine.
struct Relay {
    port: u16,
    /// What the map says of its certificate.
    pin: String,
    /// Connections that came.
    met: Arc<AtomicUsize>,
}

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap()
}

/// Starts a relay that shows the certificate of `shown` and has the key of `own`.
async fn relay(shown: &CertifiedKey<KeyPair>, own: &CertifiedKey<KeyPair>) -> Relay {
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let key = any_supported_type(&key).unwrap();
    let both = sign::CertifiedKey::new(vec![shown.cert.der().clone()], key);
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(both)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let met = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&met);
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            // A client that leaves in the handshake is what some tests are about.
            if let Ok(stream) = acceptor.accept(stream).await {
                admit(stream).await;
            }
        }
    });
    let digest = Sha256::digest(shown.cert.der());
    let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Relay { port, pin: format!("sha256-raw:{}", digits.concat()), met }
}

/// Upgrades and lets the client in, as a relay does; ends with the connection.
async fn admit(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"GET /derp HTTP/1.1\r\n"));
    let key = NodePrivate::from_bytes([1; 32]);
    let greeting = server::greeting(&key.public()).unwrap();
    let answer = [b"HTTP/1.1 101 Switching Protocols\r\n\r\n".as_slice(), &greeting].concat();
    stream.write_all(&answer).await.unwrap();
    let mut decoder = Decoder::new();
    let mut buffer = [0; 4096];
    loop {
        let len = stream.read(&mut buffer).await.unwrap();
        assert_ne!(len, 0, "the client proves its key");
        decoder.handle_bytes(&buffer[..len]);
        if let Some(frame) = decoder.poll_frame().unwrap() {
            let info = ServerInfo::default();
            let client = server::handle_client_info(&key, &frame, &info, [2; NONCE_LEN]).unwrap();
            stream.write_all(&client.answer).await.unwrap();
            stream.flush().await.unwrap();
            break;
        }
    }
    let _ = stream.read(&mut buffer).await;
}

/// Opens a connection to the relay, as a map with this `CertName` has it.
async fn open(relay: &Relay, cert_name: &str, insecure_for_tests: bool) -> Result<(), String> {
    let authority = certificate().cert.pem();
    open_with(relay, ("127.0.0.1", cert_name), insecure_for_tests, &authority).await
}

/// The same with this name of a host, and an authority.
async fn open_with(
    relay: &Relay,
    (host, cert_name): (&str, &str),
    insecure_for_tests: bool,
    ca: &str,
) -> Result<(), String> {
    let node = DerpNode {
        host_name: host.to_owned(),
        ipv4: "127.0.0.1".to_owned(),
        cert_name: cert_name.to_owned(),
        derp_port: relay.port,
        insecure_for_tests,
        ..DerpNode::default()
    };
    let region = DerpRegion { nodes: vec![node], ..DerpRegion::default() };
    let private = NodePrivate::from_bytes([3; 32]);
    let forwarder = Forwarder::default();
    let opened =
        timeout(PATIENCE, Connection::open(&region, &private, &forwarder, Some(ca))).await.unwrap();
    opened.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_relay_with_the_pinned_certificate_is_taken() {
    let own = certificate();
    let relay = relay(&own, &own).await;

    assert_eq!(open(&relay, &relay.pin, false).await, Ok(()));
    assert_eq!(open(&relay, &relay.pin, true).await, Ok(()));
}

#[tokio::test]
async fn a_relay_with_another_certificate_is_left_whatever_the_map_allows() {
    let own = certificate();
    let relay = relay(&own, &own).await;
    let other = format!("sha256-raw:{}", "ab".repeat(32));

    for insecure_for_tests in [false, true] {
        let error = open(&relay, &other, insecure_for_tests).await.unwrap_err();
        assert!(error.contains("not the one that the map pins"), "{error}");
    }
}

#[tokio::test]
async fn a_relay_that_nothing_is_known_of_is_not_even_met() {
    let own = certificate();
    let relay = relay(&own, &own).await;

    let cut = &relay.pin[..relay.pin.len() - 1];
    for (host, cert_name) in [("", ""), ("127.0.0.1", "sha256-raw:"), ("127.0.0.1", cut)] {
        for insecure_for_tests in [false, true] {
            let opened = open_with(&relay, (host, cert_name), insecure_for_tests, "").await;
            let error = opened.unwrap_err();
            assert!(error.contains("no relay that can be authenticated"), "{error}");
        }
    }
    assert_eq!(relay.met.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_relay_without_a_pin_is_taken_if_its_authority_vouches_for_its_name() {
    let own = certificate();
    let relay = relay(&own, &own).await;
    let (authority, other) = (own.cert.pem(), certificate().cert.pem());

    for cert_name in ["", "127.0.0.1"] {
        let names = ("127.0.0.1", cert_name);
        assert_eq!(open_with(&relay, names, false, &authority).await, Ok(()));
    }
    for (names, ca) in [
        (("127.0.0.1", ""), &other),
        (("127.0.0.1", "relay.example.org"), &authority),
        (("relay.example.org", ""), &authority),
    ] {
        for insecure_for_tests in [false, true] {
            let error = open_with(&relay, names, insecure_for_tests, ca).await.unwrap_err();
            assert!(error.contains("invalid peer certificate"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_relay_that_shows_the_certificate_without_having_its_key_is_left() {
    let relay = relay(&certificate(), &certificate()).await;

    let error = open(&relay, &relay.pin, false).await.unwrap_err();

    assert!(error.contains("BadSignature"), "{error}");
}

/// Reads from a relay that sends these bytes and then nothing.
async fn read_from(bytes: &[u8], silence: Duration) -> io::Error {
    let (near, mut far) = tokio::io::duplex(1024);
    far.write_all(bytes).await.unwrap();
    let (pongs, _pings) = mpsc::channel(8);
    let read = read(near, Decoder::new(), pongs, |_, _| {}, silence);
    let ended = timeout(PATIENCE, read).await.expect("it does not wait for ever");
    drop(far);
    ended.unwrap_err()
}

#[tokio::test]
async fn a_relay_that_falls_silent_is_left() {
    let mut alive = Vec::new();
    push(&mut alive, &Frame::KeepAlive);

    for bytes in [&[][..], &alive, &alive[..3]] {
        let error = read_from(bytes, Duration::from_millis(20)).await;
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}

#[tokio::test]
async fn what_the_relay_could_not_deliver_is_told_and_a_peer_that_left_is_not() {
    let [left, absent] = [(); 2].map(|()| NodePrivate::generate().unwrap().public());
    let mut bytes = Vec::new();
    push(&mut bytes, &Frame::PeerGone { peer: left, reason: GoneReason::Disconnected });
    push(&mut bytes, &Frame::PeerGone { peer: absent, reason: GoneReason::NotHere });
    push(&mut bytes, &Frame::Restarting { reconnect_in_ms: 700, try_for_ms: 5000 });
    let (pongs, _pings) = mpsc::channel(8);
    let told = std::cell::RefCell::new(Vec::new());
    let received = |of: &NodePublic, what: FromRelay<'_>| {
        assert_eq!(what, FromRelay::Undelivered);
        told.borrow_mut().push(*of);
    };

    read(&*bytes, Decoder::new(), pongs, received, PATIENCE).await.unwrap();

    assert_eq!(told.into_inner(), [absent]);
}

#[tokio::test]
async fn a_relay_that_restarts_is_left_with_what_it_asks_for() {
    let mut bytes = Vec::new();
    push(&mut bytes, &Frame::KeepAlive);
    push(&mut bytes, &Frame::Restarting { reconnect_in_ms: 700, try_for_ms: 5000 });
    let (pongs, _pings) = mpsc::channel(8);

    let read = read(&*bytes, Decoder::new(), pongs, |_, _| {}, PATIENCE).await;

    assert_eq!(read.unwrap(), Restart::new(700, 5000));
}

#[tokio::test]
async fn what_comes_after_the_answer_to_the_upgrade_is_kept() {
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n\r\n";
    let mut reader = &[answer.as_slice(), b"frames"].concat()[..];
    let after = read_upgrade(&mut reader).await.unwrap();
    assert_eq!([after.as_slice(), reader].concat(), b"frames");

    for refused in [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'a'; 100_000], &answer[..9]] {
        assert!(read_upgrade(&mut &*refused).await.is_err());
    }
}
