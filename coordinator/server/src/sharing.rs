//! Several coordinators on one PostgreSQL database (`[shared]`).
//!
//! The database has all that they need to know of each other. Each keeps a lease there and stores which nodes are connected
//! to it; a node counts as connected while a coordinator with a lease says so. Each takes over the others' changes in their
//! order. A notice wakes it; it looks by itself as well, since notices may be lost.
//!
//! A coordinator that cannot renew its lease ends, so that its devices go to another: they keep their tunnels meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use ::store::{notices::Notices, seal::Key};
use coordinator_api::settings::Shared;
use coordinator_core::{model::NodeId, time::Millis};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    app::App,
    clock,
    config::below,
    files::FileError,
    hub::HubError,
    random,
    store::{Database, Lease, Replica, StoreError, replica},
};

/// Length of a lease: as long as a node is reported as connected after it has disconnected.
const LEASE: Duration = Duration::from_secs(10);
/// Interval of renewals.
const RENEW: Duration = Duration::from_secs(2);
/// Timeout of what is asked of the database.
const ANSWER: Duration = Duration::from_secs(4);
/// Difference of clocks that is worth a warning, in milliseconds.
const CLOCKS: Millis = 5_000;

/// The coordinator shares its database, and cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SharingError {
    /// Another one tells devices of other relays.
    #[error(
        "another coordinator on this database tells devices of other relays ({0}): give both the same file as derp_map_file"
    )]
    Relays(String),
    /// The lease ended.
    #[error(
        "the database did not answer for {} seconds: this coordinator ends, so that devices go to another",
        LEASE.as_secs()
    )]
    CutOff,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network.
    #[error(transparent)]
    Hub(#[from] HubError),
}

/// This coordinator, among those on the database.
#[derive(Debug)]
pub(crate) struct Sharing {
    lease: Lease,
    notices: Notices,
    /// When the lease was last renewed.
    renewed: Instant,
}

/// Reads the key that seals the Noise key.
pub(crate) fn key(root: &Path, settings: &Shared) -> Result<Key, FileError> {
    let path = below(root, &settings.key_file);
    let text =
        std::fs::read_to_string(&path).map_err(|error| FileError::Io(path.clone(), error))?;
    let mut bytes = [0; 32];
    match hex::decode_to_slice(text.trim(), &mut bytes) {
        Ok(()) => Ok(Key::new(&bytes)),
        Err(_) => Err(FileError::SharedKey(path)),
    }
}

impl Sharing {
    /// Begins a lease.
    ///
    /// # Errors
    ///
    /// [`SharingError::Relays`] if a coordinator with a lease has other relays.
    pub(crate) async fn begin(app: &App, database: &Database) -> Result<Self, SharingError> {
        let notices =
            Notices::listen(database, replica::CHANNEL).await.map_err(StoreError::from)?;
        let replica = Replica {
            id: random::hex::<8>(),
            name: ::store::process_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            relays: relays(app),
            started: 0,
            left: 0,
        };
        app.store.forget_ended().await?;
        let other = app.store.replicas().await?.into_iter();
        let other = other.filter(|it| it.left > 0).find(|it| it.relays != replica.relays);
        if let Some(other) = other {
            return Err(SharingError::Relays(other.name));
        }
        let length = Millis::try_from(LEASE.as_millis()).unwrap_or(Millis::MAX);
        let (renewed, lease) = (Instant::now(), Lease { replica, length });
        let theirs = app.store.begin_lease(&lease).await?;
        warn_of_clock(clock::follow(theirs));
        let sharing = Self { lease, notices, renewed };
        app.hub.set_elsewhere(app.store.present_elsewhere(sharing.id()).await?);
        app.hub.recompile().await?;
        Ok(sharing)
    }

    fn id(&self) -> &str {
        &self.lease.replica.id
    }

    /// Keeps in step with the others until the coordinator stops.
    ///
    /// # Errors
    ///
    /// [`SharingError::CutOff`] if the lease ends.
    pub(crate) async fn run(
        self,
        app: &App,
        epoch: watch::Receiver<Option<i64>>,
    ) -> Result<(), SharingError> {
        let Self { lease, notices, renewed } = self;
        let id = lease.replica.id.clone();
        let followed = watch::Sender::new(Instant::now());
        let beat = followed.subscribe();
        tokio::select! {
            () = app.stop.cancelled() => Ok(()),
            error = renew(app, lease, renewed, beat) => Err(error),
            () = follow(app, &id, notices, epoch.clone(), followed) => Ok(()),
            () = tell(app, &id, epoch) => Ok(()),
        }
    }
}

