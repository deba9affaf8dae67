use std::{collections::HashSet, path::Path};

use mesh_identity::Header;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
};
use tokio_rustls::{TlsConnector, client};

use super::{
    public::{StoredCertificate, tests::PublicAuthority},
    *,
};
use crate::service::tests::access;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Two services with a name each, behind a front on a loopback address.
struct Fixture {
    front: Arc<Front>,
    _access: watch::Sender<Arc<AccessSnapshot>>,
    services: [UnixListener; 2],
    _folder: tempfile::TempDir,
}

fn service(socket: &Path, label: &str) -> Service {
    Service {
        name: label.to_owned(),
        port: 80,
        socket: socket.to_owned(),
        uid: None,
        local: Vec::new(),
        pages: true,
        page_names: Vec::new(),
        https: vec![label.to_owned()],
    }
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = |label: &str| folder.path().join(format!("{label}.sock"));
    let labels = ["chat", "rooms"];
    let services = labels.map(|label| UnixListener::bind(path(label)).unwrap());
    let settings = labels.map(|label| service(&path(label), label));
    let authority = Authority::create(&"maru.home.arpa".parse().unwrap()).unwrap();
    let access = watch::Sender::new(Arc::new(access(HTTPS_PORT)));
    let paths = Paths::new(Path::new("/"));
    let front = Front::new(authority, &settings, &paths, access.subscribe()).unwrap();
    Fixture { front: Arc::new(front), _access: access, services, _folder: folder }
}

impl Fixture {
    /// Connects as the node with this number.
    async fn connect(&self, node: u8) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let front = Arc::clone(&self.front);
        tokio::spawn(async move {
            let connect = |stream, _, stopping| {
                let source = SocketAddr::from(([100, 64, 0, node], 5000));
                let destination = SocketAddr::from(([100, 64, 0, 1], HTTPS_PORT));
                Some(Arc::clone(&front).serve(stream, source, destination, stopping))
            };
            Connections::new("test", 4).serve(listener, std::future::pending(), connect).await;
        });
        TcpStream::connect(address).await.unwrap()
    }

    /// Begins TLS for a name as the second node, which trusts the network's root or nothing.
    async fn tls(&self, name: &str, trusts: bool) -> io::Result<client::TlsStream<TcpStream>> {
        self.tls_by(name, trusts.then_some(self.front.authority.root.as_str())).await
    }

    /// Begins TLS for a name as the second node, which trusts this root in PEM alone.
    async fn tls_by(
        &self,
        name: &str,
        root: Option<&str>,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        if let Some(root) = root {
            roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.connect(2).await).await
    }
}

/// The header that a service hears, and the connection after it.
async fn heard(service: &UnixListener) -> (Header, tokio::net::UnixStream) {
    let (mut stream, _) = service.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        stream.read_buf(&mut bytes).await.unwrap();
        if let Some((header, len)) = Header::decode(&bytes).unwrap() {
            assert_eq!(len, bytes.len());
            return (header, stream);
        }
    }
}

#[tokio::test]
async fn the_name_of_the_handshake_picks_the_service_and_its_certificate() {
    let fixture = fixture();
    let mut certificates = Vec::new();
    for (at, label) in ["chat", "rooms"].into_iter().enumerate() {
        let name = format!("{label}.maru.home.arpa");
        let mut client = fixture.tls(&name, true).await.unwrap();
        let (header, mut service) = heard(&fixture.services[at]).await;
        assert_eq!(header.authority.as_deref(), Some(name.as_str()));
        assert_eq!(
            (header.identity.node.as_str(), header.identity.service.as_str()),
            ("n2", label)
        );
        assert_eq!(header.destination.port(), HTTPS_PORT);

        client.write_all(b"to the service").await.unwrap();
        let mut got = [0; 14];
        service.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"to the service");
        service.write_all(b"and back").await.unwrap();
        drop(service);
        let mut back = String::new();
        client.read_to_string(&mut back).await.unwrap();
        assert_eq!(back, "and back");
        certificates.push(client.get_ref().1.peer_certificates().unwrap()[0].clone());
    }
    assert_ne!(certificates[0], certificates[1]);
}

#[tokio::test]
async fn without_the_root_or_with_a_name_that_is_not_offered_there_is_no_handshake() {
    let fixture = fixture();
    let error = fixture.tls("rooms.maru.home.arpa", false).await.unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
    for name in ["home.maru.home.arpa", "evil.example", "100.64.0.1"] {
        assert!(fixture.tls(name, true).await.is_err(), "{name}");
    }
    assert!(fixture.tls("rooms.maru.home.arpa", true).await.is_ok(), "the control");
}

