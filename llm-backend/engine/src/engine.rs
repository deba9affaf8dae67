//! The engine: a thread that owns the model, and a handle for the HTTP handlers.
//!
//! ```text
//!            submit         take                 events
//!   handler ────────▶ queue ─────▶ slot (thread) ────────▶ handler
//!                  (bounded)       one of --slots          disconnected? the slot is freed
//! ```

mod cache;
mod event;
mod fit;
mod grammar;
mod model;
mod pieces;
mod processor;
mod prompt_batch;
mod queue;
mod sampling;
mod shared;
mod slot;
mod state;
mod tokens;
mod worker;
mod worker_config;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use self::{
    event::EVENTS_MAX,
    queue::{Job, JobQueue},
    shared::Shared,
    worker_config::WorkerConfig,
};
use crate::{Error, Options};

pub(crate) use self::{
    event::{Ending, Event, Request},
    grammar::Grammar,
    model::{Model, PromptError},
    queue::QueueFull,
    shared::SlotGauge,
};

/// Stack size of a thread that calls llama.cpp: it builds graphs on the stack, and reads texts with recursion.
pub const STACK: usize = 8 << 20;

/// How many texts are made into tokens at once: that of 4 MiB takes a hundred times as much for a moment, and goes on
/// after its client has left.
const READERS: usize = 2;

/// A handle on the engine; cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Shared>);

impl Engine {
    /// Starts the thread, which loads the model and then serves. The receiver gets the thread's result.
    pub(crate) fn start(
        options: &Options,
    ) -> Result<(Self, oneshot::Receiver<Result<(), Error>>), Error> {
        let plan = WorkerConfig {
            path: options.root.join(&options.model),
            ctx: options.ctx,
            load: options.load,
            cache_type: options.cache_type,
            slots: options.slots,
            threads: options.thread_count(),
            cache_bytes: options.cache_mib.saturating_mul(1 << 20),
            cache_life: Duration::from_secs(options.cache_seconds),
        };
        let engine = Self(Arc::new(Shared {
            name: options.model_name(),
            queue: JobQueue::new(options.queue),
            gauges: (0..options.slots).map(|_| SlotGauge::default()).collect(),
            model: watch::Sender::new(None),
            is_standby: AtomicBool::new(false),
            tasks: AtomicU64::new(0),
            reading: Arc::new(Semaphore::new(READERS)),
        }));
        let (ended, end) = oneshot::channel();
        let shared = Arc::clone(&engine.0);
        let body = move || {
            // The receiver may be dropped.
            let _ = ended.send(worker::run(&shared, &plan));
        };
        let thread = thread::Builder::new().name("engine".to_owned()).stack_size(STACK);
        thread.spawn(body).map_err(|error| Error::Start(error.to_string()))?;
        Ok((engine, end))
    }

    /// Stops the thread at its next step; replies in progress are cut.
    pub(crate) fn stop(&self) {
        self.0.queue.close();
    }

    /// The model's name in the list of models.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// The model, once it is loaded.
    pub(crate) fn model(&self) -> Option<Arc<Model>> {
        self.0.model.borrow().clone()
    }

    /// Whether the model is loaded when somebody asks for it, and not before.
    pub(crate) fn is_standby(&self) -> bool {
        self.0.is_standby.load(Relaxed)
    }

    /// The model; if it is loaded when somebody asks for it, this does. [`None`] while it is loaded by itself, and if it cannot be
    /// loaded.
    pub(crate) async fn ask_for_model(&self) -> Option<Arc<Model>> {
        if self.model().is_none() && self.is_standby() {
            self.0.queue.want();
            let mut model = self.0.model.subscribe();
            return model.wait_for(Option::is_some).await.ok()?.clone();
        }
        self.model()
    }

    /// The permit to make a text into tokens, for whoever does it to hold; the first who wait get it first. [`None`]
    /// never, as nothing closes the semaphore.
    pub(crate) async fn may_read(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.reading).acquire_owned().await.ok()
    }

    /// The state of each slot.
    pub(crate) fn gauges(&self) -> &[SlotGauge] {
        &self.0.gauges
    }

    /// Adds a request to the queue and returns its number. Dropping the receiver cancels it, in the queue and in its
    /// slot.
    pub(crate) fn submit(
        &self,
        request: Request,
    ) -> Result<(u64, mpsc::Receiver<Event>), QueueFull> {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let task = self.0.tasks.fetch_add(1, Relaxed);
        let idle = self.0.gauges.iter().filter(|gauge| !gauge.is_processing.load(Relaxed)).count();
        self.0.queue.push(Job { task, request, events }, idle)?;
        Ok((task, receiver))
    }
}
