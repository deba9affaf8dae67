//! Opening a reply.
//!
//! ```text
//!           start            chunk*, final
//!  Waiting ───────▶ Open ─────────────────▶ Done
//!     └───────────────┴── anything else ──▶ Broken
//! ```

use ai_gateway_api::{sealed::ReplyPart, wire::Bytes};
use zeroize::Zeroizing;

use crate::reply::ReplyKeys;

/// Why a reply is not whole. The text that arrived before is genuine, but not all there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The stream ended before the last chunk.
    #[error("the reply was cut off before its end")]
    Cut,
    /// Something came that the gateway did not send, or not here.
    #[error("the reply was changed on its way")]
    Broken,
}

/// Opens one reply, part by part.
#[derive(Debug)]
pub struct Reply {
    state: State,
}

enum State {
    Waiting { secret: Zeroizing<[u8; 32]>, encapsulated_key: Vec<u8> },
    Open(ReplyKeys),
    Done,
    Broken,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Waiting { .. } => "Waiting",
            Self::Open(_) => "Open",
            Self::Done => "Done",
            Self::Broken => "Broken",
        })
    }
}

impl Reply {
    pub(crate) const fn new(secret: Zeroizing<[u8; 32]>, encapsulated_key: Vec<u8>) -> Self {
        Self { state: State::Waiting { secret, encapsulated_key } }
    }

    /// Takes the next part of the stream; gives a chunk's plaintext, if it has one.
    ///
    /// # Errors
    ///
    /// [`ReplyError::Broken`]; from then on every part is refused.
    pub fn handle(&mut self, part: &ReplyPart) -> Result<Option<Zeroizing<Vec<u8>>>, ReplyError> {
        let (next, plaintext) = match (std::mem::replace(&mut self.state, State::Broken), part) {
            (State::Waiting { secret, encapsulated_key }, ReplyPart::Start(start)) => {
                let keys = ReplyKeys::derive(&secret, &encapsulated_key, &start.response_nonce.0);
                (State::Open(keys.ok_or(ReplyError::Broken)?), None)
            }
            (State::Open(mut keys), ReplyPart::Chunk(chunk)) if chunk.seq == keys.count() => {
                let plaintext = open(&mut keys, &chunk.data, false)?;
                (State::Open(keys), Some(plaintext))
            }
            (State::Open(mut keys), ReplyPart::Final(last)) => {
                (State::Done, Some(open(&mut keys, &last.data, true)?))
            }
            (State::Waiting { .. } | State::Open(_) | State::Done | State::Broken, _) => {
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

    /// Ends the reply with the stream.
    ///
    /// # Errors
    ///
    /// [`ReplyError::Cut`] if the last chunk had not come, [`ReplyError::Broken`] if a part was refused before.
    pub fn end(self) -> Result<(), ReplyError> {
        match self.state {
            State::Done => Ok(()),
            State::Waiting { .. } | State::Open(_) => Err(ReplyError::Cut),
            State::Broken => Err(ReplyError::Broken),
        }
    }
}

fn open(keys: &mut ReplyKeys, data: &Bytes, last: bool) -> Result<Zeroizing<Vec<u8>>, ReplyError> {
    keys.open(data, last).ok_or(ReplyError::Broken)
}

#[cfg(test)]
mod tests;
