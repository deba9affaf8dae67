//! The Noise channel: a handshake, then records in both directions.
//!
//! `Noise_IK_25519_ChaChaPoly_BLAKE2s`: the client knows the coordinator's key, and the coordinator learns the client's
//! machine key. The prologue contains the protocol version.
//!
//! ```text
//! client ── u16 version | 0x01 | u16 96 | e, s, empty payload ──▶ coordinator      (101 bytes)
//! client ◀── 0x02 | u16 48 | e, empty payload ─────────────────── coordinator      (51 bytes)
//! client ◀─▶ 0x04 | u16 length | record ───────────────────────▶ coordinator      (at most 4096 bytes)
//! client ◀── 0x03 | u16 length | text, not authenticated ─────── coordinator      (instead of the above)
//! ```
//!
//! All lengths are big endian, and so is the counter in a record's nonce, which is little endian in Noise
//! (`control/controlbase/conn.go` of the Go client): records cannot use the handshake library's transport.

pub mod early;
mod error;
mod header;
mod transport;

use std::fmt;

use snow::{Builder, HandshakeState};
use zeroize::Zeroize;

use crate::key::{MachinePrivate, MachinePublic};

pub use self::error::NoiseError;
pub use self::header::{HEADER_LEN, MAX_FRAME_LEN, MAX_PLAINTEXT_LEN};
use self::header::{TYPE_ERROR, TYPE_INIT, TYPE_RESPONSE};
pub use self::transport::{Opener, Sealer, Transport, frame_len};

/// Length of the client's handshake message, in bytes.
pub const INIT_LEN: usize = 101;
/// Length of the coordinator's handshake message, in bytes.
pub const RESPONSE_LEN: usize = 51;

const INIT_HEADER_LEN: usize = 5;
const PROTOCOL: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";

fn builder(prologue: &str) -> Result<Builder<'_>, NoiseError> {
    let params = PROTOCOL.parse().map_err(|_| NoiseError::Handshake)?;
    Builder::new(params).prologue(prologue.as_bytes()).map_err(|_| NoiseError::Handshake)
}

fn prologue(version: u16) -> String {
    format!("Tailscale Control Protocol v{version}")
}

/// The client's side of a handshake, before the response.
pub struct Initiator {
    state: HandshakeState,
}

impl Initiator {
    /// Starts a handshake with the coordinator whose key is `server`; send the returned message to it.
    ///
    /// # Errors
    ///
    /// Fails if the system gives no randomness.
    pub fn new(
        machine: &MachinePrivate,
        server: &MachinePublic,
        version: u16,
    ) -> Result<(Self, [u8; INIT_LEN]), NoiseError> {
        let prologue = prologue(version);
        let mut state = builder(&prologue)?
            .local_private_key(machine.as_bytes())
            .and_then(|builder| builder.remote_public_key(server.as_bytes()))
            .and_then(Builder::build_initiator)
            .map_err(|_| NoiseError::Handshake)?;
        let mut message = [0; INIT_LEN];
        let (header, payload) = message.split_at_mut(INIT_HEADER_LEN);
        header[..2].copy_from_slice(&version.to_be_bytes());
        header[2] = TYPE_INIT;
        header[3..].copy_from_slice(&((INIT_LEN - INIT_HEADER_LEN) as u16).to_be_bytes());
        state.write_message(&[], payload).map_err(|_| NoiseError::Handshake)?;
        Ok((Self { state }, message))
    }

    /// The length of the coordinator's message with its header, from its first [`HEADER_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// [`NoiseError::Malformed`] if it is neither a response nor a refusal.
    pub fn response_len(header: [u8; HEADER_LEN]) -> Result<usize, NoiseError> {
        let [kind, high, low] = header;
        let len = HEADER_LEN + usize::from(u16::from_be_bytes([high, low]));
        let fits = match kind {
            TYPE_RESPONSE => len == RESPONSE_LEN,
            TYPE_ERROR => len <= MAX_FRAME_LEN,
            _ => false,
        };
        if fits { Ok(len) } else { Err(NoiseError::Malformed) }
    }