/// Renews the lease until that fails for too long, or the others' changes were not taken over for as long.
async fn renew(
    app: &App,
    mut lease: Lease,
    mut renewed: Instant,
    followed: watch::Receiver<Instant>,
) -> SharingError {
    let mut tick = interval(RENEW);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut warned = false;
    loop {
        tick.tick().await;
        let asked = Instant::now();
        let good = renewed.min(*followed.borrow());
        // Also after the process itself stood still.
        if asked.duration_since(good) >= LEASE {
            return SharingError::CutOff;
        }
        lease.replica.relays = relays(app);
        match timeout(ANSWER, app.store.renew(&lease)).await {
            Ok(Ok(Some(theirs))) => {
                renewed = asked;
                clock::follow(theirs);
            }
            Ok(Ok(None)) => return SharingError::CutOff,
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "cannot renew the lease in the database; retrying");
            }
            Err(_) => tracing::warn!("cannot renew the lease in the database; retrying"),
        }
        // Of no weight for the lease.
        if let Ok(Ok(all)) = timeout(ANSWER / 2, others(app)).await {
            let mine = &lease.replica.relays;
            let other = all.iter().find(|it| it.left > 0 && it.relays != *mine);
            if let (Some(other), false) = (other, warned) {
                let other = &other.name;
                tracing::warn!(%other, "another coordinator tells devices of other relays; give both the same derp_map_file");
            }
            warned = other.is_some();
        }
    }
}

async fn others(app: &App) -> Result<Vec<Replica>, StoreError> {
    app.store.forget_ended().await?;
    app.store.replicas().await
}

/// Takes over what the others change and who is connected to them. Says when that last ended, well or not: a database that
/// refuses is not one that does not answer.
async fn follow(
    app: &App,
    id: &str,
    mut notices: Notices,
    mut epoch: watch::Receiver<Option<i64>>,
    followed: watch::Sender<Instant>,
) {
    let mut look = interval(RENEW);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut unseen, mut failing) = (BTreeMap::new(), false);
    loop {
        let is_change = tokio::select! {
            notice = notices.next() => notice.as_deref() == Some(replica::CHANGED),
            _ = look.tick() => false,
            Ok(()) = epoch.changed() => {
                // The lock was lost, and taken again: what was told before may be gone.
                app.store.mistrust();
                false
            }
        };
        let work = async {
            app.hub.catch_up().await?;
            if is_change { Ok(()) } else { see(app, id, &mut unseen).await }
        };
        let Ok(done) = timeout(ANSWER, work).await else { continue };
        followed.send_replace(Instant::now());
        if let (Err(error), false) = (&done, failing) {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, "cannot take over what other coordinators changed; retrying");
        }
        failing = done.is_err();
    }
}

/// Takes over who is connected elsewhere. Of those that went with their coordinator, which could not do it, it stores when
/// they were last seen, before they count as gone: an ephemeral node is removed some time after that.
async fn see(app: &App, id: &str, unseen: &mut BTreeMap<NodeId, Millis>) -> Result<(), HubError> {
    let elsewhere = app.store.present_elsewhere(id).await?;
    let moves = app.hub.moves_elsewhere(&elsewhere);
    if !moves.has_changed {
        return Ok(());
    }
    app.updates.forget(&moves.came);
    let at = clock::now();
    unseen.retain(|id, _| moves.went.contains(id));
    for id in moves.went {
        unseen.entry(id).or_insert(at);
    }
    if unseen.is_empty() {
        app.hub.set_elsewhere(elsewhere);
        return app.hub.recompile().await;
    }
    app.store.set_last_seen(unseen).await?;
    unseen.clear();
    app.hub.set_elsewhere(elsewhere);
    app.hub.refresh().await
}

/// Stores which nodes are connected here, whenever that changes.
async fn tell(app: &App, id: &str, mut epoch: watch::Receiver<Option<i64>>) {
    let mut network = app.hub.watch();
    let mut told = BTreeSet::new();
    // Of these it is not known what is stored.
    let mut unsure = BTreeSet::new();
    loop {
        let here = app.hub.online_here();
        let mut came: BTreeSet<NodeId> = here.difference(&told).copied().collect();
        came.extend(here.intersection(&unsure));
        let went: BTreeSet<NodeId> =
            told.union(&unsure).filter(|id| !here.contains(id)).copied().collect();
        if came.is_empty() && went.is_empty() {
            tokio::select! {
                changed = network.changed() => if changed.is_err() { return },
                // The database may be another, which was told less.
                Ok(()) = epoch.changed() => unsure.append(&mut told),
            }
            continue;
        }
        if let Ok(Ok(())) = timeout(ANSWER, app.store.tell_presence(id, &came, &went)).await {
            told = here;
            unsure.clear();
        } else {
            unsure.extend(came);
            unsure.extend(went);
            tokio::time::sleep(RENEW).await;
        }
    }
}

/// Digest of the relays that devices are told of.
fn relays(app: &App) -> String {
    let map = serde_json::to_vec(&*app.hub.relays()).unwrap_or_default();
    hex::encode(Sha256::digest(map))
}

/// `ahead`: of the database's clock, in milliseconds.
fn warn_of_clock(ahead: Millis) {
    if ahead.abs() > CLOCKS {
        let seconds = ahead / 1000;
        tracing::warn!(
            seconds,
            "the database's clock is ahead of this machine's, or behind it if this is negative; the coordinator goes by the \
             database's"
        );
    }
}
