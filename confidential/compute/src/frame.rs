//! The protocol of a node's processes over UNIX sockets: frames of a kind, a length and that many bytes.
//!
//! ```text
//! router-com ──EVIDENCE nonce──▶ boot            ◀──DOCUMENT pieces── or REFUSED
//! router-com ──LOOK──▶ boot                      ◀──END── or REFUSED
//! router-com ──WORK key, BODY ciphertext──▶ boot ──▶ worker   ◀──HEAD, BODY…, END── or REFUSED
//! boot ──a job and the connection, in one message of their own socket──▶ worker
//! ```
//!
//! | bytes | |
//! |---|---|
//! | 1 | [`Kind`] |
//! | 4 | length of what follows, big-endian, at most [`MAX`] |
//!
//! Lengths are checked before memory is allocated.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Longest frame, in bytes: a sealed request of 2 MiB with its overhead, or evidence of 1 MiB.
pub const MAX: usize = (2 << 20) + (64 << 10);

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A request for evidence: a nonce of 32 bytes.
    Evidence = 1,
    /// The evidence, as `SignedEvidenceList`.
    Document = 2,
    /// A request for a worker: the media type (0 whole, 1 chunked), then the encapsulated key.
    Work = 3,
    /// Sealed bytes: a whole request, or a part of a response.
    Body = 4,
    /// The beginning of a response: its media type, as in `Work`.
    Head = 5,
    /// The end of a response.
    End = 6,
    /// The request is refused: one byte of [`Refusal`].
    Refused = 7,
    /// A health check of boot and its TPM; the response is `End`.
    Look = 8,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// It does not open, or was opened before; these are not distinguished.
    #[error("the request cannot be opened")]
    Sealed = 1,
    /// There is no capacity.
    #[error("the node is busy")]
    Busy = 2,
    /// The holder, the worker or this machine failed.
    #[error("the node failed")]
    Failed = 3,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Evidence,
        Self::Document,
        Self::Work,
        Self::Body,
        Self::Head,
        Self::End,
        Self::Refused,
        Self::Look,
    ];

    fn read(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

impl Refusal {
    /// Reads the payload of a `Refused`; an invalid one is a failure.
    #[must_use]
    pub fn read(payload: &[u8]) -> Self {
        match payload {
            [byte] if *byte == Self::Sealed as u8 => Self::Sealed,
            [byte] if *byte == Self::Busy as u8 => Self::Busy,
            _ => Self::Failed,
        }
    }
}

/// Reads the head of a frame: its kind and length.
///
/// # Errors
///
/// `InvalidData` if the kind is unknown or the length is over [`MAX`].
pub fn head(head: [u8; 5]) -> io::Result<(Kind, usize)> {
    let [kind, length @ ..] = head;
    let kind = Kind::read(kind);
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    match kind {
        Some(kind) if length <= MAX => Ok((kind, length)),
        Some(_) | None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The bytes of a frame.
///
/// # Panics
///
/// If `payload` is longer than [`MAX`].
#[must_use]
pub fn encode(kind: Kind, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() <= MAX, "the caller limits the length of a frame");
    let mut bytes = Vec::with_capacity(5 + payload.len());
    bytes.push(kind as u8);
    bytes.extend(u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Reads one frame.
///
/// # Errors
///
/// `UnexpectedEof` if it is truncated, `InvalidData` as for [`head`], or an error of the socket.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<(Kind, Vec<u8>)> {
    let mut start = [0; 5];
    from.read_exact(&mut start).await?;
    let (kind, length) = head(start)?;
    let mut payload = vec![0; length];
    from.read_exact(&mut payload).await?;
    Ok((kind, payload))
}

/// Reads one frame of this kind.
///
/// # Errors
///
/// As [`read`]; `InvalidData` if it is of another kind.
pub async fn expect(from: &mut (impl AsyncRead + Unpin), wanted: Kind) -> io::Result<Vec<u8>> {
    match read(from).await? {
        (kind, payload) if kind == wanted => Ok(payload),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Writes one frame.
///
/// # Errors
///
/// An error of the socket.
pub async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    kind: Kind,
    payload: &[u8],
) -> io::Result<()> {
    to.write_all(&encode(kind, payload)).await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(index in 0..8_usize, payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let kind = Kind::ALL[index];
            let bytes = encode(kind, &payload);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            prop_assert_eq!(runtime.block_on(read(&mut &bytes[..])).unwrap(), (kind, payload));
            for cut in 0..bytes.len() {
                let error = runtime.block_on(read(&mut &bytes[..cut])).unwrap_err();
                prop_assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            }
        }

        /// A length costs nothing before it is checked.
        #[test]
        fn any_head_is_survived(bytes in any::<[u8; 5]>()) {
            if let Ok((kind, length)) = head(bytes) {
                prop_assert!(length <= MAX && kind as u8 == bytes[0]);
            }
        }
    }

    #[test]
    fn a_frame_that_is_too_long_or_of_no_kind_is_refused() {
        let length = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
        let with = |kind: u8, bytes: [u8; 4]| [kind, bytes[0], bytes[1], bytes[2], bytes[3]];
        assert!(head(with(1, length(MAX))).is_ok());
        assert!(head(with(1, length(MAX + 1))).is_err());
        assert!(head(with(0, length(0))).is_err() && head(with(9, length(0))).is_err());
        assert_eq!(Refusal::read(&[2]), Refusal::Busy);
        assert_eq!(Refusal::read(&[]), Refusal::Failed);
    }
}
