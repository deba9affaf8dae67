//! Where in a schema something stands, and what stands there.

use std::collections::BTreeSet;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Longest name in the path of an error, in characters.
const NAME_SHOWN: usize = 40;
/// Longest path of an error, in characters.
const PATH_SHOWN: usize = 160;

/// The schema cannot be used. The message has the path, with names of properties as the client wrote them, and no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("response_format: `{path}` {reason}")]
pub struct SchemaError {
    path: String,
    reason: String,
}

pub(super) type Result<T> = std::result::Result<T, SchemaError>;

/// The path of a part.
#[derive(Clone)]
pub(super) struct Location(String);

impl Location {
    /// The schema itself.
    pub(super) fn root() -> Self {
        Self("schema".to_owned())
    }

    pub(super) fn child(&self, name: &str) -> Self {
        Self(format!("{}.{}", self.0, common::foreign::short(name, NAME_SHOWN).replace('`', "'")))
    }

    pub(super) fn entry(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    pub(super) fn refuse<T>(&self, reason: &str) -> Result<T> {
        let mut path = self.0.clone();
        if let Some((end, _)) = path.char_indices().nth(PATH_SHOWN) {
            path.replace_range(end.., "…");
        }
        Err(SchemaError { path, reason: reason.to_owned() })
    }

    pub(super) fn object<'a>(&self, raw: &'a RawValue) -> Result<Vec<(String, &'a RawValue)>> {
        match serde_json::from_str(raw.get()) {
            Ok(Object(fields)) => Ok(fields),
            Err(_) => self.refuse("must be an object without repeated names"),
        }
    }

    pub(super) fn list<'a>(&self, raw: &'a RawValue) -> Result<Vec<&'a RawValue>> {
        match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
            Ok(list) => Ok(list),
            Err(_) => self.refuse("must be a list"),
        }
    }

    pub(super) fn some<'a>(&self, raw: &'a RawValue) -> Result<Vec<&'a RawValue>> {
        let list = self.list(raw)?;
        if list.is_empty() { self.refuse("must not be empty") } else { Ok(list) }
    }

    pub(super) fn text(&self, raw: &RawValue) -> Result<String> {
        serde_json::from_str(raw.get()).or_else(|_| self.refuse("must be a string"))
    }
}

/// The fields of an object in their order; names are unique.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Self::Value, A::Error> {
                let (mut names, mut fields) = (BTreeSet::new(), Vec::new());
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom("a repeated name"));
                    }
                    fields.push((name, value));
                }
                Ok(Object(fields))
            }
        }
        from.deserialize_map(Fields)
    }
}
