//! The header of a GGUF file: what the model is, whether the engine can use it, and how much of the file there must be.
//!
//! Format: `docs/gguf.md` of ggml, versions 2 and 3, little-endian. Nothing of a header is trusted: names, texts and
//! lists are bounded, one by one and in sum, and the tensors that it tells of must lie inside the file. What llama.cpp
//! refuses in any model, or ends the process for, is refused here, before a file is kept or an engine is changed; what
//! one family of models needs besides is left to llama.cpp.

use std::io::{self, BufRead};

mod architectures;
mod entries;
mod reader;
mod rules;
mod tensors;

pub use architectures::ARCHITECTURES;

use entries::Entries;
use reader::Reader;

const MAGIC: [u8; 4] = *b"GGUF";
/// Entries of metadata; models have some dozens.
const ENTRIES_MAX: u64 = 1 << 16;
/// Tensors; large models have some thousands.
const TENSORS_MAX: u64 = 1 << 16;
/// Bytes of a key or of a text that is shown.
const SHOWN_MAX: usize = 64;

/// What a header tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The family, such as `llama`.
    pub architecture: Option<String>,
    /// Number of parameters as people write it, such as `135M`.
    pub size_label: Option<String>,
    /// Tokens that the model was trained to hold.
    pub context_tokens: Option<u64>,
    /// Bytes that one token takes in the cache of all layers, with 16 bits for each number; `None` if it is not told.
    pub cache_bytes_per_token: Option<u64>,
    /// Least size that the whole file has, in bytes: where the content of its last tensor ends.
    pub least_bytes: u64,
}

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
    #[error("its header is damaged: it holds more than {} MiB of names", reader::HELD_MAX >> 20)]
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
    fn entry(key: impl AsRef<[u8]>, problem: &'static str) -> Self {
        Self::Entry { key: showable(key.as_ref()), problem }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Short } else { Self::Read(error) }
    }
}

/// Reads a header.
///
/// # Errors
///
/// See [`Error`].
pub fn read(from: impl BufRead) -> Result<Header, Error> {
    let mut reader = Reader::new(from);
    if reader.bytes()? != MAGIC {
        return Err(Error::Magic);
    }
    let version = reader.u32()?;
    if !matches!(version, 2 | 3) {
        return Err(Error::Version(version));
    }
    let (tensors, entries) = (reader.u64()?, reader.u64()?);
    if tensors > TENSORS_MAX || entries > ENTRIES_MAX {
        return Err(Error::Damaged);
    }
    let entries = Entries::read(&mut reader, entries)?;
    rules::check(&entries)?;
    let least_bytes = tensors::read(&mut reader, tensors, rules::alignment(&entries)?)?;
    Ok(Header { least_bytes, ..rules::header(&entries) })
}

/// Reads the header of a file of so many bytes, which must hold all that the header tells of.
///
/// # Errors
///
/// See [`Error`].
pub fn read_file(from: impl BufRead, bytes: u64) -> Result<Header, Error> {
    let header = read(from)?;
    if header.least_bytes > bytes { Err(Error::Short) } else { Ok(header) }
}

/// Bytes of a file, in a form that can be shown to people.
fn showable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_MAX)]);
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests;
