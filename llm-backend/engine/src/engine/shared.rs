//! What the thread and its handles share.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

use super::{model::Model, queue::JobQueue};

/// What one slot is doing, for whoever asks; never what is written in it.
#[derive(Debug, Default)]
pub(crate) struct SlotGauge {
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

impl SlotGauge {
    /// As if nothing had been done yet.
    pub(super) fn clear(&self) {
        self.is_processing.store(false, Relaxed);
        self.task.store(0, Relaxed);
        for count in [&self.n_prompt, &self.n_read, &self.n_decoded] {
            count.store(0, Relaxed);
        }
    }
}

pub(super) struct Shared {
    /// Name that the model is listed under.
    pub(super) name: String,
    pub(super) queue: JobQueue,
    pub(super) gauges: Box<[SlotGauge]>,
    /// Set once the model is loaded and warm.
    pub(super) model: OnceLock<Arc<Model>>,
    pub(super) tasks: AtomicU64,
}
