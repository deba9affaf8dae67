//! Seals what is stored under the key that stands outside state and backup.

use store::seal::{Cell, Key, chunk::Location};

use crate::error::Error;

/// Where chunks of files are; the row is the file's name.
const FILE: Cell<'_> = Cell { table: "media", column: "file", row: b"" };

/// Seals and opens values of the database, and files.
#[derive(Clone, Debug)]
pub struct Vault(Key);

impl Vault {
    /// Seals with this key.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self(key)
    }

    /// Seals a value for one cell. `row` is a unique key of the row that never changes.
    ///
    /// # Errors
    ///
    /// [`Error::Seal`].
    pub fn seal(
        &self,
        table: &str,
        column: &str,
        row: &[u8],
        value: &[u8],
    ) -> Result<Vec<u8>, Error> {
        Ok(self.0.seal(Cell { table, column, row }, value)?)
    }

    /// Opens a value that was sealed for this cell.
    ///
    /// # Errors
    ///
    /// [`Error::Open`].
    pub fn open(
        &self,
        table: &str,
        column: &str,
        row: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, Error> {
        Ok(std::mem::take(&mut *self.0.open(Cell { table, column, row }, sealed)?))
    }

    /// Seals a chunk of a file.
    ///
    /// # Errors
    ///
    /// [`Error::Seal`].
    pub fn seal_chunk(
        &self,
        file: &[u8],
        location: Location,
        chunk: &[u8],
    ) -> Result<Vec<u8>, Error> {
        Ok(self.0.seal_chunk(Cell { row: file, ..FILE }, location, chunk)?)
    }

    /// Opens a chunk that was sealed for this place of this file.
    ///
    /// # Errors
    ///
    /// [`Error::Open`].
    pub fn open_chunk(
        &self,
        file: &[u8],
        location: Location,
        sealed: &[u8],
    ) -> Result<Vec<u8>, Error> {
        Ok(std::mem::take(&mut *self.0.open_chunk(Cell { row: file, ..FILE }, location, sealed)?))
    }
}
