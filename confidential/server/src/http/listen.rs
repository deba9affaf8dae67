//! Listeners: TLS 1.3 for other machines and, if configured, plain HTTP on loopback.
//!
//! Connections of clients that stop reading a response, or read it too slowly, are closed. The number of connections of one
//! address is limited, except for the client whose certificate shows that it forwards the requests of all clients.
//! Connections before their handshake do not count against that limit.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
};
use chassis::{
    accept::Connections,
    body::with_guard,
    connection_limit::ConnectionLimit,
    http::Http,
    idle::Activity,
    pem::FileError,
    quota, tls,
    write_timeout::{self, WriteTimeout},
};
use confidential_api::settings::ServerTls;
use rustls::{pki_types::CertificateDer, server::ParsedCertificate};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

/// Longest time for a request's head, and between two requests.
const HEAD: Duration = Duration::from_secs(30);
/// Read buffer of a connection, which limits a request's head, in bytes.
const BUFFER: usize = 64 << 10;
/// How long open requests may take at shutdown.
const DRAIN: Duration = Duration::from_secs(3);

/// A role cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The port cannot be bound.
    #[error("cannot listen on {0}: stop the process that uses it, or set another port in `{1}`")]
    Bind(SocketAddr, &'static str, #[source] std::io::Error),
    /// Plain HTTP must not leave the machine.
    #[error("`listen_plain` must be a loopback address, which {0} is not")]
    NotLoopback(SocketAddr),
    /// A certificate.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The client of a request. It has no `Debug`, so that it is never logged.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Its address or network, for limits only.
    pub(crate) address: IpAddr,
    /// Its certificate, if client certificates are required.
    shown: Option<Arc<CertificateDer<'static>>>,
}

impl Caller {
    /// Whether its certificate is for this name of a role or host.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        self.shown.as_ref().is_some_and(|shown| tls::is_for(shown, name))
    }

    /// SHA-256 of its certificate's public key (`SubjectPublicKeyInfo`, RFC 5280), which may survive a renewal; `None` if the
    /// certificate cannot be parsed.
    pub(crate) fn key(&self) -> Option<[u8; 32]> {
        let parsed = ParsedCertificate::try_from(&**self.shown.as_ref()?).ok()?;
        Some(Sha256::digest(parsed.subject_public_key_info()).into())
    }
}

/// The bound sockets of a role.
pub(crate) struct Listeners {
    what: &'static str,
    secure: (TcpListener, tls::Server),
    plain: Option<TcpListener>,
    connections: usize,
    each: usize,
    carrier: Option<&'static str>,
    idle: Duration,
    whole_answer: Duration,
}

/// The required client certificates.
pub(crate) struct Clients<'a> {
    /// Their certificate authority.
    pub(crate) ca: &'a Path,
    /// The role that forwards the requests of all clients, whose connections are not limited by address.
    pub(crate) carrier: &'static str,
}

/// [`ListenOptions`] from the settings of a role: TLS only, for any client. `sent_s` is `[idle_s, whole_answer_s]`.
macro_rules! listen_options {
    ($what:literal, $root:expr, $settings:expr, $sent_s:expr) => {{
        let [idle_s, whole_answer_s] = $sent_s;
        $crate::http::listen::ListenOptions {
            what: $what,
            root: $root,
            listen: $settings.listen,
            plain: None,
            tls: &$settings.tls,
            clients: None,
            connections: $settings.connections,
            each: $settings.connections_per_address,
            idle_s,
            whole_answer_s,
        }
    }};
}
pub(crate) use listen_options;

/// How to listen.
pub(crate) struct ListenOptions<'a> {
    /// The connections' name in the log.
    pub(crate) what: &'static str,
    pub(crate) root: &'a Path,
    pub(crate) listen: SocketAddr,
    pub(crate) plain: Option<SocketAddr>,
    pub(crate) tls: &'a ServerTls,
    pub(crate) clients: Option<Clients<'a>>,
    pub(crate) connections: usize,
    /// Maximum number of connections from one address.
    pub(crate) each: usize,
    /// Longest time until the client reads the next part of a response, in seconds.
    pub(crate) idle_s: u64,
    /// Longest time for sending a response, in seconds.
    pub(crate) whole_answer_s: u64,
}

