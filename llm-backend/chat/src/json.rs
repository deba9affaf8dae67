//! JSON that is passed on unchanged.

use std::{fmt, str::FromStr};

use common::surrogate;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::value::RawValue;

/// A JSON value whose content does not matter here: parameters of a tool, a schema, a token's probabilities.
///
/// It is stored as text, because a model writes keys in the order of the schema. It is valid JSON of at most
/// [`Self::MAX`] bytes and [`Self::DEPTH`] levels. `Debug` prints only its length.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

/// A text is not a valid [`Json`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON.
    #[error("must be JSON")]
    Syntax,
    /// It is longer than [`Json::MAX`].
    #[error("is longer than {} bytes", Json::MAX)]
    TooLong,
    /// It is nested deeper than [`Json::DEPTH`].
    #[error("is nested deeper than {} levels", Json::DEPTH)]
    TooDeep,
}

impl Json {
    /// Longest text, in bytes.
    pub const MAX: usize = 256 << 10;
    /// Deepest nesting; serde_json itself reads 128 levels.
    pub const DEPTH: usize = 64;

    /// Takes a value unchanged, except that lone surrogates are replaced by U+FFFD.
    pub(crate) fn from_raw(raw: &RawValue) -> Result<Self, JsonError> {
        let text = raw.get();
        if text.len() > Self::MAX {
            return Err(JsonError::TooLong);
        }
        if depth(text) > Self::DEPTH {
            return Err(JsonError::TooDeep);
        }
        if surrogate::has_lone(text) {
            let replaced = surrogate::replace_lone_in(text.to_owned());
            return RawValue::from_string(replaced).map(Self).map_err(|_| JsonError::Syntax);
        }
        Ok(Self(raw.to_owned()))
    }

    /// The value's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.as_str().starts_with('{')
    }
}

impl FromStr for Json {
    type Err = JsonError;

    fn from_str(text: &str) -> Result<Self, JsonError> {
        if text.len() > Self::MAX {
            return Err(JsonError::TooLong);
        }
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| JsonError::Syntax)?;
        Self::from_raw(raw)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::from_raw(&Box::<RawValue>::deserialize(from)?).map_err(D::Error::custom)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.as_str().len())
    }
}

/// The depth of nesting of valid JSON.
fn depth(json: &str) -> usize {
    let (mut depth, mut most, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                most = most.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    most
}
