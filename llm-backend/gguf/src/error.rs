//! Why a file is no model that can be used.

use std::io;

/// Bytes of a key or of a text that is shown.
const SHOWN_MAX: usize = 64;
/// Bytes of memory that all that is kept of a header may take; what a model has takes less than 8 MiB: a few thousand
/// names and 16 bytes for each of some 100,000 words.
pub(crate) const HELD_MAX: u64 = 32 << 20;

/// A file is no model that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not begin like one.
    #[error("it is not a GGUF model; others have to be converted first")]
    Magic,
    /// It is of a version that the engine does not open.
    #[error("it is GGUF version {0}; versions 2 and 3 can be used")]
    Version(u32),
    /// It ends before its last tensor does.
    #[error("it ends too early: it was cut; download it again")]
    Short,
    /// A number in it cannot be true.
    #[error("its header is damaged; download it again")]
    Damaged,
    /// What it names takes more memory than any model's names.
    #[error("its header is damaged: it holds more than {} MiB of names", HELD_MAX >> 20)]
    TooMuch,
    /// An entry is missing, or is none that llama.cpp takes.
    #[error("its header cannot be used: {key} {problem}")]
    Entry {
        /// The entry's key, showable.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A tensor is none that llama.cpp takes.
    #[error("its header is damaged: the tensor {name} {problem}; download it again")]
    Tensor {
        /// The tensor's name, showable.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A family that the engine does not know.
    #[error("it is of the family {0}, which this version of the engine does not know")]
    Architecture(String),
    /// One of several files that are a model together.
    #[error("it is one of {0} parts of a model; join them with `llama-gguf-split --merge` first")]
    Part(u16),
    /// It cannot be read.
    #[error(transparent)]
    Read(io::Error),
}

impl Error {
    pub(crate) fn entry(key: impl AsRef<[u8]>, problem: &'static str) -> Self {
        Self::Entry { key: showable(key.as_ref()), problem }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Short } else { Self::Read(error) }
    }
}

/// Bytes of a file, in a form that can be shown to people.
pub(crate) fn showable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_MAX)]);
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}
