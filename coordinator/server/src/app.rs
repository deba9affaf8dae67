//! What handlers share: the configuration, the database, the network as it is, and the limits on everyone.

use std::sync::{Arc, atomic::AtomicU64};

use chassis::quota::Quota;
use control_protocol::key::{MachinePrivate, MachinePublic};
use coordinator_api::invitation::ServerUrl;
use coordinator_core::{model::Owner, time::Millis};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    hub::Hub,
    limits::{self, Caller, Newcomers, Origin},
    metrics::Metrics,
    store::Store,
    updates::Updates,
};

/// Handshakes at once.
const HANDSHAKES: usize = 16;
/// Requests at once that ask the database for a node that is not in memory.
const LOOKUPS: usize = 2;

/// Everything that a request needs.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) hub: Arc<Hub>,
    pub(crate) noise: Arc<MachinePrivate>,
    pub(crate) handshakes: Arc<Semaphore>,
    pub(crate) newcomers: Newcomers,
    pub(crate) strangers: Newcomers,
    pub(crate) channels: Quota<MachinePublic>,
    pub(crate) lookups: Arc<Semaphore>,
    pub(crate) updates: Updates,
    pub(crate) caused: limits::Caused,
    pub(crate) metrics: Arc<Metrics>,
    /// Wrong API keys that were shown and are not in the audit log yet.
    pub(crate) wrong_keys: Arc<AtomicU64>,
    pub(crate) waiting: limits::Waiting,
    pub(crate) tries: limits::Tries,
    /// API keys that do not count.
    pub(crate) key_tries: limits::Tries,
    pub(crate) registrations: limits::RegistrationQueue,
    pub(crate) bodies: limits::RequestBodies,
    /// What is waited for before the coordinator ends.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the coordinator is to end.
    pub(crate) stop: CancellationToken,
}

impl App {
    /// The state of a coordinator that nobody has called yet.
    pub(crate) fn new(
        config: Config,
        store: Store,
        hub: Hub,
        noise: MachinePrivate,
        stop: CancellationToken,
    ) -> Self {
        let (hub, tasks) = (Arc::new(hub), TaskTracker::new());
        let caused = limits::Caused::default();
        let updates = Updates::new(
            store.clone(),
            Arc::clone(&hub),
            tasks.clone(),
            stop.clone(),
            caused.clone(),
        );
        let bodies = limits::RequestBodies::new(config.body_time);
        Self {
            config: Arc::new(config),
            metrics: Arc::new(Metrics::new(store.times())),
            wrong_keys: Arc::default(),
            updates,
            caused,
            store,
            hub,
            noise: Arc::new(noise),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            newcomers: limits::newcomers(),
            strangers: limits::strangers(),
            channels: limits::channels(),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            waiting: limits::Waiting::default(),
            tries: limits::Tries::default(),
            key_tries: limits::Tries::default(),
            registrations: limits::RegistrationQueue::default(),
            bodies,
            tasks,
            stop,
        }
    }

    /// When the node key of a new node ends; `None` if never, as a tagged node's.
    pub(crate) fn expiry(&self, owner: &Owner, now: Millis) -> Option<Millis> {
        match owner {
            Owner::User(_) => self.config.node_key_life().map(|life| now.saturating_add(life)),
            Owner::Tags(_) => None,
        }
    }

    /// Carries out `work` on a task of its own, to its end even if the caller is dropped.
    pub(crate) async fn carry_out<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.tasks.spawn(work).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and with it whoever waits.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Whether somebody on the way can read or change what this caller asks for and is answered: it came over plain HTTP, or
    /// the configuration names no other way, also to a proxy.
    pub(crate) fn is_plain(&self, caller: &Caller) -> bool {
        let url = ServerUrl::parse(&self.config.settings.server_url());
        !caller.is_secure || url.map_or(true, |url| url.is_plain())
    }

    /// URL of the page that tells how to approve the device with this ticket.
    pub(crate) fn auth_url(&self, ticket: &str) -> String {
        format!("{}/register/{ticket}", self.config.settings.server_url())
    }
}

/// Who is at the other end of a Noise channel.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) app: App,
    /// Proved by the handshake.
    pub(crate) machine: MachinePublic,
    /// Where it is, as the coordinator sees it.
    pub(crate) origin: Origin,
}

impl Peer {
    /// The machine, if it has a node.
    pub(crate) fn node(&self) -> Option<MachinePublic> {
        self.app.hub.snapshot().machines.contains(&self.machine).then_some(self.machine)
    }
}
