//! The task that writes: jobs that wait share one transaction, so that they share the disk's sync.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{FutureExt as _, future::BoxFuture};
use store::{DatabaseError, Priority, RevisionUpdate, Store};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    directory::Rooms, row::read_clock, time::WallClock, transaction::Transaction, wake::Wakers,
};
use crate::{
    error::Error,
    media::folder::Folder,
    push::pending::Pending,
    sign_in::tokens::Tokens,
    sync::cache::{Changes, SyncCache},
    vault::Vault,
};

/// Most jobs that wait. Beyond that, requests wait before they are queued.
const QUEUE: usize = 256;
/// Most jobs of one transaction.
const BATCH: usize = 128;

/// Tells whoever waits how the job ended, and whether its transaction was committed.
type Finish = Box<dyn FnOnce(bool) + Send>;
/// What is done in a transaction.
pub(super) type Job =
    Box<dyn for<'a> FnOnce(&'a mut Transaction) -> BoxFuture<'a, (Finish, bool)> + Send>;

/// Queues jobs.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: watch::Sender<Option<mpsc::Sender<Job>>>,
    /// Whether the last transaction failed since the disk is full.
    is_full: Arc<AtomicBool>,
}

/// What the task needs.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) media: Arc<Folder>,
    pub(super) push: Arc<Pending>,
    pub(super) rooms: Arc<Rooms>,
    pub(super) wakers: Wakers,
    pub(super) tokens: Arc<Tokens>,
    pub(super) cache: SyncCache,
    pub(super) time: WallClock,
}

impl Writer {
    /// Starts the task, which ends when the queue is closed and empty.
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let (sender, jobs) = mpsc::channel(QUEUE);
        let is_full = Arc::<AtomicBool>::default();
        tokio::spawn(run(Arc::downgrade(shared), jobs, Arc::clone(&is_full)));
        Self { jobs: watch::Sender::new(Some(sender)), is_full }
    }

    /// See [`super::Homeserver::write`].
    pub(super) async fn write<T: Send + 'static>(
        &self,
        job: impl for<'a> FnOnce(&'a mut Transaction) -> BoxFuture<'a, Result<T, Error>>
        + Send
        + 'static,
    ) -> Result<T, Error> {
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            async move {
                let outcome = job(transaction).await;
                let is_kept = outcome.is_ok();
                let finish = move |is_committed| drop(reply.send((outcome, is_committed)));
                (Box::new(finish) as Finish, is_kept)
            }
            .boxed()
        });
        let sender = self.jobs.borrow().clone();
        let sender = sender.ok_or_else(failed)?;
        sender.send(job).await.map_err(|_| failed())?;
        drop(sender);
        match result.await {
            // A refusal stands, whether the others were committed or not.
            Ok((outcome, is_committed)) if is_committed || outcome.is_err() => outcome,
            Ok(_) | Err(_) if self.is_full.load(Ordering::Relaxed) => {
                Err(DatabaseError::Full.into())
            }
            Ok(_) | Err(_) => Err(failed()),
        }
    }

    /// Accepts no more jobs. Those that wait are done.
    pub(super) fn close(&self) {
        self.jobs.send_replace(None);
    }
}

/// Whether the change was made is not known.
fn failed() -> Error {
    Error::Database(DatabaseError::NotHeld)
}

async fn run(shared: Weak<Shared>, mut jobs: mpsc::Receiver<Job>, is_full: Arc<AtomicBool>) {
    let mut is_known = true;
    while let Some(first) = jobs.recv().await {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let (mut next, mut finishes) = (Some(first), Vec::new());
        // A panic of one job must not end all writing.
        let batch = shared.batch(&mut next, &mut jobs, &mut finishes, is_known);
        let result = AssertUnwindSafe(batch).catch_unwind().await;
        let result = result.unwrap_or_else(|_| Err(failed()));
        is_known = result.is_ok();
        // Set before anybody is told, and before a job is dropped that could not begin.
        let is_now_full = matches!(result, Err(Error::Database(DatabaseError::Full)));
        is_full.store(is_now_full, Ordering::Relaxed);
        if let Err(error) = &result {
            // It is not known what was committed.
            shared.rooms.clear();
            shared.cache.clear();
            if let Err(error) = shared.tokens.load(shared.store.pool()).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot load access tokens"
                );
            }
            let error: &(dyn std::error::Error + 'static) = error;
            tracing::error!(error, "a write transaction failed");
        }
        for finish in finishes {
            finish(result.is_ok());
        }
    }
}

impl Shared {
    /// Runs the next job and those that wait in one transaction, and publishes what changed: also what the last transaction
    /// did, if that is not known.
    async fn batch(
        &self,
        next: &mut Option<Job>,
        jobs: &mut mpsc::Receiver<Job>,
        finishes: &mut Vec<Finish>,
        is_known: bool,
    ) -> Result<(), Error> {
        let mut write = self.store.write(Priority::High, RevisionUpdate::Increment).await?;
        let mut latest = self.cache.clock().latest;
        if !is_known {
            latest = read_clock(write.connection()).await?.latest;
        }
        let (rooms, now) = (Arc::clone(&self.rooms), self.time.now());
        let mut transaction = Transaction::new(write, self.vault.clone(), rooms, latest, now);
        let mut before = transaction.begin().await?;
        while let Some(job) = next.take() {
            let (finish, is_kept) = job(&mut transaction).await;
            finishes.push(finish);
            *next = if finishes.len() < BATCH { jobs.try_recv().ok() } else { None };
            before = transaction.end(before, is_kept, next.is_some()).await?;
        }
        let mut staged = transaction.commit().await?;
        staged.add_members();
        self.rooms.committed(&staged.rooms);
        self.tokens.apply(&staged.sessions);
        self.cache.publish(Changes {
            latest: staged.position,
            people: &staged.changed,
            rules: &staged.rules,
            rooms: staged.changes,
        });
        if is_known {
            self.wakers.wake(&staged.touched);
        } else {
            self.wakers.wake_all();
        }
        for (event, state) in &staged.events {
            self.push.stored(event, state);
        }
        for (user, room) in &staged.reads {
            self.push.read(user, room);
        }
        self.media.remove(staged.unused_files);
        Ok(())
    }
}
