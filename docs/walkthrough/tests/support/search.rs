//! Looks for a text in what was recorded.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::{fs, io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use memchr::memmem;

/// A text in the forms in which it would still be no secret: itself, hex, and base64 in both
/// alphabets wherever in a longer text it begins.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![text.into(), hex::encode(text).into(), hex::encode_upper(text).into()];
    for before in 0..3 {
        let encoded = STANDARD_NO_PAD.encode([&vec![0; before], text.as_bytes()].concat());
        // What depends on the bytes before and after is left out.
        let whole = (before + text.len()) * 4 / 3;
        let encoded = &encoded[(before * 4).div_ceil(3)..whole];
        forms.push(encoded.into());
        forms.push(encoded.replace('+', "-").replace('/', "_").into());
    }
    forms
}

/// Whether a file holds a text in one of these forms.
pub(crate) fn holds(file: &Path, text: &str) -> bool {
    let bytes = fs::read(file).unwrap();
    forms(text).iter().any(|form| memmem::find(&bytes, form).is_some())
}

/// The longest piece of a text that stands the same in JSON.
pub(crate) fn searchable(text: &str) -> &str {
    long_piece(text).unwrap_or_else(|| panic!("too short to search for: {text:?}"))
}

/// The same, or none if it is so short that it may be found by chance. A small model says such things at times.
pub(crate) fn long_piece(text: &str) -> Option<&str> {
    let pieces = text.split(|c: char| c.is_ascii_control() || "\"\\".contains(c));
    pieces.max_by_key(|piece| piece.len()).filter(|piece| piece.len() >= 8)
}

/// What was read of a file. What somebody removed meanwhile is none; anything else must be readable.
pub(crate) fn still_there<T>(path: &Path, result: io::Result<T>) -> Option<T> {
    match result {
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => panic!("cannot read {}: {error}", path.display()),
    }
}
