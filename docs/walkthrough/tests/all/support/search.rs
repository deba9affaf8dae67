//! Looks for a text in what was recorded.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

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

/// The files below a folder, on its own file system, that changed since then and hold the canary.
pub(crate) fn files_that_hold(
    folder: &Path,
    since: SystemTime,
    canary: &Search,
    found: &mut Vec<PathBuf>,
) {
    let device = fs::metadata(folder).unwrap().dev();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Some(entries) = still_there(&folder, fs::read_dir(&folder)) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let Some(meta) = still_there(&path, fs::symlink_metadata(&path)) else { continue };
            if meta.is_dir() && meta.dev() == device {
                folders.push(path);
            } else if meta.is_file() && meta.modified().unwrap() >= since {
                let mut bytes = Vec::new();
                let read = File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes));
                if still_there(&path, read).is_some() && canary.finds_in(&bytes) {
                    found.push(path);
                }
            }
        }
    }
}
