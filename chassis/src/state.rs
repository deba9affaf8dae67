//! State files: JSON with a version, replaced as a whole.
//!
//! A file that this program cannot read is refused in one sentence with what to do, and left as it is: one of a newer
//! version, one of an older version that nobody reads any more, one that is torn.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::durable::{self, Access};

/// A state file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It could not be read.
    #[error("cannot read {}: check who owns it and its directory", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It could not be written; what was there before is untouched.
    #[error("cannot write {}: check the free space, and who owns its directory", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not what was written. The place is all that is said: the file may hold a key.
    #[error("{} is damaged at line {line}, column {column}: {remedy}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counted from 1; 0 in an empty file.
        line: usize,
        /// Likewise.
        column: usize,
        /// What to do.
        remedy: &'static str,
    },
    /// An earlier version of Maru wrote it, which this one does not read any more.
    #[error("{} has version {found}, which this program, whose version is {known}, reads no more: {remedy}", .path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The version that is written now.
        known: u32,
        /// What to do.
        remedy: &'static str,
    },
    /// A later version of Maru wrote it.
    #[error("{} has version {found}, this program knows {known}: update Maru", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The version that is written now.
        known: u32,
    },
}

/// Reads the JSON of an earlier version; `None` if it is not read any more.
pub type DecodeOlder<T> = fn(version: u64, json: &[u8]) -> Option<serde_json::Result<T>>;

/// How one kind of state file is read and written. `T` is a struct that leaves unknown fields alone; beside its own
/// fields the file has one more, `version`.
#[derive(Debug)]
pub struct Format<T> {
    version: u32,
    access: Access,
    remedy: &'static str,
    earlier: DecodeOlder<T>,
}

impl<T> Format<T> {
    /// A format of this version, which its owner alone reads and of which no earlier version is read.
    #[must_use]
    pub const fn new(version: u32) -> Self {
        Self {
            version,
            access: Access::SECRET,
            remedy: "restore it from a backup, or move it away to start anew",
            earlier: |_, _| None,
        }
    }

    /// Who may read it, in place of its owner alone.
    #[must_use]
    pub const fn access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// What to do about a file that cannot be read: the rest of a sentence.
    #[must_use]
    pub const fn remedy(self, remedy: &'static str) -> Self {
        Self { remedy, ..self }
    }

    /// How earlier versions are read.
    #[must_use]
    pub const fn earlier(self, earlier: DecodeOlder<T>) -> Self {
        Self { earlier, ..self }
    }
}

/// What every version of a state file has.
#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Serialize)]
struct WithVersion<'a, T> {
    version: u32,
    #[serde(flatten)]
    value: &'a T,
}

impl<T: DeserializeOwned> Format<T> {
    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read, is damaged, or is of a version that this program does not read. Nothing is changed.
    pub fn read(&self, path: &Path) -> Result<Option<T>, StateError> {
        let json = match fs::read(path) {
            Ok(json) => Zeroizing::new(json),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Read { path: path.to_owned(), source }),
        };
        self.parse(path, &json).map(Some)
    }

    /// Reads what was read of a file already. `path` is named in errors.
    ///
    /// # Errors
    ///
    /// Fails if it is damaged, or of a version that this program does not read.
    pub fn parse(&self, path: &Path, json: &[u8]) -> Result<T, StateError> {
        let Version { version: found } =
            serde_json::from_slice(json).map_err(|error| self.damaged(path, &error))?;
        let (known, remedy) = (self.version, self.remedy);
        if found > u64::from(known) {
            return Err(StateError::Newer { path: path.to_owned(), found, known });
        }
        let value = if found == u64::from(known) {
            serde_json::from_slice(json)
        } else {
            let path = path.to_owned();
            (self.earlier)(found, json).ok_or(StateError::Older { path, found, known, remedy })?
        };
        value.map_err(|error| self.damaged(path, &error))
    }

    fn damaged(&self, path: &Path, error: &serde_json::Error) -> StateError {
        let (line, column) = (error.line(), error.column());
        StateError::Damaged { path: path.to_owned(), line, column, remedy: self.remedy }
    }
}

impl<T: Serialize> Format<T> {
    /// Puts a file in the place of what is there, if anything is; after a power cut it is the old one or the new.
    ///
    /// # Errors
    ///
    /// [`StateError::Write`]; the file then holds what it held before.
    pub fn write(&self, path: &Path, value: &T) -> Result<(), StateError> {
        let written =
            self.encode(value).and_then(|json| durable::replace(path, self.access, &json));
        written.map_err(|source| StateError::Write { path: path.to_owned(), source })
    }

    /// Makes a file unless one is there; returns whether it did.
    ///
    /// # Errors
    ///
    /// [`StateError::Write`].
    pub fn create(&self, path: &Path, value: &T) -> Result<bool, StateError> {
        let created = self.encode(value).and_then(|json| durable::create(path, self.access, &json));
        created.map_err(|source| StateError::Write { path: path.to_owned(), source })
    }

    fn encode(&self, value: &T) -> io::Result<Zeroizing<Vec<u8>>> {
        let value = WithVersion { version: self.version, value };
        Ok(Zeroizing::new(serde_json::to_vec(&value)?))
    }
}

#[cfg(test)]
mod tests;
