//! The network's people, as the mesh knows them. Each gets a user id when telmeet first hears of the person, by the list of
//! the network's people or at a sign-in, and keeps it.

use std::{
    collections::{HashMap, HashSet},
    slice,
};

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
    participant,
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
    free_id(network, person, &taken)
}

fn free_id(network: &str, person: &User, taken: &HashSet<String>) -> Result<OwnedUserId, Error> {
    if participant::is(person) {
        return Ok(person::user_id(person::PARTICIPANT, network)?);
    }
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

/// A person in the database.
struct KnownPerson {
    id: OwnedUserId,
    login: String,
    name: Option<String>,
    is_removed: bool,
}

/// Learns of people of the network: who is new gets a user id. A person's name follows the login, unless the person chose
/// another.
///
/// # Errors
///
/// See [`id`].
pub async fn learn(tx: &mut Transaction, network: &str, people: &[User]) -> Result<(), Error> {
    let query = "SELECT user_id, mesh_user, login, display_name, removed_at FROM people";
    let (mut known, mut taken) = (HashMap::new(), HashSet::new());
    for row in sqlx::query(query).fetch_all(tx.connection()).await? {
        let text: String = row.try_get("user_id")?;
        let id = UserId::parse(&text).map_err(|_| DatabaseError::Row("user_id"))?;
        taken.insert(text);
        let person = KnownPerson {
            id,
            login: row.try_get("login")?,
            name: row.try_get("display_name")?,
            is_removed: row.try_get::<Option<i64>, _>("removed_at")?.is_some(),
        };
        known.insert(column::number(&row, "mesh_user")?, person);
    }
    for person in people {
        match known.get(&person.id) {
            Some(known) if known.login == person.login && !known.is_removed => {}
            Some(known) => update(tx, known, &person.login).await?,
            None => {
                let id = free_id(network, person, &taken)?;
                insert(tx, &id, person).await?;
                taken.insert(id.into());
            }
        }
    }
    Ok(())
}

async fn insert(tx: &mut Transaction, id: &UserId, person: &User) -> Result<(), Error> {
    let now = column::sql(tx.now().get().into());
    let query = "INSERT INTO people (user_id, mesh_user, login, display_name, created_at) \
         VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(query)
        .bind(id.to_string())
        .bind(column::sql(person.id))
        .bind(person.login.clone())
        .bind(person::display_name(&person.login))
        .bind(now)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Notes a new login, and that a person who was removed is there.
async fn update(tx: &mut Transaction, known: &KnownPerson, login: &str) -> Result<(), Error> {
    let follows = known.name == person::display_name(&known.login);
    let name = if follows { person::display_name(login) } else { known.name.clone() };
    let is_other = name != known.name;
    let query =
        "UPDATE people SET login = $1, display_name = $2, removed_at = NULL WHERE user_id = $3";
    let query = sqlx::query(query).bind(login.to_owned()).bind(name).bind(known.id.to_string());
    query.execute(tx.connection()).await?;
    match profile::read(tx.connection(), &known.id).await? {
        Some(profile) if is_other => profile::show(tx, &known.id, &profile).await,
        Some(_) | None => Ok(()),
    }
}

/// Enters a person who signs in. At the first visit the person enters the room that everybody is in.
///
/// # Errors
///
/// See [`id`].
pub async fn enter(
    tx: &mut Transaction,
    network: &str,
    person: &User,
) -> Result<OwnedUserId, Error> {
    learn(tx, network, slice::from_ref(person)).await?;
    let id = id(tx.connection(), network, person).await?;
    let now = column::sql(tx.now().get().into());
    let query = "UPDATE people SET visited_at = $1 WHERE user_id = $2 AND visited_at IS NULL";
    let query = sqlx::query(query).bind(now).bind(id.to_string());
    let is_first = query.execute(tx.connection()).await?.rows_affected() > 0;
    // The AI is where it was invited.
    if is_first && !participant::is(person) {
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
