//! Reads JSON objects field by field, so that no field is ignored silently and each error names its field.

use std::collections::BTreeMap;

use common::surrogate;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::left_out::{self, shown};

/// Most keys of one object.
const KEYS_MAX: usize = 128;

/// Why a body is not a valid request. `Display` contains names of fields, and nothing else of the body.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not JSON.
    #[error("the body is not JSON (line {}, column {})", .0.line(), .0.column())]
    Json(#[source] serde_json::Error),
    /// It contains an unknown field or type that may change the answer.
    #[error("this gateway does not know `{0}`, which may change the answer: leave it out")]
    Unknown(String),
    /// A field is missing, too large or of the wrong type.
    #[error("`{at}` {reason}")]
    Field {
        /// The field's path, such as `messages[2].role`.
        at: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl DecodeError {
    /// A field is wrong.
    pub fn field(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Field { at: at.into(), reason: reason.into() }
    }

    /// A field is unknown; a long name is shortened.
    #[must_use]
    pub fn unknown(name: &str) -> Self {
        Self::Unknown(shown(name))
    }
}

/// The fields of an object that were not taken yet.
pub(crate) struct Fields<'a> {
    at: String,
    fields: BTreeMap<String, &'a RawValue>,
}

impl<'a> Fields<'a> {
    /// Opens an object; `at` is its path, empty for the body.
    pub(crate) fn open(raw: &'a RawValue, at: impl Into<String>) -> Result<Self, DecodeError> {
        Self::read(raw.get().as_bytes(), at.into())
    }

    /// Opens a body, which may be invalid JSON. Every body is opened here: lone surrogates in it are replaced by
    /// U+FFFD.
    pub(crate) fn parse(body: &'a mut [u8]) -> Result<Self, DecodeError> {
        surrogate::replace_lone(body);
        Self::read(body, String::new())
    }

    fn read(bytes: &'a [u8], at: String) -> Result<Self, DecodeError> {
        match serde_json::from_slice(bytes) {
            Ok(Object(fields)) => Ok(Self { at, fields }),
            Err(error) if error.is_data() => {
                let at = if at.is_empty() { "body".to_owned() } else { at };
                let reason = format!("must be an object of at most {KEYS_MAX} keys");
                Err(DecodeError::field(at, reason))
            }
            Err(error) => Err(DecodeError::Json(error)),
        }
    }

    /// A field's path.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// Whether a field is present and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|raw| raw.get() != "null")
    }

    /// Takes a field's JSON; `None` if it is missing or null.
    pub(crate) fn raw(&mut self, name: &str) -> Option<&'a RawValue> {
        self.fields.remove(name).filter(|raw| raw.get() != "null")
    }

    /// Takes a field; `expected` describes its type in the error, such as "a number".
    pub(crate) fn take<T: Deserialize<'a>>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, DecodeError> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        serde_json::from_str(raw.get())
            .map(Some)
            .map_err(|_| DecodeError::field(self.path(name), format!("must be {expected}")))
    }

    /// Takes a text.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, DecodeError> {
        self.take(name, "a string")
    }

    /// Takes a boolean.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, DecodeError> {
        self.take(name, "true or false")
    }

    /// Takes a finite number.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<f32>, DecodeError> {
        let number: Option<f32> = self.take(name, "a number")?;
        match number {
            Some(number) if !number.is_finite() => {
                Err(DecodeError::field(self.path(name), "must be a smaller number"))
            }
            number => Ok(number),
        }
    }

    /// Takes a whole number, which may be written as 100, 100.0 or 1e2.
    pub(crate) fn whole<T: TryFrom<i64>>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, DecodeError> {
        let wrong = |at| DecodeError::field(at, format!("must be {expected}"));
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        let number = whole(raw.get()).and_then(|number| T::try_from(number).ok());
        number.map(Some).ok_or_else(|| wrong(self.path(name)))
    }

    /// Takes a limit of tokens: a whole number, or -1 for no limit.
    pub(crate) fn limit(&mut self, name: &str) -> Result<Option<u32>, DecodeError> {
        self.whole_or_none(name, "no limit")
    }

    /// Takes a whole number, or -1, which means `none`.
    pub(crate) fn whole_or_none(
        &mut self,
        name: &str,
        none: &str,
    ) -> Result<Option<u32>, DecodeError> {
        let expected = &format!("a whole number from 0 to 4294967295, or -1 for {none}");
        match self.whole::<i64>(name, expected)? {
            None | Some(-1) => Ok(None),
            Some(number) => u32::try_from(number)
                .map(Some)
                .map_err(|_| DecodeError::field(self.path(name), format!("must be {expected}"))),
        }
    }

    /// Takes a list of at most `MAX` entries, each with its path; empty if it is missing.
    pub(crate) fn list<const MAX: usize>(
        &mut self,
        name: &str,
    ) -> Result<Vec<(String, &'a RawValue)>, DecodeError> {
        let expected = format!("a list of at most {MAX} entries");
        let list: Option<List<'a, MAX>> = self.take(name, &expected)?;
        let path = self.path(name);
        let entries = list.map_or_else(Vec::new, |list| list.0);
        Ok(entries.into_iter().enumerate().map(|(i, raw)| (format!("{path}[{i}]"), raw)).collect())
    }

    /// The error for a required field that is missing.
    pub(crate) fn missing(&self, name: &str) -> DecodeError {
        DecodeError::field(self.path(name), "is missing")
    }

    /// Ends the object and ignores its other fields. `of` is the object's kind, for the log.
    pub(crate) fn leave_out(self, of: &'static str) {
        let ignored = self.fields.iter().filter(|(_, raw)| raw.get() != "null");
        left_out::log(of, ignored.map(|(name, _)| name.as_str()));
    }

    /// Ends the object: each other field must be null or one of `harmless`, which change no answer.
    pub(crate) fn finish(self, harmless: &[&str]) -> Result<(), DecodeError> {
        let unknown = self
            .fields
            .iter()
            .find(|(name, raw)| raw.get() != "null" && !harmless.contains(&name.as_str()));
        match unknown {
            None => Ok(()),
            Some((name, _)) => Err(DecodeError::unknown(&self.path(name))),
        }
    }
}

