//! Opens a reply.
//!
//! ```text
//!           start            chunk*, final
//!  Waiting ───────▶ Open ─────────────────▶ Done
//!     └───────────────┴── anything else ──▶ Broken
//! ```

use ai_gateway_api::{sealed::ReplyPart, wire::Bytes};
use confidential_envelope::{
    aead::{Opener, Position},
    response,
};
use zeroize::Zeroizing;

use crate::reply::{open_chunk, reply_keys};

/// Why a reply is incomplete. The text that arrived before is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The stream ended before the last chunk.
    #[error("the reply was cut off before its end")]
    Cut,
    /// A part arrived that the gateway did not send, or not at this position.
    #[error("the reply was changed in transit")]
    Broken,
}

/// Opens one reply, part by part.
#[derive(Debug)]
pub struct Reply {
    state: State,
}

enum State {
    Waiting {
        secret: Zeroizing<[u8; 32]>,
        encapsulated_key: Vec<u8>,
    },
    /// With the number of chunks so far.
    Open(Opener, u64),
    Done,
    Broken,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Waiting { .. } => "Waiting",
            Self::Open(..) => "Open",
            Self::Done => "Done",
            Self::Broken => "Broken",
        })
    }
}

impl Reply {
    pub(crate) const fn new(secret: Zeroizing<[u8; 32]>, encapsulated_key: Vec<u8>) -> Self {
        Self { state: State::Waiting { secret, encapsulated_key } }
    }

    /// Takes the next part of the stream; returns a chunk's plaintext, if it has one.
    ///
    /// # Errors
    ///
    /// [`ReplyError::Broken`]; from then on every part is refused.
    pub fn handle(&mut self, part: &ReplyPart) -> Result<Option<Zeroizing<Vec<u8>>>, ReplyError> {
        let (next, plaintext) = match (std::mem::replace(&mut self.state, State::Broken), part) {
            (State::Waiting { secret, encapsulated_key }, ReplyPart::Start(start)) => {
                let opener = reply_keys(&secret, &encapsulated_key, &start.response_nonce.0)
                    .and_then(response::Keys::opener);
                (State::Open(opener.ok_or(ReplyError::Broken)?, 0), None)
            }
            (State::Open(mut opener, count), ReplyPart::Chunk(chunk)) if chunk.seq == count => {
                let plaintext = open(&mut opener, &chunk.data, Position::Middle)?;
                (State::Open(opener, count + 1), Some(plaintext))
            }
            (State::Open(mut opener, _), ReplyPart::Final(last)) => {
                (State::Done, Some(open(&mut opener, &last.data, Position::Last)?))
            }
            (State::Waiting { .. } | State::Open(..) | State::Done | State::Broken, _) => {
                return Err(ReplyError::Broken);
            }
        };
        self.state = next;
        Ok(plaintext)
    }

    /// Whether the last chunk was opened.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Ends the reply when the stream ends.
    ///
    /// # Errors
    ///
    /// [`ReplyError::Cut`] if the last chunk has not arrived, [`ReplyError::Broken`] if a part was refused before.
    pub fn end(self) -> Result<(), ReplyError> {
        match self.state {
            State::Done => Ok(()),
            State::Waiting { .. } | State::Open(..) => Err(ReplyError::Cut),
            State::Broken => Err(ReplyError::Broken),
        }
    }
}

fn open(
    opener: &mut Opener,
    data: &Bytes,
    position: Position,
) -> Result<Zeroizing<Vec<u8>>, ReplyError> {
    open_chunk(opener, data, position).ok_or(ReplyError::Broken)
}

#[cfg(test)]
mod tests;
