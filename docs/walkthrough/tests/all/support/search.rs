//! Looks for a text in what was recorded.

use std::{fs, io, path::Path};

use lab::search::Search;

/// Whether a file holds a text in one of its forms.
pub(crate) fn holds(file: &Path, text: &str) -> bool {
    Search::new([text]).unwrap().finds_in(fs::read(file).unwrap())
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