    /// Completes the handshake with the coordinator's message.
    ///
    /// # Errors
    ///
    /// [`NoiseError::Refused`] with the coordinator's message; [`NoiseError::Handshake`] if it has another key;
    /// [`NoiseError::Malformed`].
    pub fn finish(mut self, response: &[u8]) -> Result<Transport, NoiseError> {
        let (header, payload) =
            response.split_first_chunk::<HEADER_LEN>().ok_or(NoiseError::Malformed)?;
        if Self::response_len(*header)? != response.len() {
            return Err(NoiseError::Malformed);
        }
        if header[0] == TYPE_ERROR {
            return Err(NoiseError::Refused(printable(payload)));
        }
        self.state.read_message(payload, &mut []).map_err(|_| NoiseError::Handshake)?;
        Ok(transport(&mut self.state, true))
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Initiator([redacted])")
    }
}

/// An accepted handshake; send `response`, then use `transport`.
#[derive(Debug)]
pub struct Accepted {
    /// The coordinator's message.
    pub response: [u8; RESPONSE_LEN],
    /// The channel.
    pub transport: Transport,
    /// The client's machine key, proved by the handshake.
    pub machine: MachinePublic,
    /// The client's protocol version.
    pub version: u16,
}

/// Answers a client's handshake message as the coordinator whose key is `machine`.
///
/// # Errors
///
/// [`NoiseError::Malformed`] if it is not such a message; [`NoiseError::Handshake`] if it is for another coordinator, was
/// altered, or has a machine key of low order.
pub fn respond(machine: &MachinePrivate, init: &[u8]) -> Result<Accepted, NoiseError> {
    let (header, payload) =
        init.split_first_chunk::<INIT_HEADER_LEN>().ok_or(NoiseError::Malformed)?;
    let [v0, v1, kind, l0, l1] = *header;
    let version = u16::from_be_bytes([v0, v1]);
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    if kind != TYPE_INIT || init.len() != INIT_LEN || len != payload.len() {
        return Err(NoiseError::Malformed);
    }

    let prologue = prologue(version);
    let mut state = builder(&prologue)?
        .local_private_key(machine.as_bytes())
        .and_then(Builder::build_responder)
        .map_err(|_| NoiseError::Handshake)?;
    state.read_message(payload, &mut []).map_err(|_| NoiseError::Handshake)?;
    let client = state
        .get_remote_static()
        .and_then(|key| key.try_into().ok())
        .ok_or(NoiseError::Handshake)?;
    // With a point of low order every shared secret is zero, so anyone could "prove" it.
    if x25519_dalek::x25519(*machine.as_bytes(), client) == [0; 32] {
        return Err(NoiseError::Handshake);
    }

    let mut response = [0; RESPONSE_LEN];
    let (header, payload) = response.split_at_mut(HEADER_LEN);
    header[0] = TYPE_RESPONSE;
    header[1..].copy_from_slice(&((RESPONSE_LEN - HEADER_LEN) as u16).to_be_bytes());
    state.write_message(&[], payload).map_err(|_| NoiseError::Handshake)?;
    let transport = transport(&mut state, false);
    Ok(Accepted { response, transport, machine: MachinePublic::from_bytes(client), version })
}

/// Derives the record keys from a finished handshake.
fn transport(state: &mut HandshakeState, initiator: bool) -> Transport {
    let (mut first, mut second) = state.dangerously_get_raw_split();
    let transport =
        if initiator { Transport::new(&first, &second) } else { Transport::new(&second, &first) };
    first.zeroize();
    second.zeroize();
    transport
}

/// Sanitizes and shortens a peer's text for messages.
fn printable(text: &[u8]) -> String {
    common::foreign::short(&String::from_utf8_lossy(text), 256)
}

#[cfg(test)]
mod tests;
