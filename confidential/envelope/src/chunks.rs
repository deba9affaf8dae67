//! Messages in chunks (draft-ietf-ohai-chunked-ohttp-08, section 6), the same in both layers and both directions.
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

/// How much a chunked message may hold; more than that does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one chunk, opened.
    pub chunk: usize,
    /// Bytes of the whole message as it was sent.
    pub total: u64,
}

/// Seals a message as it is made. Dropped without [`Self::finish`], what was sent is a cut message.
#[derive(Debug)]
pub struct ChunkSealer {
    sealer: Sealer,
    /// What comes before the first chunk and was not given out yet.
    head: Vec<u8>,
    /// Most bytes of a chunk, opened.
    chunk: usize,
}

impl ChunkSealer {
    pub(crate) const fn new(sealer: Sealer, head: Vec<u8>, chunk: usize) -> Self {
        Self { sealer, head, chunk }
    }

    /// What may be sent before anything was written: header and keys. [`Self::write`] and [`Self::finish`] begin with
    /// it if it was not taken.
    #[must_use]
    pub fn head(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    /// Seals what comes next; one chunk, or several if it is long. Nothing written makes no chunk.
    ///
    /// # Errors
    ///
    /// [`SealError::Exhausted`]; the message cannot go on.
    pub fn write(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut sealed = self.head();
        for piece in plaintext.chunks(self.chunk) {
            self.seal(piece, Position::Middle, &mut sealed)?;
        }
        Ok(sealed)
    }

    /// Ends the message: seals what comes last, which may be nothing.
    ///
    /// # Errors
    ///
    /// [`SealError::Exhausted`]; the message stays without an end.
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

/// Opens the chunks of a message, however they arrive.
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
    /// Bytes that arrived so far.
    total: u64,
    state: State,
    /// A length or a chunk that has not arrived whole; an opened one only for as long as it takes to copy it.
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
    /// Something did not open.
    Failed,
}

impl ChunkOpener {
    pub(crate) fn new(opener: Opener, limits: Limits) -> Self {
        let buffer = Zeroizing::default();
        Self { opener, limits, total: 0, state: State::Length, buffer }
    }

    /// Takes what arrived; appends what could be opened.
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

    /// Ends with the message; appends the last chunk.
    pub(crate) fn finish(mut self, into: &mut Plaintext) -> Result<(), Unopenable> {
        if self.state != State::Last {
            return Err(Unopenable);
        }
        self.open(Position::Last, into)
    }

    /// Most bytes of a sealed chunk.
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
        // This chunk alone: wiping all that was ever set aside would let many small chunks after a long one cost as much as
        // long ones.
        self.buffer.as_mut_slice().zeroize();
        self.buffer.clear();
        Ok(())
    }
}

/// Moves bytes until there are so many; says whether there are.
pub(crate) fn collect(into: &mut Vec<u8>, wanted: usize, bytes: &mut &[u8]) -> bool {
    let (now, later) = bytes.split_at(bytes.len().min(wanted.saturating_sub(into.len())));
    into.extend_from_slice(now);
    *bytes = later;
    into.len() == wanted
}

#[cfg(test)]
mod tests;
