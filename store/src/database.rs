//! The location of a database.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::error::DatabaseError;

/// The location of a database.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server, by a URL that may contain a password.
    Postgres(String),
}

impl Database {
    /// The database of a daemon: the server whose URL is the first line of `url_file`, else `sqlite`.
    ///
    /// # Errors
    ///
    /// Fails if that file cannot be read.
    pub fn configured(url_file: Option<&Path>, sqlite: PathBuf) -> io::Result<Self> {
        let Some(url_file) = url_file else { return Ok(Self::Sqlite(sqlite)) };
        let text = fs::read_to_string(url_file)?;
        Ok(Self::Postgres(text.lines().next().unwrap_or_default().trim().to_owned()))
    }

    /// Checks the URL's scheme; [`DatabaseError::Url`] if it is not supported.
    pub fn check(&self) -> Result<(), DatabaseError> {
        let known = ["postgres://", "postgresql://"];
        match self {
            Self::Postgres(url) if !known.iter().any(|scheme| url.starts_with(scheme)) => {
                Err(DatabaseError::Url)
            }
            Self::Sqlite(_) | Self::Postgres(_) => Ok(()),
        }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => f.write_str("Postgres([redacted])"),
        }
    }
}

/// The URL of a file; `mode` is `rw`, or `rwc` to create it.
pub(crate) fn file_url(path: &Path, mode: &str) -> Result<String, DatabaseError> {
    let path = path.to_str().ok_or(DatabaseError::Row("path: it is not UTF-8"))?;
    // The path is the opaque part of the URL, whose delimiters are escaped.
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Ok(format!("sqlite://{path}?mode={mode}"))
}
