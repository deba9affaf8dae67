//! The state that all requests share.

use std::{
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use ai_gateway_api::{
    config::ConfigReport,
    sealed::{Ed25519Public, KeyDocument, Request},
    settings::gateway::{Limits, Settings},
};
use hpke_envelope::gateway::{KeyRing, OpenError, Opened, RandomError};
use mesh_identity::Person;
use tokio::task::spawn_blocking;

use crate::{
    apps::Apps,
    arena,
    bodies::BodyMemory,
    chat::PromptMarks,
    config::{self, below},
    devices::Devices,
    gauges, identity,
    limits::Limiter,
    metrics::Metrics,
    models::{Models, Opener, PATIENCE},
    openclaw::{OpenClaw, OpenClawError, watcher::Watcher},
    operator::Operators,
    queue::Queues,
    rooms::Rooms,
    sessions::Sessions,
    starts::StartThrottle,
    usage::{self, Ledger},
    workspace::Workspace,
};

/// Interval of maintenance of keys, limits and breakers.
const TICK: Duration = Duration::from_secs(2);
/// Ticks between two runs of the slower tasks.
const SLOW: u32 = 30;

/// The state that all requests share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) devices: Devices,
    pub(crate) apps: Apps,
    pub(crate) sessions: Sessions,
    /// Models and their backends.
    pub(crate) models: Models,
    opener: Opener,
    pub(crate) workspace: Workspace,
    pub(crate) limiter: Limiter,
    pub(crate) bodies: BodyMemory,
    /// Throttle for requests that start together.
    pub(crate) starts: StartThrottle,
    /// What keeps the prompts of people apart in a model server's cache.
    pub(crate) marks: PromptMarks,
    pub(crate) queues: Queues,
    pub(crate) rooms: Rooms,
    /// Clients of OpenClaw's WebSocket.
    pub(crate) operators: Operators,
    /// Who may have administration there.
    pub(crate) admins: Vec<Person>,
    pub(crate) usage: Arc<Ledger>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    /// Follows changes of `openclaw.json`.
    watcher: Mutex<Watcher>,
    state: PathBuf,
    keys: Mutex<KeyRing>,
}

