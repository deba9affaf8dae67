//! Why the engine cannot run.

use std::{io, path::PathBuf};

use chassis::unix::BindError;

use crate::template::TemplateError;

/// The engine could not start, or had to stop.
///
/// `Display` is one sentence that says what to do; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root is not safe.
    #[error(transparent)]
    Root(#[from] chassis::root::UnsafeRoot),
    /// The model file cannot be read.
    #[error("cannot read the model {}; give --model an existing GGUF file that this user can read", .path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The model's header says that it cannot be used.
    #[error("cannot use the model {}", .path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: gguf::Error,
    },
    /// The model's chat template cannot be used.
    #[error("cannot use the model {}; choose another, or a file whose template works", .path.display())]
    Template {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: TemplateError,
    },
    /// llama.cpp cannot load the model.
    #[error(
        "llama.cpp cannot load {}: the file is damaged, unsupported or larger than memory; download it again",
        .path.display()
    )]
    Load {
        /// The file.
        path: PathBuf,
    },
    /// The model's vocabulary has no token for some bytes, such as those of an emoji.
    #[error(
        "cannot use the model {}: its vocabulary has no token for some characters; choose another model",
        .path.display()
    )]
    Vocabulary {
        /// The file.
        path: PathBuf,
    },
    /// There is too little memory for the conversations that were asked for.
    #[error(
        "not enough memory for {slots} conversations of {ctx} tokens; {fits} tokens fit: lower --ctx or --slots, or choose a smaller --cache-type"
    )]
    Context {
        /// `--slots`.
        slots: u32,
        /// `--ctx`.
        ctx: u32,
        /// The largest `--ctx` that fits.
        fits: u32,
    },
    /// llama.cpp does not hold the conversations.
    #[error(
        "not enough memory for {slots} conversations of {ctx} tokens; lower --ctx or --slots, or leave out --cache-type, which not every model takes"
    )]
    NoContext {
        /// `--slots`.
        slots: u32,
        /// Their tokens.
        ctx: u32,
    },
    /// There is too little memory for the model.
    #[error(
        "{} needs {needed} MiB of memory with {slots} conversations, and there are {free}; choose a smaller model, or lower --slots",
        .path.display()
    )]
    Memory {
        /// The file.
        path: PathBuf,
        /// `--slots`.
        slots: u32,
        /// What the least useful context takes, in MiB.
        needed: u64,
        /// What there is, in MiB.
        free: u64,
    },
    /// The processor lacks an instruction set that llama.cpp was built for.
    #[error(
        "this processor lacks {missing}, which the engine was built for; use an external backend instead"
    )]
    Processor {
        /// The missing instruction set.
        missing: &'static str,
    },
    /// llama.cpp did not start, or a thread could not.
    #[error("the engine cannot start: {0}")]
    Start(String),
    /// The socket cannot be bound.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// Signals cannot be watched.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
    /// llama.cpp ended the process or the engine's thread.
    #[error(
        "llama.cpp failed with {}: the file is damaged or not supported; download it again or choose another model",
        .path.display()
    )]
    Failed {
        /// The file.
        path: PathBuf,
    },
}
