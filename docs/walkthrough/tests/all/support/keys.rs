//! The keys of a settings type, as serde's derived code asks for them.
//!
//! A derived `Deserialize` tells the names of its fields to the deserializer. So each field is visited alone, by a
//! deserializer that notes the fields which it is asked for at the end of a path and leads there before.

use std::{collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor, value},
    forward_to_deserialize_any,
};

type Error = value::Error;

/// One step down: a field, or an entry of a list.
#[derive(Clone, Copy)]
enum Step {
    Field(&'static str),
    Entry,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Entry => f.write_str("[]"),
        }
    }
}

/// What is at the end of a path.
#[derive(Default)]
enum Kind {
    #[default]
    Value,
    Table(&'static [&'static str]),
    List,
}

/// All keys of a settings type, such as `tls.key` and, in a list of tables, `dial[].name`.
pub(crate) fn keys<T: for<'a> Deserialize<'a>>() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    add::<T>(&mut Vec::new(), &mut keys);
    keys
}

fn add<T: for<'a> Deserialize<'a>>(path: &mut Vec<Step>, keys: &mut BTreeSet<String>) {
    let mut kind = Kind::Value;
    // It always fails in the end: there is no value.
    let _ = T::deserialize(Explorer { path, kind: &mut kind });
    let steps: Vec<_> = match kind {
        Kind::Table(fields) => fields.iter().map(|field| Step::Field(field)).collect(),
        Kind::List => vec![Step::Entry],
        Kind::Value => {
            // Of a list of plain values the list is the key.
            let path = path.iter().map(Step::to_string).collect::<String>();
            keys.insert(path.trim_start_matches('.').trim_end_matches("[]").to_owned());
            return;
        }
    };
    for step in steps {
        path.push(step);
        add::<T>(path, keys);
        path.pop();
    }
}

/// Leads along a path, and notes what is at its end.
struct Explorer<'a> {
    path: &'a [Step],
    kind: &'a mut Kind,
}

fn none() -> Error {
    Error::custom("there is no value")
}

impl<'de> Deserializer<'de> for Explorer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(none())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.path.split_first() {
            Some((&Step::Field(name), path)) => {
                visitor.visit_map(Entries { name: Some(name), inner: Some(Self { path, ..self }) })
            }
            Some((Step::Entry, _)) => Err(none()),
            None => {
                *self.kind = Kind::Table(fields);
                Err(none())
            }
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.path.split_first() {
            Some((Step::Entry, path)) => {
                visitor.visit_seq(Entries { name: None, inner: Some(Self { path, ..self }) })
            }
            Some((Step::Field(_), _)) => Err(none()),
            None => {
                *self.kind = Kind::List;
                Err(none())
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct
        map enum identifier ignored_any
    }
}

/// A table with one field, or a list with one entry.
struct Entries<'a> {
    name: Option<&'static str>,
    inner: Option<Explorer<'a>>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let name = self.name.take();
        name.map(|name| seed.deserialize(value::StrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.inner.take().ok_or_else(none)?)
    }
}

impl<'de> SeqAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.inner.take().map(|inner| seed.deserialize(inner)).transpose()
    }
}
