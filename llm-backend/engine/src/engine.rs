//! The engine: a thread that owns the model, and what others know of it.
//!
//! ```text
//!            submit                take                 events
//!   handler ────────▶ waiting line ─────▶ slot (thread) ────────▶ handler
//!                     (bounded)           one of --slots          gone? the slot is freed
//! ```

mod line;
mod model;
mod sampling;
mod slot;
mod worker;

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use chat_vocabulary::{FinishReason, Usage};
use tokio::sync::{mpsc, oneshot};

use self::line::{Job, Line};
use crate::{Error, Options, request::Sampling};

pub(crate) use self::{
    line::Busy,
    model::{Model, PromptError, Tokens},
};

/// Deltas that may wait for a slow client; when they are that many, its slot pauses.
const EVENTS_MAX: usize = 256;
/// Stack of the thread: llama.cpp builds its graphs on it.
const STACK: usize = 8 << 20;

/// What to generate.
pub(crate) struct Request {
    /// The whole prompt.
    pub(crate) prompt: Tokens,
    /// Most tokens to generate; [`None`]: as many as there is room for.
    pub(crate) max_tokens: Option<u32>,
    /// Texts that end the reply.
    pub(crate) stops: Vec<String>,
    /// How tokens are chosen.
    pub(crate) sampling: Sampling,
}

/// What happens to a request.
#[derive(Debug)]
pub(crate) enum Event {
    /// It has got a slot.
    Started,
    /// Text to append.
    Text(String),
    /// The reply is whole.
    Ended(Ending),
    /// The engine failed; nothing follows.
    Failed,
}

/// How a reply ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// Why.
    pub(crate) reason: FinishReason,
    /// Tokens counted.
    pub(crate) usage: Usage,
    /// Time to read the prompt.
    pub(crate) reading: Duration,
    /// Time to generate the rest.
    pub(crate) generating: Duration,
}

/// What one slot is doing, for whoever asks; never what is written in it.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// Whether it reads a prompt or generates.
    pub(crate) is_processing: AtomicBool,
    /// Number of its present or last request.
    pub(crate) task: AtomicU64,
    /// Tokens of the prompt.
    pub(crate) n_prompt: AtomicU32,
    /// Tokens of the prompt that were read.
    pub(crate) n_read: AtomicU32,
    /// Tokens generated.
    pub(crate) n_decoded: AtomicU32,
}

impl Gauge {
    /// As if nothing had been done yet.
    fn clear(&self) {
        self.is_processing.store(false, Relaxed);
        self.task.store(0, Relaxed);
        for count in [&self.n_prompt, &self.n_read, &self.n_decoded] {
            count.store(0, Relaxed);
        }
    }
}

/// A handle on the engine; cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Shared>);

struct Shared {
    /// Name that the model is listed under.
    name: String,
    line: Line,
    gauges: Box<[Gauge]>,
    /// Set once the model is loaded and warm.
    model: OnceLock<Arc<Model>>,
    tasks: AtomicU64,
}

/// What the thread needs to start.
struct Plan {
    path: PathBuf,
    ctx: u32,
    slots: u32,
    threads: u32,
}

impl Engine {
    /// Starts the thread, which loads the model and then serves. The receiver gets how it ended.
    pub(crate) fn start(
        options: &Options,
    ) -> Result<(Self, oneshot::Receiver<Result<(), Error>>), Error> {
        let plan = Plan {
            path: options.root.join(&options.model),
            ctx: options.ctx,
            slots: options.slots,
            threads: options.thread_count(),
        };
        let engine = Self(Arc::new(Shared {
            name: options.model_name(),
            line: Line::new(options.queue),
            gauges: (0..options.slots).map(|_| Gauge::default()).collect(),
            model: OnceLock::new(),
            tasks: AtomicU64::new(0),
        }));
        let (ended, end) = oneshot::channel();
        let shared = engine.clone();
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
        self.0.line.close();
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
    pub(crate) fn gauges(&self) -> &[Gauge] {
        &self.0.gauges
    }

    /// Puts a request in the line and numbers it. Dropping the receiver cancels it, wherever it is.
    pub(crate) fn submit(&self, request: Request) -> Result<(u64, mpsc::Receiver<Event>), Busy> {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let task = self.0.tasks.fetch_add(1, Relaxed);
        let idle = self.0.gauges.iter().filter(|gauge| !gauge.is_processing.load(Relaxed)).count();
        self.0.line.push(Job { task, request, events }, idle)?;
        Ok((task, receiver))
    }
}
