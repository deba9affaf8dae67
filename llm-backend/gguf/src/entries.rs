//! The entries of a header: keys with values.

use std::{collections::BTreeMap, io::BufRead};

use crate::{error::Error, reader::Reader};

/// Longest key, in bytes (`docs/gguf.md`).
const KEY_MAX: u64 = 65_535;
/// Longest text that is stored, in bytes; longer ones are skipped.
const TEXT_MAX: u64 = 4096;
/// Longest list of numbers that is stored: as many as a model may have layers.
const NUMBERS_MAX: u64 = 512;
/// The vocabulary of the model, without duplicates.
pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";

/// Kinds of values, by their number in the file.
pub(super) mod kind {
    pub(crate) const U16: u32 = 2;
    pub(crate) const U32: u32 = 4;
    pub(crate) const I32: u32 = 5;
    pub(crate) const F32: u32 = 6;
    pub(crate) const BOOL: u32 = 7;
    pub(crate) const TEXT: u32 = 8;
    pub(crate) const LIST: u32 = 9;
}

/// A value, as far as it is needed.
#[derive(Debug)]
pub(super) enum Value {
    U16(u16),
    U32(u32),
    Text(Box<[u8]>),
    /// The kind and number of its items, and the items of a short list of 32-bit numbers.
    List {
        kind: u32,
        count: u64,
        numbers: Box<[u32]>,
    },
    /// A value of another kind, or a long text.
    Other(u32),
}

impl Value {
    /// Its number in the file.
    pub(super) fn kind(&self) -> u32 {
        match self {
            Self::U16(_) => kind::U16,
            Self::U32(_) => kind::U32,
            Self::Text(_) => kind::TEXT,
            Self::List { .. } => kind::LIST,
            Self::Other(kind) => *kind,
        }
    }
}

/// All entries; keys are unique.
#[derive(Debug, Default)]
pub(super) struct Entries(BTreeMap<Box<[u8]>, Value>);

impl Entries {
    /// Reads `count` entries.
    pub(super) fn read<R: BufRead>(reader: &mut Reader<R>, count: u64) -> Result<Self, Error> {
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let key = reader.text(KEY_MAX)?.ok_or(Error::Damaged)?;
            if key.is_empty() || key.iter().any(u8::is_ascii_control) {
                return Err(Error::Damaged);
            }
            let value = value(reader, &key)?;
            if entries.contains_key(&key) {
                return Err(Error::entry(key, "occurs twice"));
            }
            entries.insert(key, value);
        }
        Ok(Self(entries))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key.as_bytes())
    }

    pub(super) fn text(&self, key: &str) -> Option<&[u8]> {
        match self.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn u32(&self, key: &str) -> Option<u32> {
        match self.get(key) {
            Some(Value::U32(number)) => Some(*number),
            _ => None,
        }
    }

    /// The length of a list.
    pub(super) fn count(&self, key: &str) -> Option<u64> {
        match self.get(key) {
            Some(Value::List { count, .. }) => Some(*count),
            _ => None,
        }
    }
}

fn value<R: BufRead>(reader: &mut Reader<R>, key: &[u8]) -> Result<Value, Error> {
    let kind = reader.u32()?;
    match kind {
        kind::U16 => reader.u16().map(Value::U16),
        kind::U32 => reader.u32().map(Value::U32),
        kind::TEXT => Ok(reader.text(TEXT_MAX)?.map_or(Value::Other(kind::TEXT), Value::Text)),
        kind::LIST => list(reader, key),
        other => reader.skip(width(other).ok_or(Error::Damaged)?).map(|()| Value::Other(other)),
    }
}

/// Reads a list. Only short lists of numbers are stored; lists of lists are refused, because no program writes them.
fn list<R: BufRead>(reader: &mut Reader<R>, key: &[u8]) -> Result<Value, Error> {
    let (kind, count) = (reader.u32()?, reader.u64()?);
    let mut numbers = Vec::new();
    match kind {
        kind::TEXT if key == TOKENS.as_bytes() => {
            if reader.words(count)? {
                return Err(Error::entry(key, "contains a word twice"));
            }
        }
        kind::TEXT => reader.skip_texts(count)?,
        kind::U32 | kind::I32 if count <= NUMBERS_MAX => {
            reader.hold(count * 4)?;
            for _ in 0..count {
                numbers.push(reader.u32()?);
            }
        }
        kind => {
            let width = width(kind).ok_or(Error::Damaged)?;
            reader.skip(count.checked_mul(width).ok_or(Error::Damaged)?)?;
        }
    }
    Ok(Value::List { kind, count, numbers: numbers.into_boxed_slice() })
}

/// Bytes of a value of a kind with a fixed size; `None` for texts, lists and unknown kinds.
const fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}
