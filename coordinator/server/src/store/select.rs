//! Running a query and reading its rows.

use ::store::DatabaseError;
use sqlx::{Any, AnyConnection, any::AnyArguments};

use super::rows::FromRow;

/// A statement with its parameters.
pub(super) type Query = sqlx::query::Query<'static, Any, AnyArguments>;

pub(super) async fn all<T: FromRow>(
    connection: &mut AnyConnection,
    query: Query,
) -> Result<Vec<T>, DatabaseError> {
    query.fetch_all(connection).await?.iter().map(T::read).collect()
}

pub(super) async fn first<T: FromRow>(
    connection: &mut AnyConnection,
    query: Query,
) -> Result<Option<T>, DatabaseError> {
    query.fetch_optional(connection).await?.as_ref().map(T::read).transpose()
}
