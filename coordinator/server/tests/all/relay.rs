//! The relay process.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use control_protocol::key::{NodePrivate, NodePublic};
use coordinator::{config::Config, relay::Relay};
use coordinator_api::settings::{self, Settings};
use derp::{
    ClientInfo,
    client::{Handshake, Step},
    frame::{Decoder, Frame, GoneReason},
    stun,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::harness::{Coordinator, PATIENCE};

pub(crate) struct Running {
    pub(crate) derp: SocketAddr,
    stun: SocketAddr,
    pub(crate) stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) async fn start(root: &Path) -> Running {
    start_with(root, Config::default()).await
}

pub(crate) async fn start_with(root: &Path, config: Config) -> Running {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let host = Some("coordinator.test".to_owned());
    let relay = settings::Relay {
        listen: any.into(),
        stun_listen: any.into(),
        host,
        ..config.settings.relay.clone()
    };
    let settings = Settings { relay, ..Settings::default() };
    let stop = CancellationToken::new();
    let relay = Relay::start(root, &Config { settings, ..config }, stop.clone()).await.unwrap();
    let (derp, stun) = relay.addresses().unwrap();
    tokio::spawn(relay.run());
    Running { derp, stun, stop }
}

/// Tells the relay who is a node and nobody else, as the coordinator does.
pub(crate) fn admit(root: &Path, keys: &[NodePublic]) {
    let nodes: Vec<_> =
        keys.iter().map(|key| json!({ "node": 1, "key": key, "until": null })).collect();
    let folder = root.join("var/lib/maru/relay-nodes");
    fs::create_dir_all(&folder).unwrap();
    let text = json!({ "version": 1, "nodes": nodes }).to_string();
    fs::write(folder.join("new"), text).unwrap();
    fs::rename(folder.join("new"), folder.join("nodes.json")).unwrap();
}

/// Keys of nodes, which the relay lets in.
pub(crate) fn nodes<const N: usize>(root: &Path) -> [NodePrivate; N] {
    let private = [(); N].map(|()| NodePrivate::generate().unwrap());
    admit(root, &private.each_ref().map(NodePrivate::public));
    private
}

/// Takes any certificate, and remembers nothing: the pin is compared by the test.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

pub(crate) async fn tls(address: SocketAddr) -> TlsStream<TcpStream> {
    try_tls(address).await.unwrap()
}

/// The same, if TLS comes about.
pub(crate) async fn try_tls(address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    let name = ServerName::try_from("coordinator.test").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// A client of the relay.
pub(crate) struct Client {
    io: TlsStream<TcpStream>,
    decoder: Decoder,
    pub(crate) key: NodePublic,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, private: NodePrivate, is_fast: bool) -> Self {
        Self::try_connect(address, private, is_fast).await.expect("it is let in")
    }

    /// Connects; nothing if the relay ends the connection where it would prove its own key.
    pub(crate) async fn try_connect(
        address: SocketAddr,
        private: NodePrivate,
        is_fast: bool,
    ) -> Option<Self> {
        let mut io = tls(address).await;
        let fast = if is_fast { "Derp-Fast-Start: 1\r\n" } else { "" };
        let request = format!(
            "GET /derp HTTP/1.1\r\nHost: a\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n{fast}\r\n"
        );
        io.write_all(request.as_bytes()).await.unwrap();
        if !is_fast {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(io.read_u8().await.unwrap());
            }
            assert!(head.starts_with(b"HTTP/1.1 101 "));
        }
        let key = private.public();
        let mut client = Self { io, decoder: Decoder::new(), key };
        let mut handshake = Handshake::new(private, ClientInfo::default());
        assert!(client.fill().await, "the relay shows its key to everyone");
        loop {
            let frame = client.decoder.poll_frame().unwrap().unwrap();
            match handshake.handle_frame(&frame, [7; 24]).unwrap() {
                Step::Send(bytes) => client.io.write_all(&bytes).await.unwrap(),
                Step::Wait => {}
                Step::Done { .. } => return Some(client),
            }
            if !client.fill().await {
                return None;
            }
        }
    }

    /// The address that the relay sees.
    pub(crate) fn own_address(&self) -> SocketAddr {
        self.io.get_ref().0.local_addr().unwrap()
    }

    /// Reads until a whole frame is there; whether it came before the end.
    async fn fill(&mut self) -> bool {
        let mut header = [0; 5];
        if timeout(PATIENCE, self.io.read_exact(&mut header)).await.unwrap().is_err() {
            return false;
        }
        let len = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let mut body = vec![0; usize::try_from(len).unwrap()];
        self.io.read_exact(&mut body).await.unwrap();
        self.decoder.handle_bytes(&header);
        self.decoder.handle_bytes(&body);
        true
    }

    /// Whether the relay ends the connection in time, after what it still has to say.
    pub(crate) async fn is_cut_within(&mut self, time: Duration) -> bool {
        let mut rest = Vec::new();
        timeout(time, self.io.read_to_end(&mut rest)).await.is_ok()
    }

    /// All that the relay says until it ends the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.io.read_to_end(&mut rest)).await.unwrap().unwrap();
        rest
    }

    /// Whether the relay answers a ping, after the news that peers left.
    pub(crate) async fn is_served_after_others_left(&mut self) -> bool {
        self.send(&Frame::Ping { data: *b"after it" }).await;
        loop {
            assert!(self.fill().await, "the connection ended");
            let frame = self.decoder.poll_frame().unwrap().unwrap();
            if let Frame::Pong { data } = frame {
                return data == *b"after it";
            }
            assert!(matches!(frame, Frame::PeerGone { .. }), "it says {frame:?}");
        }
    }

    /// Whether the relay answers.
    pub(crate) async fn is_served(&mut self) -> bool {
        self.send(&Frame::Ping { data: *b"12345678" }).await;
        self.expect(&Frame::Pong { data: *b"12345678" }).await;
        true
    }

    pub(crate) async fn send(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes).unwrap();
        self.io.write_all(&bytes).await.unwrap();
    }

    pub(crate) async fn expect(&mut self, expected: &Frame<'_>) {
        assert!(self.fill().await, "the connection ended before {expected:?}");
        assert_eq!(self.decoder.poll_frame().unwrap().as_ref(), Some(expected));
    }
}

