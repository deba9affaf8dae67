//! The header of a GGUF file: what the model is, and how much of the file there must be.
//!
//! Format: `docs/gguf.md` of ggml, versions 2 and 3, little-endian. Nothing of a header is trusted: names, texts and
//! lists are bounded, and the tensors that it tells of must lie inside the file.

use std::io::{self, BufRead, Read};

const MAGIC: [u8; 4] = *b"GGUF";
/// Entries of metadata; models have some dozens.
const ENTRIES_MAX: u64 = 1 << 16;
/// Tensors; large models have some thousands.
const TENSORS_MAX: u64 = 1 << 20;
/// Bytes of a key or of a tensor's name (`docs/gguf.md`: 65,535 and 64).
const KEY_MAX: u64 = 65_535;
/// Bytes of a text that is kept; others are passed over.
const TEXT_MAX: u64 = 4096;
/// Bytes of the whole header; vocabularies take some megabytes.
const HEADER_MAX: u64 = 1 << 30;
/// Dimensions of a tensor (`GGML_MAX_DIMS`).
const DIMENSIONS_MAX: u32 = 8;

/// What a header tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The family, such as `llama`.
    pub architecture: Option<String>,
    /// Number of parameters as people write it, such as `135M`.
    pub size_label: Option<String>,
    /// Tokens that the model was trained to hold.
    pub context_tokens: Option<u64>,
    /// Bytes that one token takes in the cache of all layers, with 16 bits for each number; `None` if it is not told.
    pub cache_bytes_per_token: Option<u64>,
    /// Least size that the whole file has, in bytes.
    pub least_bytes: u64,
}

/// A file is no model that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not begin like one.
    #[error("it is not a GGUF model; others have to be converted first")]
    Magic,
    /// It is of a version that the engine does not open.
    #[error("it is GGUF version {0}; versions 2 and 3 can be used")]
    Version(u32),
    /// It ends within the header.
    #[error("it ends too early: it was cut")]
    Short,
    /// A number in it cannot be true.
    #[error("its header is damaged")]
    Damaged,
    /// It cannot be read.
    #[error(transparent)]
    Read(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Short } else { Self::Read(error) }
    }
}

/// Reads a header.
///
/// # Errors
///
/// See [`Error`].
pub fn read(from: impl BufRead) -> Result<Header, Error> {
    let mut reader = Reader { from: from.take(HEADER_MAX), read: 0 };
    if reader.bytes()? != MAGIC {
        return Err(Error::Magic);
    }
    let version = reader.u32()?;
    if !matches!(version, 2 | 3) {
        return Err(Error::Version(version));
    }
    let (tensors, entries) = (reader.u64()?, reader.u64()?);
    if tensors > TENSORS_MAX || entries > ENTRIES_MAX {
        return Err(Error::Damaged);
    }
    let mut facts = Facts::default();
    for _ in 0..entries {
        let key = reader.text(KEY_MAX)?.ok_or(Error::Damaged)?;
        let value = reader.value()?;
        facts.take(&key, value);
    }
    let last = reader.last_tensor(tensors)?;
    let aligned = reader.read.checked_next_multiple_of(facts.alignment).ok_or(Error::Damaged)?;
    let least_bytes = last.map_or(Some(reader.read), |offset| aligned.checked_add(offset));
    Ok(Header { least_bytes: least_bytes.ok_or(Error::Damaged)?, ..facts.header() })
}

/// A value of the metadata, as far as anyone asks for it.
enum Value {
    Number(u64),
    Text(String),
    Other,
}

struct Reader<R> {
    from: io::Take<R>,
    read: u64,
}

