//! Assigns each piece of a tool call in a streamed reply to its call.
//!
//! In the protocol, `index` numbers the calls of a reply, and the first piece of a call has its `id` and name. Servers
//! differ: some give every call the index 0, some none at all, some repeat id and name in every piece, some make a new
//! id for each piece. Here the calls are renumbered from 0 in the order in which they begin:
//!
//! * a known id belongs to its call; a new id begins a call, whatever the index, unless its piece has no name and the
//!   previous call is incomplete;
//! * without an id, a name begins a call if the index is new, or if the arguments so far are complete;
//! * any other piece belongs to the newest call of its index, or without an index to the newest call.
//!
//! A piece of arguments may end within a character, as any text may ([`crate::text`]): each call keeps the first
//! surrogate until its next piece.

use std::mem;

use chat_vocabulary::{ToolCallDelta, count};
use serde::{Deserialize, Deserializer};

use crate::text::{PieceJoiner, TextPiece};

/// Most calls of one reply.
const CALLS_MAX: usize = 128;

/// A piece of a call.
#[derive(Deserialize)]
pub(super) struct CallPiece {
    /// The call's number; servers that send complete calls leave it out.
    #[serde(default, deserialize_with = "count")]
    pub(super) index: Option<u32>,
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) function: FunctionPiece,
}

/// The part of the call in a piece.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionPiece {
    pub(super) name: Option<String>,
    pub(super) arguments: Option<TextPiece>,
}

/// Reads null as the default.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// The calls of a reply so far.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Call>);

/// The state of a call.
#[derive(Debug, Default)]
struct Call {
    /// The server's number.
    index: Option<u32>,
    id: Option<String>,
    name: String,
    arguments: ObjectScanner,
    /// Keeps the first surrogate of a character if the last piece of the arguments ended with one.
    half: PieceJoiner,
}

impl Calls {
    /// Renumbers pieces that arrived together; `None` if the reply has too many calls.
    pub(super) fn number(&mut self, pieces: Vec<CallPiece>) -> Option<Vec<ToolCallDelta>> {
        let (together, before) = (pieces.len(), self.0.len());
        let pieces = (0..).zip(pieces).map(|(position, mut piece)| {
            if piece.index.is_none() && together > 1 {
                piece.index = Some(position);
            }
            self.piece(piece, before)
        });
        pieces.collect()
    }

    /// The rest of the calls' arguments when the reply ends: U+FFFD for each lone surrogate.
    pub(super) fn finish(&mut self) -> impl Iterator<Item = ToolCallDelta> {
        (0..).zip(&mut self.0).filter_map(|(index, call)| {
            let arguments = call.half.join(None, true);
            let rest = ToolCallDelta { index, id: None, name: None, arguments };
            (!rest.arguments.is_empty()).then_some(rest)
        })
    }

    /// `before` is the number of calls before this piece and those that arrived with it.
    fn piece(&mut self, piece: CallPiece, before: usize) -> Option<ToolCallDelta> {
        let CallPiece { index, id, function } = piece;
        let (id, name) = (id.filter(|id| !id.is_empty()), function.name.unwrap_or_default());
        let at = match self.known(index, id.as_deref(), &name, before) {
            Some(at) => at,
            None if self.0.len() == CALLS_MAX => return None,
            None => {
                self.0.push(Call { index, ..Call::default() });
                self.0.len() - 1
            }
        };
        let call = self.0.get_mut(at)?;
        let arguments = call.half.join(function.arguments, false);
        // The id is passed on once, even if it is repeated.
        let id = match call.id {
            Some(_) => None,
            None => mem::replace(&mut call.id, id.clone()).or(id),
        };
        let is_new = !name.is_empty() && call.name.is_empty();
        if is_new {
            call.name.clone_from(&name);
        }
        call.arguments.push(&arguments);
        let index = u32::try_from(at).ok()?;
        Some(ToolCallDelta { index, id, name: is_new.then_some(name), arguments })
    }

    /// The call that a piece continues; `None` if it begins one.
    fn known(
        &self,
        index: Option<u32>,
        id: Option<&str>,
        name: &str,
        before: usize,
    ) -> Option<usize> {
        if let Some(id) = id
            && let Some(at) = self.0.iter().position(|call| call.id.as_deref() == Some(id))
        {
            return Some(at);
        }
        let newest = self.0.iter().rposition(|call| index.is_none() || call.index == index)?;
        let call = self.0.get(newest)?;
        let begins = match id {
            Some(_) => call.id.is_some() && (!name.is_empty() || call.arguments.is_whole()),
            None => {
                let is_named = !name.is_empty() && !call.name.is_empty();
                let is_other = name != call.name || call.arguments.is_whole();
                is_named && (is_other || newest >= before)
            }
        };
        (!begins).then_some(newest)
    }
}

/// Tracks how much of a JSON object has arrived, without storing it.
#[derive(Clone, Copy, Debug, Default)]
struct ObjectScanner {
    depth: u32,
    /// `Some` inside a string; true after a backslash in it.
    text: Option<bool>,
    /// Whether the object is complete.
    whole: bool,
}

impl ObjectScanner {
    fn push(&mut self, piece: &str) {
        for byte in piece.bytes() {
            match (self.text, byte) {
                (Some(true), _) => self.text = Some(false),
                (Some(false), b'\\') => self.text = Some(true),
                (Some(false), b'"') => self.text = None,
                (Some(false), _) => {}
                (None, b'"') => self.text = Some(false),
                (None, b'{' | b'[') => self.depth = self.depth.saturating_add(1),
                (None, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    self.whole |= self.depth == 0;
                }
                (None, _) => {}
            }
        }
    }

    fn is_whole(self) -> bool {
        self.whole
    }
}

#[cfg(test)]
mod tests;
