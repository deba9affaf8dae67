//! The client's side of the handshake.
//!
//! ```text
//!        ServerKey                  ServerInfo
//! Start ───────────▶ Greeted(key) ─────────────▶ done
//! ```

use control_protocol::key::{NodePrivate, NodePublic};

use crate::{
    frame::{Frame, PROTOCOL_VERSION},
    handshake::{self, ClientInfo, HandshakeError, NONCE_LEN, ServerInfo},
};

/// What the client must do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes, then handle the next frame.
    Send(Vec<u8>),
    /// Handle the next frame.
    Wait,
    /// The handshake is complete.
    Done {
        /// The relay's proved key. TLS and its pin authenticate the relay.
        server: NodePublic,
        /// The relay's parameters.
        info: ServerInfo,
    },
}

/// The client's side of the handshake.
#[derive(Debug)]
pub struct Handshake {
    private: NodePrivate,
    info: ClientInfo,
    server: Option<NodePublic>,
}

impl Handshake {
    /// Starts as the node whose key is `private`.
    #[must_use]
    pub fn new(private: NodePrivate, info: ClientInfo) -> Self {
        Self { private, info, server: None }
    }

    /// Handles the relay's next frame. `nonce` is random.
    ///
    /// # Errors
    ///
    /// Fails if the frame is unexpected, the relay does not prove its key, or has another version. Close the connection then.
    pub fn handle_frame(
        &mut self,
        frame: &Frame<'_>,
        nonce: [u8; NONCE_LEN],
    ) -> Result<Step, HandshakeError> {
        match (frame, self.server) {
            (Frame::ServerKey { key }, None) if !key.is_zero() => {
                let sealed = handshake::seal(&self.private, key, nonce, &self.info)?;
                let mut out = Vec::new();
                let answer = Frame::ClientInfo { key: self.private.public(), sealed: &sealed };
                answer.encode(&mut out).map_err(|_| HandshakeError::Info)?;
                self.server = Some(*key);
                Ok(Step::Send(out))
            }
            (Frame::ServerInfo { sealed }, Some(server)) => {
                let info: ServerInfo = handshake::open(&self.private, &server, sealed)?;
                if info.version != PROTOCOL_VERSION {
                    return Err(HandshakeError::Version { version: info.version });
                }
                Ok(Step::Done { server, info })
            }
            (Frame::KeepAlive | Frame::Unknown { .. }, _) => Ok(Step::Wait),
            (frame, _) => Err(HandshakeError::Unexpected { kind: frame.kind() }),
        }
    }
}
