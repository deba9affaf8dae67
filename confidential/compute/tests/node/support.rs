//! A node's processes and what is around them.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use attester::{Authority, nsm::Module};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, connect_info::Connected},
    response::Response,
    routing::post,
    serve::IncomingStream,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chassis::tls::{self, CertificateFiles};
use confidential_api::{
    NodeId,
    evidence::{EvidenceList, EvidenceType},
    names::{header, host, media, role},
    node::NodeEvent,
    routing::AttestRequest,
};
use confidential_envelope::{
    Kem, Plaintext, ResponseOpener,
    bhttp::{self, RequestHead, ResponseHead, Scheme},
    inner::{self, Candidate, RESPONSE_LIMITS, Recipient, Rek},
};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, Request, header::CONTENT_TYPE};
use http_body_util::Full;
use lab::swtpm::Swtpm;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::Signal;
use rustls::pki_types::ServerName;
use testkit::blocking::eventually;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::mpsc,
};
use tokio_rustls::TlsConnector;

/// The registers of a TPM that hold what was measured.
const MEASURED: [u8; 2] = [8, 12];

/// How long anything may take that is waited for.
const SOON: Duration = Duration::from_secs(30);

/// A node that runs. Dropping it ends its processes.
pub(crate) struct Node {
    pub(crate) root: tempfile::TempDir,
    pub(crate) id: NodeId,
    pub(crate) engine: Arc<Engine>,
    pub(crate) events: mpsc::UnboundedReceiver<NodeEvent>,
    at: std::net::SocketAddr,
    tls: TlsConnector,
    boot: Child,
    router_com: Child,
    /// The machine's TPM, if it has one.
    pub(crate) tpm: Option<Swtpm>,
}

impl Drop for Node {
    fn drop(&mut self) {
        for child in [&mut self.router_com, &mut self.boot] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An engine that says what it was scripted to.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    pub(crate) asked: Mutex<Vec<String>>,
    holds: AtomicBool,
    hangs: AtomicBool,
    /// The processes whose requests it has not answered yet.
    under_way: Mutex<Vec<u32>>,
}

/// Sends a signal to a process.
pub(crate) fn signal(id: u32, what: Signal) {
    let id = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    rustix::process::kill_process(id, what).unwrap();
}

impl Engine {
    /// Whether it keeps its reply to itself after the first event.
    pub(crate) fn hold(&self, holds: bool) {
        self.holds.store(holds, Ordering::Relaxed);
    }

    /// Whether it says nothing at all.
    pub(crate) fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::Relaxed);
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way.lock().unwrap().len()
    }

    /// The worker whose request it got last, of those that it has not answered yet.
    pub(crate) fn worker(&self) -> Option<u32> {
        self.under_way.lock().unwrap().last().copied()
    }
}

/// A reply under way, and the process that it is for.
struct PendingReply(Arc<Engine>, u32);

impl PendingReply {
    fn new(engine: Arc<Engine>, caller: u32) -> Self {
        engine.under_way.lock().unwrap().push(caller);
        Self(engine, caller)
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        self.0.under_way.lock().unwrap().retain(|caller| *caller != self.1);
    }
}

/// The process at the other end of a connection.
#[derive(Clone, Copy, Debug)]
struct Caller(u32);

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let id = stream.io().peer_cred().unwrap().pid().unwrap();
        Self(id.try_into().unwrap())
    }
}

/// What a node answered.
pub(crate) struct NodeResponse {
    pub(crate) status: u16,
    pub(crate) kind: Option<String>,
    response: testkit::http::Response,
}

impl NodeResponse {
    pub(crate) async fn whole(self) -> Bytes {
        self.response.bytes().await.unwrap()
    }

    /// The next piece; none at the end. An error says that it was cut.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, hyper::Error> {
        self.response.piece().await.transpose()
    }

    /// Status and content under the seal.
    pub(crate) async fn open(self, opener: ResponseOpener) -> Option<(u16, String)> {
        let sealed = self.whole().await;
        let mut stream = opener.chunked(RESPONSE_LIMITS);
        let mut opened = Plaintext::default();
        stream.push(&sealed, &mut opened).ok()?;
        stream.finish(&mut opened).ok()?;
        let (head, content) = bhttp::decode::<ResponseHead>(&opened, 1 << 20).ok()?;
        Some((head.status.as_u16(), String::from_utf8(content.to_vec()).ok()?))
    }
}

/// The node as a client would know it once it has proved itself.
struct TestNode(Rek);

impl Candidate for TestNode {
    type Id = u8;

    fn id(&self) -> u8 {
        1
    }

    fn rek(&self) -> &Rek {
        &self.0
    }
}

impl Node {
    /// One whose key is in its memory, beside a stand-in of the security module.
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more settings.
    pub(crate) async fn start_with(more: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        module(root.path());
        let holder = format!("nsm = {:?}", root.path().join("run/nsm.sock"));
        Self::start_of(root, &format!("{holder}\n{more}"), None).await
    }

