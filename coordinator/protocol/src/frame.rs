//! Frames map responses in the body of an HTTP response.
//!
//! ```text
//! u32 little endian: length | body (JSON, or a zstd frame of it)
//! ```

/// Length of the header of a frame, in bytes.
pub const HEADER_LEN: usize = 4;

/// Largest body that a client should accept, in bytes: far above the map of thousands of nodes.
pub const MAX_BODY_LEN: usize = 64 * 1024 * 1024;

/// The stream is invalid from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A body is longer than the reader's limit.
    #[error("map response of {len} bytes exceeds the limit of {max}")]
    TooLong {
        /// Length that was announced.
        len: usize,
        /// The reader's limit.
        max: usize,
    },
}

/// Appends one frame.
///
/// # Errors
///
/// Fails if the body is longer than [`MAX_BODY_LEN`]; `out` is then unchanged.
pub fn encode(body: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
    let too_long = FrameError::TooLong { len: body.len(), max: MAX_BODY_LEN };
    let len =
        u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_BODY_LEN).ok_or(too_long)?;
    out.reserve(HEADER_LEN + body.len());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(body);
    Ok(())
}

/// Parses the first frame in `bytes`; returns its body and its length. `None`: more bytes are needed.
///
/// # Errors
///
/// Fails if the body is longer than `max`.
pub fn decode(bytes: &[u8], max: usize) -> Result<Option<(&[u8], usize)>, FrameError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let len = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
    if len > max {
        return Err(FrameError::TooLong { len, max });
    }
    Ok(rest.get(..len).map(|body| (body, HEADER_LEN + len)))
}

/// Decodes a stream of bodies. It buffers at most one body and one piece.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    max: usize,
}

impl Decoder {
    /// Starts with an empty buffer; bodies longer than `max` bytes are refused.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { buffer: Vec::new(), max }
    }

    /// Adds a piece of the stream. Poll all bodies before the next piece.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next body, if it is complete.
    ///
    /// # Errors
    ///
    /// Fails if a body is longer than the limit; every further call fails too.
    pub fn poll_body(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let Some((body, taken)) = decode(&self.buffer, self.max)? else {
            return Ok(None);
        };
        let body = body.to_vec();
        self.buffer.drain(..taken);
        Ok(Some(body))
    }

    /// Whether the stream may end here: no body is incomplete.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests;
