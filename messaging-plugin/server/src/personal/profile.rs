//! Profiles, and the directory of the network's people (specification, client-server API, "Profiles", "User
//! Directory").

use std::sync::Arc;

use axum::extract::State;
use futures_util::FutureExt as _;
use ruma::{
    OwnedUserId, RoomId, UserId,
    api::client::{
        profile::{delete_profile_field, get_profile, get_profile_field, set_profile_field},
        user_directory::search_users,
    },
    events::TimelineEventType,
    profile::{ProfileFieldName, ProfileFieldValue},
};
use sqlx::{AnyConnection, Row as _};
use telmeet_core::{
    create::{Profile, member_content},
    event::Draft,
    person,
};

use super::owner;
use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    matrix::{Reply, Route, Ruma, route},
    session::{NoWebsite, Session},
};

/// Longest address of an avatar, in bytes.
const AVATAR_MAX: usize = 255;
/// Most results of a search.
const RESULTS_MAX: usize = 100;
/// Most people that a search looks at.
const PEOPLE_MAX: i64 = 10_000;

const NOT_FOUND: Error = Error::NotFound("there is no such person or profile field");

/// The endpoints.
pub(crate) fn routes() -> Vec<Route> {
    [
        route::<get_profile::v3::Request, _, _>(get),
        route::<get_profile_field::v3::Request, _, _>(get_field),
        route::<set_profile_field::v3::Request, _, _>(set_field),
        route::<delete_profile_field::v3::Request, _, _>(delete_field),
        route::<search_users::v3::Request, _, _>(search),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The profile of a person of the network.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn read(
    connection: &mut AnyConnection,
    user: &UserId,
) -> Result<Option<Profile>, Error> {
    let query = "SELECT display_name, avatar FROM people WHERE user_id = $1 AND removed_at IS NULL";
    let row = sqlx::query(query).bind(user.as_str()).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Profile { display_name: row.try_get("display_name")?, avatar: row.try_get("avatar")? }))
}

async fn get(
    State(homeserver): State<Arc<Homeserver>>,
    _: NoWebsite,
    Ruma(request): Ruma<get_profile::v3::Request>,
) -> Result<Reply<get_profile::v3::Response>, Error> {
    let profile = find(&homeserver, &request.user_id).await?;
    let fields = [ProfileFieldName::DisplayName, ProfileFieldName::AvatarUrl];
    Ok(Reply(fields.iter().filter_map(|field| value(&profile, field)).collect()))
}

async fn get_field(
    State(homeserver): State<Arc<Homeserver>>,
    _: NoWebsite,
    Ruma(request): Ruma<get_profile_field::v3::Request>,
) -> Result<Reply<get_profile_field::v3::Response>, Error> {
    let profile = find(&homeserver, &request.user_id).await?;
    if ![ProfileFieldName::DisplayName, ProfileFieldName::AvatarUrl].contains(&request.field) {
        return Err(NOT_FOUND);
    }
    let mut response = get_profile_field::v3::Response::default();
    response.value = value(&profile, &request.field);
    Ok(Reply(response))
}

async fn set_field(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<set_profile_field::v3::Request>,
) -> Result<Reply<set_profile_field::v3::Response>, Error> {
    owner::check(&session, &request.user_id)?;
    if let ProfileFieldValue::DisplayName(name) = &request.value {
        let name = person::display_name(name);
        change(&homeserver, session.user, move |profile| profile.display_name = name).await?;
    } else if let ProfileFieldValue::AvatarUrl(avatar) = request.value {
        let is_address = avatar.as_str().len() <= AVATAR_MAX && avatar.is_valid();
        if !is_address && !avatar.as_str().is_empty() {
            return Err(Error::invalid("an avatar is the address of a file on this server"));
        }
        let avatar = Some(avatar.to_string()).filter(|_| is_address);
        change(&homeserver, session.user, move |profile| profile.avatar = avatar).await?;
    } else {
        return Err(Error::invalid("a profile has a `displayname` and an `avatar_url`"));
    }
    Ok(Reply(set_profile_field::v3::Response::new()))
}

