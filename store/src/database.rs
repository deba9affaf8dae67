//! Where the data is, and how it is connected to.

use std::path::{Path, PathBuf};

use crate::error::DatabaseError;

/// Where the data is.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A server, by URL, which may hold a password.
    Postgres(String),
}

impl Database {
    /// Whether it is one that Maru takes.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Url`] if not.
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

/// The URL of a file; `mode` is `rw`, or `rwc` to make it if it is not there.
pub(crate) fn file_url(path: &Path, mode: &str) -> Result<String, DatabaseError> {
    let path = path.to_str().ok_or(DatabaseError::Row("path: it is not UTF-8"))?;
    // The path is the URL's opaque part; what would end it is written as an escape.
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Ok(format!("sqlite://{path}?mode={mode}"))
}
