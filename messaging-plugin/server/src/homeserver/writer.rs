//! The task that writes: jobs that wait share one transaction, so that they share the disk's sync.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use ruma::MilliSecondsSinceUnixEpoch;
use store::{DatabaseError, Priority, RevisionUpdate, Store};
use telmeet_core::token::Clock;
use tokio::sync::{mpsc, oneshot, watch};

use super::{directory::Rooms, transaction::Transaction, wake::Wakers};
use crate::{
    error::Error, media::folder::Folder, push::pending::Pending, sign_in::tokens::Tokens,
    sync::notification_cache::NotificationCache, vault::Vault,
};

/// Most jobs that wait. Beyond that, requests wait before they are queued.
const QUEUE: usize = 256;
/// Most jobs of one transaction.
const BATCH: usize = 128;

/// Tells whoever waits how the job ended, after the transaction did.
type Finish = Box<dyn FnOnce(Result<(), Arc<Error>>) + Send>;
/// What is done in a transaction.
pub(super) type Job =
    Box<dyn for<'a> FnOnce(&'a mut Transaction) -> BoxFuture<'a, (Finish, bool)> + Send>;

/// Queues jobs.
#[derive(Debug)]
pub(super) struct Writer(watch::Sender<Option<mpsc::Sender<Job>>>);

/// What the task needs.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) media: Arc<Folder>,
    pub(super) push: Arc<Pending>,
    pub(super) notifications: Arc<NotificationCache>,
    pub(super) rooms: Arc<Rooms>,
    pub(super) wakers: Wakers,
    pub(super) tokens: Arc<Tokens>,
    pub(super) clock: watch::Sender<Clock>,
}

impl Writer {
    /// Starts the task, which ends when the queue is closed and empty.
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let (sender, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(run(Arc::downgrade(shared), jobs));
        Self(watch::Sender::new(Some(sender)))
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
                let finish = move |committed: Result<(), Arc<Error>>| {
                    // A refusal stands, whether the others were committed or not.
                    let outcome = match (outcome, committed) {
                        (Ok(_), Err(_)) => Err(failed()),
                        (outcome, _) => outcome,
                    };
                    drop(reply.send(outcome));
                };
                (Box::new(finish) as Finish, is_kept)
            }
            .boxed()
        });
        let sender = self.0.borrow().clone();
        let sender = sender.ok_or_else(failed)?;
        sender.send(job).await.map_err(|_| failed())?;
        drop(sender);
        result.await.map_err(|_| failed())?
    }

    /// Accepts no more jobs. Those that wait are done.
    pub(super) fn close(&self) {
        self.0.send_replace(None);
    }
}

/// Whether the change was made is not known.
fn failed() -> Error {
    Error::Database(DatabaseError::NotHeld)
}

async fn run(shared: Weak<Shared>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let mut finishes = Vec::new();
        // A panic of one job must not end all writing.
        let batch = AssertUnwindSafe(shared.batch(first, &mut jobs, &mut finishes)).catch_unwind();
        let result = batch.await.unwrap_or_else(|_| Err(failed())).map_err(Arc::new);
        if let Err(error) = &result {
            // It is not known what was committed.
            shared.rooms.clear();
            shared.notifications.clear();
            if let Err(error) = shared.tokens.load(shared.store.pool()).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot load access tokens"
                );
            }
            let error: &(dyn std::error::Error + 'static) = &**error;
            tracing::error!(error, "a write transaction failed");
        }
        for finish in finishes {
            finish(result.clone());
        }
    }
}

impl Shared {
    /// Runs the first job and those that wait in one transaction, and publishes what changed.
    async fn batch(
        &self,
        first: Job,
        jobs: &mut mpsc::Receiver<Job>,
        finishes: &mut Vec<Finish>,
    ) -> Result<(), Error> {
        let write = self.store.write(Priority::High, RevisionUpdate::Increment).await?;
        let (now, clock) = (MilliSecondsSinceUnixEpoch::now(), *self.clock.borrow());
        let mut transaction =
            Transaction::new(write, self.vault.clone(), Arc::clone(&self.rooms), clock.latest, now);
        let mut next = Some(first);
        while let Some(job) = next {
            let before = transaction.begin().await?;
            let (finish, is_kept) = job(&mut transaction).await;
            finishes.push(finish);
            transaction.end(before, is_kept).await?;
            next = if finishes.len() < BATCH { jobs.try_recv().ok() } else { None };
        }
        let staged = transaction.commit().await?;
        self.rooms.committed(&staged.rooms);
        self.tokens.apply(&staged.sessions);
        self.notifications.forget(&staged.rules);
        self.clock.send_modify(|clock| clock.latest = staged.position);
        self.wakers.wake(&staged.touched);
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
