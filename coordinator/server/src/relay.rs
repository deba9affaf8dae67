//! `maru-coordinator relay`: passes packets between nodes that cannot reach each other (DERP over TLS), and tells nodes
//! the address that others see (STUN).
//!
//! A process of its own, so that it goes on while the coordinator is down. It keeps nothing but its certificate and
//! keys, asks nobody, and sees only what is encrypted between the nodes. Any node key may connect; who may talk to whom is decided by the nodes.

pub(crate) mod certificate;
mod clients;
mod http;
mod session;

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use chassis::{accept::Connections, quota::Quota};
use control_protocol::key::NodePrivate;
use derp::stun;
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::{certificate::CertificateError, clients::Clients};
use crate::{
    config::Config,
    files::Paths,
    limits::{self, Origin},
};

/// How long the kernel waits for what it sent to be acknowledged.
const UNACKNOWLEDGED_MS: u32 = 90_000;

/// Why the relay does not run.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Its certificate or key.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS does not take the certificate.
    #[error("the relay's certificate and key cannot be used; remove them from var/lib/maru/relay")]
    Tls(#[source] rustls::Error),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address}; stop what uses the port, or set `{setting}` under [relay] in coordinator.toml"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The setting to change.
        setting: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// A relay that listens.
pub struct Relay {
    listener: TcpListener,
    stun: UdpSocket,
    tls: TlsAcceptor,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

/// What every connection needs.
struct Shared {
    key: NodePrivate,
    clients: Clients,
    connections: Quota<Origin>,
    /// Longest time between two keep-alives to a client.
    keep_alive: Duration,
}

/// Relays until `stop` is cancelled.
///
/// # Errors
///
/// Fails if it cannot start; once it runs, it does not fail.
pub async fn relay(
    root: &Path,
    config: &Config,
    stop: CancellationToken,
) -> Result<(), RelayError> {
    let relay = Relay::start(root, config, stop).await?;
    tracing::info!(derp = ?relay.listener.local_addr().ok(), stun = ?relay.stun.local_addr().ok(), "relay is ready");
    relay.run().await;
    Ok(())
}

impl Relay {
    /// Reads or makes the certificate, and opens the sockets.
    ///
    /// # Errors
    ///
    /// Fails if a port is busy or a file cannot be used.
    pub async fn start(
        root: &Path,
        config: &Config,
        stop: CancellationToken,
    ) -> Result<Self, RelayError> {
        let failed =
            |address, setting| move |source| RelayError::Listen { address, setting, source };
        let (listen, stun_listen) =
            (config.settings.relay.listen, config.settings.relay.stun_listen);
        let listener = TcpListener::bind(listen).await.map_err(failed(listen, "listen"))?;
        let stun =
            UdpSocket::bind(stun_listen).await.map_err(failed(stun_listen, "stun_listen"))?;
        let identity =
            certificate::load_or_create(&Paths::new(root), &config.settings.relay_host())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(RelayError::Tls)?
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate], identity.key)
            .map_err(RelayError::Tls)?;
        let shared = Shared {
            key: identity.derp,
            clients: Clients::default(),
            connections: limits::connections(),
            keep_alive: config.relay_keep_alive,
        };
        Ok(Self {
            listener,
            stun,
            tls: TlsAcceptor::from(Arc::new(tls)),
            shared: Arc::new(shared),
            stop,
        })
    }

    /// Addresses of the relay and of STUN.
    ///
    /// # Errors
    ///
    /// Fails if the system does not say.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.listener.local_addr()?, self.stun.local_addr()?))
    }

    /// Relays until it is told to stop.
    pub async fn run(self) {
        let Self { listener, stun, tls, shared, stop } = self;
        let connections = Connections::new("connections to the relay", limits::TOTAL);
        let connect = |stream, address: SocketAddr, _| {
            let permit = shared.connections.take(address.ip().into()).ok()?;
            let (tls, shared) = (tls.clone(), Arc::clone(&shared));
            Some(async move {
                connection(tls, stream, &shared).await;
                drop(permit);
            })
        };
        tokio::select! {
            () = connections.serve(listener, stop.cancelled(), connect) => {}
            () = answer_stun(stun) => {}
        }
    }
}

async fn connection(tls: TlsAcceptor, stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED_MS);
    let Ok(Ok(mut stream)) = timeout(limits::TLS_TIME, tls.accept(stream)).await else { return };
    match http::serve(&mut stream, &shared.key.public()).await {
        Ok(Some(received)) => {
            if let Err(error) = session::run(stream, &received, shared).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "relay connection ended");
            }
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "connection ended"),
    }
}

async fn answer_stun(socket: UdpSocket) {
    let mut buffer = [0; stun::MAX_LEN];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((len, source)) => {
                if let Ok(transaction) = stun::parse_request(&buffer[..len]) {
                    // A response that cannot be sent is one that the network lost.
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