    /// One whose key is in a TPM, in which a program and a model were measured.
    pub(crate) async fn start_with_tpm() -> Self {
        let root = tempfile::tempdir().unwrap();
        let tpm = Swtpm::start(&root.path().join("run")).unwrap();
        for register in MEASURED {
            lab::swtpm::extend(tpm.socket(), register, [register; 32]).unwrap();
        }
        let holder = format!("tpm = {:?}", tpm.socket());
        Self::start_of(root, &holder, Some(tpm)).await
    }

    async fn start_of(root: tempfile::TempDir, settings: &str, tpm: Option<Swtpm>) -> Self {
        let connector = certificates(root.path());
        let engine = engine(root.path());
        let (router, mut events) = router().await;
        let at = lab::free_port().unwrap();
        let settings = format!(
            "listen = \"{at}\"\nurl = \"https://{at}\"\nheartbeat_s = 1\nmodels = [\"smollm2\"]\n\
             engine = \"run/engine.sock\"\n{settings}\n\
             [router]\nurl = \"http://{router}\"\n"
        );
        fs::write(root.path().join("etc/maru/confidential-compute.toml"), settings).unwrap();
        if tpm.is_some() {
            provision(root.path());
        }
        let boot = process(root.path(), "boot");
        let socket = root.path().join("run/maru/confidential-boot/boot.sock");
        eventually("boot", || socket.exists());
        let router_com = process(root.path(), "router-com");
        let first = tokio::time::timeout(SOON, events.recv()).await.expect("it is told").unwrap();
        Self { root, id: first.node, engine, events, at, tls: connector, boot, router_com, tpm }
    }

    /// Asks `router-com` to stop.
    pub(crate) fn stop(&self) {
        signal(self.router_com.id(), Signal::TERM);
    }

    /// Sends a signal to boot.
    pub(crate) fn signal_boot(&self, what: Signal) {
        signal(self.boot.id(), what);
    }

    /// Whether boot is stopped or dead (proc_pid_stat(5)).
    pub(crate) fn boot_is_still(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.boot.id())).unwrap();
        let (_, state) = stat.rsplit_once(") ").unwrap();
        state.starts_with(['T', 'Z'])
    }

    /// Processes that boot started, by their ids.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let mut found = Vec::new();
        // Each thread has those that it started.
        for task in fs::read_dir(format!("/proc/{}/task", self.boot.id())).unwrap().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().map(|id| id.parse::<u32>().unwrap()));
        }
        found
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> NodeResponse {
        self.send_as(&self.tls, request).await.unwrap()
    }

    /// Sends a request with other trust, and perhaps another certificate, than the router's.
    pub(crate) async fn send_as(
        &self,
        tls: &TlsConnector,
        request: Request<Full<Bytes>>,
    ) -> Option<NodeResponse> {
        let stream = TcpStream::connect(self.at).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = tls.connect(name, stream).await.ok()?;
        let response = testkit::http::send(stream, request).await?;
        let kind = response.headers.get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
        Some(NodeResponse { status: response.status.as_u16(), kind, response })
    }

    /// What it answers to a look at its health.
    pub(crate) async fn health(&self) -> u16 {
        let request = Request::get("/_health").header("host", "node").body(Full::default());
        self.send(request.unwrap()).await.status
    }

    /// Sends a sealed request as the router does.
    pub(crate) async fn ask(&self, key: &[u8], sealed: &[u8]) -> NodeResponse {
        self.try_ask(key, sealed).await.unwrap()
    }

    /// The same; `None` if the connection ended before an answer was read.
    pub(crate) async fn try_ask(&self, key: &[u8], sealed: &[u8]) -> Option<NodeResponse> {
        let request = Request::post("/")
            .header("host", "node")
            .header(CONTENT_TYPE, media::REQUEST)
            .header(header::ENCAPSULATED_KEY, STANDARD.encode(key))
            .body(Full::new(Bytes::copy_from_slice(sealed)));
        self.send_as(&self.tls, request.unwrap()).await
    }

    pub(crate) async fn attest(&self, nonce: [u8; 32]) -> EvidenceList {
        let body = AttestRequest { node: self.id, nonce }.encode();
        let request = Request::post("/attest").header("host", "node").body(Full::new(body.into()));
        let answer = self.send(request.unwrap()).await;
        assert_eq!(answer.status, 200);
        EvidenceList::decode(&answer.whole().await).unwrap()
    }

    /// Seals a question to the key that its evidence names: body, encapsulated key, and what opens the answer.
    pub(crate) async fn seal(&self, question: &Plaintext) -> (Vec<u8>, Vec<u8>, ResponseOpener) {
        let evidence = self.attest([1; 32]).await;
        let node = TestNode(rek(&evidence));
        let sealed = inner::seal(vec![Recipient::new(&node).unwrap()], question).unwrap();
        let key = sealed.keys[0].bytes.clone();
        (sealed.body, key, sealed.answers.of(&1).unwrap())
    }
}

