//! Reads numbers and texts, and limits the memory for stored ones.

use std::{
    collections::{HashSet, hash_map::DefaultHasher},
    hash::Hasher as _,
    io::{BufRead, Read as _, Take},
};

use crate::error::{Error, HELD_MAX};

/// Longest header, in bytes; vocabularies take some megabytes.
const HEADER_MAX: u64 = 1 << 30;
/// Memory of a stored text besides its bytes, in bytes: its node in a tree and the allocator's overhead.
const HELD_EACH: u64 = 96;
/// Memory of the hash of a word in a set that is half empty, in bytes.
const HELD_WORD: u64 = 32;

/// A header that is being read.
pub(super) struct Reader<R> {
    from: Take<R>,
    /// Bytes that were read.
    pub(super) read: u64,
    held: u64,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from: from.take(HEADER_MAX), read: 0, held: 0 }
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.read += N as u64;
        Ok(bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.bytes().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A text of at most `max` bytes; a longer one is skipped and returns `None`.
    pub(super) fn text(&mut self, max: u64) -> Result<Option<Box<[u8]>>, Error> {
        let len = self.u64()?;
        if len > max {
            return self.skip(len).map(|()| None);
        }
        self.hold(len + HELD_EACH)?;
        let mut text = Vec::new();
        self.from.by_ref().take(len).read_to_end(&mut text)?;
        self.read += len;
        if (text.len() as u64) < len {
            return Err(Error::Short);
        }
        Ok(Some(text.into_boxed_slice()))
    }

    /// Counts memory for something that is stored.
    pub(super) fn hold(&mut self, bytes: u64) -> Result<(), Error> {
        self.held = self.held.saturating_add(bytes);
        if self.held > HELD_MAX { Err(Error::TooMuch) } else { Ok(()) }
    }

    pub(super) fn skip(&mut self, len: u64) -> Result<(), Error> {
        self.each_piece(len, |_| ())
    }

    /// Skips `count` texts.
    pub(super) fn skip_texts(&mut self, count: u64) -> Result<(), Error> {
        // Each takes at least eight bytes, so the end of the file bounds the count.
        for _ in 0..count {
            let len = self.u64()?;
            self.skip(len)?;
        }
        Ok(())
    }

    /// Skips `count` words; returns whether one of them occurs twice. Empty words are ignored.
    pub(super) fn words(&mut self, count: u64) -> Result<bool, Error> {
        let (mut seen, mut twice) = (HashSet::new(), false);
        for _ in 0..count {
            let len = self.u64()?;
            let mut hasher = DefaultHasher::new();
            self.each_piece(len, |piece| hasher.write(piece))?;
            if len > 0 {
                self.hold(HELD_WORD)?;
                twice |= !seen.insert(hasher.finish());
            }
        }
        Ok(twice)
    }

    fn each_piece(&mut self, len: u64, mut take: impl FnMut(&[u8])) -> Result<(), Error> {
        let mut remaining = len;
        while remaining > 0 {
            let buffer = self.from.fill_buf()?;
            if buffer.is_empty() {
                return Err(Error::Short);
            }
            let step = usize::try_from(remaining).map_or(buffer.len(), |it| it.min(buffer.len()));
            take(&buffer[..step]);
            self.from.consume(step);
            remaining -= step as u64;
        }
        self.read = self.read.checked_add(len).ok_or(Error::Damaged)?;
        Ok(())
    }
}
