//! `maru-coordinator relay`: forwards packets between nodes that cannot reach each other (DERP over TLS), and tells nodes
//! their public address (STUN).
//!
//! It is a process of its own, so that it works while the coordinator is down, or a part of the coordinator where only one
//! port can be opened ([`embedded`]). It stores only its certificate and keys, and forwards packets that the nodes have
//! encrypted. It admits the nodes in the coordinator's list; each node filters its peers itself.

pub(crate) mod certificate;
mod clients;
pub(crate) mod connection;
pub(crate) mod embedded;
mod http;
mod rates;
mod shared;

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use chassis::{
    accept::{Connections, ShutdownSignal},
    notify,
    state::StateError,
};
use derp::stun;
use futures_util::future::{BoxFuture, join_all};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::{certificate::CertificateError, shared::RelayState};
use crate::{
    config::Config,
    files::{FileError, Paths},
    limits::{self, Origin, QueueEntry},
    listener::listen::{TcpListeners, bind_udp},
};

/// TCP user timeout: how long sent data may stay unacknowledged.
const UNACKNOWLEDGED_MS: u32 = 90_000;
/// Timeout for notifying clients when the relay stops.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why the relay does not run.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Its certificate or key.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The key of the embedded relay.
    #[error(transparent)]
    File(#[from] FileError),
    /// The list of nodes.
    #[error(transparent)]
    Nodes(#[from] StateError),
    /// The relay is embedded in the coordinator.
    #[error(
        "the relay is embedded in the coordinator: remove `embedded` under [relay] in coordinator.toml, or do not start this process"
    )]
    EmbeddedRelay,
    /// The certificate or its key is invalid.
    #[error("the relay's certificate and key are invalid; remove them from var/lib/maru/relay")]
    Tls(#[source] rustls::Error),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {0}; stop what uses the port, or set `{1}` under [relay] in coordinator.toml"
    )]
    Listen(SocketAddr, &'static str, #[source] io::Error),
}

/// A relay that listens.
pub struct Relay {
    listener: TcpListeners,
    stun: Vec<UdpSocket>,
    tls: TlsAcceptor,
    shared: Arc<RelayState>,
    stop: CancellationToken,
}

/// Relays until `stop` is cancelled.
///
/// # Errors
///
/// Fails if it cannot start.
pub async fn relay(
    root: &Path,
    config: &Config,
    stop: CancellationToken,
) -> Result<(), RelayError> {
    let relay = Relay::start(root, config, stop).await?;
    notify::ready();
    if let Ok((derp, stun)) = relay.addresses() {
        tracing::info!(%derp, %stun, "relay is ready");
    }
    relay.run().await;
    Ok(())
}

