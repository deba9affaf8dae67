//! Threads that serve connections, each with a single-threaded runtime.
//!
//! All work of a connection is done on one thread. In a work-stealing runtime, waking other threads was a large part of a
//! request's cost.

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

/// Interval of the tick, see [`tick`].
const TICK: Duration = Duration::from_secs(1);

/// The threads. Dropping this ends all but the first, with their remaining connections.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    _threads: Vec<Thread>,
}

/// Counts a connection on its thread until it is dropped.
pub type WorkerSlot = Arc<()>;

/// A thread's runtime, and the count of its connections.
#[derive(Debug)]
struct Worker {
    runtime: Handle,
    slots: WorkerSlot,
}

/// A started thread.
#[derive(Debug)]
struct Thread {
    stop: Option<oneshot::Sender<()>>,
    handle: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts threads, `count` with the current one, whose runtime is the first.
    ///
    /// # Errors
    ///
    /// A thread or its runtime cannot be created; all are ended.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let worker = |runtime| Worker { runtime, slots: Arc::default() };
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

    /// The default count: the processors that this process may use.
    #[must_use]
    pub fn usual() -> NonZeroUsize {
        thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }

    /// The runtimes of all threads.
    pub(crate) fn runtimes(&self) -> Vec<Handle> {
        self.workers.iter().map(|worker| worker.runtime.clone()).collect()
    }

    /// Chooses the thread with the fewest connections.
    #[must_use]
    pub fn choose(&self) -> Option<(&Handle, WorkerSlot)> {
        let worker = self.workers.iter().min_by_key(|worker| Arc::strong_count(&worker.slots))?;
        Some((&worker.runtime, Arc::clone(&worker.slots)))
    }
}

impl Thread {
    fn start() -> io::Result<(Self, Handle)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            runtime.spawn(tick());
            // The sender is dropped, without a message.
            let _ = runtime.block_on(stopped);
            // Does not wait for blocking tasks.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("worker".to_owned()).spawn(run)?;
        Ok((Self { stop: Some(stop), handle: Some(thread) }, handle))
    }
}

/// Wakes its runtime each second, so that no timeout of a second or more is the next timer. For each new next timer Tokio
/// wakes itself by a write and a read, several times for each request.
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
