//! Seals what is stored under the key that stands outside state and backup.

use store::seal::{Cell, Key};

use crate::error::Error;

/// Seals and opens values of the database.
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
}