/// The key that evidence names, of either kind.
fn rek(evidence: &EvidenceList) -> Rek {
    let of = |kind| evidence.0.iter().find(|it| it.kind == kind).map(|it| it.data.as_slice());
    if let Some(config) = of(EvidenceType::KEY_CONFIG) {
        return Rek::from_bytes(Kem::XWing, &config[6..]).unwrap();
    }
    // A public area of P-256 ends with both coordinates, each with its length before it.
    let area = of(EvidenceType::TPMT_PUBLIC).unwrap();
    let (x, y) = (&area[area.len() - 66..][..32], &area[area.len() - 32..]);
    Rek::from_bytes(Kem::P256, &[&[4], x, y].concat()).unwrap()
}

/// Has the node's program make the TPM's attestation key.
fn provision(root: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru-compute"));
    let out = command.arg("--root").arg(root).arg("ak").output().unwrap();
    assert!(out.status.success(), "{out:?}");
    fs::write(root.join("anchor.json"), out.stdout).unwrap();
}

/// A question as a client writes it.
pub(crate) fn question(path: &str, model: &str) -> Plaintext {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let head = RequestHead {
        method: Method::POST,
        scheme: Scheme::Https,
        authority: host::WORKER.to_owned(),
        path: path.parse().unwrap(),
        headers,
    };
    let body = format!("{{\"model\":\"{model}\",\"messages\":[]}}");
    bhttp::encode(&head, body.as_bytes(), 514)
}

/// Says something to a socket, and returns what it says until it closes.
pub(crate) async fn say(socket: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut said = Vec::new();
    let read = stream.read_to_end(&mut said);
    // A socket that is closed with something unread says so.
    let _ = tokio::time::timeout(SOON, read).await.expect("it closes");
    said
}

fn process(root: &Path, process: &str) -> Child {
    let log = fs::File::create(root.join(format!("{process}.log"))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru-compute"));
    command.arg("--root").arg(root).arg(process).stdin(Stdio::null()).stderr(log).spawn().unwrap()
}

/// An authority and certificates of it, and the router as a client.
fn certificates(root: &Path) -> TlsConnector {
    let folder = root.join("etc/maru/confidential");
    fs::create_dir_all(&folder).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(folder.join("ca.crt"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, key);
    for (name, role) in [("node", role::NODE), ("router", role::ROUTER), ("other", "other.invalid")]
    {
        let (own, key) = (folder.join(name), KeyPair::generate().unwrap());
        let names = vec!["127.0.0.1".to_owned(), role.to_owned()];
        let made = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        fs::write(own.with_extension("crt"), made.pem()).unwrap();
        fs::write(own.with_extension("key"), key.serialize_pem()).unwrap();
    }
    client(root, Some(&own(root, "router")))
}

/// A machine's certificate.
pub(crate) fn own(root: &Path, name: &str) -> CertificateFiles {
    let file = |kind| root.join(format!("etc/maru/confidential/{name}.{kind}"));
    CertificateFiles { certificate: file("crt"), key: file("key") }
}

/// A client that trusts the node, and shows this certificate if there is one.
pub(crate) fn client(root: &Path, own: Option<&CertificateFiles>) -> TlsConnector {
    let ca = root.join("etc/maru/confidential/ca.crt");
    TlsConnector::from(tls::client(&ca, own, &[&rustls::version::TLS13]).unwrap())
}

/// The security module's stand-in.
fn module(root: &Path) {
    let pcrs: BTreeMap<u16, Vec<u8>> = (0..3).map(|index| (index, vec![1; 48])).collect();
    let module = Module::new("test".to_owned(), Authority::generate().unwrap(), &pcrs).unwrap();
    fs::create_dir_all(root.join("run")).unwrap();
    let socket: PathBuf = root.join("run/nsm.sock");
    let listener = attester::serve::listen(&socket).unwrap();
    thread::spawn(move || attester::serve::serve(&listener, module));
}

fn engine(root: &Path) -> Arc<Engine> {
    let engine = Arc::new(Engine::default());
    let shared = Arc::clone(&engine);
    let answer = async move |ConnectInfo(caller): ConnectInfo<Caller>, body: Bytes| {
        let engine = Arc::clone(&shared);
        engine.asked.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
        let under_way = PendingReply::new(Arc::clone(&engine), caller.0);
        if engine.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let holds = engine.holds.load(Ordering::Relaxed);
        let events = stream::unfold((0, under_way), move |(step, engine)| async move {
            let event = match step {
                0 => "data: {\"canary\":1}\n\n",
                1 if holds => std::future::pending().await,
                1 => "data: [DONE]\n\n",
                _ => return None,
            };
            Some((Ok::<_, Infallible>(Bytes::from_static(event.as_bytes())), (step + 1, engine)))
        });
        let mut response = Response::new(Body::from_stream(events));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response
    };
    let router = Router::new().route("/v1/chat/completions", post(answer));
    let router = router.into_make_service_with_connect_info::<Caller>();
    let listener = UnixListener::bind(root.join("run/engine.sock")).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    engine
}

/// A router that hears what nodes say.
async fn router() -> (std::net::SocketAddr, mpsc::UnboundedReceiver<NodeEvent>) {
    let (heard, events) = mpsc::unbounded_channel();
    let hear = async move |body: Bytes| {
        let _ = heard.send(NodeEvent::decode(&body).unwrap());
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let router = Router::new().route("/node-events", post(hear));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (at, events)
}
