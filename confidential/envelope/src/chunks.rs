//! Messages in chunks (draft-ietf-ohai-chunked-ohttp-08, section 6), for both layers and directions.
//!
//! ```text
//! head (plain) | length of sealed chunk, varint | sealed chunk | … | 0 | last sealed chunk, to the end
//! ```

use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    Plaintext, SealError, Unopenable,
    aead::{Opener, Position, Sealer, TAG},
    varint,
};

/// Limits of a message in chunks that is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum length of an opened chunk, in bytes.
    pub chunk: usize,
    /// Maximum length of the sealed message, in bytes.
    pub total: u64,
}

/// Seals a message in chunks. Without [`Self::finish`], the receiver sees a truncated message.
#[derive(Debug)]
pub struct ChunkSealer {
    sealer: Sealer,
    /// The bytes before the first chunk, until they are returned.
    head: Vec<u8>,
    /// Maximum length of a chunk before sealing, in bytes.
    chunk: usize,
}

impl ChunkSealer {
    pub(crate) const fn new(sealer: Sealer, head: Vec<u8>, chunk: usize) -> Self {
        Self { sealer, head, chunk }
    }

    /// Header and keys, which may be sent before the first chunk; otherwise [`Self::write`] or [`Self::finish`] returns them.
    #[must_use]
    pub fn head(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    /// Seals the next part as one chunk, or as several if it is long; an empty part makes no chunk.
    ///
    /// # Errors
    ///
    /// [`SealError::Exhausted`]; the message cannot be continued.
    pub fn write(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut sealed = self.head();
        for piece in plaintext.chunks(self.chunk) {
            self.seal(piece, Position::Middle, &mut sealed)?;
        }
        Ok(sealed)
    }

    /// Seals the last part, which may be empty, and ends the message.
    ///
    /// # Errors
    ///
    /// [`SealError::Exhausted`]; the message has no end.
    pub fn finish(mut self, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let whole = plaintext.len().saturating_sub(1) / self.chunk * self.chunk;
        let (middle, last) = plaintext.split_at(whole);
        let mut sealed = self.write(middle)?;
        self.seal(last, Position::Last, &mut sealed)?;
        Ok(sealed)
    }

    fn seal(
        &mut self,
        plaintext: &[u8],
        position: Position,
        into: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let mut buffer = Vec::with_capacity(plaintext.len() + TAG);
        buffer.extend_from_slice(plaintext);
        self.sealer.seal(&mut buffer, position)?;
        let length = match position {
            Position::Middle => buffer.len(),
            Position::Last => 0,
        };
        varint::write_len(length, into);
        into.extend_from_slice(&buffer);
        Ok(())
    }
}

/// Opens the chunks of a message incrementally.
///
/// ```text
///          length      all its bytes
///  Length ────────▶ Chunk ────────▶ Length        Length ── 0 ──▶ Last ── end ──▶ opened
///     └────────────────┴── does not open, too large ──▶ Failed
/// ```
#[derive(Debug)]
pub(crate) struct ChunkOpener {
    opener: Opener,
    limits: Limits,
    /// Bytes received so far.
    total: u64,
    state: State,
    /// A length or a chunk that has arrived in part, or an opened chunk until it is copied.
    buffer: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A length is arriving.
    Length,
    /// A sealed chunk of this length is arriving.
    Chunk(usize),
    /// The last chunk is arriving; it ends with the message.
    Last,
    /// A chunk did not open.
    Failed,
}

impl ChunkOpener {
    pub(crate) fn new(opener: Opener, limits: Limits) -> Self {
        let buffer = Zeroizing::default();
        Self { opener, limits, total: 0, state: State::Length, buffer }
    }

    /// Takes received bytes; appends the opened chunks.
    pub(crate) fn push(&mut self, bytes: &[u8], into: &mut Plaintext) -> Result<(), Unopenable> {
        let pushed = self.advance(bytes, into);
        if pushed.is_err() {
            self.state = State::Failed;
            self.buffer.zeroize();
        }
        pushed
    }

    fn advance(&mut self, mut bytes: &[u8], into: &mut Plaintext) -> Result<(), Unopenable> {
        self.total = self.total.saturating_add(bytes.len() as u64);
        if self.total > self.limits.total {
            return Err(Unopenable);
        }
        while let Some((&first, rest)) = bytes.split_first() {
            match self.state {
                State::Length => {
                    self.buffer.push(first);
                    bytes = rest;
                    if let Some(length) = varint::read(&self.buffer) {
                        self.buffer.clear();
                        self.state = self.announced(length)?;
                    }
                }
                State::Chunk(length) => {
                    if collect(&mut self.buffer, length, &mut bytes) {
                        self.open(Position::Middle, into)?;
                        self.state = State::Length;
                    }
                }
                State::Last => {
                    if bytes.len() > self.most() - self.buffer.len() {
                        return Err(Unopenable);
                    }
                    self.buffer.extend_from_slice(bytes);
                    bytes = &[];
                }
                State::Failed => return Err(Unopenable),
            }
        }
        if self.state == State::Failed { Err(Unopenable) } else { Ok(()) }
    }

    /// Ends the message; appends the last chunk.
    pub(crate) fn finish(mut self, into: &mut Plaintext) -> Result<(), Unopenable> {
        if self.state != State::Last {
            return Err(Unopenable);
        }
        self.open(Position::Last, into)
    }

    /// Maximum length of a sealed chunk, in bytes.
    const fn most(&self) -> usize {
        self.limits.chunk.saturating_add(TAG)
    }

    fn announced(&self, length: u64) -> Result<State, Unopenable> {
        match usize::try_from(length) {
            Ok(0) => Ok(State::Last),
            Ok(length) if (TAG..=self.most()).contains(&length) => Ok(State::Chunk(length)),
            Ok(_) | Err(_) => Err(Unopenable),
        }
    }

    fn open(&mut self, position: Position, into: &mut Plaintext) -> Result<(), Unopenable> {
        self.opener.open(&mut self.buffer, position)?;
        into.append(&self.buffer);
        // Only this chunk: zeroizing the whole capacity would make small chunks after a long one as costly as long ones.
        self.buffer.as_mut_slice().zeroize();
        self.buffer.clear();
        Ok(())
    }
}

/// Moves bytes until `into` has `wanted` of them; returns whether it has.
pub(crate) fn collect(into: &mut Vec<u8>, wanted: usize, bytes: &mut &[u8]) -> bool {
    let (now, later) = bytes.split_at(bytes.len().min(wanted.saturating_sub(into.len())));
    into.extend_from_slice(now);
    *bytes = later;
    into.len() == wanted
}

#[cfg(test)]
mod tests;