#[tokio::test]
async fn two_clients_talk_and_each_learns_when_the_other_leaves() {
    let root = tempfile::tempdir().unwrap();
    let relay = start(root.path()).await;
    let [first, second] = nodes(root.path());
    let mut a = Client::connect(relay.derp, first, false).await;
    let mut b = Client::connect(relay.derp, second, true).await;
    let (from, to) = (a.key, b.key);

    let packet = vec![0x5a; 1400];
    a.send(&Frame::SendPacket { to, packet: &packet }).await;
    b.expect(&Frame::RecvPacket { from, packet: &packet }).await;
    b.send(&Frame::SendPacket { to: from, packet: b"back" }).await;
    a.expect(&Frame::RecvPacket { from: to, packet: b"back" }).await;
    a.send(&Frame::Ping { data: *b"12345678" }).await;
    a.expect(&Frame::Pong { data: *b"12345678" }).await;

    drop(b);
    a.expect(&Frame::PeerGone { peer: to, reason: GoneReason::Disconnected }).await;
    a.send(&Frame::SendPacket { to, packet: b"x" }).await;
    a.expect(&Frame::PeerGone { peer: to, reason: GoneReason::NotHere }).await;
}

#[tokio::test]
async fn a_client_without_the_key_that_it_names_is_not_let_in() {
    let root = tempfile::tempdir().unwrap();
    let relay = start(root.path()).await;
    let mut io = tls(relay.derp).await;
    io.write_all(b"GET /derp HTTP/1.1\r\nUpgrade: DERP\r\nDerp-Fast-Start: 1\r\n\r\n")
        .await
        .unwrap();
    let key = nodes::<1>(root.path())[0].public();
    let mut forged = Vec::new();
    Frame::ClientInfo { key, sealed: &[0; 80] }.encode(&mut forged).unwrap();
    io.write_all(&forged).await.unwrap();

    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, io.read_to_end(&mut rest)).await.unwrap();

    assert_eq!(rest.len(), 5 + 8 + 32, "the relay's key, and then the end");
}

