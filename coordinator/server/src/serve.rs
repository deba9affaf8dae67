//! `maru-coordinator serve`: the control plane.

use std::{net::SocketAddr, path::Path, time::Duration};

use ::store::seal::Key;
use chassis::{
    notify,
    state::StateError,
    unix::{Access, BindError, Socket},
};
use control_protocol::key::MachinePrivate;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    admin,
    admission::ListWriter,
    app::App,
    config::{Config, ConfigError},
    counters,
    derp_map::{DerpMapError, Relays},
    files::{self, FileError, Paths},
    hub::{Hub, HubError},
    listener::{ListenError, PublicListener},
    maintenance,
    relay::{RelayError, embedded::EmbeddedRelay},
    sharing::{self, Sharing, SharingError},
    store::{self, Database, DatabaseLock, LockError, Store, StoreError},
};

/// Timeout for tasks when the coordinator stops.
const STOP_TIME: Duration = Duration::from_secs(3);

/// Why the coordinator does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `[dns]`. Settings from a file have been checked.
    #[error("{0}")]
    Dns(String),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The DERP map, or the certificate of our own relay.
    #[error(transparent)]
    DerpMap(#[from] DerpMapError),
    /// It was stopped while it waited for the relay's certificate.
    #[error("stopped before it was ready")]
    Stopped,
    /// Another coordinator uses the database.
    #[error(transparent)]
    DatabaseLock(#[from] LockError),
    /// The other coordinators on the database.
    #[error(transparent)]
    Sharing(#[from] SharingError),
    /// A list for the relay or telmeet.
    #[error(transparent)]
    Nodes(#[from] StateError),
    /// The embedded relay.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network in the database.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The admin socket.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// The public port.
    #[error(transparent)]
    PublicListener(#[from] ListenError),
    /// `metrics_listen` cannot be bound.
    #[error(
        "cannot listen on {0} for `metrics_listen` in coordinator.toml; stop what uses the port, or set another"
    )]
    Counters(SocketAddr, #[source] std::io::Error),
}

/// A coordinator that listens.
pub struct Server {
    app: App,
    listener: PublicListener,
    relay: Option<EmbeddedRelay>,
    admin: Socket,
    counters: (Socket, Option<TcpListener>),
    hold: DatabaseLock,
    sharing: Option<Sharing>,
}

/// Serves until `stop` is cancelled.
///
/// # Errors
///
/// Fails if it cannot start, or if another coordinator takes the database.
pub async fn serve(root: &Path, config: Config, stop: CancellationToken) -> Result<(), ServeError> {
    let server = Server::start(root, config, stop).await?;
    notify::ready();
    tracing::info!(address = %server.address(), network = server.app.config.settings.network, "coordinator is ready");
    server.run().await
}

/// Public futures are boxed, so that other crates do not compile them again.
impl Server {
    /// Opens the database and the sockets. Connections wait until [`Server::run`].
    ///
    /// # Errors
    ///
    /// Fails if anything that it needs is missing, invalid or busy.
    pub fn start(
        root: &Path,
        config: Config,
        stop: CancellationToken,
    ) -> LocalBoxFuture<'_, Result<Self, ServeError>> {
        Box::pin(Self::open(root, config, stop))
    }

    async fn open(
        root: &Path,
        config: Config,
        stop: CancellationToken,
    ) -> Result<Self, ServeError> {
        let paths = Paths::new(root);
        let database = config.database(root)?;
        database.check().map_err(StoreError::Database)?;
        let shared = config.settings.shared.as_ref();
        let shared_key = shared.map(|shared| sharing::key(root, shared)).transpose()?;
        let is_shared = shared_key.is_some();
        // Locked before binding, so that a second start reports the running coordinator and not a busy port; but not before
        // the directory exists, since a failed first start must leave nothing behind.
        let held = match paths.state().is_dir() {
            true => Some(lock(&database, is_shared).await?),
            false => None,
        };
        let listener = PublicListener::open(root, &paths, &config.settings)?;
        files::make_dir(&paths.state(), 0o700)?;
        let mut hold = match held {
            Some(hold) => hold,
            None => lock(&database, is_shared).await?,
        };
        let relays = tokio::select! {
            () = stop.cancelled() => return Err(ServeError::Stopped),
            relays = Relays::load(root, &paths, &config) => relays?,
        };
        let network = &config.settings.network;
        let (store, noise) = open_store(&paths, &database, network, shared_key, &mut hold).await?;
        let store = store.allocating_from(config.addresses);
        let network = config.settings.network.clone();
        let names = config.names().map_err(ServeError::Dns)?;
        let list = ListWriter::open(&paths)?;
        let grace = config.offline_after;
        let hub = Hub::start(store.clone(), network, names, relays, list, grace).await?;
        let relay = EmbeddedRelay::open(&paths, &config).await?;
        let admin = Socket::bind(&paths.admin_socket(), Access::Group)?;
        let counters = open_counters(&paths, config.settings.metrics_listen).await?;
        let app = App::new(config, store, hub, noise, listener.acme(), stop);
        let sharing = match is_shared {
            true => Some(Sharing::begin(&app, &database).await?),
            false => None,
        };
        app.tasks.spawn(maintenance::run(app.clone()));
        Ok(Self { app, listener, relay, admin, counters, hold, sharing })
    }

    /// The first listening address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let wanted = || self.app.config.settings.listen.reachable();
        self.listener.address().unwrap_or_else(|_| wanted())
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    ///
    /// Fails if another coordinator takes the database.
    pub fn run(self) -> BoxFuture<'static, Result<(), ServeError>> {
        Box::pin(self.serve())
    }

    async fn serve(self) -> Result<(), ServeError> {
        let Self { app, listener, relay, admin, counters, mut hold, sharing } = self;
        let administration = admin::socket::serve(admin, &app, admin::router(app.clone()));
        let epoch = hold.watch();
        let shared = async {
            match sharing {
                Some(sharing) => sharing.run(&app, epoch).await,
                None => std::future::pending().await,
            }
        };
        let kept = async {
            let ended: Result<(), ServeError> = tokio::select! {
                () = app.stop.cancelled() => Ok(()),
                lost = hold.lost() => Err(lost.into()),
                ended = shared => ended.map_err(ServeError::from),
            };
            app.stop.cancel();
            ended
        };
        let metrics = counters::serve(&app, counters);
        let ((), (), (), kept) =
            tokio::join!(listener.serve(&app, relay), administration, metrics, kept);
        app.tasks.close();
        if tokio::time::timeout(STOP_TIME, app.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), app.store.close()).await;
        kept
    }
}