impl<R: BufRead> Reader<R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.read += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A text of at most `max` bytes; `None` if it is longer, and passed over.
    fn text(&mut self, max: u64) -> Result<Option<String>, Error> {
        let len = self.u64()?;
        if len > max {
            return self.pass(len).map(|()| None);
        }
        let mut text = Vec::new();
        self.from.by_ref().take(len).read_to_end(&mut text)?;
        self.read += len;
        if (text.len() as u64) < len {
            return Err(Error::Short);
        }
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    fn pass(&mut self, len: u64) -> Result<(), Error> {
        let mut left = len;
        while left > 0 {
            let here = self.from.fill_buf()?.len();
            if here == 0 {
                return Err(Error::Short);
            }
            let step = usize::try_from(left).map_or(here, |left| left.min(here));
            self.from.consume(step);
            left -= step as u64;
        }
        self.read = self.read.checked_add(len).ok_or(Error::Damaged)?;
        Ok(())
    }

    fn value(&mut self) -> Result<Value, Error> {
        let kind = self.u32()?;
        match kind {
            4 => self.u32().map(|number| Value::Number(number.into())),
            10 => self.u64().map(Value::Number),
            8 => Ok(self.text(TEXT_MAX)?.map_or(Value::Other, Value::Text)),
            9 => self.list().map(|()| Value::Other),
            kind => self.pass(width(kind).ok_or(Error::Damaged)?).map(|()| Value::Other),
        }
    }

    /// A list is passed over; one of lists is not written by anyone.
    fn list(&mut self) -> Result<(), Error> {
        let (kind, count) = (self.u32()?, self.u64()?);
        match width(kind) {
            Some(width) => self.pass(count.checked_mul(width).ok_or(Error::Damaged)?),
            None if kind == 8 => {
                // Each takes eight bytes at least, so that the file's end bounds the count.
                for _ in 0..count {
                    let len = self.u64()?;
                    self.pass(len)?;
                }
                Ok(())
            }
            None => Err(Error::Damaged),
        }
    }

    /// Where the last tensor begins, counted from the tensors' place.
    fn last_tensor(&mut self, count: u64) -> Result<Option<u64>, Error> {
        let mut last = None;
        for _ in 0..count {
            self.text(KEY_MAX)?;
            let dimensions = self.u32()?;
            if dimensions > DIMENSIONS_MAX {
                return Err(Error::Damaged);
            }
            self.pass(u64::from(dimensions) * 8 + 4)?;
            last = last.max(Some(self.u64()?));
        }
        Ok(last)
    }
}

/// Bytes of a value of a kind with a fixed size; `None` for texts, lists and what is not known.
const fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// What was told so far. Keys begin with the architecture, which need not come first.
struct Facts {
    alignment: u64,
    texts: Vec<(String, String)>,
    numbers: Vec<(String, u64)>,
}

impl Default for Facts {
    fn default() -> Self {
        // `general.alignment`, if it is not told (`docs/gguf.md`).
        Self { alignment: 32, texts: Vec::new(), numbers: Vec::new() }
    }
}

impl Facts {
    fn take(&mut self, key: &str, value: Value) {
        match value {
            Value::Number(number) if key == "general.alignment" => self.alignment = number.max(1),
            Value::Number(number) => self.numbers.push((key.to_owned(), number)),
            Value::Text(text) => self.texts.push((key.to_owned(), text)),
            Value::Other => {}
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.texts.iter().find(|(known, _)| known == key).map(|(_, text)| text.clone())
    }

    fn header(&self) -> Header {
        let architecture = self.text("general.architecture");
        let number = |key: &str| {
            let key = format!("{}.{key}", architecture.as_deref()?);
            self.numbers.iter().find(|(known, _)| *known == key).map(|(_, number)| *number)
        };
        let cache = || {
            let heads = number("attention.head_count")?;
            let kept = number("attention.head_count_kv").unwrap_or(heads);
            let width = number("embedding_length")?.checked_div(heads)?;
            let key = number("attention.key_length").unwrap_or(width);
            let value = number("attention.value_length").unwrap_or(width);
            let numbers = key.checked_add(value)?.checked_mul(kept)?;
            numbers.checked_mul(number("block_count")?)?.checked_mul(2)
        };
        Header {
            size_label: self.text("general.size_label"),
            context_tokens: number("context_length"),
            cache_bytes_per_token: cache(),
            least_bytes: 0,
            architecture: architecture.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
