//! Values of columns: how they are read, and made ready to be written.

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Row as _, any::AnyRow};

use crate::error::DatabaseError;

/// Reads one number.
pub fn number(row: &AnyRow, column: &'static str) -> Result<u64, DatabaseError> {
    unsigned(row.try_get(column)?, column)
}

/// A number as the database takes it; one above `i64::MAX` becomes that.
#[must_use]
pub fn sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number that is never negative.
///
/// # Errors
///
/// [`DatabaseError::Row`] if it is.
pub fn unsigned(value: i64, column: &'static str) -> Result<u64, DatabaseError> {
    u64::try_from(value).map_err(|_| DatabaseError::Row(column))
}

/// The same, which may be missing.
///
/// # Errors
///
/// [`DatabaseError::Row`] if it is negative.
pub fn optional_unsigned(
    value: Option<i64>,
    column: &'static str,
) -> Result<Option<u64>, DatabaseError> {
    value.map(|value| unsigned(value, column)).transpose()
}

/// Bytes of which there are always as many.
///
/// # Errors
///
/// [`DatabaseError::Row`] if there are more or less.
pub fn bytes<const N: usize>(
    value: Vec<u8>,
    column: &'static str,
) -> Result<[u8; N], DatabaseError> {
    value.try_into().map_err(|_| DatabaseError::Row(column))
}

/// Reads JSON.
///
/// # Errors
///
/// [`DatabaseError::Row`] if it is not of this type.
pub fn from_json<T: DeserializeOwned>(
    text: &str,
    column: &'static str,
) -> Result<T, DatabaseError> {
    serde_json::from_str(text).map_err(|_| DatabaseError::Row(column))
}

/// Writes JSON.
///
/// # Errors
///
/// [`DatabaseError::Row`] if the type has no JSON.
pub fn to_json<T: Serialize>(value: &T, column: &'static str) -> Result<String, DatabaseError> {
    serde_json::to_string(value).map_err(|_| DatabaseError::Row(column))
}