#[tokio::test]
async fn certificates_are_renewed_under_open_connections() {
    let fixture = fixture();
    let name = "rooms.maru.home.arpa";
    let mut client = fixture.tls(name, true).await.unwrap();
    let (_, mut service) = heard(&fixture.services[1]).await;
    let shown = |client: &client::TlsStream<TcpStream>| {
        client.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    fixture.front.renew(SystemTime::now() + DAY).unwrap();
    let again = fixture.tls(name, true).await.unwrap();
    assert_eq!(shown(&again), shown(&client), "it was not due");

    fixture.front.renew(SystemTime::now() + 20 * DAY).unwrap();

    service.write_all(b"still").await.unwrap();
    let mut got = [0; 5];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"still");
    // The new one begins in the future of this machine's clock, which is why the client refuses it.
    let error = fixture.tls(name, true).await.unwrap_err().to_string();
    assert!(error.contains("not valid yet"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_handshake_loses_its_place() {
    let fixture = fixture();
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stalled = fixture.connect(2).await;
        stalled.write_all(begun).await.unwrap();
        // The clock moves on by itself while everybody waits.
        let end = timeout(2 * HANDSHAKE, stalled.read(&mut [0; 64])).await.expect("it is closed");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        assert_eq!(fixture.front.handshakes.holders(), 0);
        assert_eq!(fixture.front.nodes.holders(), 0);
    }
}

#[tokio::test]
async fn a_node_that_stalls_handshakes_keeps_no_other_out() {
    let fixture = fixture();
    let take = || fixture.front.handshakes.take("n2".to_owned()).unwrap();
    let held: Vec<_> = (0..MAX_HANDSHAKES_PER_NODE).map(|_| take()).collect();
    let ask = async |node| {
        let mut stream = fixture.connect(node).await;
        let _ = stream.write_all(b"GET /root.pem HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut got = String::new();
        let _ = stream.read_to_string(&mut got).await;
        got
    };

    assert_eq!(ask(2).await, "", "it has no place left");
    assert!(ask(3).await.starts_with("HTTP/1.1 200"));
    drop(held);
}

#[tokio::test]
async fn who_speaks_plain_http_is_told_how_to_trust_and_reaches_no_service() {
    let fixture = fixture();
    let ask = async |path: &str| {
        let mut stream = fixture.connect(2).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: rooms.maru.home.arpa:443\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };

    let page = ask("/").await;
    for part in ["maru trust", "https://rooms.maru.home.arpa", "<svg", "iPhone", "lang=\"ko\""] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(ask("/root.pem").await.ends_with(&fixture.front.authority.root));
    assert!(ask("/maru.crt").await.contains("application/x-x509-ca-cert"));
    assert!(ask("/_matrix/client/versions").await.starts_with("HTTP/1.1 404"));
    let nobody = fixture.connect(9).await.read(&mut [0; 1]).await;
    assert!(matches!(nobody, Ok(0) | Err(_)), "not a peer: {nobody:?}");
}

#[tokio::test]
async fn the_code_on_the_page_is_its_own_address() {
    let fixture = fixture();
    let mut stream = fixture.connect(2).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    let side = page.split("viewBox=\"0 0 ").nth(1).unwrap().split(' ').next().unwrap();
    let side: usize = side.parse().unwrap();
    let path = page.split("fill=\"#000\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    let modules = path.split('M').skip(1).map(|module| {
        let mut place =
            module.trim_end_matches("h1v1h-1z").split(' ').map(|it| it.parse().unwrap());
        [(); 2].map(|()| place.next().unwrap())
    });
    let dark: HashSet<[usize; 2]> = modules.collect();
    let read = testkit::qr::read(side, side, |x, y| !dark.contains(&[x, y]));
    assert_eq!(read, "http://rooms.maru.home.arpa:443/");
}

#[tokio::test]
async fn a_public_certificate_is_shown_from_its_coming_on_and_open_connections_stay() {
    let fixture = fixture();
    let name = "rooms.maru.home.arpa";
    let mut client = fixture.tls(name, true).await.unwrap();
    let (_, mut service) = heard(&fixture.services[1]).await;
    let (authority, now) = (PublicAuthority::new(), SystemTime::now());
    let (key, request) = public::request(name).unwrap();
    let chain = authority.issue(&request, name, now - DAY);
    let stored = StoredCertificate { host: name.to_owned(), chain, key: key.serialize_pem() };

    fixture.front.certificates.publish(name.to_owned(), stored.check(now).unwrap());

    service.write_all(b"still").await.unwrap();
    let mut got = [0; 5];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"still");
    fixture.tls_by(name, Some(&authority.pem())).await.unwrap();
    let other = fixture.tls_by("chat.maru.home.arpa", Some(&authority.pem())).await;
    assert!(other.unwrap_err().to_string().contains("UnknownIssuer"), "it has none");
    assert!(fixture.tls("chat.maru.home.arpa", true).await.is_ok());
    let after = fixture.front.certificates.of(name, now + 90 * DAY).unwrap();
    assert_ne!(after.cert, stored.check(now).unwrap().certified.cert, "the network's own");
}
