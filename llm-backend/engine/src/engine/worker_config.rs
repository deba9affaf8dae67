//! Settings of the engine's thread, made of the options of the command line.

use std::{path::PathBuf, time::Duration};

use gguf::CacheType;

use crate::options::Load;

/// Settings of the thread.
#[derive(Clone)]
pub(super) struct WorkerConfig {
    pub(super) path: PathBuf,
    /// Tokens of each conversation; [`None`]: as many as fit.
    pub(super) ctx: Option<u32>,
    pub(super) load: Load,
    pub(super) cache_type: CacheType,
    pub(super) slots: u32,
    pub(super) threads: u32,
    /// Bytes of conversations out of their slots.
    pub(super) cache_bytes: usize,
    /// How long a conversation is remembered after its last reply.
    pub(super) cache_life: Duration,
}
