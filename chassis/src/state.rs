//! State files: JSON with a version, replaced atomically.
//!
//! A file that this program cannot read, because it is damaged or of another version, is left as it is.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use messages::{Message, message};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::durable::{self, Access};

/// A state file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub enum StateError {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file cannot be written; the old content is untouched.
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is damaged. The error does not quote it, since it may contain a key.
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 1; 0 in an empty file.
        line: usize,
        /// From 1; 0 in an empty file.
        column: usize,
        /// What to do.
        remedy: fn() -> Message,
    },
    /// The file has an older version, which this program does not support.
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// This program's version.
        known: u32,
        /// What to do.
        remedy: fn() -> Message,
    },
    /// The file has a newer version.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// This program's version.
        known: u32,
    },
}

impl StateError {
    /// What is wrong, and what to do.
    fn message(&self) -> Message {
        match self {
            Self::Read { path, .. } => message!("state-unreadable", path = path.display()),
            Self::Write { path, .. } => message!("state-unwritable", path = path.display()),
            Self::Damaged { path, line, column, remedy } => {
                message!("state-damaged", path = path.display(), line, column, remedy = remedy())
            }
            Self::Older { path, found, known, remedy } => {
                message!("state-older", path = path.display(), found, known, remedy = remedy())
            }
            Self::Newer { path, found, known } => {
                message!("state-newer", path = path.display(), found, known)
            }
        }
    }
}

/// Decodes the JSON of an older version; `None` if that is not supported.
pub type DecodeOlder<T> = fn(version: u64, json: &[u8]) -> Option<serde_json::Result<T>>;

/// The format of a state file. `T` is a struct that ignores unknown fields; the file has the field `version` in addition.
#[derive(Debug)]
pub struct Format<T> {
    version: u32,
    access: Access,
    remedy: fn() -> Message,
    earlier: DecodeOlder<T>,
}

impl<T> Format<T> {
    /// A format of this version, readable by its owner only, without older versions.
    #[must_use]
    pub const fn new(version: u32) -> Self {
        Self {
            version,
            access: Access::SECRET,
            remedy: || message!("remedy-restore"),
            earlier: |_, _| None,
        }
    }

    /// Sets mode and owner of the file.
    #[must_use]
    pub const fn access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// Sets what to do about a file that cannot be read: the rest of a sentence.
    #[must_use]
    pub const fn remedy(self, remedy: fn() -> Message) -> Self {
        Self { remedy, ..self }
    }

    /// Sets the decoder of older versions.
    #[must_use]
    pub const fn earlier(self, earlier: DecodeOlder<T>) -> Self {
        Self { earlier, ..self }
    }
}

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
    /// The file cannot be read, is damaged, or has an unsupported version. Nothing is changed.
    pub fn read(&self, path: &Path) -> Result<Option<T>, StateError> {
        let json = match fs::read(path) {
            Ok(json) => Zeroizing::new(json),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Read { path: path.to_owned(), source }),
        };
        self.parse(path, &json).map(Some)
    }

    /// Decodes the content of a file; errors name `path`.
    ///
    /// # Errors
    ///
    /// The content is damaged, or has an unsupported version.
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

    /// As [`Self::read`], of at most `max` bytes in a folder of another user, who is not trusted.
    ///
    /// # Errors
    ///
    /// As [`Self::read`]; [`StateError::Read`] for a link, what is no file, and a longer one, too.
    pub fn read_of_another(&self, path: &Path, max: u64) -> Result<Option<T>, StateError> {
        match durable::read_of_another(path, max) {
            Ok(json) => self.parse(path, &json).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::Read { path: path.to_owned(), source }),
        }
    }

    fn damaged(&self, path: &Path, error: &serde_json::Error) -> StateError {
        let (line, column) = (error.line(), error.column());
        StateError::Damaged { path: path.to_owned(), line, column, remedy: self.remedy }
    }
}

impl<T: Serialize> Format<T> {
    /// Creates or replaces a file, atomically and durably.
    ///
    /// # Errors
    ///
    /// [`StateError::Write`]; the file is unchanged.
    pub fn write(&self, path: &Path, value: &T) -> Result<(), StateError> {
        let written =
            self.encode(value).and_then(|json| durable::replace(path, self.access, &json));
        written.map_err(|source| StateError::Write { path: path.to_owned(), source })
    }

    /// Creates a file unless it exists; returns whether it did.
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
