//! Filters that clients store, to name them in syncs (specification, client-server API, "Filtering").

use std::sync::Arc;

use axum::extract::State;
use futures_util::FutureExt as _;
use ruma::{
    UserId,
    api::client::filter::{FilterDefinition, create_filter, get_filter},
};
use sqlx::AnyConnection;
use store::column;
use telmeet_core::filter;

use super::owner;
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, route},
    session::Session,
};

/// Most filters of a person. Clients have about one for each version; the same one again is stored once.
const FILTERS_MAX: i64 = 500;

const NOT_FOUND: Error = Error::NotFound("there is no such filter");

/// The endpoints.
pub(crate) fn routes() -> Vec<Route> {
    let create = route::<create_filter::v3::Request, _, _>(create);
    create.into_iter().chain(route::<get_filter::v3::Request, _, _>(get)).collect()
}

async fn create(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<create_filter::v3::Request>,
) -> Result<Reply<create_filter::v3::Response>, Error> {
    owner::check(&session, &request.user_id)?;
    let definition = column::to_json(&request.filter, "definition")?;
    filter::parse(definition.as_bytes())?;
    // An app sends the same one at each start.
    let known = find(&mut *homeserver.pool().acquire().await?, &session.user, &definition).await?;
    let id = match known {
        Some(id) => id,
        None => {
            let store = homeserver.write(move |transaction| {
                async move { store(transaction.connection(), &session.user, &definition).await }
                    .boxed()
            });
            store.await?
        }
    };
    Ok(Reply(create_filter::v3::Response::new(id.to_string())))
}

async fn get(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_filter::v3::Request>,
) -> Result<Reply<get_filter::v3::Response>, Error> {
    owner::check(&session, &request.user_id)?;
    let mut connection = homeserver.pool().acquire().await?;
    let filter = read(&mut connection, &session.user, &request.filter_id).await?;
    Ok(Reply(get_filter::v3::Response::new(filter)))
}

/// A filter that a person stored.
///
/// # Errors
///
/// [`Error::NotFound`] if there is none; [`Error::Database`].
pub(crate) async fn read(
    connection: &mut AnyConnection,
    user: &UserId,
    id: &str,
) -> Result<FilterDefinition, Error> {
    let number: i64 = id.parse().map_err(|_| NOT_FOUND)?;
    let query = "SELECT definition FROM filters WHERE user_id = $1 AND filter_id = $2";
    let query = sqlx::query_scalar::<_, String>(query).bind(user.as_str()).bind(number);
    let definition = query.fetch_optional(connection).await?.ok_or(NOT_FOUND)?;
    Ok(filter::parse(definition.as_bytes())?)
}

async fn find(
    connection: &mut AnyConnection,
    user: &UserId,
    definition: &str,
) -> Result<Option<i64>, Error> {
    let query = "SELECT filter_id FROM filters WHERE user_id = $1 AND definition = $2";
    let query = sqlx::query_scalar::<_, i64>(query).bind(user.as_str()).bind(definition);
    Ok(query.fetch_optional(connection).await?)
}

async fn store(
    connection: &mut AnyConnection,
    user: &UserId,
    definition: &str,
) -> Result<i64, Error> {
    if let Some(id) = find(connection, user, definition).await? {
        return Ok(id);
    }
    let query = "SELECT COUNT(*) FROM filters WHERE user_id = $1";
    let query = sqlx::query_scalar::<_, i64>(query).bind(user.as_str());
    let next = query.fetch_one(&mut *connection).await?;
    if next >= FILTERS_MAX {
        return Err(telmeet_core::Error::TooLarge { what: "the stored filters", max: "500" }.into());
    }
    let query = "INSERT INTO filters (user_id, filter_id, definition) VALUES ($1, $2, $3)";
    sqlx::query(query).bind(user.as_str()).bind(next).bind(definition).execute(connection).await?;
    Ok(next)
}
