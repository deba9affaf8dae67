//! Threads that serve connections, each with a runtime of its own.
//!
//! What a connection asks for is done on one thread, from its first byte to the last of its answer, so no thread wakes
//! another for it. In a runtime whose threads take work from each other, that waking was a large part of what a request
//! cost.

use std::{
    io,
    num::NonZeroUsize,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    time::sleep,
};

/// How often a runtime looks at its clock, whatever else it does.
const TICK: Duration = Duration::from_secs(1);

/// The threads. Dropping this ends all but the first, and with them whatever is left of their connections.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    _threads: Vec<Thread>,
}

/// A connection's place on a thread, to be held for as long as it lasts.
pub type WorkerSlot = Arc<()>;

/// A thread's runtime, and the places that are held on it.
#[derive(Debug)]
struct Worker {
    runtime: Handle,
    places: WorkerSlot,
}

/// A thread that was started.
#[derive(Debug)]
struct Thread {
    stop: Option<oneshot::Sender<()>>,
    handle: Option<JoinHandle<()>>,
}

impl Workers {
    /// So many threads: the runtime that this is called on is the first, the others are started.
    ///
    /// # Errors
    ///
    /// Fails if a thread or its runtime cannot be made; those that were are ended.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let worker = |runtime| Worker { runtime, places: Arc::default() };
        let mut workers = Self {
            workers: vec![worker(Handle::current())],
            _threads: Vec::with_capacity(count.get()),
        };
        for _ in 1..count.get() {
            let (thread, runtime) = Thread::start()?;
            workers._threads.push(thread);
            workers.workers.push(worker(runtime));
        }
        Ok(workers)
    }

    /// As many as there are processors that this process may use; one if that is not known.
    #[must_use]
    pub fn usual() -> NonZeroUsize {
        thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }

    /// The thread with the fewest connections, and a place on it.
    #[must_use]
    pub fn choose(&self) -> Option<(&Handle, WorkerSlot)> {
        let worker = self.workers.iter().min_by_key(|worker| Arc::strong_count(&worker.places))?;
        Some((&worker.runtime, Arc::clone(&worker.places)))
    }
}

impl Thread {
    fn start() -> io::Result<(Self, Handle)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            runtime.spawn(tick());
            // Who stops it says nothing, but goes away.
            let _ = runtime.block_on(stopped);
            // What it does besides, on threads for what blocks, is not waited for.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("worker".to_owned()).spawn(run)?;
        Ok((Self { stop: Some(stop), handle: Some(thread) }, handle))
    }
}

/// Wakes its runtime each second, so that a time limit of a second or more is never the first thing that is due there.
/// Tokio would wake itself for each that is, by a write and a read: several times for each request.
async fn tick() {
    loop {
        sleep(TICK).await;
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(Err(_)) = self.handle.take().map(JoinHandle::join) {
            tracing::error!("a thread ended by a panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_go_to_the_thread_that_has_the_fewest() {
        let workers = Workers::start(NonZeroUsize::MIN.saturating_add(2)).unwrap();
        let mut places = Vec::new();
        for _ in 0..6 {
            let (runtime, place) = workers.choose().unwrap();
            let thread = runtime.spawn(async { thread::current().id() }).await.unwrap();
            places.push((thread, place));
        }
        let own = thread::current().id();
        assert_eq!(places.iter().filter(|(thread, _)| *thread == own).count(), 2);
        assert_eq!(places[0].0, places[3].0);
        assert_ne!(places[1].0, places[2].0);

        let (freed, place) = places.remove(1);
        drop(place);

        let (runtime, _place) = workers.choose().unwrap();
        assert_eq!(runtime.spawn(async { thread::current().id() }).await.unwrap(), freed);
    }

    #[tokio::test]
    async fn what_is_left_on_a_thread_ends_with_it() {
        let workers = Workers::start(NonZeroUsize::MIN.saturating_add(1)).unwrap();
        let _own = workers.choose().unwrap();
        let (runtime, _place) = workers.choose().unwrap();
        let (held, mut let_go) = oneshot::channel::<()>();
        runtime.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        assert!(let_go.try_recv().is_err());

        drop(workers);

        assert!(let_go.await.is_err());
    }
}
