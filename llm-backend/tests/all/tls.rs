//! The client against a real TLS server that wants a client certificate.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use chat_vocabulary::{ChatRequest, Delta, Message};
use futures_util::StreamExt as _;
use llm_backend::{
    ApiKey, Backend as _, EmbedRequest, Error, Health, OpenAiCompatible, Settings, Tls,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use testkit::server;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::Notify,
};
use tokio_rustls::TlsAcceptor;

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const VECTORS: &str = r#"{"data":[{"index":0,"embedding":[1.5]}]}"#;

/// An authority, as the mesh's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        self.issue_from(name, 1975, 4096)
    }

    /// One that is valid between the beginnings of these years.
    fn issue_from(&self, name: &str, from: i32, until: i32) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// Writes the client's files into a folder, each atomically.
    fn equip(&self, folder: &Path) {
        let (cert, key) = self.issue("gateway");
        for (name, text) in
            [("ca.pem", self.0.pem()), ("cert.pem", cert.pem()), ("key.pem", key.serialize_pem())]
        {
            fs::write(folder.join("next"), text).unwrap();
            fs::rename(folder.join("next"), folder.join(name)).unwrap();
        }
    }

    /// A server of this authority, which lets in clients of this authority.
    fn server(&self, name: &str) -> TlsAcceptor {
        self.server_with(self.issue(name))
    }

    fn server_with(&self, (cert, key): (rcgen::Certificate, KeyPair)) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What all connections of a server share.
struct Shared {
    acceptor: Mutex<TlsAcceptor>,
    /// Heads of the requests so far.
    requests: Mutex<Vec<String>>,
    /// Lets a stream that has begun go on to its end.
    go_on: Notify,
}

struct Server {
    shared: Arc<Shared>,
    _server: server::Server,
}

impl Server {
    fn shared(authority: &Authority, name: &str) -> Arc<Shared> {
        Arc::new(Shared {
            acceptor: Mutex::new(authority.server(name)),
            requests: Mutex::default(),
            go_on: Notify::new(),
        })
    }

    /// On loopback; its URL beside it.
    async fn tcp(authority: &Authority, name: &str) -> (Self, String) {
        let shared = Self::shared(authority, name);
        let accept = Arc::clone(&shared);
        let serve = move |stream| serve(stream, Arc::clone(&accept));
        let (server, address) = server::Server::tcp(serve).await;
        (Self { shared, _server: server }, format!("https://{address}"))
    }

    fn unix(authority: &Authority, name: &str, socket: &Path) -> Self {
        let shared = Self::shared(authority, name);
        let accept = Arc::clone(&shared);
        let serve = move |stream| serve(stream, Arc::clone(&accept));
        Self { shared, _server: server::Server::unix(socket, serve) }
    }

    /// From now on with certificates of another authority.
    fn exchange(&self, authority: &Authority, name: &str) {
        *self.shared.acceptor.lock().unwrap() = authority.server(name);
    }
}

