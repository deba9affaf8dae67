//! The text of a policy: each value with its location, for errors.

use std::{borrow::Cow, collections::BTreeMap};

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{self, ObjectProp, Value},
    common::Ranged as _,
    errors::ParseError,
    parse_to_ast,
};

use crate::error::{Error, Location, Position, Problems, Word};

/// Bytes between two entries of [`Lines::counts`].
const STEP: usize = 256;
/// Longest name in an error's path, in characters: every value below it repeats it.
const SHOWN_MAX: usize = 64;

/// Where lines begin, and how many characters are before every [`STEP`] bytes: the column of a byte is found without
/// counting a long line.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    counts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        let starts = std::iter::once(0).chain(ends).collect();
        let mut before = 0;
        let counts = text.as_bytes().chunks(STEP).map(|chunk| {
            let count = before;
            before += characters(chunk);
            count
        });
        let counts = counts.collect();
        Self { text, starts, counts }
    }

    /// Characters before a byte.
    fn characters(&self, at: usize) -> usize {
        let step = (at / STEP).min(self.counts.len().saturating_sub(1));
        let rest = self.text.as_bytes().get(step * STEP..at).unwrap_or_default();
        self.counts.get(step).copied().unwrap_or_default() + characters(rest)
    }

    fn position(&self, at: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let column = self.characters(at).saturating_sub(self.characters(start)) + 1;
        Position { line: line.max(1), column }
    }
}

/// Characters that begin in these bytes of UTF-8.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).count()
}

/// A value of the document.
#[derive(Clone)]
pub(crate) struct Item<'a> {
    lines: &'a Lines<'a>,
    value: &'a Value<'a>,
    start: usize,
    place: String,
}

/// A field: its name as written, its known name if it has one, its value.
type Field<'a> = (Word, Option<&'static str>, Item<'a>);

/// The fields of an object, by their known names.
pub(crate) type Fields<'a> = BTreeMap<&'static str, Item<'a>>;

