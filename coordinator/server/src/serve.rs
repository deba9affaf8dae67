//! `maru-coordinator serve`: the control plane.

use std::{io, net::SocketAddr, path::Path, time::Duration};

use axum::Router;
use chassis::endpoint::{self, Endpoint};
use hyper::{
    Request,
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{self, socket::SocketError},
    app::App,
    config::{Config, ConfigError},
    control,
    derp_map::{self, DerpMapError},
    files::{self, FileError, Paths},
    hub::{Hub, HubError},
    keeper, limits, pages,
    store::{Store, StoreError},
};

/// How long what is under way may take to end.
const STOP_TIME: Duration = Duration::from_secs(3);

/// Why the coordinator does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The relays, or the certificate of our own, which it waits for.
    #[error(transparent)]
    DerpMap(#[from] DerpMapError),
    /// It was told to stop before the relay had left its certificate.
    #[error("stopped before it was ready")]
    Stopped,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network in the database.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The admin socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}; stop what uses the port, or set `{setting}` in coordinator.toml"
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

/// What the port for everyone answers.
pub(crate) fn public_endpoints() -> Vec<Endpoint<App>> {
    control::endpoints().into_iter().chain(pages::endpoints()).collect()
}

/// A coordinator that listens.
pub struct Server {
    app: App,
    listener: TcpListener,
    admin: admin::socket::Socket,
}

/// Serves until `stop` is cancelled.
///
/// # Errors
///
/// Fails if it cannot start; once it runs, it does not fail.
pub async fn serve(root: &Path, config: Config, stop: CancellationToken) -> Result<(), ServeError> {
    let server = Server::start(root, config, stop).await?;
    tracing::info!(address = %server.address(), network = server.app.config.network, "coordinator is ready");
    server.run().await;
    Ok(())
}

impl Server {
    /// Opens the database and the sockets. From then on connections are taken, and answered by [`Server::run`].
    ///
    /// # Errors
    ///
    /// Fails if anything that it needs is missing, broken or busy.
    pub async fn start(
        root: &Path,
        config: Config,
        stop: CancellationToken,
    ) -> Result<Self, ServeError> {
        let paths = Paths::new(root);
        let listener = TcpListener::bind(config.listen).await.map_err(|source| {
            ServeError::Listen { address: config.listen, setting: "listen", source }
        })?;
        files::make_dir(&paths.state(), 0o700)?;
        let noise = files::noise_key(&paths)?;
        let derp = tokio::select! {
            () = stop.cancelled() => return Err(ServeError::Stopped),
            derp = derp_map::load(root, &paths, &config) => derp?,
        };
        let store = Store::open(&config.database(root)?, &config.network).await?;
        let hub = Hub::start(store.clone(), config.network.clone(), derp).await?;
        let admin = admin::socket::Socket::bind(&paths.admin_socket())?;
        let app = App::new(config, store, hub, noise, stop);
        app.tasks.spawn(keeper::keep(app.clone()));
        Ok(Self { app, listener, admin })
    }

    /// The address that it listens on.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "a bound socket has an address")]
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.app.config.listen)
    }

    /// Serves until it is told to stop.
    pub async fn run(self) {
        let Self { app, listener, admin } = self;
        let public = endpoint::router(public_endpoints()).with_state(app.clone());
        let admin = tokio::spawn(admin.serve(app.clone(), admin::router(app.clone())));
        loop {
            let accepted = tokio::select! {
                () = app.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => accept(&app, &public, stream, address),
                Err(error) => {
                    // Out of file descriptors, mostly: what is open goes on.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        let _ = admin.await;
        app.tasks.close();
        if tokio::time::timeout(STOP_TIME, app.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), app.store.close()).await;
    }
}

fn accept(app: &App, router: &Router, stream: TcpStream, address: SocketAddr) {
    let origin = limits::Origin::from(address.ip());
    let Some(counted) = app.connections.open(origin) else {
        tracing::debug!("too many connections");
        return;
    };
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(origin);
        router.call(request)
    });
    let stop = app.stop.clone();
    app.tasks.spawn(async move {
        // Counted until the upgraded connection ends as well: that one lives in this task's socket.
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::HEAD_TIME)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(Counted { stream, _counted: counted }), service)
            .with_upgrades();
        tokio::select! {
            () = stop.cancelled() => {}
            result = connection => if let Err(error) = result {
                tracing::debug!(%error, "connection ended");
            }
        }
    });
}

/// A connection that is counted for as long as it is open, upgraded or not.
struct Counted {
    stream: TcpStream,
    _counted: limits::Connection,
}

impl tokio::io::AsyncRead for Counted {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl tokio::io::AsyncWrite for Counted {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
