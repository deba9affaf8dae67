//! Frames of the relay protocol (`derp/derp.go` of the Go client).
//!
//! ```text
//! u8 type | u32 big endian length | body
//! ```

use control_protocol::key::{KEY_LEN, NodePublic};

/// Length of the header of a frame, in bytes.
pub const HEADER_LEN: usize = 5;

/// Largest packet, in bytes.
pub const MAX_PACKET_LEN: usize = 64 * 1024;

/// Longest interval of the relay's keep-alives, in seconds; clients time out after twice that.
pub const KEEP_ALIVE_S: u64 = 60;

/// The version of the protocol.
pub const PROTOCOL_VERSION: u32 = 2;

/// Largest box in a handshake, in bytes. Actual ones have a few hundred.
const MAX_BOX_LEN: usize = 4 * 1024;
/// Largest body of the other frames, in bytes.
const MAX_OTHER_LEN: usize = 64 * 1024;

const MAGIC: [u8; 8] = *b"DERP\xf0\x9f\x94\x91";

const SERVER_KEY: u8 = 0x01;
pub(crate) const CLIENT_INFO: u8 = 0x02;
const SERVER_INFO: u8 = 0x03;
const SEND_PACKET: u8 = 0x04;
const RECV_PACKET: u8 = 0x05;
const KEEP_ALIVE: u8 = 0x06;
const NOTE_PREFERRED: u8 = 0x07;
const PEER_GONE: u8 = 0x08;
const PING: u8 = 0x12;
const PONG: u8 = 0x13;
const HEALTH: u8 = 0x14;
const RESTARTING: u8 = 0x15;

/// The stream is invalid from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A body is longer than its type allows.
    #[error("relay frame of type {kind:#04x} is {len} bytes long")]
    TooLong {
        /// Type of the frame.
        kind: u8,
        /// Length that was announced.
        len: usize,
    },
    /// A body is invalid for its type.
    #[error("malformed relay frame of type {kind:#04x}")]
    Malformed {
        /// Type of the frame.
        kind: u8,
    },
}

/// Why a peer is not connected to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneReason {
    /// It left.
    Disconnected,
    /// It is not connected.
    NotHere,
    /// Another reason.
    Other(u8),
}

impl From<u8> for GoneReason {
    fn from(reason: u8) -> Self {
        match reason {
            0 => Self::Disconnected,
            1 => Self::NotHere,
            other => Self::Other(other),
        }
    }
}

impl From<GoneReason> for u8 {
    fn from(reason: GoneReason) -> Self {
        match reason {
            GoneReason::Disconnected => 0,
            GoneReason::NotHere => 1,
            GoneReason::Other(other) => other,
        }
    }
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// From the relay, first: its key.
    ServerKey {
        /// The key.
        key: NodePublic,
    },
    /// From the client, first: its node key, and a box that proves the key.
    ClientInfo {
        /// The node key.
        key: NodePublic,
        /// Nonce and box.
        sealed: &'a [u8],
    },
    /// From the relay, second: a box that proves the relay's key.
    ServerInfo {
        /// Nonce and box.
        sealed: &'a [u8],
    },
    /// From a client: a packet for a peer.
    SendPacket {
        /// The peer.
        to: NodePublic,
        /// The packet.
        packet: &'a [u8],
    },
    /// From the relay: a packet from a peer.
    RecvPacket {
        /// The peer.
        from: NodePublic,
        /// The packet.
        packet: &'a [u8],
    },
    /// From the relay: keeps the connection alive.
    KeepAlive,
    /// From a client: whether this relay is its home.
    NotePreferred {
        /// Whether it is.
        preferred: bool,
    },
    /// From the relay: a peer is not connected.
    PeerGone {
        /// The peer.
        peer: NodePublic,
        /// Why not.
        reason: GoneReason,
    },
    /// Requests a [`Frame::Pong`] with the same data.
    Ping {
        /// The data.
        data: [u8; 8],
    },
    /// Answers [`Frame::Ping`].
    Pong {
        /// The data.
        data: [u8; 8],
    },
    /// From the relay: a problem with this connection; empty: solved. The Rust client disconnects.
    Health {
        /// The problem; not always text.
        problem: &'a [u8],
    },
    /// From the relay: it restarts. The Rust client disconnects.
    Restarting {
        /// Milliseconds before clients should reconnect.
        reconnect_in_ms: u32,
        /// Milliseconds for which they should retry.
        try_for_ms: u32,
    },
    /// An unknown type; to be ignored.
    Unknown {
        /// Type of the frame.
        kind: u8,
        /// Its body.
        body: &'a [u8],
    },
}

