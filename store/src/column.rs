//! Converts values to and from columns.

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Row as _, any::AnyRow};

use crate::error::DatabaseError;

/// Reads one number.
pub fn number(row: &AnyRow, column: &'static str) -> Result<u64, DatabaseError> {
    unsigned(row.try_get(column)?, column)
}

/// Converts to a column value; numbers above `i64::MAX` become that.
#[must_use]
pub fn sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Converts from a column value; [`DatabaseError::Row`] if it is negative.
pub fn unsigned(value: i64, column: &'static str) -> Result<u64, DatabaseError> {
    u64::try_from(value).map_err(|_| DatabaseError::Row(column))
}

/// The same for a nullable column.
pub fn optional_unsigned(
    value: Option<i64>,
    column: &'static str,
) -> Result<Option<u64>, DatabaseError> {
    value.map(|value| unsigned(value, column)).transpose()
}

/// Bytes of fixed length; [`DatabaseError::Row`] if the length differs.
pub fn bytes<const N: usize>(
    value: Vec<u8>,
    column: &'static str,
) -> Result<[u8; N], DatabaseError> {
    value.try_into().map_err(|_| DatabaseError::Row(column))
}

/// Parses JSON; [`DatabaseError::Row`] if it does not have this type.
pub fn from_json<T: DeserializeOwned>(
    text: &str,
    column: &'static str,
) -> Result<T, DatabaseError> {
    serde_json::from_str(text).map_err(|_| DatabaseError::Row(column))
}

/// Serializes to JSON.
pub fn to_json<T: Serialize>(value: &T, column: &'static str) -> Result<String, DatabaseError> {
    serde_json::to_string(value).map_err(|_| DatabaseError::Row(column))
}
