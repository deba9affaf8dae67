//! Runs work once for all callers that wait for it (*single flight*).

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::{FutureExt as _, future::Shared};
use tokio::sync::oneshot;

use crate::Error;

/// The outcome of the work; an error if the task was aborted.
type Outcome<T> = Shared<oneshot::Receiver<Result<T, Error>>>;

/// Work that runs at most once at a time, in its own task, which continues when callers leave.
pub(crate) struct SingleFlight<T>(Mutex<Option<Outcome<T>>>);

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// Starts the work unless it is running, without waiting.
    pub(crate) fn begin<F>(&self, work: impl FnOnce() -> F)
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        drop(self.begun(work));
    }

    /// Starts the work unless it is running, and waits for its outcome.
    ///
    /// # Errors
    ///
    /// The work's own; `none` if the task was aborted.
    pub(crate) async fn outcome<F>(
        &self,
        work: impl FnOnce() -> F,
        none: impl FnOnce() -> Error,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        match self.begun(work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(none()),
        }
    }

    /// Waits for running work, if there is any.
    pub(crate) async fn idle(&self) {
        let last = self.lock().clone();
        if let Some(outcome) = last {
            drop(outcome.await);
        }
    }

    fn begun<F>(&self, work: impl FnOnce() -> F) -> Outcome<T>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let mut last = self.lock();
        // Its task may still be running although the outcome is known: then new work starts.
        if let Some(outcome) = &*last
            && outcome.clone().now_or_never().is_none()
        {
            return outcome.clone();
        }
        let (sender, receiver) = oneshot::channel();
        let work = work();
        tokio::spawn(async move {
            // All callers may have left.
            drop(sender.send(work.await));
        });
        let outcome = receiver.shared();
        *last = Some(outcome.clone());
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outcome<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_call_after_an_outcome_starts_new_work() {
        let (once, begun) = (SingleFlight::default(), AtomicU32::new(0));
        for turn in 1..=10_000 {
            let number = || begun.fetch_add(1, Ordering::Relaxed) + 1;
            let work = || std::future::ready(Ok(number()));
            let outcome = once.outcome(work, || unreachable!("the work ends")).await;
            assert_eq!(outcome.unwrap(), turn);
        }
    }
}