impl Listeners {
    pub(crate) async fn open(options: ListenOptions<'_>) -> Result<Self, ListenError> {
        let ListenOptions { what, root, listen, plain, connections, each, .. } = options;
        let idle = Duration::from_secs(options.idle_s).min(write_timeout::LONGEST);
        let whole_answer = Duration::from_secs(options.whole_answer_s);
        let (carrier, ca) = options.clients.map(|it| (it.carrier, root.join(it.ca))).unzip();
        let server = tls::watch_server(own(root, options.tls), ca)?;
        if let Some(address) = plain.filter(|address| !address.ip().is_loopback()) {
            return Err(ListenError::NotLoopback(address));
        }
        let plain = match plain {
            Some(address) => Some(bind(address, "listen_plain").await?),
            None => None,
        };
        let secure = (bind(listen, "listen").await?, server);
        Ok(Self { what, secure, plain, connections, each, carrier, idle, whole_answer })
    }

    /// The addresses with TLS and without.
    pub(crate) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let plain = self.plain.as_ref().and_then(|listener| listener.local_addr().ok());
        (self.secure.0.local_addr().ok(), plain)
    }

    /// Serves requests until `stop` is cancelled.
    pub(crate) async fn serve(self, router: Router, stop: CancellationToken) {
        let (what, (listener, server)) = (self.what, self.secure);
        let limit = ConnectionLimit::new(what, self.connections, self.each);
        let limit = if self.carrier.is_some() { limit.with_carriers() } else { limit };
        let idle = self.idle;
        let http = Http::new(HEAD).buffer(BUFFER).answer(self.whole_answer);
        let secure = {
            let router = router.clone();
            let (connections, carrier) = (Connections::new(what, limit.most()), self.carrier);
            connections.drain(DRAIN).serve(
                listener,
                stop.cancelled(),
                move |stream, peer, stopping| {
                    let newcomer = limit.enter(peer.ip())?;
                    let acceptor = TlsAcceptor::from(server.current());
                    let router = router.clone();
                    let _ = stream.set_nodelay(true);
                    let stream = WriteTimeout::new(stream, idle);
                    Some(async move {
                        let Some(stream) = newcomer.shake(acceptor.accept(stream)).await else {
                            return;
                        };
                        let caller = Caller { address: newcomer.address(), shown: shown(&stream) };
                        let carries = carrier.is_some_and(|role| caller.is_for(role));
                        let Some(admitted) = newcomer.admit(carries) else { return };
                        let Some(idle) = admitted.idle() else {
                            http.route(stream, router, caller, stopping).await;
                            return drop(admitted);
                        };
                        let router = counted(router, idle.clone());
                        tokio::select! {
                            // In this order, so that a received request is served.
                            biased;
                            () = http.route(stream, router, caller, stopping) => {}
                            () = idle.evicted() => tracing::debug!("an idle connection was closed for a new one"),
                        }
                    })
                },
            )
        };
        let plain: std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> = match self.plain {
            Some(listener) => {
                Box::pin(Connections::new(what, self.connections).drain(DRAIN).serve(
                    listener,
                    stop.cancelled(),
                    move |stream: TcpStream, peer, stopping| {
                        let router = router.clone();
                        let _ = stream.set_nodelay(true);
                        let caller = Caller { address: quota::origin(peer.ip()), shown: None };
                        Some(http.route(WriteTimeout::new(stream, idle), router, caller, stopping))
                    },
                ))
            }
            None => Box::pin(async {}),
        };
        tokio::join!(secure, plain);
    }
}

/// Marks the connection as busy while a request is served.
fn counted(router: Router, idle: Activity) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| {
        let busy = idle.busy();
        async move { next.run(request).await.map(|body| with_guard(body, busy)) }
    }))
}

/// A certificate below the root.
pub(crate) fn own(root: &Path, tls: &ServerTls) -> tls::CertificateFiles {
    tls::CertificateFiles { certificate: root.join(&tls.certificate), key: root.join(&tls.key) }
}

/// The client's certificate.
fn shown<S>(stream: &TlsStream<S>) -> Option<Arc<CertificateDer<'static>>> {
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first)?;
    Some(Arc::new(shown.clone().into_owned()))
}

async fn bind(address: SocketAddr, name: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|error| ListenError::Bind(address, name, error))
}
