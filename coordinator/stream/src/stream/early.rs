//! Skips the payload that a coordinator may send before HTTP/2 ([`control_protocol::noise`]).

use control_protocol::noise::{
    NoiseError,
    early::{self, HEADER_LEN},
};
use tokio::io::ReadBuf;

/// The state of reading the first bytes of the channel.
#[derive(Debug)]
pub(super) enum EarlyPayload {
    /// The beginning of a possible header.
    Header { bytes: [u8; HEADER_LEN], len: usize },
    /// Bytes to skip.
    Skip(usize),
    /// It was not a header: these bytes are passed to the reader, from `at` on.
    Replay { bytes: [u8; HEADER_LEN], at: usize },
    /// Done.
    Done,
}

impl Default for EarlyPayload {
    fn default() -> Self {
        Self::Header { bytes: [0; HEADER_LEN], len: 0 }
    }
}

impl EarlyPayload {
    /// Inspects opened bytes; returns how many of them to skip.
    pub(super) fn skip(&mut self, plain: &[u8]) -> Result<usize, NoiseError> {
        let mut skipped = 0;
        if let Self::Header { bytes, len } = self {
            skipped = plain.len().min(HEADER_LEN - *len);
            bytes[*len..*len + skipped].copy_from_slice(&plain[..skipped]);
            *len += skipped;
            if *len < HEADER_LEN {
                return Ok(skipped);
            }
            *self = match early::payload_len(*bytes)? {
                Some(len) => Self::Skip(len),
                None => Self::Replay { bytes: *bytes, at: 0 },
            };
        }
        if let Self::Skip(rest) = self {
            let len = (*rest).min(plain.len() - skipped);
            skipped += len;
            *rest -= len;
            if *rest == 0 {
                *self = Self::Done;
            }
        }
        Ok(skipped)
    }

    /// Passes the bytes that were not a header to the reader.
    pub(super) fn replay(&mut self, buf: &mut ReadBuf<'_>) {
        if let Self::Replay { bytes, at } = self {
            let len = buf.remaining().min(HEADER_LEN - *at);
            buf.put_slice(&bytes[*at..*at + len]);
            *at += len;
            if *at == HEADER_LEN {
                *self = Self::Done;
            }
        }
    }

    /// Whether the stream may end here.
    pub(super) fn may_end(&self) -> bool {
        match self {
            Self::Header { len, .. } => *len == 0,
            Self::Skip(_) | Self::Replay { .. } => false,
            Self::Done => true,
        }
    }
}
