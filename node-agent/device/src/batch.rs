//! A batch of messages in one buffer, allocated once.

use std::ops::Range;

/// Zero bytes after each packet that will be sealed, for WireGuard's padding.
pub const PADDING: usize = 16;

/// The tag of a message without a cause.
pub const NO_TAG: usize = usize::MAX;

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    len: usize,
    tag: usize,
}

/// A batch of messages of a fixed capacity; further messages are dropped.
///
/// Messages are contiguous, so that those of one length and destination can be sent as one (UDP segmentation offload).
#[derive(Debug)]
pub struct Batch {
    buffer: Box<[u8]>,
    used: usize,
    spans: Vec<Span>,
    max_messages: usize,
}

impl Batch {
    /// A batch for `max_messages` messages and `bytes` in all.
    #[must_use]
    pub fn new(max_messages: usize, bytes: usize) -> Self {
        Self {
            buffer: vec![0; bytes].into_boxed_slice(),
            used: 0,
            spans: Vec::with_capacity(max_messages),
            max_messages,
        }
    }

    /// Removes all messages.
    pub fn clear(&mut self) {
        self.used = 0;
        self.spans.clear();
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// How many more messages fit.
    #[must_use]
    pub fn left(&self) -> usize {
        self.max_messages - self.spans.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Free space for one more message of at least `need` bytes, to be kept by [`Self::commit`].
    pub fn room(&mut self, need: usize) -> Option<&mut [u8]> {
        if self.spans.len() >= self.max_messages {
            return None;
        }
        self.buffer.get_mut(self.used..).filter(|room| room.len() >= need)
    }

    /// Keeps the first `len` bytes of [`Self::room`] as a message.
    pub fn commit(&mut self, len: usize, tag: usize) {
        let len = len.min(self.buffer.len() - self.used);
        self.spans.push(Span { start: self.used, len, tag });
        self.used += len;
    }

    /// Keeps the first `len` bytes of [`Self::room`], followed by [`PADDING`] zero bytes that only [`Self::padded`] includes.
    pub fn commit_padded(&mut self, len: usize, tag: usize) {
        self.commit(len, tag);
        let end = (self.used + PADDING).min(self.buffer.len());
        self.buffer[self.used..end].fill(0);
        self.used = end;
    }

    /// Adds a copy of `message`, if there is room.
    pub fn push(&mut self, message: &[u8], tag: usize) {
        if let Some(room) = self.room(message.len()) {
            room[..message.len()].copy_from_slice(message);
            self.commit(message.len(), tag);
        }
    }

    /// The whole buffer, for the kernel to write into; messages in it are then added by [`Self::add`].
    pub fn buffer(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// Adds a message that was written into [`Self::buffer`], if the range is valid and it fits.
    pub fn add(&mut self, range: Range<usize>, tag: usize) {
        let is_inside = range.start <= range.end && range.end <= self.buffer.len();
        if is_inside && self.left() > 0 {
            self.spans.push(Span { start: range.start, len: range.len(), tag });
            self.used = self.used.max(range.end);
        }
    }

    /// Truncates message number `at` to `len` bytes.
    pub fn shorten(&mut self, at: usize, len: usize) {
        if let Some(span) = self.spans.get_mut(at) {
            span.len = span.len.min(len);
        }
    }

    /// Whether message number `at` begins where the one before it ends.
    #[must_use]
    pub fn is_joined(&self, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|before| self.spans.get(before));
        let this = self.spans.get(at);
        before.zip(this).is_some_and(|(before, this)| before.start + before.len == this.start)
    }

    /// The bytes of the messages numbered `range`; `None` if they are not contiguous.
    #[must_use]
    pub fn contiguous(&self, range: Range<usize>) -> Option<&[u8]> {
        let spans = self.spans.get(range)?;
        let are_joined = spans.windows(2).all(|pair| pair[0].start + pair[0].len == pair[1].start);
        let (first, last) = (spans.first()?, spans.last()?);
        are_joined.then(|| &self.buffer[first.start..last.start + last.len])
    }

    /// Message number `at`; empty if there is none.
    #[must_use]
    pub fn get(&self, at: usize) -> &[u8] {
        self.spans.get(at).map_or(&[], |span| &self.buffer[span.start..span.start + span.len])
    }

    /// Message number `at` with zero bytes after it up to a multiple of 16, but not past `mtu`
    /// (WireGuard, section 5.4.6). Only for what [`Self::commit_padded`] kept.
    #[must_use]
    pub fn padded(&self, at: usize, mtu: usize) -> &[u8] {
        self.spans.get(at).map_or(&[], |span| {
            let len = span.len.next_multiple_of(PADDING).min(mtu.max(span.len));
            let end = (span.start + len).min(self.buffer.len());
            &self.buffer[span.start..end]
        })
    }

    /// The tag of message number `at`.
    #[must_use]
    pub fn tag(&self, at: usize) -> usize {
        self.spans.get(at).map_or(NO_TAG, |span| span.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_zero_reaches_16_and_stops_at_the_mtu() {
        let mut batch = Batch::new(4, 256);
        batch.buffer().fill(0xff);
        assert!(batch.room(20).is_some());
        batch.commit_padded(20, 7);
        assert_eq!(batch.get(0), [0xff; 20]);
        assert_eq!(batch.padded(0, 1280).len(), 32);
        assert_eq!(batch.padded(0, 1280)[20..], [0; 12]);
        assert_eq!(batch.padded(0, 30).len(), 30);
        assert_eq!(batch.padded(0, 10).len(), 20, "a packet is never cut");
        assert_eq!(batch.tag(0), 7);
    }

    #[test]
    fn a_full_batch_takes_no_more() {
        let mut batch = Batch::new(2, 8);
        batch.push(b"abcd", 0);
        batch.push(b"efghi", 1);
        assert_eq!(batch.len(), 1, "five bytes do not fit in four");
        batch.push(b"efgh", 1);
        batch.push(b"", 2);
        assert_eq!(batch.len(), 2, "two messages at most");
        assert_eq!(
            (batch.get(0), batch.get(1), batch.get(2)),
            (&b"abcd"[..], &b"efgh"[..], &b""[..])
        );
    }
}