/// Answers requests until one makes a stream; a chat says "a", waits until it may go on, says "b" and ends.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let acceptor = shared.acceptor.lock().unwrap().clone();
    // A client that trusts nobody here leaves during the handshake.
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    while let Ok(request) = server::read_request(&mut stream).await {
        answer(&mut stream, &shared, request.head).await;
    }
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), shared: &Shared, head: String) {
    shared.requests.lock().unwrap().push(head.clone());
    let json = |body| server::response("200 OK", "application/json", body);
    if head.starts_with("POST /v1/chat/completions") {
        stream.write_all(format!("{STREAM}{}", event("a")).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        shared.go_on.notified().await;
        let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        stream.write_all(format!("{}{end}", event("b")).as_bytes()).await.unwrap();
    } else if head.starts_with("POST /v1/embeddings") {
        stream.write_all(json(VECTORS).as_bytes()).await.unwrap();
    } else {
        let is_list = head.starts_with("GET /v1/models");
        let body = if is_list { r#"{"data":[{"id":"m"}]}"# } else { "{}" };
        stream.write_all(json(body).as_bytes()).await.unwrap();
        return stream.flush().await.unwrap();
    }
    stream.shutdown().await.unwrap();
}

fn event(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

/// A gateway's folder with the files of an authority.
fn equipped(authority: &Authority) -> (TempDir, Tls) {
    let folder = tempfile::tempdir().unwrap();
    authority.equip(folder.path());
    let file = |name: &str| -> Option<PathBuf> { Some(folder.path().join(name)) };
    let tls =
        Tls { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem"), server_name: None };
    (folder, tls)
}

fn client(url: &str, tls: Tls) -> OpenAiCompatible {
    OpenAiCompatible::new(Settings { tls, ..Settings::new(url) }).unwrap()
}

fn untrusted(result: Result<Health, Error>) {
    let error = result.unwrap_err();
    assert!(error.to_string().contains("do not trust each other"), "{error:?}");
    assert!(error.may_try_another() && error.is_backend_fault());
}

#[tokio::test]
async fn both_sides_show_certificates_of_the_authority() {
    let authority = Authority::new();
    let (server, url) = Server::tcp(&authority, "127.0.0.1").await;
    let (folder, tls) = equipped(&authority);
    fs::write(folder.path().join("api.key"), "s3cret\n").unwrap();
    let key = Some(ApiKey::File(folder.path().join("api.key")));
    let settings = Settings { tls, key, ..Settings::new(url) };
    let client = OpenAiCompatible::new(settings).unwrap();

    assert_eq!(client.health().await.unwrap(), Health::Ready);
    let request =
        EmbedRequest { model: "m".to_owned(), input: vec!["text".to_owned()], dimensions: None };
    assert_eq!(client.embed(request).await.unwrap().vectors, [[1.5]]);

    let requests = server.shared.requests.lock().unwrap();
    assert!(requests[0].starts_with("GET /health HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests.iter().all(|head| head.contains("authorization: Bearer s3cret\r\n")));
    assert!(!format!("{client:?}").contains("s3cret"));
}

#[tokio::test]
async fn without_trust_nothing_is_sent() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (server, url) = Server::tcp(&authority, "127.0.0.1").await;
    let (_folder, ours) = equipped(&authority);
    let (_other_folder, theirs) = equipped(&other);

    // The server is of an authority that we do not know.
    untrusted(client(&url, theirs.clone()).health().await);
    // We show no certificate, or one that the server does not know.
    untrusted(client(&url, Tls { ca: ours.ca.clone(), ..Tls::default() }).health().await);
    untrusted(client(&url, Tls { ca: ours.ca.clone(), ..theirs }).health().await);
    // Its certificate is for another name.
    let name = Some("gpu.maru.home.arpa".to_owned());
    untrusted(client(&url, Tls { server_name: name, ..ours.clone() }).health().await);

    assert!(server.shared.requests.lock().unwrap().is_empty());
    assert_eq!(client(&url, ours).health().await.unwrap(), Health::Ready);
}

/// A certificate whose time is not now is more often a wrong clock than a wrong certificate.
#[tokio::test]
async fn a_certificate_of_another_time_makes_one_think_of_the_clock() {
    let authority = Authority::new();
    let (server, url) = Server::tcp(&authority, "127.0.0.1").await;
    let (_folder, tls) = equipped(&authority);
    for (from, until) in [(1980, 1981), (4000, 4001)] {
        let issued = authority.issue_from("127.0.0.1", from, until);
        *server.shared.acceptor.lock().unwrap() = authority.server_with(issued);
        let error = client(&url, tls.clone()).health().await.unwrap_err();
        assert!(error.to_string().contains("clock"), "{error}");
        assert!(error.may_try_another() && error.is_backend_fault());
    }
}

#[tokio::test]
async fn certificates_are_exchanged_while_a_reply_goes_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let (server, url) = Server::tcp(&old, "127.0.0.1").await;
    let (folder, tls) = equipped(&old);
    let client = client(&url, tls);
    let request = ChatRequest { messages: vec![Message::user("hi")], ..ChatRequest::default() };
    let mut reply = client.chat(request).await.unwrap();
    assert_eq!(reply.next().await.unwrap().unwrap(), Delta::text("a"));

    server.exchange(&new, "127.0.0.1");
    untrusted(client.health().await);
    // Half an exchange, and a broken one, leave things as they were.
    fs::write(folder.path().join("ca.pem"), "half a certificate").unwrap();
    untrusted(client.health().await);
    new.equip(folder.path());
    assert_eq!(client.health().await.unwrap(), Health::Ready);
    // Nor does a connection that is kept outlive the trust in its server.
    assert_eq!(client.models().await.unwrap().len(), 1);
    Authority::new().equip(folder.path());
    untrusted(client.health().await);

    server.shared.go_on.notify_one();
    assert_eq!(reply.next().await.unwrap().unwrap(), Delta::text("b"));
    assert_eq!(reply.map(Result::unwrap).count().await, 1, "its finish reason");
}

#[tokio::test]
async fn a_tls_server_answers_behind_a_unix_socket() {
    let authority = Authority::new();
    let (folder, tls) = equipped(&authority);
    let socket = folder.path().join("http.sock");
    let _server = Server::unix(&authority, "gpu.maru.home.arpa", &socket);
    let url = format!("unix://{}", socket.display());
    let name = Some("gpu.maru.home.arpa".to_owned());

    let trusted = client(&url, Tls { server_name: name, ..tls.clone() });

    assert_eq!(trusted.health().await.unwrap(), Health::Ready);
    let unnamed = OpenAiCompatible::new(Settings { tls, ..Settings::new(url) });
    assert!(unnamed.unwrap_err().to_string().contains("serverName"));
}

#[test]
fn https_needs_an_authority_and_http_takes_none() {
    let refusal = |url: &str, tls: Tls| {
        OpenAiCompatible::new(Settings { tls, ..Settings::new(url) }).unwrap_err().to_string()
    };
    assert!(refusal("https://gpu:8443", Tls::default()).contains("request.tls.ca"));
    let tls = Tls { ca: Some("/ca.pem".into()), ..Tls::default() };
    assert!(refusal("http://127.0.0.1:1", tls.clone()).contains("https://"));
}

/// It may be written later, and is no reason not to start.
#[tokio::test]
async fn a_missing_file_fails_each_request_until_it_exists() {
    let authority = Authority::new();
    let (_server, url) = Server::tcp(&authority, "127.0.0.1").await;
    let (folder, tls) = equipped(&authority);
    let (ca, aside) = (folder.path().join("ca.pem"), folder.path().join("aside"));
    fs::rename(&ca, &aside).unwrap();
    let client = client(&url, tls);
    let error = client.health().await.unwrap_err();
    assert!(error.to_string().contains("ca.pem cannot be used"), "{error}");
    assert!(error.may_try_another() && !error.is_backend_fault());
    fs::rename(&aside, &ca).unwrap();
    assert_eq!(client.health().await.unwrap(), Health::Ready);
}
