//! Settings: one TOML file for each daemon.
//!
//! A file named on the command line must exist; without the usual file the defaults apply. The types deny unknown fields
//! and contain no secrets, since errors quote the file.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use messages::{Message, message};
use serde::de::DeserializeOwned;

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub enum SettingsError {
    /// The named file does not exist.
    Missing(PathBuf),
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not valid TOML, or has a wrong or unknown key.
    Parse {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong, in one line.
        message: String,
    },
    /// A value is not allowed.
    Value {
        /// The file.
        path: PathBuf,
        /// What is wrong, in one line.
        message: String,
    },
}

impl SettingsError {
    /// What is wrong, and what to do.
    fn message(&self) -> Message {
        match self {
            Self::Missing(path) => message!("settings-missing", path = path.display()),
            Self::Read { path, .. } => message!("settings-unreadable", path = path.display()),
            Self::Parse { path, line, column, message: reason } => {
                message!("settings-wrong-at", path = path.display(), line, column, reason)
            }
            Self::Value { path, message: reason } => {
                message!("settings-wrong", path = path.display(), reason)
            }
        }
    }
}

/// Loads the named file or the usual one. `accept` validates and converts the settings.
///
/// # Errors
///
/// See [`SettingsError`].
pub fn load<T: DeserializeOwned + Default, C>(
    named: Option<&Path>,
    usual: &Path,
    accept: impl FnOnce(T) -> Result<C, String>,
) -> Result<C, SettingsError> {
    let path = named.unwrap_or(usual).to_owned();
    let settings = match fs::read_to_string(&path) {
        Ok(text) => parse(&path, &text)?,
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => T::default(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(SettingsError::Missing(path));
        }
        Err(source) => return Err(SettingsError::Read { path, source }),
    };
    accept(settings).map_err(|message| SettingsError::Value { path, message })
}

/// Parses the text of a file.
///
/// # Errors
///
/// [`SettingsError::Parse`].
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, SettingsError> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let in_line = before.rsplit('\n').next().unwrap_or_default();
        SettingsError::Parse {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: in_line.chars().count() + 1,
            message: error.message().trim().replace('\n', "; "),
        }
    })
}

#[cfg(test)]
mod tests;
