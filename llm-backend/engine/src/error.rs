//! Why the engine cannot run.

use std::{io, path::PathBuf};

use chassis::unix::BindError;

/// The engine could not start, or had to stop.
///
/// `Display` is one sentence with what to do; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root is not safe.
    #[error(transparent)]
    Root(#[from] chassis::root::UnsafeRoot),
    /// The model file cannot be read.
    #[error("cannot read the model {}; give --model an existing GGUF file that this user may read", .path.display())]
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
    /// llama.cpp does not take the model.
    #[error(
        "llama.cpp cannot load {}: the file is damaged, of an unknown kind or larger than memory; download it again",
        .path.display()
    )]
    Load {
        /// The file.
        path: PathBuf,
    },
    /// There is no room for the conversations.
    #[error("cannot make room for {slots} conversations of {ctx} tokens; lower --ctx or --slots")]
    Context {
        /// `--slots`.
        slots: u32,
        /// `--ctx`.
        ctx: u32,
    },
    /// The processor is too old for how llama.cpp was built.
    #[error(
        "this processor lacks {missing}, which the engine was built for; use a backend outside instead"
    )]
    Processor {
        /// The missing instruction set.
        missing: &'static str,
    },
    /// llama.cpp did not start, or a thread could not.
    #[error("the engine cannot start: {0}")]
    Start(String),
    /// The socket cannot be made.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// Signals cannot be watched.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
    /// llama.cpp ended the process, or the thread that computes ended.
    #[error(
        "llama.cpp failed with {}: the file is damaged, or of a kind that it cannot run; download it again or choose \
         another",
        .path.display()
    )]
    Failed {
        /// The file.
        path: PathBuf,
    },
}
