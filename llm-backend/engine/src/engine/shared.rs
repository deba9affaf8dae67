//! State shared by the thread and its handles.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

use tokio::sync::{Semaphore, watch};

use super::{model::Model, queue::JobQueue};

/// The state of one slot, without any text.
#[derive(Debug, Default)]
pub(crate) struct SlotGauge {
    /// Whether it is processing a prompt or generating.
    pub(crate) is_processing: AtomicBool,
    /// Number of its current or last request.
    pub(crate) task: AtomicU64,
    /// Tokens of the prompt.
    pub(crate) n_prompt: AtomicU32,
    /// Tokens of the prompt that were read.
    pub(crate) n_read: AtomicU32,
    /// Tokens generated.
    pub(crate) n_decoded: AtomicU32,
}

impl SlotGauge {
    /// Resets all values.
    pub(super) fn clear(&self) {
        self.is_processing.store(false, Relaxed);
        self.task.store(0, Relaxed);
        for count in [&self.n_prompt, &self.n_read, &self.n_decoded] {
            count.store(0, Relaxed);
        }
    }
}

pub(super) struct Shared {
    /// The model's name in the list of models.
    pub(super) name: String,
    pub(super) queue: JobQueue,
    pub(super) gauges: Box<[SlotGauge]>,
    /// The model, once it is loaded and warm.
    pub(super) model: watch::Sender<Option<Arc<Model>>>,
    /// Whether it is loaded when somebody asks for it.
    pub(super) is_standby: AtomicBool,
    pub(super) tasks: AtomicU64,
    /// Permits to make a text into tokens.
    pub(super) reading: Arc<Semaphore>,
}