/// Whether a value is a JSON string.
pub(crate) fn is_text(raw: &RawValue) -> bool {
    raw.get().starts_with('"')
}

/// Reads a whole number that JavaScript and Lua programs may have written as a fraction.
fn whole(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    /// Beyond it, `f64` cannot represent every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number: f64 = serde_json::from_str(text).ok()?;
    let is_whole = number.fract() == 0.0 && number.abs() <= EXACT;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and within what i64 holds")]
    is_whole.then_some(number as i64)
}

/// One text, or a list of at most `MAX`; `None` if it is neither.
pub(crate) fn texts<const MAX: usize>(raw: &RawValue) -> Option<Vec<String>> {
    if is_text(raw) {
        return serde_json::from_str(raw.get()).ok().map(|text| vec![text]);
    }
    let List::<MAX>(texts) = serde_json::from_str(raw.get()).ok()?;
    texts.into_iter().map(|text| serde_json::from_str(text.get()).ok()).collect()
}

/// An object of at most [`KEYS_MAX`] keys; if a key occurs twice, the last value counts.
struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    fields.insert(name, value);
                    if fields.len() > KEYS_MAX {
                        return Err(A::Error::custom("too many keys"));
                    }
                }
                Ok(Object(fields))
            }
        }
        from.deserialize_map(Keys)
    }
}

/// A list of at most `MAX` values.
pub(crate) struct List<'a, const MAX: usize>(pub(crate) Vec<&'a RawValue>);

impl<'de, const MAX: usize> Deserialize<'de> for List<'de, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries<const MAX: usize>;
        impl<'de, const MAX: usize> Visitor<'de> for Entries<MAX> {
            type Value = List<'de, MAX>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = seq.next_element::<&RawValue>()? {
                    if entries.len() == MAX {
                        return Err(A::Error::custom("too many entries"));
                    }
                    entries.push(entry);
                }
                Ok(List(entries))
            }
        }
        from.deserialize_seq(Entries::<MAX>)
    }
}
