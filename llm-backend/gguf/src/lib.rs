//! Reads the header of a GGUF file: describes the model, checks that the engine can use it, and computes the least size
//! of the file.
//!
//! Format: `docs/gguf.md` of ggml, versions 2 and 3, little-endian. Headers are not trusted: each name, text and list
//! is bounded, and so is their sum, and all tensors must lie inside the file. A header that llama.cpp refuses for any
//! model, or for which it ends the process, is refused here, before the file is installed or an engine is changed.
//! Further requirements of one family of models are checked only by llama.cpp.

#![forbid(unsafe_code)]

mod architectures;
mod cache_type;
mod entries;
mod error;
mod reader;
mod rules;
mod tensors;

use std::io::BufRead;

pub use architectures::ARCHITECTURES;
pub use cache_type::CacheType;
use entries::Entries;
pub use error::Error;
use reader::Reader;
pub use rules::Header;

const MAGIC: [u8; 4] = *b"GGUF";
/// Most entries of metadata; models have some dozens.
const ENTRIES_MAX: u64 = 1 << 16;
/// Most tensors; large models have some thousands.
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

/// Reads the header of a file of `bytes` bytes, which must contain all tensors of the header.
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