async fn delete_field(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<delete_profile_field::v3::Request>,
) -> Result<Reply<delete_profile_field::v3::Response>, Error> {
    owner::check(&session, &request.user_id)?;
    let field = request.field;
    change(&homeserver, session.user, move |profile| {
        if field == ProfileFieldName::DisplayName {
            profile.display_name = None;
        } else if field == ProfileFieldName::AvatarUrl {
            profile.avatar = None;
        }
    })
    .await?;
    Ok(Reply(delete_profile_field::v3::Response::new()))
}

async fn search(
    State(homeserver): State<Arc<Homeserver>>,
    _: Session,
    Ruma(request): Ruma<search_users::v3::Request>,
) -> Result<Reply<search_users::v3::Response>, Error> {
    let limit = usize::try_from(u64::from(request.limit)).unwrap_or(RESULTS_MAX).min(RESULTS_MAX);
    let term = request.search_term.to_lowercase();
    let query = "SELECT user_id, login, display_name, avatar FROM people WHERE removed_at IS NULL \
         ORDER BY user_id LIMIT $1";
    let rows = sqlx::query(query).bind(PEOPLE_MAX).fetch_all(homeserver.pool()).await?;
    let mut results = Vec::new();
    for row in rows {
        let (id, login): (String, String) = (row.try_get("user_id")?, row.try_get("login")?);
        let name: Option<String> = row.try_get("display_name")?;
        let texts = [Some(&id), Some(&login), name.as_ref()];
        if !texts.into_iter().flatten().any(|text| text.to_lowercase().contains(&term)) {
            continue;
        }
        let Ok(id) = UserId::parse(id) else { continue };
        let mut user = search_users::v3::User::new(id);
        user.display_name = name;
        user.avatar_url = row.try_get::<Option<String>, _>("avatar")?.map(Into::into);
        results.push(user);
    }
    let is_limited = results.len() > limit;
    results.truncate(limit);
    Ok(Reply(search_users::v3::Response::new(results, is_limited)))
}

async fn find(homeserver: &Homeserver, user: &UserId) -> Result<Profile, Error> {
    let mut connection = homeserver.pool().acquire().await?;
    read(&mut connection, user).await?.ok_or(NOT_FOUND)
}

fn value(profile: &Profile, field: &ProfileFieldName) -> Option<ProfileFieldValue> {
    if *field == ProfileFieldName::DisplayName {
        return profile.display_name.clone().map(ProfileFieldValue::DisplayName);
    }
    let avatar = profile.avatar.clone().filter(|_| *field == ProfileFieldName::AvatarUrl);
    avatar.map(|avatar| ProfileFieldValue::AvatarUrl(avatar.into()))
}

/// Changes a profile, and the person's member event in every room that the person is in.
async fn change(
    homeserver: &Homeserver,
    user: OwnedUserId,
    change: impl FnOnce(&mut Profile) + Send + 'static,
) -> Result<(), Error> {
    homeserver
        .write(move |transaction| {
            async move {
                let before = read(transaction.connection(), &user).await?.ok_or(NOT_FOUND)?;
                let mut profile = before.clone();
                change(&mut profile);
                if profile == before {
                    return Ok(());
                }
                let query = "UPDATE people SET display_name = $1, avatar = $2 WHERE user_id = $3";
                sqlx::query(query)
                    .bind(profile.display_name.clone())
                    .bind(profile.avatar.clone())
                    .bind(user.as_str())
                    .execute(transaction.connection())
                    .await?;
                show(transaction, &user, &profile).await
            }
            .boxed()
        })
        .await
}

/// Shows a changed profile in every room.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Seal`].
pub(crate) async fn show(
    transaction: &mut Transaction,
    user: &UserId,
    profile: &Profile,
) -> Result<(), Error> {
    let query = "SELECT room_id FROM memberships WHERE user_id = $1 AND membership = 'join'";
    let query = sqlx::query_scalar::<_, String>(query).bind(user.as_str());
    let rooms = query.fetch_all(transaction.connection()).await?;
    for room_id in rooms.iter().filter_map(|room| RoomId::parse(room).ok()) {
        let draft = Draft {
            room_id,
            sender: user.to_owned(),
            kind: TimelineEventType::RoomMember,
            state_key: Some(user.to_string()),
            content: member_content("join", profile),
            time: transaction.now(),
        };
        match transaction.append(draft, None).await {
            // A room whose state is full keeps the old name.
            Ok(_) | Err(Error::Core(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
