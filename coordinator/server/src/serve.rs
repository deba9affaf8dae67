//! `maru-coordinator serve`: the control plane.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use chassis::{
    accept::Connections,
    endpoint::{self, Endpoint},
    http::Http,
    unix::{Access, BindError, Socket},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::{
    admin,
    app::App,
    config::{Config, ConfigError},
    control,
    derp_map::{self, DerpMapError},
    files::{self, FileError, Paths},
    hub::{Hub, HubError},
    keeper,
    limits::{self, Caller, Origin},
    pages,
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
    Socket(#[from] BindError),
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
    admin: Socket,
}

/// Serves until `stop` is cancelled.
///
/// # Errors
///
/// Fails if it cannot start; once it runs, it does not fail.
pub async fn serve(root: &Path, config: Config, stop: CancellationToken) -> Result<(), ServeError> {
    let server = Server::start(root, config, stop).await?;
    tracing::info!(address = %server.address(), network = server.app.config.settings.network, "coordinator is ready");
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
        let listener = TcpListener::bind(config.settings.listen).await.map_err(|source| {
            ServeError::Listen { address: config.settings.listen, setting: "listen", source }
        })?;
        files::make_dir(&paths.state(), 0o700)?;
        let noise = files::noise_key(&paths)?;
        let derp = tokio::select! {
            () = stop.cancelled() => return Err(ServeError::Stopped),
            derp = derp_map::load(root, &paths, &config) => derp?,
        };
        let store = Store::open(&config.database(root)?, &config.settings.network).await?;
        let hub = Hub::start(store.clone(), config.settings.network.clone(), derp).await?;
        let admin = Socket::bind(&paths.admin_socket(), Access::Group)?;
        let app = App::new(config, store, hub, noise, stop);
        app.tasks.spawn(keeper::keep(app.clone()));
        Ok(Self { app, listener, admin })
    }

    /// The address that it listens on.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "a bound socket has an address")]
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.app.config.settings.listen)
    }

    /// Serves until it is told to stop.
    pub async fn run(self) {
        let Self { app, listener, admin } = self;
        let administration = admin::socket::serve(admin, &app, admin::router(app.clone()));
        tokio::join!(serve_public(listener, &app), administration);
        app.tasks.close();
        if tokio::time::timeout(STOP_TIME, app.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), app.store.close()).await;
    }
}

/// Takes the connections of devices and browsers.
async fn serve_public(listener: TcpListener, app: &App) {
    let router = endpoint::router(public_endpoints()).with_state(app.clone());
    let http = Http::new(limits::HEAD_TIME).buffer(limits::BUFFER);
    let connections = Connections::new("connections", limits::TOTAL).drain(limits::DRAIN);
    let connect = |stream: TcpStream, address: SocketAddr, stopping| {
        let origin = Origin::from(address.ip());
        let Ok(permit) = app.connections.take(origin) else {
            tracing::debug!("too many connections");
            return None;
        };
        let _ = stream.set_nodelay(true);
        let caller = Caller { origin, permit: Arc::new(permit) };
        Some(http.route(stream, router.clone(), caller, stopping))
    };
    connections.serve(listener, app.stop.cancelled(), connect).await;
}