impl Frame<'_> {
    /// Returns the frame's type.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::ServerKey { .. } => SERVER_KEY,
            Self::ClientInfo { .. } => CLIENT_INFO,
            Self::ServerInfo { .. } => SERVER_INFO,
            Self::SendPacket { .. } => SEND_PACKET,
            Self::RecvPacket { .. } => RECV_PACKET,
            Self::KeepAlive => KEEP_ALIVE,
            Self::NotePreferred { .. } => NOTE_PREFERRED,
            Self::PeerGone { .. } => PEER_GONE,
            Self::Ping { .. } => PING,
            Self::Pong { .. } => PONG,
            Self::Health { .. } => HEALTH,
            Self::Restarting { .. } => RESTARTING,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// Appends the frame.
    ///
    /// # Errors
    ///
    /// [`FrameError::TooLong`] above the limit of its type; `out` is unchanged then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        let start = out.len();
        out.extend_from_slice(&[self.kind(), 0, 0, 0, 0]);
        match self {
            Self::ServerKey { key } => {
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(key.as_bytes());
            }
            Self::ClientInfo { key, sealed: rest }
            | Self::SendPacket { to: key, packet: rest }
            | Self::RecvPacket { from: key, packet: rest } => {
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(rest);
            }
            Self::ServerInfo { sealed: body }
            | Self::Health { problem: body }
            | Self::Unknown { body, .. } => {
                out.extend_from_slice(body);
            }
            Self::KeepAlive => {}
            Self::NotePreferred { preferred } => out.push(u8::from(*preferred)),
            Self::PeerGone { peer, reason } => {
                out.extend_from_slice(peer.as_bytes());
                out.push(u8::from(*reason));
            }
            Self::Ping { data } | Self::Pong { data } => out.extend_from_slice(data),
            Self::Restarting { reconnect_in_ms, try_for_ms } => {
                out.extend_from_slice(&reconnect_in_ms.to_be_bytes());
                out.extend_from_slice(&try_for_ms.to_be_bytes());
            }
        }
        let len = out.len() - start - HEADER_LEN;
        let encoded = u32::try_from(len).ok().filter(|_| len <= max_len(self.kind()));
        let Some(encoded) = encoded else {
            out.truncate(start);
            return Err(FrameError::TooLong { kind: self.kind(), len });
        };
        out[start + 1..start + HEADER_LEN].copy_from_slice(&encoded.to_be_bytes());
        Ok(())
    }
}

fn max_len(kind: u8) -> usize {
    match kind {
        CLIENT_INFO => KEY_LEN + MAX_BOX_LEN,
        SERVER_INFO => MAX_BOX_LEN,
        SEND_PACKET | RECV_PACKET => KEY_LEN + MAX_PACKET_LEN,
        _ => MAX_OTHER_LEN,
    }
}

/// Parses the first frame in `bytes`; returns it with its length. `None`: more bytes are needed.
///
/// Extra bytes at the end of a body are ignored, since types may be extended.
///
/// # Errors
///
/// Fails if the frame is too long or malformed.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some((&[kind, l0, l1, l2, l3], rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let len = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    if len > max_len(kind) {
        return Err(FrameError::TooLong { kind, len });
    }
    let Some(body) = rest.get(..len) else {
        return Ok(None);
    };
    let frame = parse(kind, body).ok_or(FrameError::Malformed { kind })?;
    Ok(Some((frame, HEADER_LEN + len)))
}

fn parse(kind: u8, body: &[u8]) -> Option<Frame<'_>> {
    Some(match kind {
        SERVER_KEY => Frame::ServerKey { key: key(body.strip_prefix(&MAGIC)?)?.0 },
        CLIENT_INFO => {
            let (key, sealed) = key(body)?;
            Frame::ClientInfo { key, sealed }
        }
        SERVER_INFO => Frame::ServerInfo { sealed: body },
        SEND_PACKET => {
            let (to, packet) = key(body)?;
            Frame::SendPacket { to, packet }
        }
        RECV_PACKET => {
            let (from, packet) = key(body)?;
            Frame::RecvPacket { from, packet }
        }
        KEEP_ALIVE => Frame::KeepAlive,
        NOTE_PREFERRED => Frame::NotePreferred { preferred: *body.first()? != 0 },
        PEER_GONE => {
            let (peer, rest) = key(body)?;
            Frame::PeerGone { peer, reason: rest.first().copied().unwrap_or_default().into() }
        }
        PING => Frame::Ping { data: *body.first_chunk()? },
        PONG => Frame::Pong { data: *body.first_chunk()? },
        HEALTH => Frame::Health { problem: body },
        RESTARTING => {
            let (reconnect_in, rest) = body.split_first_chunk()?;
            Frame::Restarting {
                reconnect_in_ms: u32::from_be_bytes(*reconnect_in),
                try_for_ms: u32::from_be_bytes(*rest.first_chunk()?),
            }
        }
        kind => Frame::Unknown { kind, body },
    })
}

fn key(body: &[u8]) -> Option<(NodePublic, &[u8])> {
    let (key, rest) = body.split_first_chunk()?;
    Some((NodePublic::from_bytes(*key), rest))
}

/// Decodes a stream of frames. It buffers at most one frame and one piece.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Length of the frames in the buffer that were returned.
    taken: usize,
}

impl Decoder {
    /// Starts with an empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece of the stream. Poll all frames before the next piece.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The type of the next frame, if its first byte has arrived.
    #[must_use]
    pub fn next_kind(&self) -> Option<u8> {
        self.buffer.get(self.taken).copied()
    }

    /// Returns the next frame, if it is complete.
    ///
    /// # Errors
    ///
    /// Fails if a frame is too long or malformed; every further call fails too.
    pub fn poll_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let decoded = decode(&self.buffer[self.taken..])?;
        Ok(decoded.map(|(frame, len)| {
            self.taken += len;
            frame
        }))
    }
}

#[cfg(test)]
mod tests;
