//! The description of one request that `router-com` sends to `boot`, and `boot` to the worker.

use std::fmt;

use confidential_api::{names::media, routing::ENCAPSULATED_KEY_MAX as KEY_MAX};
use confidential_envelope::{Kem, SharedSecret};
use zeroize::Zeroizing;

/// Length of the shared secret of a request's key, in bytes.
const SECRET: usize = 32;

/// Longest job, in bytes.
pub const JOB_MAX: usize = 1 + 2 + SECRET + KEY_MAX;

/// Whether a message is in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Media {
    /// Without chunks.
    Whole = 0,
    /// In chunks.
    Chunked = 1,
}

impl Media {
    /// Reads the media type of a request.
    #[must_use]
    pub fn of_request(content_type: &str) -> Option<Self> {
        match content_type {
            media::REQUEST => Some(Self::Whole),
            media::CHUNKED_REQUEST => Some(Self::Chunked),
            _ => None,
        }
    }

    /// The media type of a response.
    #[must_use]
    pub fn of_response(self) -> &'static str {
        match self {
            Self::Whole => media::RESPONSE,
            Self::Chunked => media::CHUNKED_RESPONSE,
        }
    }

    /// Reads its byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Whole),
            1 => Some(Self::Chunked),
            _ => None,
        }
    }

    /// Reads a `Work`: the media type, then the encapsulated key.
    #[must_use]
    pub fn read(work: &[u8]) -> Option<(Self, &[u8])> {
        let (&byte, key) = work.split_first()?;
        let fits = (1..=KEY_MAX).contains(&key.len());
        Self::from_byte(byte).filter(|_| fits).map(|media| (media, key))
    }
}

/// What a worker needs to open one request.
pub struct Job {
    /// The form of the request.
    pub media: Media,
    /// The KEM of the node's key.
    pub kem: Kem,
    /// The request's key, sealed to this node.
    pub encapsulated_key: Vec<u8>,
    /// The decapsulated secret.
    pub secret: SharedSecret,
}

/// `Debug` does not print the secret.
impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("media", &self.media).finish_non_exhaustive()
    }
}

impl Job {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(JOB_MAX));
        bytes.push(self.media as u8);
        bytes.extend_from_slice(&self.kem.id().to_be_bytes());
        bytes.extend_from_slice(&**self.secret.as_bytes());
        bytes.extend_from_slice(&self.encapsulated_key);
        bytes
    }

    /// Decodes a job; `None` if it is malformed.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&media, rest) = bytes.split_first()?;
        let (kem, rest) = rest.split_first_chunk()?;
        let kem = Kem::from_id(u16::from_be_bytes(*kem))?;
        let (secret, key) = rest.split_first_chunk::<SECRET>()?;
        let fits = (1..=KEY_MAX).contains(&key.len());
        let secret = SharedSecret::from_bytes(Zeroizing::new(*secret));
        let media = Media::from_byte(media).filter(|_| fits)?;
        Some(Self { media, kem, encapsulated_key: key.to_vec(), secret })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            key in prop::collection::vec(any::<u8>(), 1..=KEY_MAX),
            secret: [u8; 32],
            kem in prop::sample::select(vec![Kem::XWing, Kem::P256]),
        ) {
            let secret = SharedSecret::from_bytes(Zeroizing::new(secret));
            let job = Job { media: Media::Chunked, kem, encapsulated_key: key, secret };
            let read = Job::decode(&job.encode()).unwrap();
            prop_assert_eq!((read.kem, read.encode()), (kem, job.encode()));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(job) = Job::decode(&bytes) {
                prop_assert_eq!(&job.encode()[..], &bytes[..]);
            }
            let _ = Media::read(&bytes);
        }
    }
}
