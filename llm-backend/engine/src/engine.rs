//! The engine: a thread that owns the model, and what others know of it.
//!
//! ```text
//!            submit                take                 events
//!   handler ────────▶ waiting line ─────▶ slot (thread) ────────▶ handler
//!                     (bounded)           one of --slots          gone? the slot is freed
//! ```

mod event;
mod model;
mod queue;
mod sampling;
mod shared;
mod slot;
mod worker;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use tokio::sync::{mpsc, oneshot};

use self::{
    event::EVENTS_MAX,
    queue::{Job, JobQueue},
    shared::Shared,
    worker::WorkerConfig,
};
use crate::{Error, Options};

pub(crate) use self::{
    event::{Ending, Event, Request},
    model::{Model, PromptError},
    queue::QueueFull,
    shared::SlotGauge,
};

/// Stack of the thread: llama.cpp builds its graphs on it.
const STACK: usize = 8 << 20;

/// A handle on the engine; cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Shared>);

impl Engine {
    /// Starts the thread, which loads the model and then serves. The receiver gets how it ended.
    pub(crate) fn start(
        options: &Options,
    ) -> Result<(Self, oneshot::Receiver<Result<(), Error>>), Error> {
        let plan = WorkerConfig {
            path: options.root.join(&options.model),
            ctx: options.ctx,
            slots: options.slots,
            threads: options.thread_count(),
        };
        let engine = Self(Arc::new(Shared {
            name: options.model_name(),
            queue: JobQueue::new(options.queue),
            gauges: (0..options.slots).map(|_| SlotGauge::default()).collect(),
            model: OnceLock::new(),
            tasks: AtomicU64::new(0),
        }));
        let (ended, end) = oneshot::channel();
        let shared = Arc::clone(&engine.0);
        let body = move || {
            // The receiver is gone only when nobody wants to know.
            let _ = ended.send(worker::run(&shared, &plan));
        };
        let thread = thread::Builder::new().name("engine".to_owned()).stack_size(STACK);
        thread.spawn(body).map_err(|error| Error::Start(error.to_string()))?;
        Ok((engine, end))
    }

    /// Stops the thread at its next step; replies under way are cut.
    pub(crate) fn stop(&self) {
        self.0.queue.close();
    }

    /// Name that the model is listed under.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// The model, once it is loaded.
    pub(crate) fn model(&self) -> Option<&Arc<Model>> {
        self.0.model.get()
    }

    /// What each slot is doing.
    pub(crate) fn gauges(&self) -> &[SlotGauge] {
        &self.0.gauges
    }

    /// Puts a request in the line and numbers it. Dropping the receiver cancels it, wherever it is.
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
