//! The header of a GGUF file: what the model is, whether the engine can use it, and how much of the file there must be.
//!
//! Format: `docs/gguf.md` of ggml, versions 2 and 3, little-endian. Nothing of a header is trusted: names, texts and
//! lists are bounded, one by one and in sum, and the tensors that it tells of must lie inside the file. What llama.cpp
//! refuses in any model, or ends the process for, is refused here, before a file is kept or an engine is changed; what
//! one family of models needs besides is left to llama.cpp.

#![forbid(unsafe_code)]

mod architectures;
mod entries;
mod error;
mod reader;
mod rules;
mod tensors;

use std::io::BufRead;

pub use architectures::ARCHITECTURES;
use entries::Entries;
pub use error::Error;
use reader::Reader;
pub use rules::Header;

const MAGIC: [u8; 4] = *b"GGUF";
/// Entries of metadata; models have some dozens.
const ENTRIES_MAX: u64 = 1 << 16;
/// Tensors; large models have some thousands.
const TENSORS_MAX: u64 = 1 << 16;

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

#[cfg(test)]
mod tests;
