//! Reads numbers and texts, and counts what is kept of them.

use std::{
    collections::{HashSet, hash_map::DefaultHasher},
    hash::Hasher as _,
    io::{BufRead, Read as _, Take},
};

use crate::error::{Error, HELD_MAX};

/// Bytes of the whole header; vocabularies take some megabytes.
const HEADER_MAX: u64 = 1 << 30;
/// What a kept text takes besides its bytes: its place in a tree and in the allocator.
const HELD_EACH: u64 = 96;
/// What the trace of a word takes in a set that is half empty.
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

    /// A text of at most `max` bytes, which is kept; `None` if it is longer, and passed over.
    pub(super) fn text(&mut self, max: u64) -> Result<Option<Box<[u8]>>, Error> {
        let len = self.u64()?;
        if len > max {
            return self.pass(len).map(|()| None);
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

    /// Takes room for what is kept.
    pub(super) fn hold(&mut self, bytes: u64) -> Result<(), Error> {
        self.held = self.held.saturating_add(bytes);
        if self.held > HELD_MAX { Err(Error::TooMuch) } else { Ok(()) }
    }

    pub(super) fn pass(&mut self, len: u64) -> Result<(), Error> {
        self.each_piece(len, |_| ())
    }

    /// Passes over so many texts.
    pub(super) fn pass_texts(&mut self, count: u64) -> Result<(), Error> {
        // Each takes eight bytes at least, so that the file's end bounds the count.
        for _ in 0..count {
            let len = self.u64()?;
            self.pass(len)?;
        }
        Ok(())
    }

    /// Passes over so many words; says whether one of them, other than the empty one, is there twice.
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
        let mut left = len;
        while left > 0 {
            let here = self.from.fill_buf()?;
            if here.is_empty() {
                return Err(Error::Short);
            }
            let step = usize::try_from(left).map_or(here.len(), |left| left.min(here.len()));
            take(&here[..step]);
            self.from.consume(step);
            left -= step as u64;
        }
        self.read = self.read.checked_add(len).ok_or(Error::Damaged)?;
        Ok(())
    }
}
