//! Why a model file cannot be used.

use std::io;

/// Longest key or name in an error, in bytes.
const SHOWN_MAX: usize = 64;
/// Most memory for the stored parts of a header, in bytes. Real models take less than 8 MiB: a few thousand names and
/// 16 bytes for each of about 100,000 words.
pub(crate) const HELD_MAX: u64 = 32 << 20;

/// A model file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not begin with GGUF's magic bytes.
    #[error("it is not a GGUF model; other formats have to be converted first")]
    Magic,
    /// The engine does not support its version.
    #[error("it is GGUF version {0}; versions 2 and 3 can be used")]
    Version(u32),
    /// It ends before its last tensor does.
    #[error("it is incomplete: the file was cut; download it again")]
    Short,
    /// It contains an impossible number.
    #[error("its header is damaged; download it again")]
    Damaged,
    /// Its names take more memory than those of any model.
    #[error("its header is damaged: it contains more than {} MiB of names", HELD_MAX >> 20)]
    TooMuch,
    /// An entry is missing, or llama.cpp does not accept it.
    #[error("its header cannot be used: {key} {problem}")]
    Entry {
        /// The entry's key, in printable form.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// llama.cpp does not accept a tensor.
    #[error("its header is damaged: the tensor {name} {problem}; download it again")]
    Tensor {
        /// The tensor's name, in printable form.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The engine does not support its family.
    #[error("it is a model of the family {0}, which this version of the engine does not support")]
    Architecture(String),
    /// It is one of several files of a model.
    #[error("it is one of {0} parts of a model; join them with `llama-gguf-split --merge` first")]
    Part(u16),
    /// It cannot be read.
    #[error(transparent)]
    Read(io::Error),
}

impl Error {
    pub(crate) fn entry(key: impl AsRef<[u8]>, problem: &'static str) -> Self {
        Self::Entry { key: printable(key.as_ref()), problem }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Short } else { Self::Read(error) }
    }
}

/// Bytes of a file as printable ASCII, shortened.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_MAX)]);
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}
