//! Pieces of a call, as servers stream them.

use chat_vocabulary::count;
use serde::{Deserialize, Deserializer};

use crate::text::TextPiece;

/// A piece of a call.
#[derive(Deserialize)]
pub(super) struct CallPiece {
    /// Which call; servers that send whole calls leave it out.
    #[serde(default, deserialize_with = "count")]
    pub(super) index: Option<u32>,
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) function: FunctionPiece,
}

/// What it adds to the call.
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
