//! Listening: TLS 1.3 for other machines, plain HTTP on loopback where the settings ask for it.
//!
//! Who stops reading an answer, or reads it too slowly, is cut: what it was made of is free for others then.
//!
//! How many connections one address holds is bounded, but for those of the one who brings everybody's requests and shows it
//! by a certificate. Whoever has shown nothing yet does not count against that limit.

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
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

/// Longest time of a request's head, and between two requests.
const HEAD: Duration = Duration::from_secs(30);
/// What is read ahead of a connection, which bounds a request's head, in bytes.
const BUFFER: usize = 64 << 10;
/// How long what is under way may take when it stops.
const DRAIN: Duration = Duration::from_secs(3);

/// A role cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The port.
    #[error("cannot listen on {0}: stop what uses it, or name another in `{1}`")]
    Bind(SocketAddr, &'static str, #[source] std::io::Error),
    /// Without TLS it would be readable on its way.
    #[error("`listen_plain` is for this machine alone: {0} is no loopback address")]
    NotLoopback(SocketAddr),
    /// A certificate.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Who sent a request. No log shows it: it has no `Debug`.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Its address, or the network that counts as one; to count by alone.
    pub(crate) address: IpAddr,
    /// The certificate that it showed, where certificates are asked for.
    shown: Option<Arc<CertificateDer<'static>>>,
}

impl Caller {
    /// Whether its certificate is for this name: of a role, or of a host.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        self.shown.as_ref().is_some_and(|shown| tls::is_for(shown, name))
    }

    /// What tells it from every other holder of a certificate.
    pub(crate) fn key(&self) -> Option<[u8; 32]> {
        self.shown.as_ref().and_then(|shown| tls::key_of(shown))
    }
}

/// Sockets that are bound, and how TLS is spoken on them.
pub(crate) struct Doors {
    secure: (TcpListener, tls::Server),
    plain: Option<TcpListener>,
    connections: usize,
    each: usize,
    carrier: Option<&'static str>,
    answers: Answers,
}

/// How long an answer may take, however it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    /// Until the client takes a further piece of it.
    pub(crate) idle: Duration,
    /// From its head to its end.
    pub(crate) whole: Duration,
}

impl Answers {
    /// From the settings, in seconds.
    pub(crate) const fn seconds(idle: u64, whole: u64) -> Self {
        Self { idle: Duration::from_secs(idle), whole: Duration::from_secs(whole) }
    }
}

/// Whose certificates are asked for; nobody without one is heard.
pub(crate) struct Clients<'a> {
    /// The authority that they are of.
    pub(crate) ca: &'a Path,
    /// The role that brings everybody's requests: the connections of one address are not counted if it has this one.
    pub(crate) carrier: &'static str,
}

/// Where and how to listen.
pub(crate) struct Listening<'a> {
    pub(crate) root: &'a Path,
    pub(crate) listen: SocketAddr,
    pub(crate) plain: Option<SocketAddr>,
    pub(crate) tls: &'a ServerTls,
    pub(crate) clients: Option<Clients<'a>>,
    pub(crate) connections: usize,
    /// Connections at a time from one address.
    pub(crate) each: usize,
    pub(crate) answers: Answers,
}

impl Doors {
    pub(crate) async fn open(wanted: Listening<'_>) -> Result<Self, ListenError> {
        let Listening { root, listen, plain, tls: certified, clients, connections, each, answers } =
            wanted;
        let file = |path: &Path| root.join(path);
        let carrier = clients.as_ref().map(|clients| clients.carrier);
        let server = tls::watch_server(own(root, certified), clients.map(|it| file(it.ca)))?;
        if let Some(address) = plain.filter(|address| !address.ip().is_loopback()) {
            return Err(ListenError::NotLoopback(address));
        }
        let plain = match plain {
            Some(address) => Some(bind(address, "listen_plain").await?),
            None => None,
        };
        let secure = (bind(listen, "listen").await?, server);
        Ok(Self { secure, plain, connections, each, carrier, answers })
    }

    /// Where it listens with TLS, and without.
    pub(crate) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let plain = self.plain.as_ref().and_then(|listener| listener.local_addr().ok());
        (self.secure.0.local_addr().ok(), plain)
    }

    /// Answers requests until `stop` is cancelled.
    pub(crate) async fn serve(self, what: &'static str, router: Router, stop: CancellationToken) {
        let (listener, server) = self.secure;
        let limit = ConnectionLimit::new(what, self.connections, self.each);
        let limit = if self.carrier.is_some() { limit.with_carriers() } else { limit };
        let Answers { idle, whole } = self.answers;
        let idle = idle.min(write_timeout::LONGEST);
        let http = Http::new(HEAD).buffer(BUFFER).answer(whole);
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
                            // In this order: a request that has come is answered.
                            biased;
                            () = http.route(stream, router, caller, stopping) => {}
                            () = idle.evicted() => tracing::debug!("a connection gave way"),
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

/// Tells of each request that it is under way, until its answer was sent or given up.
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

/// The certificate that was shown.
fn shown<S>(stream: &TlsStream<S>) -> Option<Arc<CertificateDer<'static>>> {
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first)?;
    Some(Arc::new(shown.clone().into_owned()))
}

async fn bind(address: SocketAddr, name: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|error| ListenError::Bind(address, name, error))
}