/// Boxed for other crates, as [`crate::serve::Server`] is.
impl Relay {
    /// Reads or creates the certificate, and opens the sockets.
    ///
    /// # Errors
    ///
    /// Fails if a port is busy or a file cannot be used.
    pub fn start<'a>(
        root: &'a Path,
        config: &'a Config,
        stop: CancellationToken,
    ) -> BoxFuture<'a, Result<Self, RelayError>> {
        Box::pin(Self::open(root, config, stop))
    }

    async fn open(
        root: &Path,
        config: &Config,
        stop: CancellationToken,
    ) -> Result<Self, RelayError> {
        if config.settings.relay.embedded {
            return Err(RelayError::EmbeddedRelay);
        }
        let failed = |setting| move |(address, error)| RelayError::Listen(address, setting, error);
        let settings = &config.settings.relay;
        let listener = TcpListeners::bind(&settings.listen).map_err(failed("listen"))?;
        let stun = bind_udp(&settings.stun_listen).map_err(failed("stun_listen"))?;
        let paths = Paths::new(root);
        let identity = certificate::load_or_create(&paths, &config.settings.relay_host())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(RelayError::Tls)?
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate], identity.key)
            .map_err(RelayError::Tls)?;
        let shared = RelayState::new(identity.derp, config, &paths)?;
        Ok(Self { listener, stun, tls: TlsAcceptor::from(Arc::new(tls)), shared, stop })
    }

    /// The first addresses of the relay and of STUN.
    ///
    /// # Errors
    ///
    /// Fails if the system does not say.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        let stun = self.stun.first().ok_or(io::ErrorKind::NotFound)?;
        Ok((self.listener.address()?, stun.local_addr()?))
    }

    /// Relays until it is stopped, and then notifies its clients.
    pub fn run(self) -> BoxFuture<'static, ()> {
        Box::pin(self.serve())
    }

    async fn serve(self) {
        let Self { listener, stun, tls, shared, stop } = self;
        let connections =
            Connections::new("connections to the relay", limits::TOTAL).drain(GOODBYE);
        let newcomers = limits::newcomers();
        let connect = |stream, address: SocketAddr, stopping| {
            let origin = Origin::from(address.ip());
            let place = newcomers.enter(Some(origin));
            let permit = shared.connections.take(origin).ok()?;
            let (tls, shared) = (tls.clone(), Arc::clone(&shared));
            Some(async move {
                connection(tls, stream, &shared, &place, stopping).await;
                drop(permit);
            })
        };
        tokio::select! {
            () = connections.serve(listener, stop.cancelled(), connect) => {}
            () = answer_stun(stun) => {}
            () = shared.keep_to_nodes() => {}
            () = shared.forget() => {}
        }
    }
}

async fn connection(
    tls: TlsAcceptor,
    stream: TcpStream,
    shared: &RelayState,
    place: &QueueEntry,
    mut stopping: ShutdownSignal,
) {
    let until = Instant::now() + limits::RELAY_ENTRY_TIME;
    let _ = stream.set_nodelay(true);
    notice_silence(&stream);
    let entering = async {
        let mut stream = timeout(limits::TLS_TIME, tls.accept(stream)).await.ok()?.ok()?;
        let served = http::serve(&mut stream, Vec::new(), until, &shared.key.public()).await;
        enter(stream, served, shared).await
    };
    let entered = tokio::select! {
        entered = entering => entered,
        () = place.evicted() => {
            tracing::debug!("closing an unauthenticated connection in favor of newer ones");
            return;
        }
        () = stopping.requested() => return,
    };
    if let Some(entered) = entered {
        place.keep();
        relay_for(entered, shared, stopping.requested()).await;
    }
}

/// Lets the kernel close a connection whose peer has vanished.
fn notice_silence(stream: &TcpStream) {
    // Without it the connection is only closed later.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_MS);
}

/// Admits a client that requested the relay, if it is a node.
async fn enter<IO>(
    stream: IO,
    served: io::Result<Option<(Vec<u8>, Instant)>>,
    shared: &RelayState,
) -> Option<connection::AdmittedClient<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let (received, until) =
        served.inspect_err(|error| tracing::debug!(%error, "connection ended")).ok()??;
    connection::enter(stream, &received, until, shared)
        .await
        .inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::debug!(error, "relay client refused");
        })
        .ok()
}

async fn relay_for<IO>(
    entered: connection::AdmittedClient<IO>,
    shared: &RelayState,
    stopping: impl Future<Output = ()>,
) where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    if let Err(error) = entered.run(shared, stopping).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "relay connection ended");
    }
}

/// Answers on all sockets.
async fn answer_stun(sockets: Vec<UdpSocket>) {
    join_all(sockets.into_iter().map(answer_stun_on)).await;
}

async fn answer_stun_on(socket: UdpSocket) {
    let mut buffer = [0; stun::MAX_LEN];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((len, source)) => {
                if let Ok(transaction) = stun::parse_request(&buffer[..len]) {
                    // Like a lost datagram.
                    let _ = socket.send_to(&stun::response(transaction, source), source).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "cannot receive a datagram");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}
