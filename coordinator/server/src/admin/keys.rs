//! `/keys`.

use axum::{
    Extension, Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use chassis::endpoint::{Served, serve};
use coordinator_api::{Actor, CreateKey, CreatedKey, Key, Secret, endpoints};
use coordinator_core::{
    key::{self, PreAuthKey},
    model::Owner,
    name,
    time::{Millis, to_rfc3339},
};
use messages::message;

use super::{error::Error, read::read};
use crate::{
    app::App,
    clock,
    hub::Snapshot,
    random,
    store::{Change, DatabaseError, StoreError},
};

/// Default lifetime of a key, in seconds.
const LIFE_S: u64 = 60 * 60;
/// Longest lifetime of a key, in seconds: ten years.
const LIFE_MAX_S: u64 = 10 * 365 * 24 * 60 * 60;

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 4] {
    [
        serve(&endpoints::LIST_KEYS, list),
        serve(&endpoints::CREATE_KEY, create),
        serve(&endpoints::EXPIRE_KEY, expire),
        serve(&endpoints::REMOVE_KEY, remove),
    ]
}

async fn list(State(app): State<App>) -> Result<Json<Vec<Key>>, Error> {
    let (now, snapshot) = (clock::now(), app.hub.snapshot());
    Ok(Json(app.store.keys().await?.iter().map(|key| shown(key, &snapshot, now)).collect()))
}

async fn create(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Result<(StatusCode, Json<CreatedKey>), Error> {
    let wanted: CreateKey = read(request).await?;
    let mut change = app.store.change(actor).await?;
    let owner = owner(&mut change, wanted.user.as_deref(), &wanted.tags).await?;
    let owner = owner.ok_or(Error::State(message!("problem-state-key-owner")))?;
    let (key, secret) = insert(&mut change, owner, &wanted, LIFE_S).await?;
    change.note("key.create", key.id, &told(&wanted, &key));
    change.commit().await?;
    Ok((
        StatusCode::CREATED,
        Json(CreatedKey { id: key.id, key: secret, expires: to_rfc3339(key.expires) }),
    ))
}

async fn expire(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<u64>,
) -> Result<Json<Key>, Error> {
    let now = clock::now();
    let mut change = app.store.change(actor).await?;
    change.expire_key(id, now).await?;
    let key = change.key_by_id(id).await?.ok_or(Error::NotFound("key"))?;
    change.note("key.expire", id, "");
    change.commit().await?;
    Ok(Json(shown(&key, &app.hub.snapshot(), now)))
}

async fn remove(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<u64>,
) -> Result<StatusCode, Error> {
    let mut change = app.store.change(actor).await?;
    change.key_by_id(id).await?.ok_or(Error::NotFound("key"))?;
    if !change.delete_key(id).await? {
        return Err(Error::State(message!("problem-state-key-waits")));
    }
    change.note("key.remove", id, "");
    change.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Describes a key for the audit log.
fn told(wanted: &CreateKey, key: &PreAuthKey) -> String {
    let whose = match &wanted.user {
        Some(user) if wanted.tags.is_empty() => format!("of {user}"),
        Some(_) | None => wanted.tags.join(" "),
    };
    let flags = [
        (key.reusable, "reusable"),
        (key.ephemeral, "ephemeral"),
        (key.pre_approved, "pre-approved"),
    ];
    let flags = flags.into_iter().filter(|(is, _)| *is).map(|(_, word)| word);
    let until = format!("until {}", to_rfc3339(key.expires));
    std::iter::once(&*whose).chain(flags).chain([&*until]).collect::<Vec<_>>().join(", ")
}

/// The owner that `user` or `tags` name; `None` if neither is given. Tags take precedence.
pub(super) async fn owner(
    change: &mut Change,
    user: Option<&str>,
    tags: &[String],
) -> Result<Option<Owner>, Error> {
    for tag in tags {
        name::check_tag(tag)?;
    }
    if !tags.is_empty() {
        return Ok(Some(Owner::tags(tags.to_vec())));
    }
    let Some(name) = user else { return Ok(None) };
    let user = change.user(name).await?.ok_or(Error::NotFound("user"))?;
    Ok(Some(Owner::User(user.id)))
}

/// Generates a key and stores its hash.
pub(super) async fn insert(
    change: &mut Change,
    owner: Owner,
    wanted: &CreateKey,
    life_s: u64,
) -> Result<(PreAuthKey, Secret), StoreError> {
    let secret = key::format(&random::bytes());
    let hash = key::hash(secret.reveal()).ok_or(StoreError::Database(DatabaseError::Row("key")))?;
    let now = clock::now();
    let key = PreAuthKey {
        id: 0,
        owner,
        reusable: wanted.reusable,
        ephemeral: wanted.ephemeral,
        pre_approved: wanted.pre_approved,
        created: now,
        expires: end_of_life(now, wanted.expires_in_s.unwrap_or(life_s)),
        uses: 0,
    };
    Ok((change.insert_key(key, &hash).await?, secret))
}

/// When a key that is created at `now` expires; after ten years at most.
pub(super) fn end_of_life(now: Millis, life_s: u64) -> Millis {
    now.saturating_add(Millis::try_from(life_s.min(LIFE_MAX_S)).unwrap_or(0) * 1000)
}

fn shown(key: &PreAuthKey, snapshot: &Snapshot, now: Millis) -> Key {
    Key {
        id: key.id,
        user: snapshot.user_of(&key.owner),
        tags: key.owner.tag_list().to_vec(),
        reusable: key.reusable,
        ephemeral: key.ephemeral,
        pre_approved: key.pre_approved,
        state: key.state(now),
        uses: key.uses,
        created: to_rfc3339(key.created),
        expires: to_rfc3339(key.expires),
    }
}
