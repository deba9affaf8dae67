//! Listening: TLS 1.3 for other machines, plain HTTP on loopback where the settings ask for it.

use std::{
    future::Future,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Router;
use chassis::{accept::Connections, http::Http, pem::FileError, quota::Quota, tls};
use confidential_api::{names::NODE_CERTIFICATE, settings::ServerTls};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Longest time of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
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

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Whether its certificate says that it is a node.
    pub(crate) is_node: bool,
}

/// Sockets that are bound, and how TLS is spoken on them.
pub(crate) struct Doors {
    secure: (TcpListener, tls::Server),
    plain: Option<TcpListener>,
    connections: usize,
    each: usize,
}

/// Where and how to listen.
pub(crate) struct Listening<'a> {
    pub(crate) root: &'a Path,
    pub(crate) listen: SocketAddr,
    pub(crate) plain: Option<SocketAddr>,
    pub(crate) tls: &'a ServerTls,
    /// The authority of certificates that clients may show.
    pub(crate) clients: Option<PathBuf>,
    pub(crate) connections: usize,
    /// Connections at a time from one address.
    pub(crate) each: usize,
}

impl Doors {
    pub(crate) async fn open(wanted: Listening<'_>) -> Result<Self, ListenError> {
        let Listening { root, listen, plain, tls: certified, clients, connections, each } = wanted;
        let file = |path: &Path| root.join(path);
        let clients = clients.map(|ca| file(&ca));
        let own = tls::Own { certificate: file(&certified.certificate), key: file(&certified.key) };
        let server = tls::Server::load(own, clients)?;
        if let Some(address) = plain.filter(|address| !address.ip().is_loopback()) {
            return Err(ListenError::NotLoopback(address));
        }
        let plain = match plain {
            Some(address) => Some(bind(address, "listen_plain").await?),
            None => None,
        };
        let secure = (bind(listen, "listen").await?, server);
        Ok(Self { secure, plain, connections, each })
    }

    /// Where it listens with TLS, and without.
    pub(crate) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let plain = self.plain.as_ref().and_then(|listener| listener.local_addr().ok());
        (self.secure.0.local_addr().ok(), plain)
    }

    /// Answers requests until `stop` is cancelled.
    pub(crate) async fn serve(self, what: &'static str, router: Router, stop: CancellationToken) {
        let (listener, server) = self.secure;
        let connections = || Connections::new(what, self.connections).drain(DRAIN);
        let http = Http::new(HEAD).buffer(BUFFER);
        let secure = {
            let router = router.clone();
            let quota = Quota::new(self.connections, self.each);
            connections().serve(listener, stop.cancelled(), move |stream, peer, stopping| {
                let permit = quota.take(holder(peer.ip())).ok()?;
                let acceptor = TlsAcceptor::from(server.current());
                let router = router.clone();
                Some(async move {
                    let Some((stream, caller)) = accept(acceptor, stream).await else { return };
                    http.route(stream, router, caller, stopping).await;
                    drop(permit);
                })
            })
        };
        let plain: std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> = match self.plain {
            Some(listener) => Box::pin(connections().serve(
                listener,
                stop.cancelled(),
                move |stream: TcpStream, _, stopping| {
                    let router = router.clone();
                    let _ = stream.set_nodelay(true);
                    Some(http.route(stream, router, Caller { is_node: false }, stopping))
                },
            )),
            None => Box::pin(async {}),
        };
        tokio::join!(secure, plain);
    }
}

/// Who holds a connection: an address, or the network of 64 bits that one customer has in IPv6.
fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

async fn accept(
    acceptor: TlsAcceptor,
    stream: TcpStream,
) -> Option<(tokio_rustls::server::TlsStream<TcpStream>, Caller)> {
    let _ = stream.set_nodelay(true);
    // The address is told to nobody: no log names it.
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let is_node = shown.is_some_and(|shown| tls::is_for(shown, NODE_CERTIFICATE));
            Some((stream, Caller { is_node }))
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            None
        }
    }
}

async fn bind(address: SocketAddr, name: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|error| ListenError::Bind(address, name, error))
}
