//! The relay's side of the handshake.

use control_protocol::key::{NodePrivate, NodePublic};

use crate::{
    frame::{CLIENT_INFO, Decoder, Frame, FrameError, PROTOCOL_VERSION},
    handshake::{self, ClientInfo, HandshakeError, NONCE_LEN, ServerInfo},
};

/// A client that proved its node key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The node key: the client's address at this relay.
    pub key: NodePublic,
    /// The client's parameters.
    pub info: ClientInfo,
    /// Bytes to send before packets.
    pub answer: Vec<u8>,
}

/// The first bytes of the relay with the key `server`.
///
/// # Errors
///
/// Never: the frame has a fixed length.
pub fn greeting(server: &NodePublic) -> Result<Vec<u8>, FrameError> {
    let mut out = Vec::new();
    Frame::ServerKey { key: *server }.encode(&mut out)?;
    Ok(out)
}

/// Refuses a client whose first frame is not `ClientInfo`, before more of it is buffered: others may be longer, and the
/// client is not authenticated.
///
/// # Errors
///
/// [`HandshakeError::Unexpected`].
pub fn check_first(decoder: &Decoder) -> Result<(), HandshakeError> {
    match decoder.next_kind() {
        None | Some(CLIENT_INFO) => Ok(()),
        Some(kind) => Err(HandshakeError::Unexpected { kind }),
    }
}

/// Handles a client's first frame as the relay with the key `private`. `nonce` is random.
///
/// # Errors
///
/// Fails if the frame is not `ClientInfo`, the client does not prove its key, or has another version. Close the connection
/// then.
pub fn handle_client_info(
    private: &NodePrivate,
    frame: &Frame<'_>,
    info: &ServerInfo,
    nonce: [u8; NONCE_LEN],
) -> Result<Client, HandshakeError> {
    let Frame::ClientInfo { key, sealed } = frame else {
        return Err(HandshakeError::Unexpected { kind: frame.kind() });
    };
    if key.is_zero() {
        return Err(HandshakeError::Key);
    }
    let client: ClientInfo = handshake::open(private, key, sealed)?;
    if client.version != PROTOCOL_VERSION {
        return Err(HandshakeError::Version { version: client.version });
    }
    let sealed = handshake::seal(private, key, nonce, info)?;
    let mut answer = Vec::new();
    Frame::ServerInfo { sealed: &sealed }.encode(&mut answer).map_err(|_| HandshakeError::Info)?;
    Ok(Client { key: *key, info: client, answer })
}

#[cfg(test)]
mod tests;