/// The gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its identity cannot be loaded or created.
    #[error(transparent)]
    Identity(#[from] identity::IdentityError),
    /// Its state cannot be used.
    #[error(transparent)]
    State(#[from] chassis::state::StateError),
    /// The system gives no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A provider of `openclaw.json` cannot be used.
    #[error("openclaw.json: {0}")]
    Backend(#[from] llm_backend::Error),
    /// `openclaw.json` changed after it was read and is now invalid.
    #[error(transparent)]
    OpenClaw(#[from] OpenClawError),
    /// A directory cannot be created.
    #[error("cannot create {}: check the owner of its parent directory", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl App {
    /// Counters and gauges as text, in Prometheus' format.
    #[must_use]
    pub(crate) async fn counters(&self) -> String {
        let sessions = self.sessions.size().await;
        let config = self.config_report();
        self.metrics.render(gauges::render(&self.models, &self.queues, sessions, &config))
    }

    /// Loads the state below `root` and makes new keys; each start begins a new epoch.
    pub(crate) fn new(
        config: &Settings,
        openclaw: &OpenClaw,
        root: &Path,
    ) -> Result<Self, StartError> {
        let state = root.join(&config.state);
        make_private(&state)
            .map_err(|source| StartError::Directory { path: state.clone(), source })?;
        let last_epoch = identity::last_epoch(&state)?;
        let (keys, rooms_key, marks) = arena::locked(|_| -> Result<_, StartError> {
            let identity = identity::load(&state)?;
            let rooms_key = identity::derive(&identity, "maru room events 1");
            let marks = PromptMarks::new(identity::derive(&identity, "maru prompt marks 1"));
            let keys = KeyRing::new(identity, config::keys(config.keys), last_epoch, now_ms())?;
            Ok((keys, rooms_key, marks))
        })?;
        identity::keep_epoch(&state, keys.epoch())?;
        let folder = openclaw
            .workspace
            .as_deref()
            .map_or_else(|| state.join("workspace"), |folder| below(root, folder));
        let workspace = Workspace::new(folder, openclaw.prompt_limit);
        if let Err(error) = workspace.prepare() {
            tracing::warn!(%error, "the workspace's templates cannot be written");
        }
        let metrics = Arc::<Metrics>::default();
        let opener = Opener::new(config, &state, root);
        let models = Models::new(openclaw, &opener)?;
        Ok(Self {
            devices: Devices::load(state.join("devices.json"))?,
            apps: Apps::load(state.join("apps.json"))?,
            sessions: Sessions::new(config, root),
            workspace,
            marks,
            limiter: Limiter::new(&config.limits),
            bodies: BodyMemory::new(&config.limits),
            starts: StartThrottle::default(),
            queues: Queues::new(&config.line, &models, Arc::clone(&metrics)),
            models,
            operators: Operators::default(),
            admins: config.admins.clone(),
            opener,
            rooms: Rooms::load(openclaw.rooms.clone(), &config.limits, &state, rooms_key)?,
            usage: Arc::new(Ledger::load(state.join(usage::FILE), config.usage.days)?),
            metrics,
            limits: config.limits,
            watcher: Mutex::new(Watcher::new(root.join(&config.openclaw), openclaw.clone())?),
            state,
            keys: Mutex::new(keys),
        })
    }

    /// How long a streamed answer waits for its model before its headers are sent. Until then an error is answered with
    /// a status.
    #[must_use]
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.limits.headers_seconds.into())
    }

    /// This gateway's identity.
    #[must_use]
    pub(crate) fn identity(&self) -> Ed25519Public {
        self.keys().identity()
    }

    /// The signed key document.
    pub(crate) fn document(&self) -> Result<KeyDocument, RandomError> {
        self.rotate()?;
        arena::locked(|_| self.keys().document(now_ms()))
    }

    /// Opens a sealed request. The caller has checked that the device key is bound to the connection's node and person.
    pub(crate) fn open(&self, request: &Request) -> Result<Opened, OpenError> {
        self.rotate()?;
        let now = now_ms();
        // Other threads can open requests at the same time.
        arena::locked(|inside| {
            let prepared = self.keys().prepare(request, now)?;
            let (opened, entry) = prepared.open(request, inside)?;
            // The machine may have been suspended meanwhile, and the replay cache may have expired entries.
            self.keys().remember(entry, now_ms())?;
            Ok(opened)
        })
    }

    /// Rotates keys that are due, and stores a new epoch before it is published.
    fn rotate(&self) -> Result<(), RandomError> {
        let epoch = arena::locked(|_| {
            let mut keys = self.keys();
            keys.tick(now_ms()).map(|changed| changed.then(|| keys.epoch()))
        })?;
        if let Some(epoch) = epoch {
            tracing::info!(epoch, "keys rotated");
            if let Err(error) = identity::keep_epoch(&self.state, epoch) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the new epoch could not be stored"
                );
            }
        }
        Ok(())
    }

    /// Maintains keys, limits, backends and the database for as long as it is polled.
    pub(crate) async fn run_maintenance(self: &Arc<Self>) {
        // A backend that does not answer must not delay the rest.
        tokio::join!(
            self.maintain_keys(),
            self.maintain_backends(),
            self.sessions.keep_open(),
            self.sessions.expire(|| self.watcher().retention()),
        );
    }

    async fn maintain_keys(self: &Arc<Self>) {
        for tick in 1_u32.. {
            tokio::time::sleep(TICK).await;
            if self.rotate().is_err() {
                tracing::error!("no random bytes for new keys");
            }
            if tick.is_multiple_of(SLOW) {
                self.limiter.forget();
                self.rooms.admission.forget();
                self.operators.forget();
                let app = Arc::clone(self);
                // Writing to disk may block.
                let kept = spawn_blocking(move || {
                    app.apps.keep();
                    app.usage.keep(SystemTime::now());
                });
                drop(kept.await);
            }
        }
    }

    async fn maintain_backends(&self) {
        for tick in 1_u32.. {
            let again = tick.is_multiple_of(SLOW);
            drop(tokio::time::timeout(PATIENCE, self.models.learn(again)).await);
            self.follow_settings();
            tokio::time::sleep(TICK).await;
            // Each probe has its own timeout.
            self.models.probe().await;
        }
    }

    /// Applies the current `openclaw.json`, and the slots that nodes report.
    pub(crate) fn follow_settings(&self) {
        let mut watcher = self.watcher();
        if let Some(change) = watcher.changed() {
            match self.models.change(&change.former, &change.file, &self.opener) {
                Ok(()) => self.rooms.set_policy(change.file.rooms.clone()),
                Err(error) => watcher.refuse(change, &error),
            }
        }
        drop(watcher);
        self.queues.follow(&self.models);
    }

    /// How `openclaw.json` and the database of conversations stand.
    #[must_use]
    pub(crate) fn config_report(&self) -> ConfigReport {
        ConfigReport { not_kept: self.sessions.trouble(), ..self.watcher().report() }
    }

    fn watcher(&self) -> MutexGuard<'_, Watcher> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> MutexGuard<'_, KeyRing> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time, in Unix milliseconds.
#[must_use]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Creates a directory with mode 0700 if it is missing. Parents get the usual mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(path)
}
