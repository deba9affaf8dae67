//! Records, after the handshake.

use std::fmt;

use chacha20poly1305::{AeadInPlace, ChaCha20Poly1305, KeyInit, Nonce, Tag};

use super::{
    error::NoiseError,
    header::{HEADER_LEN, MAX_FRAME_LEN, MAX_PLAINTEXT_LEN, TAG_LEN, TYPE_RECORD},
};

/// The counter value at which the key is exhausted.
const EXHAUSTED: u64 = u64::MAX;

/// Both directions of a channel.
#[derive(Debug)]
pub struct Transport {
    sealer: Sealer,
    opener: Opener,
}

impl Transport {
    pub(super) fn new(send: &[u8; 32], receive: &[u8; 32]) -> Self {
        Self {
            sealer: Sealer { cipher: ChaCha20Poly1305::new(send.into()), counter: 0 },
            opener: Opener { cipher: Some(ChaCha20Poly1305::new(receive.into())), counter: 0 },
        }
    }

    /// Splits the two directions.
    #[must_use]
    pub fn split(self) -> (Sealer, Opener) {
        (self.sealer, self.opener)
    }

    /// Seals a frame.
    ///
    /// # Errors
    ///
    /// Those of [`Sealer::seal`].
    pub fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        self.sealer.seal(plaintext, out)
    }

    /// Opens a copy of a frame.
    ///
    /// # Errors
    ///
    /// Those of [`Opener::open`].
    pub fn open(&mut self, frame: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let mut frame = frame.to_vec();
        Ok(self.opener.open(&mut frame)?.to_vec())
    }
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

/// The length of a record's frame with its header, from its first [`HEADER_LEN`] bytes.
///
/// # Errors
///
/// [`NoiseError::Malformed`] if it is not a record, too long or too short.
pub fn frame_len(header: [u8; HEADER_LEN]) -> Result<usize, NoiseError> {
    let [kind, high, low] = header;
    let len = HEADER_LEN + usize::from(u16::from_be_bytes([high, low]));
    if kind == TYPE_RECORD && (HEADER_LEN + TAG_LEN..=MAX_FRAME_LEN).contains(&len) {
        Ok(len)
    } else {
        Err(NoiseError::Malformed)
    }
}

/// The sending direction.
pub struct Sealer {
    cipher: ChaCha20Poly1305,
    counter: u64,
}

impl Sealer {
    /// Appends a frame with `plaintext`.
    ///
    /// # Errors
    ///
    /// [`NoiseError::TooLong`] above [`MAX_PLAINTEXT_LEN`] bytes, [`NoiseError::Exhausted`] without unused nonces. `out` is
    /// unchanged then.
    pub fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        if plaintext.len() > MAX_PLAINTEXT_LEN {
            return Err(NoiseError::TooLong);
        }
        if self.counter == EXHAUSTED {
            return Err(NoiseError::Exhausted);
        }
        let start = out.len();
        out.reserve(HEADER_LEN + plaintext.len() + TAG_LEN);
        out.push(TYPE_RECORD);
        out.extend_from_slice(&((plaintext.len() + TAG_LEN) as u16).to_be_bytes());
        out.extend_from_slice(plaintext);
        let sealed = self.cipher.encrypt_in_place_detached(
            &nonce(self.counter),
            &[],
            &mut out[start + HEADER_LEN..],
        );
        let Ok(tag) = sealed else {
            out.truncate(start);
            return Err(NoiseError::TooLong);
        };
        out.extend_from_slice(&tag);
        self.counter += 1;
        Ok(())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sealer").field("counter", &self.counter).finish_non_exhaustive()
    }
}

/// The receiving direction.
pub struct Opener {
    /// `None` after the first error.
    cipher: Option<ChaCha20Poly1305>,
    counter: u64,
}

impl Opener {
    /// Opens a frame in place and returns its plaintext. Frames must be in order.
    ///
    /// # Errors
    ///
    /// [`NoiseError::Malformed`], [`NoiseError::Tampered`] or [`NoiseError::Exhausted`]. Every further call fails.
    pub fn open<'a>(&mut self, frame: &'a mut [u8]) -> Result<&'a mut [u8], NoiseError> {
        let cipher = self.cipher.take().ok_or(NoiseError::Tampered)?;
        if self.counter == EXHAUSTED {
            return Err(NoiseError::Exhausted);
        }
        let len = frame.len();
        let (header, payload) =
            frame.split_first_chunk_mut::<HEADER_LEN>().ok_or(NoiseError::Malformed)?;
        if frame_len(*header)? != len {
            return Err(NoiseError::Malformed);
        }
        let (text, tag) = payload.split_last_chunk_mut::<TAG_LEN>().ok_or(NoiseError::Malformed)?;
        cipher
            .decrypt_in_place_detached(&nonce(self.counter), &[], text, Tag::from_slice(tag))
            .map_err(|_| NoiseError::Tampered)?;
        self.counter += 1;
        self.cipher = Some(cipher);
        Ok(text)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opener").field("counter", &self.counter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