/// Opens the database, and reads the Noise key: from its file, or from the database that others share.
async fn open_store(
    paths: &Paths,
    database: &Database,
    network: &str,
    shared_key: Option<Key>,
    hold: &mut DatabaseLock,
) -> Result<(Store, MachinePrivate), ServeError> {
    let Some(key) = shared_key else {
        let store = Store::open(database, network).await?;
        if store.was_shared().await? {
            files::has_noise_key(paths)?;
        }
        return Ok((store.locked_by(hold).await?, files::noise_key(paths)?));
    };
    let store = Store::open_shared(database, network, hold).await?;
    let first = || files::first_noise_key(paths).map_err(ServeError::from);
    let noise = store.noise_key(&key, first).await?;
    files::check_noise_key(paths, &noise)?;
    Ok((store, noise))
}

/// Locks the database: for this coordinator alone, or for all that share it.
async fn lock(database: &Database, is_shared: bool) -> Result<DatabaseLock, LockError> {
    match is_shared {
        true => store::join(database).await,
        false => store::lock(database).await,
    }
}

/// Opens the sockets for the metrics.
async fn open_counters(
    paths: &Paths,
    loopback: Option<SocketAddr>,
) -> Result<(Socket, Option<TcpListener>), ServeError> {
    let socket = Socket::bind(&paths.metrics_socket(), Access::Group)?;
    let Some(address) = loopback else { return Ok((socket, None)) };
    let listener = counters::listen(address).await;
    Ok((socket, Some(listener.map_err(|error| ServeError::Counters(address, error))?)))
}
