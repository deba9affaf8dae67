//! `/api-keys`.

use axum::{
    Extension, Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use chassis::endpoint::{Served, serve};
use coordinator_api::{Access, Actor, ApiKey, CreateApiKey, CreatedApiKey, endpoints};
use coordinator_core::{
    api_key::{self, KEYS_MAX},
    name::{self, NameError},
    time::{Millis, to_rfc3339},
};
use messages::message;

use super::{error::Error, keys, read::read};
use crate::{app::App, clock, random};

/// Default lifetime of a key, in seconds.
const LIFE_S: u64 = 90 * 24 * 60 * 60;

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 3] {
    [
        serve(&endpoints::LIST_API_KEYS, list),
        serve(&endpoints::CREATE_API_KEY, create),
        serve(&endpoints::REMOVE_API_KEY, remove),
    ]
}

async fn list(State(app): State<App>) -> Json<Vec<ApiKey>> {
    let (now, snapshot) = (clock::now(), app.hub.snapshot());
    let mut keys: Vec<_> = snapshot.loaded.api_keys.values().map(|key| shown(key, now)).collect();
    keys.sort_by_key(|key| key.id);
    Json(keys)
}

async fn create(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Result<(StatusCode, Json<CreatedApiKey>), Error> {
    let CreateApiKey { name, access, expires_in_s } = read(request).await?;
    name::check_api_key(&name)?;
    let now = clock::now();
    let expires = keys::end_of_life(now, expires_in_s.unwrap_or(LIFE_S));
    let secret = api_key::format(&random::bytes());
    let mut change = app.store.change(actor).await?;
    let known = change.api_keys().await?;
    if known.values().any(|key| key.name == name) {
        return Err(NameError::Taken.into());
    }
    if known.len() >= KEYS_MAX {
        return Err(Error::State(message!("problem-state-api-keys")));
    }
    let key = api_key::ApiKey { id: 0, name, access, created: now, expires };
    let key = change.insert_api_key(key, &api_key::hash(secret.reveal())).await?;
    let until = to_rfc3339(expires);
    let may = match access {
        Access::Read => "may read",
        Access::Admin => "administers",
    };
    change.note("api-key.create", &key.name, &format!("{may}, until {until}"));
    app.commit(change).await?;
    tracing::info!(key = key.id, name = key.name, ?access, "API key created");
    let created = CreatedApiKey {
        id: key.id,
        name: key.name,
        access,
        key: secret,
        expires: to_rfc3339(expires),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Removes a key, by number or name. Once this is answered, requests with the key are refused.
async fn remove(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
) -> Result<Json<ApiKey>, Error> {
    let mut change = app.store.change(actor).await?;
    let known = change.api_keys().await?;
    let is_it = |it: &&api_key::ApiKey| it.name == key || key.parse() == Ok(it.id);
    let key = known.values().find(is_it).ok_or(Error::NotFound("api-key"))?;
    change.delete_api_key(key.id).await?;
    change.note("api-key.remove", &key.name, "");
    app.commit(change).await?;
    tracing::info!(key = key.id, name = key.name, "API key removed");
    Ok(Json(shown(key, clock::now())))
}

fn shown(key: &api_key::ApiKey, now: Millis) -> ApiKey {
    ApiKey {
        id: key.id,
        name: key.name.clone(),
        access: key.access,
        expired: key.is_expired(now),
        created: to_rfc3339(key.created),
        expires: to_rfc3339(key.expires),
    }
}
