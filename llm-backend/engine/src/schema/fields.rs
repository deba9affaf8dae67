//! The keywords of a schema.

use std::{collections::BTreeSet, fmt};

use serde_json::{Number, value::RawValue};

use super::location::{Location, Result};

/// Most times that a part of a reply is counted; llama.cpp's own bound.
const TIMES_MAX: u32 = 2000;

/// Keywords that say nothing about which values are valid.
const ANNOTATIONS: [&str; 13] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "discriminator",
    "readOnly",
    "writeOnly",
];

/// Keywords of a schema that were not taken yet.
pub(super) struct Fields<'a, 'p> {
    pub(super) at: &'p Location,
    fields: Vec<(String, &'a RawValue)>,
}

impl<'a, 'p> Fields<'a, 'p> {
    /// Opens a schema.
    pub(super) fn open(at: &'p Location, raw: &'a RawValue) -> Result<Self> {
        let mut fields = at.object(raw)?;
        fields.retain(|(name, _)| !ANNOTATIONS.contains(&name.as_str()));
        Ok(Self { at, fields })
    }

    /// The first keyword that was not taken.
    pub(super) fn rest(&self) -> Option<&str> {
        self.fields.first().map(|(name, _)| name.as_str())
    }

    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.remove(index).1)
    }

    /// The types; empty if any. What an object or a list is made of says its type, too.
    pub(super) fn types(&mut self) -> Result<Vec<String>> {
        let at = self.at.child("type");
        let has = |name: &str| self.fields.iter().any(|(field, _)| field == name);
        let types = match self.fields.iter().find(|(name, _)| name == "type") {
            None if has("properties") || has("additionalProperties") => vec!["object".to_owned()],
            None if has("items") || has("prefixItems") => vec!["array".to_owned()],
            None => Vec::new(),
            Some((_, raw)) if raw.get().starts_with('[') => {
                let list = at.some(raw)?.into_iter().enumerate();
                list.map(|(index, raw)| at.entry(index).text(raw)).collect::<Result<_>>()?
            }
            Some((_, raw)) => vec![at.text(raw)?],
        };
        let known = ["object", "array", "string", "number", "integer", "boolean", "null"];
        let is_unique = types.iter().collect::<BTreeSet<_>>().len() == types.len();
        if !is_unique || types.iter().any(|kind| !known.contains(&kind.as_str())) {
            return at.refuse("must be object, array, string, number, integer, boolean or null");
        }
        let _ = self.take("type");
        Ok(types)
    }

    /// Takes a number; a whole one may be written as 1.0.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<i64>> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        match serde_json::from_str::<Number>(raw.get()).ok().and_then(|it| whole(&it)) {
            Some(number) => Ok(Some(number)),
            None => self.at.child(name).refuse("must be a whole number here"),
        }
    }

    /// Takes how often something may be there.
    pub(super) fn times(&mut self, least: &str, most: &str) -> Result<Times> {
        let mut take = |name: &str| match self.number(name)? {
            None => Ok(None),
            Some(number) => match u32::try_from(number) {
                Ok(number) if number <= TIMES_MAX => Ok(Some(number)),
                _ => self.at.child(name).refuse("must be from 0 to 2000 for this engine"),
            },
        };
        let times = Times { least: take(least)?.unwrap_or_default(), most: take(most)? };
        if times.most.is_some_and(|most| most < times.least) {
            return self.at.child(most).refuse(&format!("must not be less than {least}"));
        }
        Ok(times)
    }
}

/// How often something may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) least: u32,
    pub(super) most: Option<u32>,
}

/// As a grammar counts.
impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.most {
            None => write!(f, "{{{},}}", self.least),
            Some(most) => write!(f, "{{{},{most}}}", self.least),
        }
    }
}

/// The whole number that a number is; those beyond 64 bits become the nearest.
#[allow(
    clippy::cast_possible_truncation,
    reason = "it has no fraction, and `as` takes the nearest"
)]
fn whole(number: &Number) -> Option<i64> {
    let rounded = || number.as_f64().filter(|number| number.fract() == 0.0);
    number.as_i64().or_else(|| rounded().map(|number| number as i64))
}