/// Reads a text and gives its one value to `read`.
pub(crate) fn read<T>(
    text: &str,
    read: impl FnOnce(&Item<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let lines = Lines::new(text);
    let syntax = |error: ParseError| Error::Syntax {
        at: Position { line: error.line_display(), column: error.column_display() },
        reason: error.kind().to_string(),
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &hujson()).map_err(syntax)?;
    let value = parsed.value.ok_or_else(|| Error::Syntax {
        at: Position { line: 1, column: 1 },
        reason: "it is empty: write {} for a policy that allows nothing".to_owned(),
    })?;
    let start = value.start();
    read(&Item { lines: &lines, value: &value, start, place: String::new() })
}

/// JSON with comments and trailing commas.
fn hujson() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// Names of fields are compared without case, hyphens and underscores, as in the reference.
fn folded(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

impl<'a> Item<'a> {
    pub(crate) fn location(&self) -> Location {
        Location { at: self.lines.position(self.start), place: self.place.clone() }
    }

    pub(crate) fn wrong(&self, reason: impl Into<String>) -> Error {
        self.location().wrong(reason)
    }

    fn expected(&self, what: &str) -> Error {
        self.wrong(format!("{what} is expected here, not {}", kind(self.value)))
    }

    /// A field or an element of this value.
    fn child(&self, value: &'a Value<'a>, start: usize, place: String) -> Self {
        Self { lines: self.lines, value, start, place }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::NullKeyword(_))
    }

    /// A string.
    pub(crate) fn word(&self) -> Result<Word, Error> {
        let Value::StringLit(text) = self.value else { return Err(self.expected("a string")) };
        Ok(Word { text: text.value.clone().into_owned(), location: self.location() })
    }

    /// A string, or a number as it is written.
    pub(crate) fn word_or_number(&self) -> Result<Word, Error> {
        if let Value::NumberLit(number) = self.value {
            return Ok(Word { text: number.value.to_owned(), location: self.location() });
        }
        self.word()
    }

    pub(crate) fn flag(&self) -> Result<bool, Error> {
        let Value::BooleanLit(flag) = self.value else {
            return Err(self.expected("true or false"));
        };
        Ok(flag.value)
    }

    /// The elements of a list; `null` is an empty one.
    pub(crate) fn list(&self) -> Result<Vec<Self>, Error> {
        if self.is_null() {
            return Ok(Vec::new());
        }
        let Value::Array(array) = self.value else { return Err(self.expected("a list")) };
        let items = array.elements.iter().enumerate().map(|(index, value)| {
            self.child(value, value.start(), format!("{}[{index}]", self.place))
        });
        Ok(items.collect())
    }

    /// A list of strings, without the spaces around them.
    pub(crate) fn words(&self) -> Result<Vec<Word>, Error> {
        let trimmed = |word: Word| Word { text: word.text.trim().to_owned(), ..word };
        self.list()?.iter().map(|item| item.word().map(trimmed)).collect()
    }

    /// The entries of an object with free names; `null` is an empty one.
    pub(crate) fn map(&self) -> Result<Vec<(Word, Self)>, Error> {
        let mut problems = Problems::default();
        let items = self.map_or_last(&mut problems)?;
        problems.into_vec().into_iter().next().map_or(Ok(items), Err)
    }

    /// The same. A duplicate name is a problem; its last value is used.
    pub(crate) fn map_or_last(&self, problems: &mut Problems) -> Result<Vec<(Word, Self)>, Error> {
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        let mut items = Vec::new();
        for property in self.properties()? {
            let name = property.name.as_str();
            let key = self.key(property, format!("{}[\"{}\"]", self.place, shown(name)));
            let value =
                self.child(&property.value, property.value.start(), key.location.place.clone());
            if let Some(before) = known.get(name).and_then(|index| items.get_mut(*index)) {
                problems.add(key.wrong(twice(name)));
                *before = (key, value);
                continue;
            }
            known.insert(name, items.len());
            items.push((key, value));
        }
        Ok(items)
    }

    /// The fields of an object; only those `known` are allowed. With `notes`, fields that begin with `#` are ignored.
    pub(crate) fn fields(&self, known: &[&'static str], notes: bool) -> Result<Fields<'a>, Error> {
        let mut fields = Fields::new();
        for (key, name, item) in self.named(known)? {
            let Some(name) = name else {
                if notes && key.text.starts_with('#') {
                    continue;
                }
                return Err(key.wrong(unknown(&key.text, known)));
            };
            if fields.insert(name, item).is_some() {
                return Err(key.wrong(twice(&key.text)));
            }
        }
        Ok(fields)
    }

    /// The fields of an object.
    pub(crate) fn named(&self, known: &[&'static str]) -> Result<Vec<Field<'a>>, Error> {
        let below = if self.place.is_empty() { "" } else { "." };
        let named = self.properties()?.iter().map(|property| {
            let written = property.name.as_str();
            let name = known.iter().find(|name| folded(name) == folded(written)).copied();
            let place = format!("{}{below}{}", self.place, shown(name.unwrap_or(written)));
            let item = self.child(&property.value, property.value.start(), place);
            (self.key(property, self.place.clone()), name, item)
        });
        Ok(named.collect())
    }

    fn properties(&self) -> Result<&'a [ObjectProp<'a>], Error> {
        if self.is_null() {
            return Ok(&[]);
        }
        let Value::Object(object) = self.value else { return Err(self.expected("an object")) };
        Ok(&object.properties)
    }

    fn key(&self, property: &ObjectProp<'_>, place: String) -> Word {
        let location = Location { at: self.lines.position(property.start()), place };
        Word { text: property.name.as_str().to_owned(), location }
    }

    /// The value as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        json(self.value)
    }
}

/// The beginning of a name.
fn shown(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()).into(),
        None => name.into(),
    }
}

fn twice(name: &str) -> String {
    format!("duplicate object member name \"{name}\": put the two together")
}

/// Why an unknown field is refused.
pub(crate) fn unknown(name: &str, known: &[&str]) -> String {
    let posture = ["posture", "postures", "srcposture", "defaultsrcposture", "srcpostureattrs"];
    if posture.contains(&folded(name).as_str()) {
        return format!(
            "unknown field: \"{name}\": the state of a device is not checked here, and without that check the policy would allow \
             more than it says; take it out"
        );
    }
    format!("unknown field: \"{name}\": take it out, or write one of {}", known.join(", "))
}

fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::StringLit(_) => "a string",
        Value::NumberLit(_) => "a number",
        Value::BooleanLit(_) => "true or false",
        Value::Object(_) => "an object",
        Value::Array(_) => "a list",
        Value::NullKeyword(_) => "null",
    }
}

/// A value as JSON; how deep it goes is bounded by the parser.
fn json(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::StringLit(text) => text.value.clone().into_owned().into(),
        Value::NumberLit(number) => {
            serde_json::from_str(number.value).unwrap_or(serde_json::Value::Null)
        }
        Value::BooleanLit(flag) => flag.value.into(),
        Value::Object(object) => object
            .properties
            .iter()
            .map(|property| (property.name.as_str().to_owned(), json(&property.value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(ast::Array { elements, .. }) => elements.iter().map(json).collect(),
        Value::NullKeyword(_) => serde_json::Value::Null,
    }
}

/// A list of names, without the spaces around them; an absent one is empty.
pub(crate) fn words(fields: &Fields<'_>, name: &str) -> Result<Vec<Word>, Error> {
    fields.get(name).map(Item::words).transpose().map(Option::unwrap_or_default)
}