#[tokio::test]
async fn strangers_who_say_nothing_give_way_and_nodes_do_not() {
    let root = tempfile::tempdir().unwrap();
    let relay = start(root.path()).await;
    let [first, second] = nodes(root.path());
    let mut known = Client::connect(relay.derp, first, false).await;

    // As many as one address may have in all.
    let mut silent = Vec::new();
    for _ in 0..256 {
        silent.push(TcpStream::connect(relay.derp).await.unwrap());
    }

    // Not once their time is over, when all of them are gone.
    let mut new = Client::connect(relay.derp, second, true).await;
    let end = timeout(PATIENCE, silent[0].read(&mut [0])).await.expect("the oldest gives way");
    assert!(matches!(end, Ok(0) | Err(_)));
    assert!(new.is_served().await && known.is_served().await);
}

#[tokio::test]
async fn of_many_connections_with_one_key_the_oldest_ends() {
    let root = tempfile::tempdir().unwrap();
    let relay = start(root.path()).await;
    let [node] = nodes::<1>(root.path());
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(Client::connect(relay.derp, node.clone(), true).await);
    }

    assert!(all[0].is_cut_within(PATIENCE).await);
    for _ in 0..2 {
        assert!(all[4].is_served().await);
    }
}

#[tokio::test]
async fn a_silent_client_is_kept_alive() {
    let root = tempfile::tempdir().unwrap();
    let settings = Config { relay_keep_alive: Duration::from_millis(50), ..Config::default() };
    let relay = start_with(root.path(), settings).await;
    let [node] = nodes(root.path());
    let mut client = Client::connect(relay.derp, node, false).await;

    for _ in 0..3 {
        client.expect(&Frame::KeepAlive).await;
    }
}

#[tokio::test]
async fn pitfall_d_two_measurements_go_over_one_connection() {
    let root = tempfile::tempdir().unwrap();
    let relay = start(root.path()).await;
    let mut io = tls(relay.derp).await;

    for _ in 0..2 {
        io.write_all(b"GET /derp/latency-check HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, io.read_u8()).await.unwrap().unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 200 OK"));
    }
}

#[tokio::test]
async fn stun_tells_a_node_its_address_and_answers_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let relay = start(root.path()).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut buffer = [0; 1500];

    socket.send_to(b"not stun at all, but twenty bytes", relay.stun).await.unwrap();
    socket.send_to(&stun::request([3; 12]), relay.stun).await.unwrap();
    // The relay takes them in turn: an answer to the first would come first.
    let (len, _) = timeout(PATIENCE, socket.recv_from(&mut buffer)).await.unwrap().unwrap();

    assert_eq!(
        stun::parse_response(&buffer[..len]).unwrap(),
        ([3; 12], socket.local_addr().unwrap())
    );
}

#[tokio::test]
async fn the_coordinator_tells_nodes_the_pin_of_the_certificate_that_the_relay_shows() {
    let coordinator = Coordinator::start().await;
    let relay = start(coordinator.root.path()).await;
    let key =
        coordinator.key(serde_json::json!({ "tags": ["tag:home"], "pre_approved": true })).await;
    let mut channel = crate::device::Device::new("home").join(&coordinator, &key).await;

    let map = channel.stream().await.next().await.unwrap().derp_map.unwrap();

    let io = tls(relay.derp).await;
    let shown = io.get_ref().1.peer_certificates().unwrap()[0].clone();
    let pin: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&shown).into();
    let node = &map.regions[&1].nodes[0];
    assert_eq!(node.certificate_pin(), Some(Some(pin)));
    assert_eq!(
        (node.host_name.as_str(), node.derp_port, node.stun_port),
        ("coordinator.test", 8444, 3478)
    );
}
