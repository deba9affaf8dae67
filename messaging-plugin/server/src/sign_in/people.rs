//! The network's people, as the mesh knows them: each gets a user id at the first sign-in, and keeps it.

use std::collections::HashSet;

use mesh_identity::{Header, User};
use ruma::{OwnedUserId, UserId};
use sqlx::{AnyConnection, Row as _};
use store::{DatabaseError, column};
use telmeet_core::{
    person,
    sign_in::one_time::{Caller, NodeId},
};

use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    personal::profile,
    rooms, session,
};

/// The user id of a person who signed in before.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn find(
    connection: &mut AnyConnection,
    person: &User,
) -> Result<Option<OwnedUserId>, Error> {
    let query = "SELECT user_id FROM people WHERE mesh_user = $1";
    let query = sqlx::query_scalar::<_, String>(query).bind(column::sql(person.id));
    let id = query.fetch_optional(connection).await?;
    let parse = |id| UserId::parse(id).map_err(|_| DatabaseError::Row("user_id"));
    Ok(id.map(parse).transpose()?)
}

/// The user id that a person has, or would get now.
///
/// # Errors
///
/// [`Error::Database`]; [`Error::Core`] if the network's name is too long for a user id.
pub async fn id(
    connection: &mut AnyConnection,
    network: &str,
    person: &User,
) -> Result<OwnedUserId, Error> {
    if let Some(id) = find(connection, person).await? {
        return Ok(id);
    }
    let query = sqlx::query_scalar::<_, String>("SELECT user_id FROM people");
    let taken: HashSet<String> = query.fetch_all(connection).await?.into_iter().collect();
    let is_taken = |name: &str| taken.contains(&format!("@{name}:{network}"));
    Ok(person::user_id(&person::localpart(&person.login, is_taken), network)?)
}

/// Who is calling, with the user id that the person has or would get now.
///
/// # Errors
///
/// [`Error::Core`] (403) for a tagged node; [`Error::Database`].
pub async fn caller(homeserver: &Homeserver, header: &Header) -> Result<Caller, Error> {
    let person = session::person(header)?;
    let mut connection = homeserver.pool().acquire().await?;
    let person = id(&mut connection, &homeserver.network, person).await?;
    Ok(Caller { person, node: NodeId(header.identity.node.clone()) })
}

/// Enters a person who signs in: a new one gets a user id, one who was removed has the old one again. The name follows the
/// login, unless the person chose another. At the first visit the person enters the room that everybody is in.
///
/// # Errors
///
/// See [`id`].
pub async fn enter(
    tx: &mut Transaction,
    network: &str,
    person: &User,
) -> Result<OwnedUserId, Error> {
    let now = column::sql(tx.now().get().into());
    let id = id(tx.connection(), network, person).await?;
    let query =
        sqlx::query("SELECT login, display_name, removed_at FROM people WHERE user_id = $1");
    let known = query.bind(id.to_string()).fetch_optional(tx.connection()).await?;
    let name = person::display_name(&person.login);
    let was_here = match &known {
        Some(row) => row.try_get::<Option<i64>, _>("removed_at")?.is_none(),
        None => false,
    };
    let mut shown_before = None;
    let query = match known {
        Some(row) => {
            let (login, shown): (String, Option<String>) =
                (row.try_get("login")?, row.try_get("display_name")?);
            let follows = shown == person::display_name(&login);
            shown_before = Some(shown.clone());
            let query = "UPDATE people SET login = $1, display_name = $2, removed_at = NULL \
                 WHERE user_id = $3";
            sqlx::query(query)
                .bind(person.login.clone())
                .bind(if follows { name } else { shown })
                .bind(id.to_string())
        }
        None => {
            let query = "INSERT INTO people (user_id, mesh_user, login, display_name, created_at) \
                 VALUES ($1, $2, $3, $4, $5)";
            sqlx::query(query)
                .bind(id.to_string())
                .bind(column::sql(person.id))
                .bind(person.login.clone())
                .bind(name)
                .bind(now)
        }
    };
    query.execute(tx.connection()).await?;
    if let Some(profile) = profile::read(tx.connection(), &id).await?
        && shown_before.is_some_and(|before| before != profile.display_name)
    {
        profile::show(tx, &id, &profile).await?;
    }
    if !was_here {
        rooms::enter_home(tx, &id).await?;
    }
    Ok(id)
}

/// As [`enter`], in a transaction of its own.
///
/// # Errors
///
/// See [`id`].
pub async fn entered(homeserver: &Homeserver, person: User) -> Result<OwnedUserId, Error> {
    let network = homeserver.network.clone();
    let write =
        homeserver.write(move |tx| Box::pin(async move { enter(tx, &network, &person).await }));
    write.await
}
